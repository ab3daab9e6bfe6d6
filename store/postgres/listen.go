package postgres

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/store"
)

// A hub carries hints: that the log grew, that work waits for a connector.
// Within the process they are immediate; to and from other nodes they go by
// NOTIFY, coalesced, and may be lost.
type hub struct {
	s *Store

	mu      sync.Mutex
	changed chan struct{} // closed at the next growth of the log
	grew    bool          // other nodes have not been told
	wakes   store.Hints
	more    chan struct{} // capacity 1: something to notify

	hinted store.Hints   // for our own reader of Woken
	stir   chan struct{} // capacity 1: hinted grew
	woken  chan store.Hint
}

// notifyChannel is the channel of LISTEN and NOTIFY. A payload is the sending
// node, then "log" or hints, separated by spaces: a connector's id, a slash and
// the least message's id, in hex.
const notifyChannel = "parley"

// notifyPause is how long hints to other nodes are gathered: half the time a
// person would notice, and at most 50 notifications a second from a node.
const notifyPause = 20 * time.Millisecond

func newHub(s *Store) *hub {
	return &hub{
		s: s, changed: make(chan struct{}),
		wakes: make(store.Hints), more: make(chan struct{}, 1),
		hinted: make(store.Hints), stir: make(chan struct{}, 1), woken: make(chan store.Hint),
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// committed tells that a transaction of ours is durable.
func (h *hub) committed(logged bool) {
	if !logged {
		return
	}
	h.grow()
	h.mu.Lock()
	h.grew = true
	h.mu.Unlock()
	nudge(h.more)
}

func (h *hub) grow() {
	h.mu.Lock()
	close(h.changed)
	h.changed = make(chan struct{})
	h.mu.Unlock()
}

func (h *hub) hint(hints store.Hints) {
	h.mu.Lock()
	h.hinted.AddAll(hints)
	h.mu.Unlock()
	nudge(h.stir)
}

// Changed implements store.Log.
func (s *Store) Changed() <-chan struct{} {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.hub.changed
}

// Wake implements store.Leases.
func (s *Store) Wake(_ context.Context, hints store.Hints) error {
	h := s.hub
	h.hint(hints)
	h.mu.Lock()
	h.wakes.AddAll(hints)
	h.mu.Unlock()
	nudge(h.more)
	return nil
}

// Woken implements store.Leases.
func (s *Store) Woken() <-chan store.Hint { return s.hub.woken }

// deliver hands hints to the reader of Woken until ctx ends.
func (h *hub) deliver(ctx context.Context) {
	for {
		select {
		case <-h.stir:
		case <-ctx.Done():
			return
		}
		for hint, ok := h.anyHinted(); ok; hint, ok = h.anyHinted() {
			select {
			case h.woken <- hint:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (h *hub) anyHinted() (store.Hint, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hinted.Take()
}

// notify tells other nodes, outside of the writers' transactions: PostgreSQL
// lets transactions that notify commit only one at a time.
func (h *hub) notify(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-h.more:
		case <-ctx.Done():
			return
		}
		if payload := h.payload(); payload != "" {
			// A lost hint is harmless: the others poll.
			_, err := h.s.pool.Exec(ctx, "SELECT pg_notify($1, $2)", notifyChannel, payload)
			if err != nil && ctx.Err() == nil {
				h.s.opt.Log.Debug("hint to other nodes lost", "cause", err)
			}
		}
		pause.Reset(notifyPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// payload takes what other nodes should hear: at most 100 connectors at once,
// as PostgreSQL takes 8,000 bytes.
func (h *hub) payload() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.grew && len(h.wakes) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(h.s.opt.Node)
	if h.grew {
		b.WriteString(" log")
		h.grew = false
	}
	for range 100 {
		hint, ok := h.wakes.Take()
		if !ok {
			return b.String()
		}
		b.WriteString(" " + hex.EncodeToString(hint.Connector[:]) + "/" + hex.EncodeToString(hint.From[:]))
	}
	nudge(h.more)
	return b.String()
}

// listen hears other nodes on a connection of its own, for ever: a lost one is
// opened again after a pause that grows to 15 s.
func (h *hub) listen(ctx context.Context) {
	delivered := make(chan struct{})
	go func() { defer close(delivered); h.deliver(ctx) }()
	defer func() { <-delivered }()
	url := h.s.opt.ListenURL
	if url == "" && h.s.opt.Pooler {
		return
	}
	if url == "" {
		url = h.s.opt.URL
	}
	pause := 100 * time.Millisecond
	for ctx.Err() == nil {
		heard, err := h.hear(ctx, url)
		if ctx.Err() != nil {
			return
		}
		if heard {
			pause = 100 * time.Millisecond
		}
		h.s.opt.Log.Warn("hints of other nodes are not heard; listening again", "cause", err, "pause", pause)
		wait := time.NewTimer(pause + rand.N(pause))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
		pause = min(2*pause, 15*time.Second)
	}
}

// hear listens on one connection until it breaks.
func (h *hub) hear(ctx context.Context, url string) (heard bool, err error) {
	config, err := h.s.opt.config(url)
	if err != nil {
		return false, err
	}
	delete(config.RuntimeParams, "statement_timeout")
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+notifyChannel); err != nil {
		return false, err
	}
	h.grow() // whatever happened while nobody listened
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return true, err
		}
		h.take(n.Payload)
	}
}

func (h *hub) take(payload string) {
	words := strings.Fields(payload)
	if len(words) == 0 || words[0] == h.s.opt.Node {
		return
	}
	hints := make(store.Hints)
	for _, w := range words[1:] {
		if w == "log" {
			h.grow()
			continue
		}
		var hint store.Hint
		connector, from, _ := strings.Cut(w, "/")
		if unhex(hint.Connector[:], connector) && unhex(hint.From[:], from) {
			hints.Add(hint)
		}
	}
	if len(hints) > 0 {
		h.hint(hints)
	}
}

// unhex reads exactly the bytes of an id.
func unhex(to []byte, text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && copy(to, b) == len(to) && len(b) == len(to)
}
