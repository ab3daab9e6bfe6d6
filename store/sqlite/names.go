package sqlite

import "sync"

// names gives small numbers to ids and words that repeat in millions of rows:
// an integer is quicker to bind and smaller in every index. A number is never
// given twice while the process lives, so that a reader holding one that was
// rolled back finds nothing rather than another tenant.
type names struct {
	mu      sync.RWMutex
	numbers map[string]int64
	words   map[int64]string
	next    int64
	fresh   []string // given in the open transaction
}

func (n *names) load(c *conn) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.numbers, n.words, n.fresh = make(map[string]int64), make(map[int64]string), nil
	s := c.q(`SELECT n, name FROM names`)
	for {
		more, err := s.row()
		if err != nil || !more {
			return err
		}
		number, name := s.i(0), string(s.bytes(1))
		n.numbers[name], n.words[number] = number, name
		n.next = max(n.next, number)
	}
}

// find gives the number of an id, 0 for the zero id, -1 for an unknown one.
func (n *names) find(id [16]byte) int64 {
	if id == [16]byte{} {
		return 0
	}
	n.mu.RLock()
	number, ok := n.numbers[string(id[:])]
	n.mu.RUnlock()
	if !ok {
		return -1
	}
	return number
}

func (n *names) word(number int64) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.words[number]
}

func (n *names) id(number int64) (id [16]byte) {
	copy(id[:], n.word(number))
	return id
}

// forget takes back the numbers of a transaction that was rolled back.
func (n *names) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range n.fresh {
		delete(n.words, n.numbers[name])
		delete(n.numbers, name)
	}
	n.fresh = n.fresh[:0]
}

func (n *names) keep() { n.fresh = n.fresh[:0] }

// number gives the number of an id inside the writer's transaction, making one
// if it is new.
func (w *writer) number(id [16]byte) (int64, error) {
	if id == [16]byte{} {
		return 0, nil
	}
	w.names.mu.RLock()
	number, ok := w.names.numbers[string(id[:])]
	w.names.mu.RUnlock()
	if ok {
		return number, nil
	}
	return w.name(string(id[:]))
}

// word is number for a word.
func (w *writer) word(word string) (int64, error) {
	if word == "" {
		return 0, nil
	}
	w.names.mu.RLock()
	number, ok := w.names.numbers[word]
	w.names.mu.RUnlock()
	if ok {
		return number, nil
	}
	return w.name(word)
}

func (w *writer) name(name string) (int64, error) {
	n := w.names
	n.mu.Lock()
	n.next++
	number := n.next
	n.numbers[name], n.words[number] = number, name
	n.fresh = append(n.fresh, name)
	n.mu.Unlock()
	return number, w.c.q(`INSERT INTO names (n, name) VALUES (?, ?)`).int(number).blob([]byte(name)).exec()
}
