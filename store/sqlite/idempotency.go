package sqlite

import (
	"context"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// usedKey gives the verdict on the second use of an idempotency key; Done when it
// is new or has expired.
func (w *writer) usedKey(workspace int64, k *store.Idempotency) (store.AcceptResult, error) {
	late, _ := w.entries.answerOf(keyEntry{workspace, k.Key})
	if late == 0 {
		if unused, err := w.unused(workspace, k.Key); err != nil || unused {
			return store.AcceptResult{Verdict: store.Done}, err
		}
	}
	r, err := w.c.recall(workspace, k.Key, k.Body, k.Created, late)
	if r.Verdict == store.Missing {
		r.Verdict = store.Done
	}
	return r, err
}

// unused reports whether the table of keys has neither a key nor its neighbours,
// which differ in the last four bytes: the items of a batch are neighbours, and
// one look is enough for them.
func (w *writer) unused(workspace int64, key [16]byte) (bool, error) {
	from, to := key, key
	clear(from[12:])
	copy(to[12:], "\xff\xff\xff\xff")
	if w.clean == (keyEntry{workspace, from}) {
		return true, nil
	}
	q := w.c.q(`SELECT 1 FROM idempotency WHERE workspace = ? AND key BETWEEN ? AND ? LIMIT 1`).int(workspace).key(from).key(to)
	used, err := q.row()
	if err != nil {
		return false, err
	}
	if q.done(); !used {
		w.clean = keyEntry{workspace, from}
	}
	return !used, nil
}

// claimKey notes the answer that a key gives.
func (w *writer) claimKey(workspace int64, k *store.Idempotency, m message.MessageID) error {
	w.answers++
	w.entries.addKey(keyEntry{workspace, k.Key}, w.answers)
	return w.c.q(`INSERT INTO answers (n, workspace, key, body, message, day, expires_at, answer) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`).
		int(w.answers).int(workspace).key(k.Key).key(k.Body).key(m).int(int64(k.Day)).time(k.Expires).blob(k.Answer).exec()
}

// recall gives what a key was answered with. late is the number of the answer
// where the table of keys may not hold it yet, else 0.
func (c *conn) recall(workspace int64, key, body [16]byte, now time.Time, late int64) (store.AcceptResult, error) {
	const answer = `SELECT a.body, a.message, a.day, a.expires_at, a.answer FROM `
	var q *stmt
	more := false
	if late > 0 {
		// A commit that did not happen may have left the number to another key.
		q = c.q(answer + `answers a WHERE a.n = ? AND a.workspace = ? AND a.key = ?`).int(late).int(workspace).key(key)
		var err error
		if more, err = q.row(); err != nil {
			return store.AcceptResult{}, err
		}
	}
	if !more {
		q = c.q(answer + `idempotency i CROSS JOIN answers a ON a.n = i.answer WHERE i.workspace = ? AND i.key = ?`).int(workspace).key(key)
		var err error
		if more, err = q.row(); err != nil || !more {
			return store.AcceptResult{Verdict: store.Missing}, err
		}
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
	workspace := s.names.find(ws)
	late, _ := s.writer.entries.answerOf(keyEntry{workspace, key})
	err = s.read(ctx, func(c *conn) error {
		r, err = c.recall(workspace, key, body, now, late)
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
