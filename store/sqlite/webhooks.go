package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// The stored states of a webhook delivery.
const (
	pending = iota
	delivered
	dead
)

func webhookState(n int64) string {
	switch n {
	case delivered:
		return store.WebhookDelivered
	case dead:
		return store.WebhookDead
	default:
		return store.WebhookPending
	}
}

func webhookNumber(state string) int64 {
	switch state {
	case store.WebhookDelivered:
		return delivered
	case store.WebhookDead:
		return dead
	default:
		return pending
	}
}

// PutEndpoint creates or replaces an endpoint.
func (s *Store) PutEndpoint(ctx context.Context, e *store.Endpoint) error {
	types, err := json.Marshal(e.Types)
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	return s.write(ctx, 1, func(w *writer) error {
		workspace, err := w.number(e.Workspace)
		if err != nil {
			return err
		}
		if n, err := w.number(e.ID); err != nil {
			return err
		} else if w.gone[n] {
			delete(w.gone, n)
		}
		return w.c.q(`INSERT INTO endpoints (workspace, id, url, sealed, types, batch, disabled, failing_at, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET url = excluded.url, sealed = excluded.sealed, types = excluded.types,
				batch = excluded.batch, disabled = excluded.disabled, failing_at = excluded.failing_at`).
			int(workspace).key(e.ID).text(e.URL).blob(e.Sealed).text(string(types)).int(int64(e.Batch)).text(e.Disabled).
			time(e.FailingAt).time(e.CreatedAt).exec()
	})
}

const endpointColumns = `workspace, id, url, sealed, types, batch, disabled, failing_at, created_at`

func (s *Store) endpoints(q *stmt) (list []*store.Endpoint, err error) {
	for {
		more, err := q.row()
		if err != nil || !more {
			return list, err
		}
		e := &store.Endpoint{
			Workspace: s.names.id(q.i(0)), ID: q.key16(1), URL: q.str(2), Sealed: q.bytes(3), Batch: int(q.i(5)),
			Disabled: q.str(6), FailingAt: q.t(7), CreatedAt: q.t(8),
		}
		if err := json.Unmarshal([]byte(q.str(4)), &e.Types); err != nil {
			q.done()
			return nil, fmt.Errorf("endpoint %s: %w", e.ID, err)
		}
		list = append(list, e)
	}
}

// Endpoint reads one endpoint.
func (s *Store) Endpoint(ctx context.Context, ws message.WorkspaceID, id message.EndpointID) (e *store.Endpoint, err error) {
	err = s.read(ctx, func(c *conn) error {
		list, err := s.endpoints(c.q(`SELECT ` + endpointColumns + ` FROM endpoints WHERE workspace = ? AND id = ?`).int(s.names.find(ws)).key(id))
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return store.ErrNotFound
		}
		e = list[0]
		return nil
	})
	return e, err
}

// Endpoints lists those of a workspace; the zero id lists all.
func (s *Store) Endpoints(ctx context.Context, ws message.WorkspaceID) (list []*store.Endpoint, err error) {
	err = s.read(ctx, func(c *conn) error {
		list, err = s.endpoints(c.q(`SELECT ` + endpointColumns + ` FROM endpoints WHERE (?1 = 0 OR workspace = ?1) ORDER BY id`).int(s.names.find(ws)))
		return err
	})
	return list, err
}

// SetEndpointHealth notes how tries at an endpoint go.
func (s *Store) SetEndpointHealth(ctx context.Context, ws message.WorkspaceID, id message.EndpointID, failingAt time.Time, disabled string) error {
	missing := false
	err := s.write(ctx, 1, func(w *writer) error {
		wrote, err := w.wrote(w.c.q(`UPDATE endpoints SET failing_at = ?, disabled = ? WHERE workspace = ? AND id = ?`).
			time(failingAt).text(disabled).int(w.names.find(ws)).key(id))
		missing = !wrote
		return err
	})
	if err == nil && missing {
		return store.ErrNotFound
	}
	return err
}

// DeleteEndpoint takes an endpoint and its deliveries away.
func (s *Store) DeleteEndpoint(ctx context.Context, ws message.WorkspaceID, id message.EndpointID) error {
	missing := false
	err := s.write(ctx, 1, func(w *writer) error {
		wrote, err := w.wrote(w.c.q(`DELETE FROM endpoints WHERE workspace = ? AND id = ?`).int(w.names.find(ws)).key(id))
		if missing = !wrote; err != nil || missing {
			return err
		}
		delete(w.reach, w.names.find(id))
		w.gone[w.names.find(id)] = true
		if err := w.c.q(`DELETE FROM webhook_runs WHERE endpoint = ?`).int(w.names.find(id)).exec(); err != nil {
			return err
		}
		return w.c.q(`DELETE FROM webhooks WHERE endpoint = ?`).int(w.names.find(id)).exec()
	})
	if err == nil && missing {
		return store.ErrNotFound
	}
	return err
}

// Enqueue writes delivery rows and moves the reader's cursor. The events must
// be in the log: rows keep their number there, not a copy.
func (s *Store) Enqueue(ctx context.Context, reader string, cursor store.Cursor, rows []*store.WebhookDelivery) error {
	var fault error
	err := s.write(ctx, len(rows), func(w *writer) error {
		fault = nil
		seqs, err := w.eventNumbers(rows)
		if err != nil {
			return err
		}
		for i, r := range rows {
			if seqs[i] == 0 {
				fault = fmt.Errorf("event %s: %w", r.Event.ID, store.ErrNotFound)
				return nil
			}
		}
		seqs, rows := w.living(seqs, rows)
		seqs, rest, err := w.enqueueRuns(seqs, rows)
		if err != nil {
			return err
		}
		for i, r := range rest {
			if err := w.enqueue(seqs[i], r); err != nil {
				return err
			}
		}
		return w.saveCursor(reader, cursor)
	})
	if err != nil {
		return err
	}
	return fault
}

// living leaves out rows of endpoints that were deleted after the reader asked
// which there are.
func (w *writer) living(seqs []int64, rows []*store.WebhookDelivery) ([]int64, []*store.WebhookDelivery) {
	if len(w.gone) == 0 {
		return seqs, rows
	}
	liveSeqs, live := seqs[:0:0], rows[:0:0]
	for i, r := range rows {
		if !w.gone[w.names.find(r.Endpoint)] {
			liveSeqs, live = append(liveSeqs, seqs[i]), append(live, r)
		}
	}
	return liveSeqs, live
}

func (w *writer) enqueue(seq int64, r *store.WebhookDelivery) error {
	workspace, err := w.number(r.Workspace)
	if err != nil {
		return err
	}
	endpoint, err := w.number(r.Endpoint)
	if err != nil {
		return err
	}
	reach, err := w.extent(endpoint)
	if err != nil {
		return err
	}
	if seq <= reach {
		if there, err := w.inRun(endpoint, seq); err != nil || there {
			return err
		}
	}
	w.reach[endpoint] = max(reach, seq)
	state := webhookNumber(r.State)
	head := true
	if state == pending && !r.Event.Message.IsZero() {
		blocked, err := w.blocked(endpoint, r.Event.Message, seq)
		if err != nil {
			return err
		}
		head = !blocked
	}
	return w.c.q(`INSERT INTO webhooks (endpoint, seq, id, workspace, message, state, head, tries, next_at, owner, event_at, created_at, last_at, status, error)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`).
		int(endpoint).int(seq).key(r.ID).int(workspace).id(r.Event.Message).int(state).bool(head).int(int64(r.Tries)).time(r.NextAt).
		time(r.Event.At).time(r.CreatedAt).time(r.LastAt).int(int64(r.Status)).text(r.Error).exec()
}

// blocked reports whether an earlier delivery of the same message is pending.
func (w *writer) blocked(endpoint int64, id message.MessageID, seq int64) (bool, error) {
	q := w.c.q(`SELECT 1 FROM webhooks INDEXED BY webhooks_pending WHERE endpoint = ? AND message = ? AND seq < ? AND state = 0 AND message IS NOT NULL LIMIT 1`).
		int(endpoint).key(id).int(seq)
	more, err := q.row()
	q.done()
	return more, err
}

// eventNumbers gives the rows' places in the log. A row that does not tell its
// own, or one of an epoch that is over, is looked for by its event; 0 is an
// unknown event.
func (w *writer) eventNumbers(rows []*store.WebhookDelivery) ([]int64, error) {
	seqs := make([]int64, len(rows))
	wanted := make(map[message.EventID]int64)
	for i, r := range rows {
		if p, ok := parsePlace(r.Place); ok && p.epoch == w.epoch {
			seqs[i] = p.seq
		} else {
			wanted[r.Event.ID] = 0
		}
	}
	if len(wanted) == 0 {
		return seqs, nil
	}
	if w.s.tail.numbers(wanted) > 0 {
		if err := w.findEvents(wanted); err != nil { // rare, and a long look
			return nil, err
		}
	}
	for i, r := range rows {
		if seqs[i] == 0 {
			seqs[i] = wanted[r.Event.ID]
		}
	}
	return seqs, nil
}

func (w *writer) findEvents(wanted map[message.EventID]int64) error {
	left := 0
	for _, seq := range wanted {
		if seq == 0 {
			left++
		}
	}
	return w.s.runs(w.c, 0, 0, w.seq, func(r *run) bool {
		for i := range r.events {
			if seq, ok := wanted[r.events[i].ID]; ok && seq == 0 {
				wanted[r.events[i].ID] = r.seqs[i]
				left--
			}
		}
		return left == 0
	})
}
