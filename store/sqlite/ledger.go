package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Charge writes charges and moves the reader's cursor.
func (s *Store) Charge(ctx context.Context, reader string, c store.Cursor, charges []*store.Charge) error {
	return s.write(ctx, len(charges), func(w *writer) error {
		for _, x := range charges {
			workspace, err := w.number(x.Workspace)
			if err != nil {
				return err
			}
			err = w.c.q(`INSERT INTO charges (workspace, message, step, attempt, channel, purpose, country, micros, currency, source, rule, at)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET channel = excluded.channel, purpose = excluded.purpose,
					country = excluded.country, micros = excluded.micros, currency = excluded.currency, source = excluded.source,
					rule = excluded.rule, at = excluded.at WHERE excluded.source = 'provider'`).
				int(workspace).key(x.Message).int(int64(x.Step)).int(int64(x.Attempt)).text(string(x.Channel)).text(string(x.Purpose)).
				text(x.Country).int(x.Amount.Micros).text(x.Amount.Currency).text(x.By).text(x.Rule).time(x.At).exec()
			if err != nil {
				return err
			}
		}
		return w.saveCursor(reader, c)
	})
}

// Charges reads the charges of a message in the order of its attempts.
func (s *Store) Charges(ctx context.Context, ws message.WorkspaceID, id message.MessageID) (list []*store.Charge, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT step, attempt, channel, purpose, country, micros, currency, source, rule, at FROM charges
			WHERE workspace = ? AND message = ? ORDER BY step, attempt`).int(s.names.find(ws)).key(id)
		for {
			more, err := q.row()
			if err != nil || !more {
				return err
			}
			list = append(list, &store.Charge{
				Workspace: ws, Message: id, Step: uint8(q.i(0)), Attempt: uint16(q.i(1)), Channel: message.Channel(q.str(2)),
				Purpose: message.Purpose(q.str(3)), Country: q.str(4), Amount: message.Money{Micros: q.i(5), Currency: q.str(6)},
				By: q.str(7), Rule: q.str(8), At: q.t(9),
			})
		}
	})
	return list, err
}

// Costs sums charges from a time on and before another. SQLite would sort them
// all in memory to group them; there are few kinds.
func (s *Store) Costs(ctx context.Context, ws message.WorkspaceID, from, to time.Time) (list []store.Cost, err error) {
	err = s.read(ctx, func(c *conn) error {
		q := c.q(`SELECT channel, purpose, currency, micros FROM charges WHERE workspace = ? AND at >= ? AND at < ?`).
			int(s.names.find(ws)).time(from).time(to)
		for {
			more, err := q.row()
			if err != nil || !more {
				return err
			}
			at := slices.IndexFunc(list, func(k store.Cost) bool {
				return q.is(0, string(k.Channel)) && q.is(1, string(k.Purpose)) && q.is(2, k.Amount.Currency)
			})
			if at < 0 {
				at = len(list)
				list = append(list, store.Cost{Channel: message.Channel(q.str(0)), Purpose: message.Purpose(q.str(1)), Amount: message.Money{Currency: q.str(2)}})
			}
			list[at].Amount.Micros += q.i(3)
			list[at].Count++
		}
	})
	slices.SortFunc(list, func(a, b store.Cost) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Amount.Currency, b.Amount.Currency))
	})
	return list, err
}

// Books counts everything at one instant. It reads whole tables, on a reading
// connection.
func (s *Store) Books(ctx context.Context, ws message.WorkspaceID) (*store.Books, error) {
	b := &store.Books{States: make(map[message.State]int64), Webhooks: make(map[string]int64)}
	workspace := s.names.find(ws)
	if err := s.caughtUpRefs(ctx); err != nil {
		// The disk is full, say: the books can be read all the same.
		s.options.Log.Debug("the books are without refs that were opened just now", "error", err)
	}
	err := s.asOf(ctx, func(c *conn, late map[moveKey]*move) error {
		// ?1 = 0 counts all workspaces.
		for sql, into := range map[string]*int64{
			`SELECT count(*) FROM messages WHERE direction = 1 AND (?1 = 0 OR workspace = ?1)`:                            &b.Accepted,
			`SELECT count(*) FROM messages WHERE direction = 2 AND (?1 = 0 OR workspace = ?1)`:                            &b.Received,
			`SELECT count(*) FROM deliveries WHERE state < 5 AND ready = 1 AND (?1 = 0 OR workspace = ?1)`:                &b.Ready,
			`SELECT count(*) FROM deliveries WHERE state < 5 AND ready = 0 AND due_at > 0 AND (?1 = 0 OR workspace = ?1)`: &b.Waiting,
			`SELECT count(*) FROM deliveries WHERE state < 5 AND ready = 0 AND due_at = 0 AND (?1 = 0 OR workspace = ?1)`: &b.Lost,
			`SELECT count(*) FROM refs WHERE (?1 = 0 OR workspace = ?1)`:                                                  &b.OpenRefs,
			`SELECT count(*) FROM parked WHERE (?1 = 0 OR workspace = ?1)`:                                                &b.Parked,
			`SELECT count(*) FROM callbacks WHERE until >= 0 AND (?1 = 0 OR workspace = ?1)`:                              &b.Callbacks,
			`SELECT count(*) FROM callbacks WHERE until = -1 AND (?1 = 0 OR workspace = ?1)`:                              &b.SetAside,
			`SELECT count(*) FROM charges WHERE (?1 = 0 OR workspace = ?1)`:                                               &b.Charges,
			`SELECT coalesce(sum(n), 0) FROM events WHERE (?1 = 0 OR workspace = ?1)`:                                     &b.Events,
			`SELECT (SELECT count(*) FROM messages m WHERE direction = 1 AND (?1 = 0 OR workspace = ?1)
					AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.workspace = m.workspace AND d.id = m.id))
				+ (SELECT count(*) FROM deliveries d WHERE (?1 = 0 OR workspace = ?1)
					AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.workspace = d.workspace AND m.id = d.id))`: &b.Orphans,
		} {
			q := c.q(sql).int(workspace)
			if _, err := q.row(); err != nil {
				return err
			}
			*into = q.i(0)
			q.done()
		}
		const enabled = ` AND EXISTS (SELECT 1 FROM endpoints n WHERE n.workspace = e.workspace AND n.disabled = '')`
		var err error
		if b.Untold, err = s.unread(c, store.WebhookReader, workspace, enabled); err != nil {
			return err
		}
		if b.Unbooked, err = s.unread(c, store.LedgerReader, workspace, ""); err != nil {
			return err
		}
		states, err := c.states("deliveries", workspace)
		if err != nil {
			return err
		}
		for state, n := range states {
			if n > 0 {
				b.States[message.State(state)] = n
			}
		}
		for key, m := range late {
			if workspace == 0 || key.workspace == workspace {
				if err := c.bookLate(b, m); err != nil {
					return err
				}
			}
		}
		told, err := c.told(workspace)
		if err != nil {
			return err
		}
		if told > 0 {
			b.Webhooks[store.WebhookDelivered] = told
		}
		states, err = c.states("webhooks", workspace)
		for state, n := range states {
			if n > 0 {
				b.Webhooks[webhookState(int64(state))] += n
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// states counts the rows of a table by their state, in one pass and, unlike GROUP
// BY, without sorting them in memory. 0 = all workspaces.
func (c *conn) states(table string, workspace int64) (n [len(message.States) + 1]int64, err error) {
	var counts [len(n)]string
	for state := range n {
		counts[state] = fmt.Sprintf(`count(*) FILTER (WHERE state = %d)`, state)
	}
	q := c.q(`SELECT ` + strings.Join(counts[:], ", ") + ` FROM ` + table + ` WHERE (?1 = 0 OR workspace = ?1)`).int(workspace)
	if _, err := q.row(); err != nil {
		return n, err
	}
	defer q.done()
	for state := range n {
		n[state] = q.i(state)
	}
	return n, nil
}

// bookLate counts a delivery as it is, not as its row is.
func (c *conn) bookLate(b *store.Books, m *move) error {
	q := c.q(`SELECT d.version, d.state, d.ready, d.due_at FROM messages m LEFT JOIN deliveries d ON d.workspace = m.workspace AND d.id = m.id
		WHERE m.workspace = ? AND m.id = ?`).int(m.key.workspace).key(m.key.id)
	more, err := q.row()
	if err != nil || !more {
		return err
	}
	defer q.done()
	count := func(state int64, ready bool, due, by int64) {
		b.States[message.State(state)] += by
		switch {
		case message.State(state).Ended():
		case ready:
			b.Ready += by
		case due > 0:
			b.Waiting += by
		default:
			b.Lost += by
		}
	}
	switch {
	case q.null(0):
		b.Orphans--
	case q.i(0) >= m.version:
		return nil
	default:
		count(q.i(1), q.b(2), q.i(3), -1)
	}
	count(m.state, m.place.ready, m.place.due, 1)
	return nil
}

// unread counts the events that a reader of the log has still to read, of one
// workspace or of all for 0.
func (s *Store) unread(c *conn, reader string, workspace int64, and string) (int64, error) {
	cursor, err := c.cursor(reader)
	if err != nil {
		return 0, err
	}
	p, err := s.place(c, cursor)
	if err != nil {
		return 0, err
	}
	const of = ` AND (?2 = 0 OR +e.workspace = ?2)`
	q := c.q(`SELECT coalesce(sum(e.n), 0) FROM events e WHERE e.first > ?1` + of + and).int(p.seq).int(workspace)
	if _, err := q.row(); err != nil {
		return 0, err
	}
	n := q.i(0)
	q.done()
	// The run that the reader stopped in.
	q = c.q(`SELECT e.first, e.since, e.run FROM events e WHERE e.first = (SELECT max(first) FROM events WHERE first <= ?1) AND e.last > ?1` + of + and).
		int(p.seq).int(workspace)
	more, err := q.row()
	if err != nil || !more {
		return n, err
	}
	defer q.done()
	r, err := unpack(q.bytes(2), q.i(0), q.i(1), s.names.word)
	if err != nil {
		return 0, err
	}
	for _, seq := range r.seqs {
		if seq > p.seq {
			n++
		}
	}
	return n, nil
}
