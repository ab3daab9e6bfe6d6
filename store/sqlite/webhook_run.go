package sqlite

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// listsKept is how many lists of runs being written are kept for the next.
const listsKept = 16

// A told is a delivery in a run: one event that an endpoint took at the first
// try. Its tries are 1, its error is "", and it was due when it was made.
type told struct {
	seq         int64
	id          message.DeliveryID
	made, tried time.Time
	status      int
}

// runnable reports whether a delivery is as those in runs are.
func runnable(r *store.WebhookDelivery) bool {
	return r.State == store.WebhookDelivered && r.Tries == 1 && r.Error == "" && r.Status >= 0 && r.NextAt.Equal(r.CreatedAt) && !r.CreatedAt.IsZero() && !r.LastAt.IsZero()
}

// appendTold packs one delivery; the row's first number and the time of its
// latest try are what numbers and times count from.
func appendTold(b []byte, t *told, first, triedAt int64) []byte {
	b = append(binary.AppendUvarint(b, uint64(t.seq-first)), t.id[:]...)
	b = binary.AppendVarint(b, micros(t.made)-triedAt)
	b = binary.AppendVarint(b, micros(t.tried)-triedAt)
	return binary.AppendUvarint(b, uint64(t.status))
}

func unpackTold(b []byte, first, triedAt int64) ([]told, error) {
	var list []told
	r := runReader{b: b}
	for len(r.b) > 0 {
		t := told{seq: first + r.uvarint(), id: r.id()}
		t.made, t.tried = fromMicros(triedAt+r.varint()), fromMicros(triedAt+r.varint())
		t.status = int(r.uvarint())
		if r.bad {
			return nil, errRun
		}
		list = append(list, t)
	}
	return list, nil
}

// A webhookRun is a row of webhook_runs, unpacked.
type webhookRun struct {
	endpoint, first, workspace int64
	since, until               int64
	list                       []told
}

const webhookRunColumns = `endpoint, first, workspace, since, until, tried_at, run`

// webhookRun reads webhookRunColumns.
func (q *stmt) webhookRun() (*webhookRun, error) {
	list, err := unpackTold(q.bytes(6), q.i(1), q.i(5))
	return &webhookRun{endpoint: q.i(0), first: q.i(1), workspace: q.i(2), since: q.i(3), until: q.i(4), list: list}, err
}

// putRun writes a run that is new or shorter than before, and takes an empty
// one away.
func (w *writer) putRun(r *webhookRun) error {
	if len(r.list) == 0 {
		return w.c.q(`DELETE FROM webhook_runs WHERE endpoint = ? AND first = ?`).int(r.endpoint).int(r.first).exec()
	}
	last, oldest, newest, triedAt := int64(0), r.list[0].id, r.list[0].id, int64(0)
	for i := range r.list {
		t := &r.list[i]
		last, triedAt = max(last, t.seq), max(triedAt, micros(t.tried))
		if bytes.Compare(t.id[:], oldest[:]) < 0 {
			oldest = t.id
		}
		if bytes.Compare(t.id[:], newest[:]) > 0 {
			newest = t.id
		}
	}
	w.buf = w.buf[:0]
	for i := range r.list {
		w.buf = appendTold(w.buf, &r.list[i], r.first, triedAt)
	}
	return w.c.q(`INSERT INTO webhook_runs (endpoint, first, last, workspace, n, oldest, newest, since, until, tried_at, run) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET last = excluded.last, n = excluded.n, oldest = excluded.oldest, newest = excluded.newest, tried_at = excluded.tried_at, run = excluded.run`).
		int(r.endpoint).int(r.first).int(last).int(r.workspace).int(int64(len(r.list))).key(oldest).key(newest).
		int(r.since).int(r.until).int(triedAt).blob(w.buf).exec()
}

// extent is how far an endpoint's rows and runs reach in the log: what lies
// beyond is new.
func (w *writer) extent(endpoint int64) (int64, error) {
	if reach, ok := w.reach[endpoint]; ok {
		return reach, nil
	}
	q := w.c.q(`SELECT max(coalesce((SELECT max(seq) FROM webhooks WHERE endpoint = ?1), 0),
		coalesce((SELECT last FROM webhook_runs WHERE endpoint = ?1 ORDER BY first DESC LIMIT 1), 0))`).int(endpoint)
	if _, err := q.row(); err != nil {
		return 0, err
	}
	reach := q.i(0)
	q.done()
	w.reach[endpoint] = reach
	return reach, nil
}

// inRun reports whether an event's delivery stands in a run.
func (w *writer) inRun(endpoint, seq int64) (bool, error) {
	q := w.c.q(`SELECT ` + webhookRunColumns + ` FROM webhook_runs WHERE endpoint = ? AND first <= ? ORDER BY first DESC LIMIT 1`).int(endpoint).int(seq)
	more, err := q.row()
	if err != nil || !more {
		return false, err
	}
	r, err := q.webhookRun()
	q.done()
	return err == nil && slices.ContainsFunc(r.list, func(t told) bool { return t.seq == seq }), err
}

// enqueueRuns writes what can go into runs and gives back the rest.
func (w *writer) enqueueRuns(seqs []int64, rows []*store.WebhookDelivery) ([]int64, []*store.WebhookDelivery, error) {
	runs := make(map[int64]*webhookRun)
	var order []*webhookRun
	restSeqs, rest := seqs[:0:0], rows[:0:0]
	for i, r := range rows {
		endpoint, err := w.number(r.Endpoint)
		if err != nil {
			return nil, nil, err
		}
		reach, err := w.extent(endpoint)
		if err != nil {
			return nil, nil, err
		}
		if !runnable(r) || seqs[i] <= reach {
			restSeqs, rest = append(restSeqs, seqs[i]), append(rest, r)
			continue
		}
		run := runs[endpoint]
		if run == nil || len(run.list) >= runMost {
			workspace, err := w.number(r.Workspace)
			if err != nil {
				return nil, nil, err
			}
			run = &webhookRun{endpoint: endpoint, first: seqs[i], workspace: workspace, since: micros(r.Event.At), until: micros(r.Event.At)}
			if n := len(w.lists); n > 0 {
				run.list, w.lists = w.lists[n-1], w.lists[:n-1]
			}
			runs[endpoint], order = run, append(order, run)
		}
		w.reach[endpoint] = seqs[i]
		run.since, run.until = min(run.since, micros(r.Event.At)), max(run.until, micros(r.Event.At))
		run.list = append(run.list, told{seq: seqs[i], id: r.ID, made: r.CreatedAt, tried: r.LastAt, status: r.Status})
	}
	for _, run := range order {
		if err := w.putRun(run); err != nil {
			return nil, nil, err
		}
		if len(w.lists) < listsKept {
			w.lists = append(w.lists, run.list[:0])
		}
	}
	return restSeqs, rest, nil
}

// explode makes rows of those deliveries of a run that are chosen.
func (w *writer) explode(r *webhookRun, f *eventFinder, chosen func(t *told, e *store.Event) bool) error {
	var kept []told
	for i := range r.list {
		t := &r.list[i]
		e, ok, err := f.find(t.seq)
		if err != nil {
			return err
		}
		if !ok || !chosen(t, &e) {
			kept = append(kept, *t)
			continue
		}
		err = w.c.q(`INSERT INTO webhooks (endpoint, seq, id, workspace, message, state, head, tries, next_at, owner, event_at, created_at, last_at, status, error)
			VALUES (?, ?, ?, ?, ?, ?, 1, 1, ?, '', ?, ?, ?, ?, '')`).
			int(r.endpoint).int(t.seq).key(t.id).int(r.workspace).id(e.Message).int(delivered).time(t.made).
			time(e.At).time(t.made).time(t.tried).int(int64(t.status)).exec()
		if err != nil {
			return err
		}
	}
	if len(kept) == len(r.list) {
		return nil
	}
	r.list = kept
	return w.putRun(r)
}

// explodeIDs makes rows of deliveries that stand in runs, by their ids.
func (w *writer) explodeIDs(endpoint, workspace int64, ids []message.DeliveryID) error {
	f := &eventFinder{s: w.s, c: w.c}
	for _, id := range ids {
		runs, err := w.c.webhookRuns(w.c.q(`SELECT ` + webhookRunColumns + ` FROM webhook_runs INDEXED BY webhook_runs_newest
			WHERE endpoint = ? AND newest >= ?2 AND oldest <= ?2 AND workspace = ?3`).int(endpoint).key(id).int(workspace))
		if err != nil {
			return err
		}
		for _, r := range runs {
			if err := w.explode(r, f, func(t *told, _ *store.Event) bool { return t.id == id }); err != nil {
				return err
			}
		}
	}
	return nil
}

// explodeSpan makes rows of the deliveries of events in a span of time.
func (w *writer) explodeSpan(endpoint, workspace int64, from, to time.Time) error {
	runs, err := w.c.webhookRuns(w.c.q(`SELECT ` + webhookRunColumns + ` FROM webhook_runs
		WHERE endpoint = ? AND workspace = ? AND until >= ? AND since < ? ORDER BY first`).int(endpoint).int(workspace).time(from).time(to))
	if err != nil {
		return err
	}
	f := &eventFinder{s: w.s, c: w.c}
	for _, r := range runs {
		err := w.explode(r, f, func(_ *told, e *store.Event) bool { return !e.At.Before(from) && e.At.Before(to) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) webhookRuns(q *stmt) (list []*webhookRun, err error) {
	for {
		more, err := q.row()
		if err != nil || !more {
			return list, err
		}
		r, err := q.webhookRun()
		if err != nil {
			q.done()
			return nil, err
		}
		list = append(list, r)
	}
}

// told counts the deliveries in runs of a workspace; 0 = all.
func (c *conn) told(workspace int64) (int64, error) {
	q := c.q(`SELECT coalesce(sum(n), 0) FROM webhook_runs WHERE (?1 = 0 OR workspace = ?1)`).int(workspace)
	if _, err := q.row(); err != nil {
		return 0, err
	}
	defer q.done()
	return q.i(0), nil
}

// listRuns gives the newest deliveries in runs of an endpoint below an id.
func (s *Store) listRuns(f *eventFinder, endpoint, workspace int64, before message.DeliveryID, limit int) (list []*store.WebhookDelivery, err error) {
	q := f.c.q(`SELECT ` + webhookRunColumns + `, newest FROM webhook_runs INDEXED BY webhook_runs_newest
		WHERE endpoint = ? AND workspace = ? AND oldest < ? ORDER BY newest DESC`).int(endpoint).int(workspace).key(before)
	defer q.done()
	var found []told
	for {
		more, err := q.row()
		if err != nil {
			return nil, err
		}
		newest := q.key16(7)
		if !more || len(found) >= limit && bytes.Compare(newest[:], found[limit-1].id[:]) < 0 {
			break
		}
		r, err := q.webhookRun()
		if err != nil {
			return nil, err
		}
		for _, t := range r.list {
			if bytes.Compare(t.id[:], before[:]) < 0 {
				found = append(found, t)
			}
		}
		slices.SortFunc(found, func(a, b told) int { return bytes.Compare(b.id[:], a.id[:]) })
		found = found[:min(limit, len(found))]
	}
	for i := range found {
		t := &found[i]
		e, ok, err := f.find(t.seq)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, &store.WebhookDelivery{
				ID: t.id, Workspace: s.names.id(workspace), Endpoint: s.names.id(endpoint), Event: e, State: store.WebhookDelivered, Tries: 1,
				NextAt: t.made, CreatedAt: t.made, LastAt: t.tried, Status: t.status,
			})
		}
	}
	return list, nil
}

// oldRuns finds runs of webhook deliveries whose latest try is long ago.
func oldRuns(c *conn, only int64, before time.Time, limit int) (rows []doomed, err error) {
	endpoints, err := c.distinct("endpoint", "webhook_runs")
	if err != nil {
		return nil, err
	}
	for _, n := range endpoints {
		q := c.q(`SELECT first, n, tried_at, workspace FROM webhook_runs WHERE endpoint = ? ORDER BY first`).int(n)
		for limit > 0 {
			more, err := q.row()
			if err != nil {
				return nil, err
			}
			if !more || !q.t(2).Before(before) || only != 0 && q.i(3) != only {
				break // an endpoint is one workspace's
			}
			rows = append(rows, doomed{n: n, seqs: []int64{q.i(0)}})
			limit -= int(q.i(1))
		}
		q.done()
	}
	return rows, nil
}

func (w *writer) dropRun(d doomed) (n int, err error) {
	q := w.c.q(`SELECT n FROM webhook_runs WHERE endpoint = ? AND first = ?`).int(d.n).int(d.seqs[0])
	if more, err := q.row(); err != nil || !more {
		return 0, err
	}
	n = int(q.i(0))
	q.done()
	return n, w.c.q(`DELETE FROM webhook_runs WHERE endpoint = ? AND first = ?`).int(d.n).int(d.seqs[0]).exec()
}
