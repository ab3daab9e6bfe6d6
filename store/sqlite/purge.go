package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A doomed row is named by its key: a number and up to two blobs.
type doomed struct {
	n    int64
	a, b [16]byte
	seqs []int64 // of events in a run
}

// Purge looks for rows on a reading connection and deletes them in one write,
// so that the writer never scans.
func (s *Store) Purge(ctx context.Context, p store.Purge) (int, error) {
	if p.Batch <= 0 {
		p.Batch = 500
	}
	only := s.names.find(p.Workspace)
	if only == 0 && !p.Workspace.IsZero() {
		only = -1 // nothing of it is stored
	}
	if s.writer.moves.behind.Load() || s.writer.entries.behind.Load() {
		if err := s.write(ctx, 1, func(w *writer) error { return w.catchUpFor(p) }); err != nil {
			return 0, err
		}
	}
	total := 0
	for _, k := range []struct {
		before time.Time
		find   func(*conn, int64, time.Time, int) ([]doomed, error) // of a workspace; 0 = all
		drop   func(*writer, doomed) (int, error)
	}{
		{p.Messages, s.oldMessages, (*writer).dropMessage},
		{p.Content, s.oldContent, (*writer).dropContent},
		{p.Events, s.oldEvents, (*writer).dropEvents},
		{p.Webhooks, s.oldWebhooks, dropping(`DELETE FROM webhooks WHERE endpoint = ? AND id = ? AND state <> 0`)},
		{p.Webhooks, oldRuns, (*writer).dropRun},
		{p.Callbacks, old(`SELECT 0, id, NULL FROM callbacks WHERE until = -1 AND at < ? LIMIT ?`), dropping(`DELETE FROM callbacks WHERE ? = 0 AND id = ?`)},
		{p.Media, s.oldMedia, (*writer).dropMedia},
		{p.Media, old(`SELECT 0, key, NULL FROM links WHERE expires_at < ? LIMIT ?`), dropping(`DELETE FROM links WHERE ? = 0 AND key = ?`)},
		{p.Idempotency, oldAnswers, (*writer).dropAnswer},
		{p.Dedup, old(`SELECT workspace, key, NULL FROM dedup WHERE forget_at < ? LIMIT ?`), dropping(`DELETE FROM dedup WHERE workspace = ? AND key = ?`)},
		{p.Refs, old(`SELECT connector, key, message FROM refs WHERE expires_at < ? LIMIT ?`), nil},
	} {
		if k.before.IsZero() {
			continue
		}
		var rows []doomed
		err := s.read(ctx, func(c *conn) (err error) {
			rows, err = k.find(c, only, k.before, p.Batch)
			return err
		})
		if err != nil {
			return total, err
		}
		if len(rows) == 0 {
			continue
		}
		drop := k.drop
		if drop == nil {
			// Refs may have been renewed since they were read.
			at := micros(k.before)
			drop = func(w *writer, d doomed) (int, error) {
				_, err := w.wrote(w.c.q(`DELETE FROM refs WHERE connector = ? AND key = ? AND message = ? AND expires_at < ?`).int(d.n).key(d.a).key(d.b).int(at))
				return w.c.c.Changes(), err
			}
		}
		gone := 0
		err = s.write(ctx, len(rows), func(w *writer) error {
			gone = 0
			for _, d := range rows {
				n, err := drop(w, d)
				if err != nil {
					return err
				}
				gone += n
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += gone
	}
	return total, nil
}

// old finds rows by a text with a time and a limit.
func old(sql string) func(*conn, int64, time.Time, int) ([]doomed, error) {
	return func(c *conn, _ int64, before time.Time, limit int) ([]doomed, error) {
		return doomedRows(c.q(sql).time(before).int(int64(limit)))
	}
}

// dropping deletes by a text with a number and a blob.
func dropping(sql string) func(*writer, doomed) (int, error) {
	return func(w *writer, d doomed) (int, error) {
		err := w.c.q(sql).int(d.n).key(d.a).exec()
		return w.c.c.Changes(), err
	}
}

func doomedRows(q *stmt) (rows []doomed, err error) {
	for {
		more, err := q.row()
		if err != nil || !more {
			return rows, err
		}
		rows = append(rows, doomed{n: q.i(0), a: q.key16(1), b: q.key16(2)})
	}
}

// workspaces lists those that have messages, or the only one asked for.
func (c *conn) workspaces(only int64) ([]int64, error) {
	if only != 0 {
		return []int64{only}, nil
	}
	return c.distinct("workspace", "messages")
}

// oldMessages finds ended messages. Ids sort by time, a day of clock trouble
// aside, so the look ends where younger messages begin.
func (s *Store) oldMessages(c *conn, only int64, before time.Time, limit int) (rows []doomed, err error) {
	workspaces, err := c.workspaces(only)
	if err != nil {
		return nil, err
	}
	for _, n := range workspaces {
		more, err := doomedRows(c.q(`SELECT m.workspace, m.id, NULL FROM messages m LEFT JOIN deliveries d ON d.workspace = m.workspace AND d.id = m.id
			WHERE m.workspace = ? AND m.id < ? AND m.created_at < ? AND (d.state IS NULL OR d.state >= 5) ORDER BY m.id LIMIT ?`).
			int(n).key(idAt(before.Add(day))).time(before).int(int64(limit - len(rows))))
		if err != nil {
			return nil, err
		}
		if rows = append(rows, more...); len(rows) >= limit {
			break
		}
	}
	return rows, nil
}

func (w *writer) dropMessage(d doomed) (int, error) {
	n := 0
	if w.latest(moveKey{d.n, d.a}) != nil {
		return 0, nil // it lives, or has just ended: its row is still to come
	}
	for _, sql := range []string{
		`DELETE FROM contact_messages WHERE contact = (SELECT contact FROM messages WHERE workspace = ?1 AND id = ?2) AND message = ?2`,
		`DELETE FROM messages WHERE workspace = ? AND id = ?`,
		`DELETE FROM deliveries WHERE workspace = ? AND id = ?`,
		`DELETE FROM charges WHERE workspace = ? AND message = ?`,
	} {
		if err := w.c.q(sql).int(d.n).key(d.a).exec(); err != nil {
			return n, err
		}
		n += w.c.c.Changes()
	}
	return n, nil
}

// oldContent is oldMessages for content; it begins where the last look found
// that nothing was left before.
func (s *Store) oldContent(c *conn, only int64, before time.Time, limit int) (rows []doomed, err error) {
	workspaces, err := c.workspaces(only)
	if err != nil {
		return nil, err
	}
	for _, n := range workspaces {
		s.mu.Lock()
		floor := s.floors[n]
		s.mu.Unlock()
		q := c.q(`SELECT m.id, d.state IS NULL OR d.state >= 5, m.sealed IS NULL FROM messages m LEFT JOIN deliveries d ON d.workspace = m.workspace AND d.id = m.id
			WHERE m.workspace = ? AND m.id > ? AND m.id < ? AND m.created_at < ? ORDER BY m.id`).
			int(n).key(floor).key(idAt(before.Add(day))).time(before)
		clean := true // everything so far is without content for good
		for len(rows) < limit {
			more, err := q.row()
			if err != nil {
				return nil, err
			}
			if !more {
				break
			}
			id, ended, empty := q.key16(0), q.b(1), q.b(2)
			switch {
			case empty && clean:
				floor = id
			case !empty:
				clean = false
				if ended {
					rows = append(rows, doomed{n: n, a: id})
				}
			}
		}
		q.done()
		s.mu.Lock()
		s.floors[n] = floor
		s.mu.Unlock()
	}
	return rows, nil
}

func (w *writer) dropContent(d doomed) (int, error) {
	if m := w.latest(moveKey{d.n, d.a}); m != nil && !message.State(m.state).Ended() {
		return 0, nil
	}
	err := w.c.q(`UPDATE messages SET sealed = NULL WHERE workspace = ? AND id = ? AND sealed IS NOT NULL`).int(d.n).key(d.a).exec()
	return w.c.c.Changes(), err
}

// oldEvents finds events that every reader has passed and no webhook delivery
// refers to, by run. The log is in the order of time, a day of clock trouble
// aside.
func (s *Store) oldEvents(c *conn, only int64, before time.Time, limit int) (rows []doomed, err error) {
	passed, err := s.passed(c)
	if err != nil {
		return nil, err
	}
	endpoints, err := c.endpointsOf()
	if err != nil {
		return nil, err
	}
	list, err := json.Marshal(endpoints)
	if err != nil {
		return nil, err
	}
	found := 0
	var fault error
	err = s.runs(c, only, 0, passed, func(r *run) bool {
		d := doomed{n: r.first}
		young := false
		for i := range r.events {
			at, seq := r.events[i].At, r.seqs[i]
			young = young || !at.Before(before.Add(day))
			if seq > passed || !at.Before(before) || found == limit {
				continue
			}
			needed := false
			if needed, fault = c.needed(string(list), seq); fault != nil {
				return true
			}
			if !needed {
				d.seqs = append(d.seqs, seq)
				found++
			}
		}
		if len(d.seqs) > 0 {
			rows = append(rows, d)
		}
		return young || found == limit
	})
	return rows, errors.Join(err, fault)
}

// needed reports whether a webhook delivery refers to an event.
func (c *conn) needed(endpoints string, seq int64) (bool, error) {
	q := c.q(`SELECT 1 FROM json_each(?1) e WHERE EXISTS (SELECT 1 FROM webhooks WHERE endpoint = e.value AND seq = ?2)
		OR EXISTS (SELECT 1 FROM webhook_runs WHERE endpoint = e.value AND last >= ?2
			AND first = (SELECT max(first) FROM webhook_runs WHERE endpoint = e.value AND first <= ?2))`).text(endpoints).int(seq)
	more, err := q.row()
	q.done()
	return more, err
}

// endpointsOf lists the endpoints that have deliveries.
func (c *conn) endpointsOf() ([]int64, error) {
	rows, err := c.distinct("endpoint", "webhooks")
	if err != nil {
		return nil, err
	}
	runs, err := c.distinct("endpoint", "webhook_runs")
	list := append(rows, runs...)
	slices.Sort(list)
	return slices.Compact(list), err
}

// passed gives the last event that every named reader has passed.
func (s *Store) passed(c *conn) (int64, error) {
	least, err := c.count(headSQL)
	if err != nil {
		return 0, err
	}
	var cursors []store.Cursor
	q := c.q(`SELECT cursor FROM cursors`)
	for {
		more, err := q.row()
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
		cursors = append(cursors, store.Cursor(q.str(0)))
	}
	for _, cursor := range cursors {
		p, err := s.place(c, cursor)
		if err != nil {
			return 0, err
		}
		least = min(least, p.seq)
	}
	return least, nil
}

// dropEvents takes events out of a run.
func (w *writer) dropEvents(d doomed) (int, error) {
	w.stale = true
	var left *run
	var since int64
	q := w.c.q(`SELECT since, run FROM events WHERE first = ?`).int(d.n)
	more, err := q.row()
	if err != nil || !more {
		return 0, err
	}
	since = q.i(0)
	left, err = unpack(q.bytes(1), d.n, since, w.names.word)
	q.done()
	if err != nil {
		return 0, err
	}
	out := runWriter{b: w.buf[:0]}
	kept, gone, until, last := 0, 0, int64(0), int64(0)
	for i := range left.events {
		e, seq := &left.events[i], left.seqs[i]
		if slices.Contains(d.seqs, seq) {
			gone++
			continue
		}
		kind, err := w.word(e.Type)
		if err != nil {
			return 0, err
		}
		if left.sealed[i] {
			e.Sealed = []byte{} // only that there is one
		}
		out.add(e, seq-d.n, kind, since)
		kept, until, last = kept+1, max(until, micros(e.At)), seq
	}
	w.buf = out.b
	for _, seq := range d.seqs {
		if err := w.c.q(`UPDATE meta SET value = max(value, ?) WHERE name = 'seq'`).int(seq).exec(); err != nil {
			return 0, err
		}
		if err := w.c.q(`DELETE FROM event_halves WHERE seq = ?`).int(seq).exec(); err != nil {
			return 0, err
		}
	}
	if kept == 0 {
		return gone, w.c.q(`DELETE FROM events WHERE first = ?`).int(d.n).exec()
	}
	return gone, w.c.q(`UPDATE events SET n = ?, last = ?, until = ?, run = ? WHERE first = ?`).int(int64(kept)).int(last).int(until).blob(out.b).int(d.n).exec()
}

// oldWebhooks finds settled deliveries whose last try is long ago. Rows of an
// endpoint are made in the order of the log.
func (s *Store) oldWebhooks(c *conn, only int64, before time.Time, limit int) (rows []doomed, err error) {
	endpoints, err := c.distinct("endpoint", "webhooks")
	if err != nil {
		return nil, err
	}
	for _, n := range endpoints {
		q := c.q(`SELECT id, state, last_at, created_at, workspace FROM webhooks WHERE endpoint = ? ORDER BY seq`).int(n)
		for len(rows) < limit {
			more, err := q.row()
			if err != nil {
				return nil, err
			}
			if !more || !q.t(3).Before(before) || only != 0 && q.i(4) != only {
				break // an endpoint is one workspace's
			}
			if q.i(1) != pending && q.t(2).Before(before) {
				rows = append(rows, doomed{n: n, a: q.key16(0)})
			}
		}
		q.done()
	}
	return rows, nil
}
