package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/internal/port"
)

// ErrMissing: no PostgreSQL server is installed here.
var ErrMissing = errors.New("PostgreSQL is not installed; run: sudo apt-get install -y postgresql")

// A Server is one running PostgreSQL.
type Server struct {
	dir     string
	bin     string
	port    int
	release func() error // gives the port back
	as      []string     // command in front of every server command: another user when we are root
	under   []string     // command in front of the server
	data    string
	stdin   io.WriteCloser
	done    chan struct{}
	log     string
	number  atomic.Int64
}

// Run starts a server for the tests of a package, migrates the template with
// prepare, hands the server to use, runs m and stops the server. It gives the
// exit code for os.Exit. It fails with code 1 and says why when there is no
// server.
func Run(m *testing.M, prepare func(ctx context.Context, url string) error, use func(*Server)) int {
	s, err := New()
	if err == nil {
		defer s.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err = s.Template(ctx, prepare); err == nil {
			use(s)
			return m.Run()
		}
	}
	fmt.Fprintln(os.Stderr, "pgtest:", err)
	return 1
}

// Start gives a test its own server, with a template migrated by prepare (nil:
// an empty one); it is stopped at the end of the test.
func Start(t testing.TB, prepare func(ctx context.Context, url string) error) *Server {
	t.Helper()
	return StartIn(t, "", prepare)
}

// StartIn is Start with the server's files within a folder, which anybody may
// enter ("" = the folder for temporary files).
func StartIn(t testing.TB, folder string, prepare func(ctx context.Context, url string) error) *Server {
	t.Helper()
	s, err := newIn(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if prepare != nil {
		if err := s.Template(t.Context(), prepare); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// New initialises and starts a server. The caller closes it.
func New() (*Server, error) { return newIn("") }

func newIn(folder string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(folder, "pgtest")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin, data: filepath.Join(dir, "data"), log: filepath.Join(dir, "log")}
	if err = s.prepare(); err == nil {
		err = s.Launch()
	}
	if err != nil {
		s.leave()
		return nil, err
	}
	return s, nil
}

// binaries finds the newest installed server: PATH first, then Debian's places.
func binaries() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if _, err := exec.LookPath("initdb"); err == nil {
			// Links in PATH may be to some of the programs only.
			if path, err = filepath.EvalSymlinks(path); err == nil {
				return filepath.Dir(path), nil
			}
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dir := strings.TrimSpace(string(out))
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return "", ErrMissing
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// prepare makes the cluster.
func (s *Server) prepare() error {
	if err := s.stand(); err != nil {
		return err
	}
	// Only the making of the cluster skips fsync; the server itself keeps it.
	return s.command("initdb", "-D", s.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
}

// stand finds a user and a port for the server. PostgreSQL refuses to run as
// root, so root hands the directory to the user that Debian's package made.
func (s *Server) stand() error {
	if runtime.GOOS != "windows" && os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return fmt.Errorf("%w (there is no user postgres)", ErrMissing)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return err
		}
		s.as = []string{"setpriv", "--reuid=" + u.Uid, "--regid=" + u.Gid, "--clear-groups", "--"}
	}
	address, release, err := port.Take()
	if err != nil {
		return err
	}
	s.port, s.release = portOf(address), release
	return nil
}

// portOf is the port of an address.
func portOf(address string) int {
	_, text, _ := net.SplitHostPort(address) // ours: well formed
	n, _ := strconv.Atoi(text)
	return n
}

func (s *Server) command(name string, args ...string) error {
	line := append(slices.Clone(s.as), append([]string{filepath.Join(s.bin, name)}, args...)...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = s.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out.String())
	}
	return nil
}

// supervise runs the server and stops it fast at the end of standard input:
// the kernel closes the pipe however the test process ends.
const supervise = `"$@" & pid=$!; read how; case "$how" in abort) kill -QUIT $pid;; *) kill -INT $pid;; esac; wait $pid`

// Launch starts a stopped server again, with the settings given added to the
// command line ("max_connections=10").
func (s *Server) Launch(settings ...string) error {
	args := []string{"-D", s.data}
	all := append([]string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.port), "unix_socket_directories=" + s.dir,
		"shared_buffers=128MB", "max_connections=200", "max_wal_size=2GB", "timezone=UTC",
	}, settings...)
	for _, v := range all {
		args = append(args, "-c", v)
	}
	line := append([]string{"sh", "-c", supervise, "sh"}, s.as...)
	line = append(append(append(line, s.under...), filepath.Join(s.bin, "postgres")), args...)
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	s.done = done
	go func() { _ = cmd.Wait(); close(done) }()
	if err := s.await(); err != nil {
		s.Stop(false)
		text, _ := os.ReadFile(s.log)
		return fmt.Errorf("%w; the server says:\n%s", err, text)
	}
	return nil
}

// Under has later launches run the server under a command that becomes it, such
// as strace -D. It runs as the server's user, in [Server.Dir].
func (s *Server) Under(command ...string) { s.under = command }

// Dir is the server's own directory.
func (s *Server) Dir() string { return s.dir }

// await returns once the server answers.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.done:
			return errors.New("PostgreSQL ended while it started")
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Alive reports whether the server's first process runs.
func (s *Server) Alive() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Stop ends the server: politely (connections are cut, data is flushed), or
// abruptly as after a power cut when abort is set. Launch starts it again.
func (s *Server) Stop(abort bool) {
	if s.stdin == nil {
		return
	}
	word := "stop\n"
	if abort {
		word = "abort\n"
	}
	_, _ = io.WriteString(s.stdin, word)
	_ = s.stdin.Close()
	<-s.done
	s.stdin = nil
}

// Occupy cuts every session of others and takes every connection the server
// has; calling what it gives lets them go.
func (s *Server) Occupy(t testing.TB) (free func()) {
	t.Helper()
	ctx := context.Background()
	var held []*pgx.Conn
	free = func() {
		for _, c := range held {
			_ = c.Close(ctx)
		}
		held = nil
	}
	t.Cleanup(free)
	// Others come back while we take: cut and take until none is left to them.
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			held = append(held, conn)
			if _, err := conn.Exec(ctx, `SET application_name = 'occupier'`); err != nil {
				t.Fatal(err)
			}
		} else if len(held) == 0 || within.Err() != nil {
			t.Fatalf("the server's connections cannot be taken: %v", err)
		}
		var others int
		err = held[0].QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND application_name <> 'occupier'`).Scan(&others)
		if err != nil {
			t.Fatal(err)
		}
		if others == 0 && conn == nil {
			return free
		}
	}
}

// Close stops the server and removes its files.
func (s *Server) Close() {
	s.Stop(true)
	s.leave()
}

// leave gives back what a server that does not run has: files and a port.
func (s *Server) leave() {
	_ = os.RemoveAll(s.dir)
	if s.release != nil {
		_ = s.release() // nothing was sent by it
	}
}

// URL gives the address of a database over the server's Unix socket.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=%d", database, s.dir, s.port)
}

// Address gives host and port of the server on TCP, for tests that stand
// between.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

const template = "parley_template"

// Template makes the database that Database copies.
func (s *Server) Template(ctx context.Context, prepare func(ctx context.Context, url string) error) error {
	if err := s.admin(ctx, "CREATE DATABASE "+template); err != nil {
		return err
	}
	return prepare(ctx, s.URL(template))
}

// Database makes a database for one test, a copy of the template if there is
// one, and gives its URL. It is dropped at the end of the test.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return s.create(t, template)
}

// Empty is Database without the template's schema.
func (s *Server) Empty(t testing.TB) string {
	t.Helper()
	return s.create(t, "template0")
}

func (s *Server) create(t testing.TB, from string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.number.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.admin(ctx, "CREATE DATABASE "+name+" TEMPLATE "+from); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_ = s.admin(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
	})
	return s.URL(name)
}

func (s *Server) admin(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}
