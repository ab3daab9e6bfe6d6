package handset

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-messaging/parley/sandbox/clock"
	"github.com/parley-messaging/parley/sandbox/fault"
)

// Options configures a Fleet. The zero Options gives handsets that are on,
// online, on WhatsApp, instant, and read at once.
type Options struct {
	Seed     uint64 // of the drawn latencies
	Defaults Change // what a handset is like when it first appears
	Handsets int    // how many to remember; 0 means 20,000
	Inbox    int    // items kept per handset; 0 means 50
	Items    int    // items kept in all; 0 means 40,000
	Waiting  int    // messages a handset may have waiting per channel and person; 0 means 1,000
}

const shards = 32

// A Fleet is all handsets. Its methods may be called from many goroutines.
type Fleet struct {
	clock *clock.Clock
	opts  Options
	items atomic.Int64
	shard [shards]shard
}

type shard struct {
	mu    sync.Mutex
	all   map[string]*handset
	order []string // numbers as they appeared, to forget the oldest first
}

// New returns an empty Fleet.
func New(c *clock.Clock, o Options) *Fleet {
	if o.Handsets == 0 {
		o.Handsets = 20_000
	}
	if o.Inbox == 0 {
		o.Inbox = 50
	}
	if o.Items == 0 {
		o.Items = 40_000
	}
	if o.Waiting == 0 {
		o.Waiting = 1_000
	}
	f := &Fleet{clock: c, opts: o}
	f.Reset()
	return f
}

// Reset forgets every handset.
func (f *Fleet) Reset() {
	for i := range f.shard {
		s := &f.shard[i]
		s.mu.Lock()
		s.all, s.order = map[string]*handset{}, nil
		s.mu.Unlock()
	}
	f.items.Store(0)
}

func hash(s string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// lock returns the handset of a number, made if need be, with its shard
// locked.
func (f *Fleet) lock(number string) (*shard, *handset) {
	s := &f.shard[hash(number)%shards]
	s.mu.Lock()
	h := s.all[number]
	if h == nil {
		h = f.appear(s, strings.Clone(number))
	}
	return s, h
}

func (f *Fleet) appear(s *shard, number string) *handset {
	f.forget(s)
	h := &handset{set: Settings{
		Number: number, Name: "Person " + number[max(0, len(number)-4):],
		WhatsApp: true, Internet: true, Phone: true, Latency: Instant, AutoRead: true,
	}}
	h.apply(f.opts.Defaults)
	if m, ok := fault.Lookup(number); ok {
		h.set.trait(m.Handset)
	}
	s.all[number] = h
	s.order = append(s.order, number)
	return h
}

// forget makes room for one more: the oldest that nobody configured, that
// never wrote and has nothing waiting goes. It looks at a few only.
func (f *Fleet) forget(s *shard) {
	if len(s.all) < max(1, f.opts.Handsets/shards) {
		return
	}
	for range min(8, len(s.order)) {
		number := s.order[0]
		s.order = s.order[1:]
		h := s.all[number]
		if h == nil {
			continue
		}
		if h.pinned || len(h.waiting) > 0 {
			s.order = append(s.order, number)
			continue
		}
		f.items.Add(-int64(len(h.inbox)))
		delete(s.all, number)
		return
	}
}

// Get returns the settings of a handset, which appears if it is new.
func (f *Fleet) Get(number string) Settings {
	s, h := f.lock(number)
	defer s.mu.Unlock()
	return h.set
}

// Put changes a handset. What waited and can now arrive does so before Put
// returns.
func (f *Fleet) Put(number string, c Change) (Settings, error) {
	if c.Latency != nil {
		if err := CheckLatency(*c.Latency); err != nil {
			return Settings{}, err
		}
	}
	s, h := f.lock(number)
	h.pinned = true
	h.apply(c)
	var due []*Delivery
	h.waiting = slices.DeleteFunc(h.waiting, func(d *Delivery) bool {
		ok := h.reachable(d.Item.Channel)
		if ok {
			due = append(due, d)
		}
		return ok
	})
	settings := h.set
	s.mu.Unlock()
	for _, d := range due {
		f.arrive(d, f.clock.Now())
	}
	return settings, nil
}

// Numbers returns the numbers of the handsets that were configured or wrote,
// and up to limit others.
func (f *Fleet) Numbers(limit int) []string {
	var pinned, others []string
	for i := range f.shard {
		s := &f.shard[i]
		s.mu.Lock()
		for number, h := range s.all {
			if h.pinned {
				pinned = append(pinned, number)
			} else if len(others) < limit {
				others = append(others, number)
			}
		}
		s.mu.Unlock()
	}
	numbers := append(pinned, others...)
	slices.Sort(numbers)
	return numbers
}

// Deliver sends d on its way. Its Sink hears the outcome, perhaps before
// Deliver returns.
func (f *Fleet) Deliver(d *Delivery) {
	s, h := f.lock(d.To)
	delay, ever := h.draw(d.Item.Channel, f.opts.Seed)
	s.mu.Unlock()
	now := f.clock.Now()
	if !ever {
		f.expireAt(d)
		return
	}
	if delay += d.Extra; delay <= 0 {
		f.arrive(d, now)
		return
	}
	f.clock.At(now.Add(delay), func(at time.Time) { f.arrive(d, at) })
}

// arrive hands d to the person, or lets it wait until they can be reached.
func (f *Fleet) arrive(d *Delivery, at time.Time) {
	s, h := f.lock(d.To)
	if d.over {
		s.mu.Unlock()
		return
	}
	if !d.Until.IsZero() && at.After(d.Until) {
		d.over = true
		s.mu.Unlock()
		d.Sink.Expired(d, at)
		return
	}
	if !h.reachable(d.Item.Channel) {
		if len(h.waiting) >= f.opts.Waiting {
			h.waiting = h.waiting[1:]
		}
		h.waiting = append(h.waiting, d)
		s.mu.Unlock()
		f.expireAt(d)
		return
	}
	d.over = true
	delete(h.typing, d.Item.From)
	d.Item.At = at
	if !d.Quiet {
		f.keep(h, record{item: d.Item, d: d})
	}
	reads, after := h.set.AutoRead && d.Item.Channel == fault.WhatsApp, time.Duration(h.set.ReadAfter)
	s.mu.Unlock()
	d.Sink.Delivered(d, at)
	switch {
	case !reads:
	case after <= 0:
		f.Read(d.To, d.Item.ID, at)
	default:
		f.clock.At(at.Add(after), func(at time.Time) { f.Read(d.To, d.Item.ID, at) })
	}
}

// Show puts an item into the inbox of a handset at once: what quiet parts add
// up to.
func (f *Fleet) Show(number string, it Item) {
	s, h := f.lock(number)
	defer s.mu.Unlock()
	f.keep(h, record{item: it})
}

// expireAt tells the Sink when the provider gives up, if d still waits then.
func (f *Fleet) expireAt(d *Delivery) {
	if d.Until.IsZero() {
		return
	}
	f.clock.At(d.Until, func(at time.Time) {
		s, h := f.lock(d.To)
		over := d.over
		d.over = true
		if i := slices.Index(h.waiting, d); i >= 0 {
			h.waiting = slices.Delete(h.waiting, i, i+1)
		}
		s.mu.Unlock()
		if !over {
			d.Sink.Expired(d, at)
		}
	})
}

// keep adds a record to an inbox, dropping the oldest when it is full.
func (f *Fleet) keep(h *handset, r record) {
	if n := len(h.inbox); n > 0 && (n >= f.opts.Inbox || f.items.Load() >= int64(f.opts.Items)) {
		copy(h.inbox, h.inbox[1:])
		h.inbox[n-1] = r
		return
	}
	h.inbox = append(h.inbox, r)
	f.items.Add(1)
}

// Read marks a message of the inbox as read; with an empty id, all of them.
// It returns how many were not read before.
func (f *Fleet) Read(number, id string, at time.Time) int {
	s, h := f.lock(number)
	var read []*Delivery
	for i := len(h.inbox) - 1; i >= 0; i-- {
		r := &h.inbox[i]
		if r.d == nil || id != "" && r.item.ID != id {
			continue
		}
		r.item.Read = true
		read = append(read, r.d)
		r.d = nil
		if id != "" {
			break
		}
	}
	s.mu.Unlock()
	for _, d := range slices.Backward(read) {
		d.Sink.Read(d, at)
	}
	return len(read)
}

// See shows a person that a sender read their message and all they wrote to it
// before; typing is until when it shows that an answer is coming, zero for not
// at all. It is false for a message this person did not write.
func (f *Fleet) See(number, id string, typing time.Time) bool {
	s, h := f.lock(number)
	defer s.mu.Unlock()
	at := slices.IndexFunc(h.inbox, func(r record) bool { return r.item.Outgoing && r.item.ID == id })
	if at < 0 {
		return false
	}
	seen := &h.inbox[at].item
	for i := range h.inbox[:at+1] {
		if it := &h.inbox[i].item; it.Outgoing && it.Channel == seen.Channel && it.From == seen.From {
			it.Seen = true
		}
	}
	if !typing.IsZero() {
		if h.typing == nil {
			h.typing = map[string]time.Time{}
		}
		h.typing[seen.From] = typing
	}
	return true
}

// Typing reports whether a sender shows a person that it is typing.
func (f *Fleet) Typing(number, sender string) bool {
	now := f.clock.Now()
	s, h := f.lock(number)
	defer s.mu.Unlock()
	return h.typing[sender].After(now)
}

// Inbox returns what a handset received and wrote, oldest first.
func (f *Fleet) Inbox(number string) []Item {
	s, h := f.lock(number)
	defer s.mu.Unlock()
	items := make([]Item, 0, len(h.inbox))
	for _, r := range h.inbox {
		items = append(items, r.item)
	}
	return items
}

// Waiting returns how many messages wait for a handset to be reachable.
func (f *Fleet) Waiting(number string) int {
	s, h := f.lock(number)
	defer s.mu.Unlock()
	return len(h.waiting)
}

// Wrote records that a person wrote to a sender, which keeps the handset and
// opens the sender's window.
func (f *Fleet) Wrote(number, sender string, it Item) Settings {
	s, h := f.lock(number)
	defer s.mu.Unlock()
	h.pinned = true
	if h.wrote == nil {
		h.wrote = map[string]time.Time{}
	}
	it.Outgoing, it.Read = true, true
	if key := string(it.Channel) + sender; it.At.After(h.wrote[key]) {
		h.wrote[key] = it.At
	}
	f.keep(h, record{item: it})
	return h.set
}

// Last returns when a person last wrote to a sender on a channel; zero means
// never.
func (f *Fleet) Last(number string, ch fault.Channel, sender string) time.Time {
	s, h := f.lock(number)
	defer s.mu.Unlock()
	if h.wrote == nil {
		return time.Time{}
	}
	return h.wrote[string(ch)+sender]
}
