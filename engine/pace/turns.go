package pace

// Turns is a queue in which sources share fairly: whoever has had least goes
// next, so that one source with ten thousand waiting delays another's single
// value by one turn. What is shared is cost, not count. Within a source the
// order is that of arrival.
//
// It is start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996): a source's
// tag is how much it was given, and one that comes late starts where the
// others stand: nobody saves up turns by being silent. The zero Turns is
// empty. It is not safe for concurrent use.
type Turns[K comparable, V any] struct {
	by     map[K]*source[K, V]
	active []*source[K, V] // those with values, in the order they came
	now    int64           // tag of the last source that was served
	n      int
}

type source[K comparable, V any] struct {
	key    K
	tag    int64
	values []V
	head   int
}

// Len is how many values wait.
func (t *Turns[K, V]) Len() int { return t.n }

// Of is how many values of a source wait.
func (t *Turns[K, V]) Of(k K) int {
	if s := t.by[k]; s != nil {
		return s.len()
	}
	return 0
}

// Push puts a value behind those of its source.
func (t *Turns[K, V]) Push(k K, v V) {
	s := t.enter(k)
	s.values = append(s.values, v)
	t.n++
}

// Return puts a value before those of its source: it waited already.
func (t *Turns[K, V]) Return(k K, v V) {
	s := t.enter(k)
	if s.head > 0 {
		s.head--
		s.values[s.head] = v
	} else {
		s.values = append(s.values, v)
		copy(s.values[1:], s.values)
		s.values[0] = v
	}
	t.n++
}

// Next gives the value whose turn it is; it stays. ok is false when nothing
// waits.
func (t *Turns[K, V]) Next() (v V, ok bool) {
	if t.n == 0 {
		return v, false
	}
	s := t.active[t.turn()]
	return s.values[s.head], true
}

// Take takes the value whose turn it is and charges its source. A cost of 0
// keeps the source's turn: the value was put aside, not served.
func (t *Turns[K, V]) Take(cost int) V {
	i := t.turn()
	s := t.active[i]
	t.now = s.tag
	s.tag += int64(cost)
	v := s.pop()
	t.n--
	if s.len() == 0 {
		t.active = append(t.active[:i], t.active[i+1:]...)
	}
	if t.n == 0 {
		clear(t.by)
		t.now = 0
	}
	return v
}

// turn is the place of the source that had least; of equals, of the one that
// came first.
func (t *Turns[K, V]) turn() int {
	best := 0
	for i, s := range t.active {
		if s.tag < t.active[best].tag {
			best = i
		}
	}
	return best
}

// enter gives a source that is about to have one more value.
func (t *Turns[K, V]) enter(k K) *source[K, V] {
	s := t.by[k]
	if s == nil {
		if t.by == nil {
			t.by = make(map[K]*source[K, V])
		}
		if len(t.by) > 64 && len(t.by) > 2*len(t.active) {
			t.forget()
		}
		s = &source[K, V]{key: k}
		t.by[k] = s
	}
	if s.len() == 0 {
		s.tag = max(s.tag, t.now)
		t.active = append(t.active, s)
	}
	return s
}

// forget drops the silent sources that owe nothing.
func (t *Turns[K, V]) forget() {
	for k, s := range t.by {
		if s.len() == 0 && s.tag <= t.now {
			delete(t.by, k)
		}
	}
}

func (s *source[K, V]) len() int { return len(s.values) - s.head }

// pop reuses the memory it frees.
func (s *source[K, V]) pop() V {
	var none V
	v := s.values[s.head]
	s.values[s.head] = none
	if s.head++; s.head == len(s.values) {
		s.values, s.head = s.values[:0], 0
	} else if s.head > 1024 && s.head*2 > len(s.values) {
		n := copy(s.values, s.values[s.head:])
		clear(s.values[n:])
		s.values, s.head = s.values[:n], 0
	}
	return v
}
