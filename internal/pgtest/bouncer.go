package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/internal/port"
)

// A Bouncer is PgBouncer in transaction mode in front of one server at a time.
// It changes the server session with every transaction as it can, so that a
// client which relies on its session fails soon.
type Bouncer struct {
	t     testing.TB
	dir   string
	line  []string
	port  int
	stdin io.WriteCloser
	done  chan struct{}
}

// leash runs PgBouncer and kills it at the end of standard input: the kernel
// closes the pipe however the test process ends.
const leash = `"$@" & pid=$!; while read how; do kill -HUP $pid; done; kill -KILL $pid; wait $pid`

// Bouncer starts PgBouncer (its program) in front of s; it ends with the test.
func (s *Server) Bouncer(t testing.TB, program string) *Bouncer {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		// Debian keeps it where only root looks.
		if path, err = exec.LookPath(filepath.Join("/usr/sbin", program)); err != nil {
			t.Fatalf("%s is not installed; run: sudo apt-get install -y pgbouncer", program)
		}
	}
	// Not t.TempDir: another user must get in.
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := &Bouncer{t: t, dir: dir, port: portOf(port.For(t))}
	b.line = append(append([]string{"sh", "-c", leash, "sh"}, s.as...), path, filepath.Join(dir, "pgbouncer.ini"))
	b.write("users", "\"postgres\" \"\"\n")
	b.configure(s)
	if len(s.as) > 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		for _, name := range []string{"", "users", "pgbouncer.ini"} {
			if err := os.Chown(filepath.Join(dir, name), uid, gid); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.Start()
	t.Cleanup(b.Kill)
	return b
}

func (b *Bouncer) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *Bouncer) configure(s *Server) {
	b.t.Helper()
	b.write("pgbouncer.ini", fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
server_round_robin = 1
default_pool_size = 8
max_client_conn = 300
server_login_retry = 1
server_check_delay = 0
`, s.port, b.port, filepath.Join(b.dir, "users")))
}

// Start launches PgBouncer again after Kill and returns once it answers.
func (b *Bouncer) Start() {
	b.t.Helper()
	cmd := exec.Command(b.line[0], b.line[1:]...)
	cmd.Dir = b.dir
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	b.t.Cleanup(func() { // after Kill, so that nothing writes any more
		if b.t.Failed() {
			b.t.Logf("what PgBouncer said last:\n%s", out.Bytes()[max(0, out.Len()-4000):])
		}
	})
	var err error
	if b.stdin, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	done := make(chan struct{})
	b.done = done
	go func() { _ = cmd.Wait(); close(done) }() // how it ended shows in what it said
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, b.at("postgres")+"&default_query_exec_mode=exec")
		if err == nil {
			_ = conn.Close(ctx)
			return
		}
		select {
		case <-ctx.Done():
			b.Kill()
			b.t.Fatalf("PgBouncer does not answer: %v\n%s", err, out.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends PgBouncer with SIGKILL; every connection through it breaks.
func (b *Bouncer) Kill() {
	_ = b.stdin.Close() // harmless twice
	<-b.done
}

// Point has PgBouncer lead to another server; clients keep their connections.
func (b *Bouncer) Point(s *Server) {
	b.t.Helper()
	b.configure(s)
	if _, err := io.WriteString(b.stdin, "reload\n"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *Bouncer) at(database string) string {
	return "postgres://postgres@127.0.0.1:" + strconv.Itoa(b.port) + "/" + database + "?sslmode=disable"
}

// URL gives the address through PgBouncer of a database of its server, by what
// Database gave.
func (b *Bouncer) URL(direct string) string {
	_, rest, _ := strings.Cut(direct, "@/")
	name, _, _ := strings.Cut(rest, "?")
	return b.at(name)
}
