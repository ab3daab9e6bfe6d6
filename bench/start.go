package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/sandbox/smsc"
)

// A database is the PostgreSQL under measurement.
type database struct {
	url        string
	postmaster int // process id
}

// startIn is how long a process may take until it answers.
const startIn = 60 * time.Second

func (r *run) start(ctx context.Context) error {
	r.requests.run = rand.Text()[:12]
	if r.o.URL != "" {
		return r.join(ctx)
	}
	if r.o.Webhook > 0 {
		s, err := newSink()
		if err != nil {
			return err
		}
		r.sink = s
		r.undo = append(r.undo, s.stop)
	}
	r.smpp, r.control = r.o.SMPP, r.o.Control
	if r.smpp == "" {
		if err := r.startSandbox(ctx); err != nil {
			return err
		}
	}
	if r.o.Store == "postgres" {
		if err := r.startPostgres(ctx); err != nil {
			return err
		}
	}
	for i := range r.o.Nodes {
		if err := r.startServer(ctx, i); err != nil {
			return err
		}
	}
	if err := r.configure(ctx); err != nil {
		return err
	}
	return r.zero(ctx)
}

// zero notes where counters stand.
func (r *run) zero(ctx context.Context) error {
	b, err := r.books(ctx)
	if err != nil {
		return err
	}
	r.ended = b.ended()
	r.began, err = r.told(ctx)
	return err
}

// join measures a server that runs already, with what it is configured with.
func (r *run) join(ctx context.Context) error {
	host, err := hostOf(r.o.URL)
	if err != nil {
		return err
	}
	r.key = r.o.APIKey
	r.servers = []*server{{address: host, host: host, base: strings.TrimSuffix(r.o.URL, "/"), admin: strings.TrimSuffix(r.o.Admin, "/")}}
	r.routes = []string{`[{"channel":"` + r.o.Channel + `"}]`}
	return r.zero(ctx)
}

func (r *run) startSandbox(ctx context.Context) error {
	ports, err := r.takePorts(3)
	if err != nil {
		return err
	}
	r.whatsapp, r.smpp, r.control = "http://"+ports[0], ports[1], "http://"+ports[2]
	args := []string{
		"sandbox", "start", "--whatsapp", ports[0], "--smpp", ports[1], "--control", ports[2],
		"--smpp-window", strconv.Itoa(r.o.Window), "--smpp-queue", strconv.FormatInt(max(500_000, 2*r.o.Backlog, 2*r.o.Preload), 10),
		"--latency", r.o.Latency.String(), "--no-auto-read", "--log-level", "error", "--log-format", "json",
	}
	for i := range max(r.o.Nodes, 1) {
		args = append(args, "--account", smppAccount(i)+":"+smsc.DefaultPassword)
	}
	r.sandbox, err = r.spawn("sandbox", args...)
	if err != nil {
		return err
	}
	return r.answers(ctx, r.sandbox, r.control+"/stats")
}

// smppAccount is the system id of a node's connector: an SMSC gives receipts
// to any link of the account that sent, so each connector has its own.
func smppAccount(i int) string {
	if i == 0 {
		return smsc.DefaultSystemID
	}
	return smsc.DefaultSystemID + strconv.Itoa(i+1)
}

// answers waits until a child answers a URL with 200.
func (r *run) answers(ctx context.Context, p *process, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startIn)
	defer cancel()
	for {
		err := r.call(ctx, http.MethodGet, url, nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s does not start; it says:\n%s", p.name, p.tail())
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer (%w); it says:\n%s", p.name, err, p.tail())
		}
	}
}

// startPostgres starts a private PostgreSQL, or finds the given one's
// processes, which must be on this machine for their times to be read.
func (r *run) startPostgres(ctx context.Context) error {
	r.database = &database{url: r.o.DatabaseURL}
	if r.o.DatabaseURL == "" {
		s, err := pgtest.New()
		if err != nil {
			return err
		}
		r.undo = append(r.undo, func() error { s.Close(); return nil })
		r.database.url = s.URL("postgres")
	}
	c, err := pgx.Connect(ctx, r.database.url)
	if err != nil {
		return err
	}
	defer c.Close(ctx) //nolint:errcheck // only read from
	var backend int
	if err := c.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return err
	}
	s, err := readStat(backend)
	if err != nil || !strings.HasPrefix(s.name, "postgres") {
		return errors.Join(errors.New("PostgreSQL does not run on this machine: its processor time cannot be read"), err)
	}
	r.database.postmaster = s.parent
	return nil
}

// keyFile keeps the API key of a folder that is used again.
const keyFile = "bench-api-key"

func (r *run) startServer(ctx context.Context, i int) error {
	ports, err := r.takePorts(2)
	if err != nil {
		return err
	}
	s := &server{name: "server-" + strconv.Itoa(i+1), address: ports[0], host: ports[0], base: "http://" + ports[0], admin: "http://" + ports[1]}
	if err := r.launch(ctx, s); err != nil {
		return err
	}
	r.servers = append(r.servers, s)
	if r.key != "" {
		return nil
	}
	path := filepath.Join(r.o.Dir, keyFile)
	ctx, cancel := context.WithTimeout(ctx, startIn)
	defer cancel()
	for {
		if key, ok := s.process.out.after("PARLEY_API_KEY="); ok {
			r.key = key
			if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
				return err
			}
			// A first key is shown before it is stored.
			return r.until(ctx, "the first key is not in force", func(ctx context.Context) error {
				return r.call(ctx, "GET", s.base+"/v1/me", nil, nil)
			})
		}
		if raw, err := os.ReadFile(path); err == nil {
			r.key = string(raw)
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%s printed no API key, and %s is not there: is the database used by another installation?", s.name, path)
		}
	}
}

// launch starts a server's process and waits until it is ready.
func (r *run) launch(ctx context.Context, s *server) (err error) {
	args := []string{
		"serve", "--listen", s.address, "--admin-listen", strings.TrimPrefix(s.admin, "http://"), "--data-dir", r.o.Dir, "--node", s.name,
		"--webhook-allow", "127.0.0.0/8", "--log-level", "warn", "--log-format", "json",
		"--journal", filepath.Join(r.o.Dir, s.name+".erasures.journal"),
	}
	if r.database != nil {
		args = append(args, "--database-url", r.database.url)
	}
	if s.process, err = r.spawn(s.name, args...); err != nil {
		return err
	}
	return r.answers(ctx, s.process, s.base+"/readyz")
}

// restart kills a server, starts it again and gives how long it took until it
// was ready. Nothing may be on its way to an end: counters begin anew.
func (r *run) restart(ctx context.Context, s *server) (time.Duration, error) {
	if err := s.process.kill(); err != nil {
		return 0, err
	}
	began := r.o.Now()
	if err := r.launch(ctx, s); err != nil {
		return 0, err
	}
	took := r.o.Now().Sub(began)
	if r.sink != nil {
		r.sink.ended.Store(0)
	}
	return took, r.zero(ctx)
}
