package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/internal/pgtest"
)

func TestServerSurvivesAnAbortedRestart(t *testing.T) {
	s := pgtest.Start(t, nil)
	query := func(sql string) string {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		var got string
		if err := conn.QueryRow(t.Context(), sql).Scan(&got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := query("WITH x AS (SELECT 1) SELECT current_setting('fsync') || current_setting('synchronous_commit') || current_setting('full_page_writes')"); got != "ononon" {
		t.Errorf("durability settings = %s", got)
	}
	s.Stop(true)
	if err := s.Launch("max_connections=17"); err != nil {
		t.Fatal(err)
	}
	if got := query("SELECT current_setting('max_connections')"); got != "17" {
		t.Errorf("max_connections = %s", got)
	}
}
