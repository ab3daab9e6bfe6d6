package pgtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Replica gives a test a synchronous streaming replica of s: from now on no
// commit of s is acknowledged before the replica has flushed it. It is stopped
// at the end of the test; Promote makes it the primary.
func (s *Server) Replica(t testing.TB) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		t.Fatal(err)
	}
	r := &Server{dir: dir, bin: s.bin, data: filepath.Join(dir, "data"), log: filepath.Join(dir, "log")}
	t.Cleanup(r.Close)
	if err := r.stand(); err != nil {
		t.Fatal(err)
	}
	err = r.command("pg_basebackup", "--host", s.dir, "--port", fmt.Sprint(s.port), "--username", "postgres", "--pgdata", r.data,
		"--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast", "--no-sync")
	if err == nil {
		err = r.Launch("hot_standby=on")
	}
	ctx := t.Context()
	if err == nil {
		err = s.admin(ctx, "ALTER SYSTEM SET synchronous_standby_names = '*'")
	}
	if err == nil {
		err = s.admin(ctx, "SELECT pg_reload_conf()")
	}
	if err == nil {
		err = s.synchronous(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// synchronous returns once the primary waits for its replica.
func (s *Server) synchronous(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for {
		var state string
		err := conn.QueryRow(ctx, "SELECT coalesce(max(sync_state), '') FROM pg_stat_replication").Scan(&state)
		if err != nil || state == "sync" {
			return err
		}
	}
}

// Promote makes a replica the primary and returns once it takes writes.
func (s *Server) Promote(ctx context.Context) error {
	return s.admin(ctx, "SELECT pg_promote(true, 30)")
}
