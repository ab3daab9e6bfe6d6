package sqlite

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A lease on a delivery is its owner's name and a next_at in the future: when
// the lease expires the row is due again by itself.

// Claim leases due deliveries of one endpoint to owner until the given time.
func (s *Store) Claim(ctx context.Context, endpoint message.EndpointID, owner string, now, until time.Time, limit int) ([]*store.WebhookDelivery, error) {
	n := s.names.find(endpoint)
	if n <= 0 {
		return nil, nil
	}
	due, err := s.NextDelivery(ctx, endpoint)
	if err != nil || due.IsZero() || due.After(now) {
		return nil, err
	}
	type claimed struct{ seq, nextAt int64 }
	var rows []claimed
	err = s.write(ctx, limit, func(w *writer) error {
		rows = rows[:0]
		q := w.c.q(`SELECT seq, next_at FROM webhooks INDEXED BY webhooks_due
			WHERE endpoint = ? AND state = 0 AND head = 1 AND next_at <= ? ORDER BY next_at, seq LIMIT ?`).
			int(n).time(now).int(int64(limit))
		for {
			more, err := q.row()
			if err != nil {
				return err
			}
			if !more {
				break
			}
			rows = append(rows, claimed{q.i(0), q.i(1)})
		}
		for _, r := range rows {
			err := w.c.q(`UPDATE webhooks SET next_at = ?, owner = ? WHERE endpoint = ? AND seq = ?`).
				time(until).text(owner).int(n).int(r.seq).exec()
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b claimed) int { return int(a.seq - b.seq) })
	list := make([]*store.WebhookDelivery, 0, len(rows))
	err = s.snapshot(ctx, func(c *conn) error {
		f := eventFinder{s: s, c: c}
		for _, r := range rows {
			found, err := s.webhookRows(&f, c.q(`SELECT `+webhookColumns+` FROM webhooks WHERE endpoint = ? AND seq = ?`).int(n).int(r.seq))
			if err != nil {
				return err
			}
			for _, f := range found {
				f.NextAt = fromMicros(r.nextAt)
				list = append(list, f)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

const webhookColumns = `id, workspace, endpoint, state, tries, next_at, created_at, last_at, status, error, seq`

// webhookRows reads webhookColumns and then the events they are about; a row
// whose event is gone is left out.
func (s *Store) webhookRows(f *eventFinder, q *stmt) (list []*store.WebhookDelivery, err error) {
	var seqs []int64
	for {
		more, err := q.row()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		seqs = append(seqs, q.i(10))
		list = append(list, &store.WebhookDelivery{
			ID: q.key16(0), Workspace: s.names.id(q.i(1)), Endpoint: s.names.id(q.i(2)), State: webhookState(q.i(3)), Tries: int(q.i(4)),
			NextAt: q.t(5), CreatedAt: q.t(6), LastAt: q.t(7), Status: int(q.i(8)), Error: q.str(9),
		})
	}
	kept := list[:0]
	for i, d := range list {
		e, ok, err := f.find(seqs[i])
		if err != nil {
			return nil, err
		}
		if ok {
			d.Event = e
			kept = append(kept, d)
		}
	}
	return kept, nil
}

// NextDelivery gives when an endpoint's earliest delivery that may go is due.
func (s *Store) NextDelivery(ctx context.Context, endpoint message.EndpointID) (next time.Time, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT next_at FROM webhooks INDEXED BY webhooks_due WHERE endpoint = ? AND state = 0 AND head = 1 ORDER BY next_at LIMIT 1`).
			int(s.names.find(endpoint))
		more, err := q.row()
		if err != nil || !more {
			return err
		}
		next = q.t(0)
		q.done()
		return nil
	})
	return next, err
}

// Settle records tries; a row leased to another owner is left alone.
func (s *Store) Settle(ctx context.Context, owner string, tries []*store.WebhookTry) error {
	return s.write(ctx, len(tries), func(w *writer) error {
		for _, t := range tries {
			if err := w.settle(owner, t); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *writer) settle(owner string, t *store.WebhookTry) error {
	endpoint := w.names.find(t.Endpoint)
	q := w.c.q(`SELECT seq, message FROM webhooks WHERE endpoint = ? AND id = ? AND state = 0 AND owner = ?`).int(endpoint).key(t.ID).text(owner)
	more, err := q.row()
	if err != nil || !more {
		return err
	}
	seq, about := q.i(0), message.MessageID(q.key16(1))
	q.done()
	state := webhookNumber(t.State)
	err = w.c.q(`UPDATE webhooks SET state = ?, tries = tries + 1, next_at = ?, owner = '', last_at = ?, status = ?, error = ? WHERE endpoint = ? AND seq = ?`).
		int(state).time(t.NextAt).time(t.At).int(int64(t.Status)).text(t.Error).int(endpoint).int(seq).exec()
	if err != nil || state == pending || about.IsZero() {
		return err
	}
	return w.promote(endpoint, about)
}

// promote makes the earliest pending delivery of a message the one that goes.
func (w *writer) promote(endpoint int64, about message.MessageID) error {
	return w.c.q(`UPDATE webhooks SET head = 1 WHERE endpoint = ?1 AND head = 0 AND seq =
		(SELECT min(seq) FROM webhooks INDEXED BY webhooks_pending WHERE endpoint = ?1 AND message = ?2 AND state = 0 AND message IS NOT NULL)`).
		int(endpoint).key(about).exec()
}

// DeliveryList pages through an endpoint's deliveries, newest first.
func (s *Store) DeliveryList(ctx context.Context, ws message.WorkspaceID, endpoint message.EndpointID, state string, before message.DeliveryID, limit int) (list []*store.WebhookDelivery, err error) {
	if before.IsZero() {
		before = message.DeliveryID(lastID)
	}
	wanted := int64(-1)
	if state != "" {
		wanted = webhookNumber(state)
	}
	err = s.snapshot(ctx, func(c *conn) error {
		f := &eventFinder{s: s, c: c}
		n, workspace := s.names.find(endpoint), s.names.find(ws)
		list, err = s.webhookRows(f, c.q(`SELECT `+webhookColumns+` FROM webhooks INDEXED BY webhooks_id
			WHERE endpoint = ? AND workspace = ? AND id < ? AND (?4 < 0 OR state = ?4) ORDER BY id DESC LIMIT ?5`).
			int(n).int(workspace).key(before).int(wanted).int(int64(limit)))
		if err != nil || wanted >= 0 && wanted != delivered {
			return err
		}
		more, err := s.listRuns(f, n, workspace, before, limit)
		list = append(list, more...)
		slices.SortFunc(list, func(a, b *store.WebhookDelivery) int { return bytes.Compare(b.ID[:], a.ID[:]) })
		list = list[:min(limit, len(list))]
		return err
	})
	return list, err
}

// Replay makes deliveries pending again, due now.
func (s *Store) Replay(ctx context.Context, ws message.WorkspaceID, endpoint message.EndpointID, ids []message.DeliveryID, from, to, now time.Time) (n int, err error) {
	err = s.write(ctx, len(ids), func(w *writer) error {
		n = 0
		e, workspace := w.names.find(endpoint), w.names.find(ws)
		var rows []replayed
		err := w.explodeIDs(e, workspace, ids)
		if err == nil && len(ids) == 0 {
			err = w.explodeSpan(e, workspace, from, to)
		}
		if err == nil && len(ids) == 0 {
			rows, err = w.replays(rows, w.c.q(`SELECT seq, message FROM webhooks WHERE endpoint = ? AND workspace = ? AND event_at >= ? AND event_at < ?
				AND state <> 0 ORDER BY seq`).int(e).int(workspace).time(from).time(to))
		}
		for _, id := range ids {
			if err == nil {
				rows, err = w.replays(rows, w.c.q(`SELECT seq, message FROM webhooks WHERE endpoint = ? AND id = ? AND workspace = ? AND state <> 0`).
					int(e).key(id).int(workspace))
			}
		}
		if err != nil {
			return err
		}
		slices.SortFunc(rows, func(a, b replayed) int { return int(a.seq - b.seq) })
		for _, r := range slices.Compact(rows) {
			if err := w.replayRow(e, r, now); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

type replayed struct {
	seq   int64
	about message.MessageID
}

func (w *writer) replays(rows []replayed, q *stmt) ([]replayed, error) {
	for {
		more, err := q.row()
		if err != nil || !more {
			return rows, err
		}
		rows = append(rows, replayed{q.i(0), q.key16(1)})
	}
}

// replayRow puts one delivery back in its place: later pending ones of the
// same message wait for it.
func (w *writer) replayRow(endpoint int64, r replayed, now time.Time) error {
	head := true
	if !r.about.IsZero() {
		blocked, err := w.blocked(endpoint, r.about, r.seq)
		if err != nil {
			return err
		}
		head = !blocked
		err = w.c.q(`UPDATE webhooks SET head = 0, owner = '', next_at = min(next_at, ?4) WHERE endpoint = ?1 AND message = ?2 AND seq > ?3 AND state = 0 AND head = 1 AND message IS NOT NULL`).
			int(endpoint).key(r.about).int(r.seq).time(now).exec()
		if err != nil {
			return err
		}
	}
	return w.c.q(`UPDATE webhooks SET state = 0, head = ?, tries = 0, next_at = ?, owner = '' WHERE endpoint = ? AND seq = ?`).
		bool(head).time(now).int(endpoint).int(r.seq).exec()
}
