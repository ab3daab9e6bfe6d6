package postgres

import (
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestPlans: on a database made a moment ago, whose tables PostgreSQL knows
// nothing about, hot statements look rows up by index, one by one.
func TestPlans(t *testing.T) {
	for name, pooler := range map[string]bool{"direct": false, "pooler": true} {
		t.Run(name, func(t *testing.T) {
			url := server.Database(t)
			s := openAt(t, url, func(o *Options) { o.Pooler = pooler })
			w := newWorld(t, s, 300)
			const n = 3000
			for i := range 30 {
				w.lives(t, i, n/30)
			}
			waiting := make([]*store.Acceptance, 500)
			for i := range waiting {
				waiting[i] = w.acceptance(i)
			}
			if _, err := s.Accept(t.Context(), waiting); err != nil {
				t.Fatal(err)
			}
			for i, id := range w.people {
				if _, err := s.Contact(t.Context(), w.ws, id); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Resolve(t.Context(), w.ws, w.indexes[max(0, i-20):i+1]); err != nil {
					t.Fatal(err)
				}
			}
			for range 20 {
				if _, err := s.Ready(t.Context(), w.connector, store.Place{}, 10); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Due(t.Context(), []message.ConnectorID{w.connector}, time.Now(), 10); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Load(t.Context(), w.ws, ids16(waiting[0].Message.ID)); err != nil {
					t.Fatal(err)
				}
				lookup := &store.Lookup{Workspace: w.ws, Connector: w.connector, Keys: []message.RefKey{newID(time.Now())}}
				if _, err := s.Match(t.Context(), []*store.Lookup{lookup}); err != nil {
					t.Fatal(err)
				}
			}
			conn := direct(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for left := 1; left > 0; { // until the sessions have left their counts
				if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&left); err != nil {
					t.Fatal(err)
				}
			}
			rows, err := conn.Query(t.Context(), `SELECT i.relname::text, i.indexrelname::text, i.idx_scan, i.idx_tup_read, t.seq_scan, t.seq_tup_read
				FROM pg_stat_user_indexes i JOIN pg_stat_user_tables t USING (relid)
				WHERE i.relname IN ('messages', 'deliveries', 'refs', 'contacts', 'identities', 'events', 'idempotency', 'parked_keys') ORDER BY 1, 2`)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for rows.Next() {
				var table, index string
				var scans, read, seqScans, seqRead int64
				if err := rows.Scan(&table, &index, &scans, &read, &seqScans, &seqRead); err != nil {
					t.Fatal(err)
				}
				t.Logf("%s: %d scans read %d; the table: %d scans read %d", index, scans, read, seqScans, seqRead)
				if seqRead > 0 {
					t.Errorf("%s was scanned %d times, %d rows", table, seqScans, seqRead)
				}
				// A look-up reads the versions of one row, a page its rows, and
				// the first to pass dead entries marks them.
				if read > 12*scans+n {
					t.Errorf("%s: %d scans read %d entries: it is read from end to end", index, scans, read)
				}
			}
		})
	}
}
