package postgres

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A row of the log as read: a pack of events.
type packRead struct {
	ws     message.WorkspaceID
	end    place // of its last event
	events []*store.LogEvent
	size   int
}

const packColumns = `e.epoch, e.xid::text, e.seq, e.workspace, e.n, e.data, e.sealed`

func scanPack(r pgx.Rows) (*packRead, error) {
	var at place
	var xid string
	var n int32
	var data, sealed []byte
	p := &packRead{}
	err := r.Scan(&at.epoch, &xid, &at.seq, (*id16)(&p.ws), &n, &data, &sealed)
	if err != nil {
		return nil, err
	}
	if at.xid, err = strconv.ParseUint(xid, 10, 64); err != nil {
		return nil, err
	}
	if p.events, err = unpack(at, p.ws, n, data, sealed); err != nil {
		return nil, err
	}
	p.end = place{at.epoch, at.xid, at.seq + seqLast}
	p.size = len(data) + len(sealed) + 256*len(p.events)
	return p, nil
}

// after gives the events behind a place, at most limit.
func (p *packRead) after(q place, limit int) []*store.LogEvent {
	list := p.events
	if q.epoch == p.end.epoch && q.xid == p.end.xid && base(q.seq) == base(p.end.seq) {
		list = list[min(q.seq-base(q.seq)+1, int64(len(list))):]
	}
	return list[:min(limit, len(list))]
}

// A tail is the youngest stretch of the log in memory. A node follows the log
// several times at once (webhooks, charges, what other nodes changed, live
// views): one of them reads a row from the database, the others find it here.
// What it holds is final: only rows that nothing can commit behind get in.
type tail struct {
	turn  chan struct{} // capacity 1: held while it is looked at or grown
	wrong atomic.Bool   // the log was changed otherwise: nothing held may be given
	from  place         // it holds every row behind from …
	to    place         // … up to here
	packs []*packRead
	size  int
}

// tailBytes is about how much memory a tail takes.
const tailBytes = 8 << 20

func newTail() *tail { return &tail{turn: make(chan struct{}, 1)} }

func (t *tail) lock(ctx context.Context) error {
	select {
	case t.turn <- struct{}{}:
		if t.wrong.Swap(false) {
			t.from, t.to, t.packs, t.size = place{}, place{}, nil, 0
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *tail) unlock() { <-t.turn }

// forget has the tail emptied before anybody reads of it again: what is in the
// log was changed, not only added to. It does not wait for a reader, who may be
// the caller.
func (t *tail) forget() { t.wrong.Store(true) }

// find gives what the tail holds behind a place.
func (t *tail) find(ws message.WorkspaceID, p place, limit int) (out []*store.LogEvent) {
	if p.before(t.from) {
		return nil
	}
	// Readers are near the end.
	i := len(t.packs)
	for i > 0 && p.before(t.packs[i-1].end) {
		i--
	}
	for ; i < len(t.packs) && len(out) < limit; i++ {
		if k := t.packs[i]; ws.IsZero() || ws == k.ws {
			out = append(out, k.after(p, limit-len(out))...)
		}
	}
	return out
}

// grow takes rows that were read right behind p.
func (t *tail) grow(p place, packs []*packRead) {
	if t.wrong.Load() {
		return // read before the change, maybe
	}
	if p != t.to {
		if p.before(t.to) {
			return // an old stretch, read by a latecomer
		}
		t.from, t.to, t.packs, t.size = p, p, nil, 0
	}
	for _, k := range packs {
		t.packs = append(t.packs, k)
		t.size += k.size
		t.to = k.end
	}
	drop := 0
	for ; t.size > tailBytes && drop < len(t.packs); drop++ {
		t.size -= t.packs[drop].size
		t.from = t.packs[drop].end
	}
	t.packs = append(t.packs[:0:0], t.packs[drop:]...)
}

// readPacks is how many rows of the log are read at once.
const readPacks = 40

// Read implements store.Log. Events given are shared among readers.
func (s *Store) Read(ctx context.Context, ws message.WorkspaceID, after store.Cursor, limit int) ([]*store.LogEvent, store.Cursor, error) {
	p, err := parseCursor(after)
	if err != nil {
		return nil, after, err
	}
	if err := s.tail.lock(ctx); err != nil {
		return nil, after, err
	}
	list := s.tail.find(ws, p, limit)
	// A reader of all at the end of what is held makes others wait: they want
	// what it reads.
	leads := len(list) == 0 && ws.IsZero() && !p.before(s.tail.to)
	if leads {
		defer s.tail.unlock()
	} else {
		s.tail.unlock()
	}
	if len(list) == 0 {
		if list, err = s.readLog(ctx, ws, p, limit, leads); err != nil {
			return nil, after, err
		}
	}
	if len(list) == 0 {
		return nil, after, nil
	}
	return list, list[len(list)-1].Cursor, nil
}

func (s *Store) readLog(ctx context.Context, ws message.WorkspaceID, p place, limit int, leads bool) (list []*store.LogEvent, err error) {
	for at := p; len(list) < limit; {
		packs, err := s.packs(ctx, ws, at)
		if err != nil {
			return nil, err
		}
		for _, k := range packs {
			list = append(list, k.after(at, limit-len(list))...)
		}
		if leads {
			s.tail.grow(at, packs)
		}
		if len(packs) < readPacks {
			break
		}
		at = packs[len(packs)-1].end
	}
	return list, nil
}

// packs reads rows of the log behind a place, and the one the place is in.
func (s *Store) packs(ctx context.Context, ws message.WorkspaceID, p place) (list []*packRead, err error) {
	seq := p.seq
	if seq != base(seq)+seqLast {
		seq = base(seq) - 1
	}
	where, args := "", []any{p.epoch, p.text(), seq, readPacks}
	if !ws.IsZero() {
		where, args = "e.workspace = $5 AND", append(args, ws[:])
	}
	err = s.query(ctx, func(r pgx.Rows) error {
		k, err := scanPack(r)
		list = append(list, k)
		return err
	}, `SELECT `+packColumns+` FROM events e WHERE `+where+` (e.epoch, e.xid, e.seq) > ($1::bigint, $2::text::xid8, $3::bigint)
		AND (e.epoch, e.xid) < ((SELECT epoch FROM epochs WHERE id = 1), pg_snapshot_xmin(pg_current_snapshot()))
		ORDER BY e.epoch, e.xid, e.seq LIMIT $4`, args...)
	return list, err
}

// eventsAt reads events by their places; those purged are missing.
func eventsAt(ctx context.Context, tx pgx.Tx, places []place) (map[place]*store.Event, error) {
	out := make(map[place]*store.Event, len(places))
	seen := make(map[place]bool, len(places))
	var epoch, seq []int64
	var xid []string
	for _, p := range places {
		if b := (place{p.epoch, p.xid, base(p.seq)}); !seen[b] {
			seen[b] = true
			epoch, xid, seq = append(epoch, b.epoch), append(xid, b.text()), append(seq, b.seq)
		}
	}
	if len(epoch) == 0 {
		return out, nil
	}
	packs := make(map[place]*packRead, len(epoch))
	err := find(ctx, tx, func(r pgx.Rows) error {
		k, err := scanPack(r)
		if err == nil {
			packs[place{k.end.epoch, k.end.xid, base(k.end.seq)}] = k
		}
		return err
	}, `SELECT `+packColumns+` FROM unnest($1::bigint[], $2::text[], $3::bigint[]) i(epoch, xid, seq)
		CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.epoch = i.epoch AND e.xid = i.xid::xid8 AND e.seq = i.seq OFFSET 0) e`, epoch, xid, seq)
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		k := packs[place{p.epoch, p.xid, base(p.seq)}]
		if k == nil {
			continue
		}
		i := p.seq - base(p.seq)
		if i == seqLast {
			i = int64(len(k.events)) - 1
		}
		if i < int64(len(k.events)) {
			out[p] = &k.events[i].Event
		}
	}
	return out, nil
}
