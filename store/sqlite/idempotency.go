package sqlite

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// claimKey writes an idempotency key that is new or has expired: Done. When it
// is in use nothing is written, and the verdict is the one on its second use.
func (w *writer) claimKey(workspace int64, k *store.Idempotency, m message.MessageID) (store.AcceptResult, error) {
	done := store.AcceptResult{Verdict: store.Done}
	n := w.answers + 1
	fresh, err := w.wrote(w.c.q(`INSERT INTO idempotency (workspace, key, answer) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`).
		int(workspace).key(k.Key).int(n))
	if err != nil {
		return done, err
	}
	if !fresh {
		r, err := w.c.recall(workspace, k.Key, k.Body, k.Created)
		if err != nil || r.Verdict != store.Missing {
			return r, err
		}
		if err := w.dropKey(workspace, k); err != nil {
			return done, err
		}
		if err := w.c.q(`INSERT INTO idempotency (workspace, key, answer) VALUES (?, ?, ?)`).int(workspace).key(k.Key).int(n).exec(); err != nil {
			return done, err
		}
	}
	w.answers = n
	return done, w.c.q(`INSERT INTO answers (n, workspace, key, body, message, day, expires_at, answer) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`).
		int(n).int(workspace).key(k.Key).key(k.Body).key(m).int(int64(k.Day)).time(k.Expires).blob(k.Answer).exec()
}

// dropKey takes back what claimKey wrote: its message was not stored.
func (w *writer) dropKey(workspace int64, k *store.Idempotency) error {
	if k == nil {
		return nil
	}
	err := w.c.q(`DELETE FROM answers WHERE n = (SELECT answer FROM idempotency WHERE workspace = ? AND key = ?)`).int(workspace).key(k.Key).exec()
	if err != nil {
		return err
	}
	return w.c.q(`DELETE FROM idempotency WHERE workspace = ? AND key = ?`).int(workspace).key(k.Key).exec()
}

func (c *conn) recall(workspace int64, key, body [16]byte, now time.Time) (store.AcceptResult, error) {
	q := c.q(`SELECT a.body, a.message, a.day, a.expires_at, a.answer FROM idempotency i CROSS JOIN answers a ON a.n = i.answer
		WHERE i.workspace = ? AND i.key = ?`).int(workspace).key(key)
	more, err := q.row()
	if err != nil || !more {
		return store.AcceptResult{Verdict: store.Missing}, err
	}
	defer q.done()
	switch {
	case q.i(3) <= micros(now):
		return store.AcceptResult{Verdict: store.Missing}, nil
	case q.key16(0) != body:
		return store.AcceptResult{Verdict: store.Mismatch}, nil
	default:
		return store.AcceptResult{Verdict: store.Replayed, Message: q.key16(1), Day: int32(q.i(2)), Answer: q.bytes(4)}, nil
	}
}

// Recall looks up what an idempotency key gave.
func (s *Store) Recall(ctx context.Context, ws message.WorkspaceID, key, body [16]byte, now time.Time) (r store.AcceptResult, err error) {
	err = s.read(ctx, func(c *conn) error {
		r, err = c.recall(s.names.find(ws), key, body, now)
		return err
	})
	return r, err
}

// oldAnswers finds answers that have expired. They stand in the order they were
// given in and all live equally long: the look ends at the first that has not.
func oldAnswers(c *conn, _ int64, before time.Time, limit int) (rows []doomed, err error) {
	q := c.q(`SELECT n, expires_at FROM answers ORDER BY n LIMIT ?`).int(int64(limit))
	for {
		more, err := q.row()
		if err != nil || !more {
			return rows, err
		}
		if !q.t(1).Before(before) {
			q.done()
			return rows, nil
		}
		rows = append(rows, doomed{n: q.i(0)})
	}
}

func (w *writer) dropAnswer(d doomed) (int, error) {
	// The key may have been given to another answer meanwhile.
	err := w.c.q(`DELETE FROM idempotency WHERE answer = ?1 AND (workspace, key) = (SELECT workspace, key FROM answers WHERE n = ?1)`).int(d.n).exec()
	if err != nil {
		return 0, err
	}
	err = w.c.q(`DELETE FROM answers WHERE n = ?`).int(d.n).exec()
	return w.c.c.Changes(), err
}
