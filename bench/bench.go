// Package bench measures the durable life of a message: accepted over HTTP
// with an idempotency key, committed, attempted, put on the wire, receipted,
// delivered, and told to a webhook.
//
// Everything is real and apart: the server, the sandbox that plays the
// operator, and PostgreSQL are processes of their own, reached over sockets;
// the load generator and the customer's webhook receiver live in this process.
// So the processor time of the server and of the database can be told from
// that of the rest. It is not a micro benchmark and it has no opinion on what
// is good; `parley bench` prints what it gives.
//
// Start with [Run].
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Options say what to measure.
type Options struct {
	Program string // the parley binary that is started as server and as sandbox
	Dir     string // where processes keep their files and logs; it must exist
	Now     func() time.Time

	Store       string // sqlite or postgres
	DatabaseURL string // PostgreSQL to use; "" = a private one is started
	Channel     string // sms or whatsapp
	Batch       int    // messages in one request; 1 = POST /v1/messages
	Concurrency int    // connections, each with one request at a time
	Nodes       int    // servers on one database
	Warmup      time.Duration
	Duration    time.Duration
	Messages    int64         // measure this many instead of Duration; 0 = Duration
	Recipients  int           // different people; a fifth of all messages go to new ones
	Preload     int64         // messages that have been through the store before
	Backlog     int64         // measure with this many queued; 0 = not
	Webhook     int           // events in one webhook request at most; 0 = no endpoint
	Binds       int           // SMPP links
	Window      int           // submits waiting for their answer on one link
	Latency     time.Duration // from the provider's answer until a phone has a message: receipts come that much later

	// A running server to measure instead of starting one: its API, a key, and
	// its admin address. Its senders and connectors are used as they are.
	URL, APIKey, Admin string

	// For a comparison: a running sandbox's SMSC and control API to use instead
	// of starting one, SMS without asking for receipts, and the events that the
	// webhook endpoint wants (nil = all; ends of messages must be among them).
	SMPP, Control string
	NoReceipts    bool
	Types         []string

	Profile string // where to write profiles of the first server, see profile; "" = not

	// Progress is called now and then; total is -1 where it is not known.
	Progress func(phase string, done, total int64)
}

// A Result is what was measured. The first fields are the promise of
// `parley bench --json`; the rest helps to judge them.
type Result struct {
	Messages          int64   `json:"messages"`
	MessagesPerSecond float64 `json:"messages_per_second"` // from the first request until the last message is delivered
	Delivered         int64   `json:"delivered"`
	CPUPerMessage     float64 `json:"cpu_us_per_message"` // user and system, of servers and database
	AcceptP50         float64 `json:"accept_p50_ms"`
	AcceptP99         float64 `json:"accept_p99_ms"`
	PeakRSS           int64   `json:"peak_rss_bytes"` // of the largest server, during the measurement
	StealPercent      float64 `json:"steal_percent"`
	Store             string  `json:"store"`
	Channel           string  `json:"channel"`
	Batch             int     `json:"batch"`
	Concurrency       int     `json:"concurrency"`
	Nodes             int     `json:"nodes"`

	Undelivered     int64    `json:"undelivered"` // accepted and not delivered when the run gave up waiting
	Seconds         float64  `json:"seconds"`
	AcceptPerSecond float64  `json:"accept_per_second"` // while the load ran
	Refused         int64    `json:"refused"`           // answers 429 and 503, tried again as told
	ServerCPU       float64  `json:"server_cpu_us_per_message"`
	DatabaseCPU     float64  `json:"database_cpu_us_per_message"`
	SandboxCPU      float64  `json:"sandbox_cpu_us_per_message"`
	GeneratorCPU    float64  `json:"generator_cpu_us_per_message"` // load generator and webhook receiver
	IdlePercent     float64  `json:"idle_percent"`
	Preloaded       int64    `json:"preloaded"`      // in the store when the measurement began
	WebhookEvents   int64    `json:"webhook_events"` // received by the customer's endpoint
	AcceptP999      float64  `json:"accept_p999_ms"`
	Problems        []string `json:"problems"` // what does not balance

	Backlog *BacklogResult `json:"backlog,omitempty"`
}

// A BacklogResult tells how a full queue is lived with.
type BacklogResult struct {
	Queued          int64   `json:"queued"`            // when the connector was let go
	AcceptPerSecond float64 `json:"accept_per_second"` // while nothing left
	AcceptP50       float64 `json:"accept_p50_ms"`     // of single requests while the queue was full
	AcceptP99       float64 `json:"accept_p99_ms"`
	Restart         float64 `json:"restart_ms"`       // from a kill with the queue full until the server is ready; 0 = it is not ours to kill
	OneTimeCodes    int     `json:"one_time_codes"`   // authentication messages sent while the backlog drained
	CodeP50         float64 `json:"code_sent_p50_ms"` // from acceptance to the operator's answer
	CodeP99         float64 `json:"code_sent_p99_ms"`
	DrainPerSecond  float64 `json:"drain_per_second"`
	PeakRSS         int64   `json:"peak_rss_bytes"`
}

// An OptionError says which option cannot be.
type OptionError struct{ Option, Problem string }

// Error implements error.
func (e *OptionError) Error() string { return e.Option + " " + e.Problem }

func (o *Options) check() error {
	wrong := func(option, problem string) error { return &OptionError{option, problem} }
	switch {
	case o.Store != "sqlite" && o.Store != "postgres":
		return wrong("store", "must be sqlite or postgres")
	case o.Channel != "sms" && o.Channel != "whatsapp":
		return wrong("channel", "must be sms or whatsapp")
	case o.Batch < 1 || o.Batch > 10_000:
		return wrong("batch", "must be 1 to 10000")
	case o.Concurrency < 1 || o.Concurrency > 10_000:
		return wrong("concurrency", "must be 1 to 10000")
	case o.Nodes < 1 || o.Nodes > 16:
		return wrong("nodes", "must be 1 to 16")
	case o.Nodes > 1 && o.Store == "sqlite":
		return wrong("nodes", "needs --store postgres: an SQLite database belongs to one node")
	case o.Recipients < 5 || o.Recipients > 1_000_000:
		return wrong("recipients", "must be 5 to 1000000")
	case o.Messages == 0 && o.Duration <= 0:
		return wrong("duration", "must be above zero")
	case o.NoReceipts && (o.Channel != "sms" || o.URL != ""):
		return wrong("receipts", "can be left out only over SMS, with a server started here")
	case (o.SMPP == "") != (o.Control == "") || o.SMPP != "" && o.Channel != "sms":
		return wrong("sandbox", "is used with its SMSC and its control API, for SMS")
	case o.Webhook < 0 || o.Webhook > 100:
		return wrong("webhook", "must be 0 to 100")
	case o.URL != "" && (o.APIKey == "" || o.Admin == ""):
		return wrong("url", "needs --api-key and --admin: without its books nothing can be verified")
	case o.Latency < 0 || o.Latency > settle/2:
		return wrong("latency", "must be 0s to "+(settle/2).String())
	case o.Latency > 0 && (o.URL != "" || o.SMPP != ""):
		return wrong("latency", "is the sandbox's: it needs one that is started here")
	case o.URL != "" && (o.Nodes > 1 || o.Backlog > 0):
		return wrong("url", "cannot be combined with --nodes or --backlog")
	}
	return nil
}

// settle is how long a run waits without any progress for messages that were
// accepted.
const settle = 60 * time.Second

// Run measures. It starts what it needs and stops it again. A result comes
// with a nil error also when messages are missing: see Undelivered.
func Run(ctx context.Context, o Options) (res *Result, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	r := &run{o: o}
	defer func() {
		o.Progress("stopping", 0, -1)
		err = errors.Join(err, r.stop())
	}()
	o.Progress("starting", 0, -1)
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	if res, err = r.measure(ctx); err != nil {
		return nil, err
	}
	if o.Backlog > 0 {
		res.Backlog, err = r.backlog(ctx)
	}
	return res, err
}

// run is one measurement: what was started for it and where it got to.
type run struct {
	o          Options
	undo       []func() error
	servers    []*server
	sandbox    *process
	smpp       string // address of the SMSC
	whatsapp   string // base of the Graph API
	control    string // base of the sandbox's control API
	database   *database
	sink       *sink
	key        string
	routes     []string // JSON of the route of each sender
	connectors []string
	people     people
	requests   serial
	began      int64 // ends that the servers had counted when we came
	ended      int64 // ends in the books then
}

func (r *run) stop() error {
	var errs []error
	for i := len(r.undo) - 1; i >= 0; i-- {
		errs = append(errs, r.undo[i]())
	}
	r.undo = nil
	return errors.Join(errs...)
}

// prepare makes the known people, fills the store and warms everything up.
func (r *run) prepare(ctx context.Context) error {
	books, err := r.books(ctx)
	if err != nil {
		return err
	}
	r.people.begin(r.o.Recipients*4/5, books.Accepted)
	fill := max(int64(r.people.known), r.o.Preload) - books.Accepted
	if fill > 0 {
		l := r.load("filling the store", fillBatch, min(r.o.Concurrency, 8))
		if books.Accepted == 0 {
			l.introduce = int64(r.people.known)
		}
		l.count = fill
		if _, err := l.run(ctx); err != nil {
			return fmt.Errorf("filling the store: %w", err)
		}
		if err := r.drain(ctx, "delivering what fills the store"); err != nil {
			return err
		}
	}
	if r.o.Warmup <= 0 {
		return nil
	}
	l := r.load("warming up", r.o.Batch, r.o.Concurrency)
	l.span = r.o.Warmup
	if _, err := l.run(ctx); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	return r.drain(ctx, "warming up: delivering")
}

// fillBatch is how many messages fill the store with one request.
const fillBatch = 500

// measure runs the load between two quiet moments, so that exactly the work
// for exactly these messages is in the figures.
func (r *run) measure(ctx context.Context) (*Result, error) {
	before, err := r.books(ctx)
	if err != nil {
		return nil, err
	}
	events := r.sink.events()
	if err := r.resetPeak(); err != nil {
		return nil, err
	}
	usage, err := r.usage(ctx)
	if err != nil {
		return nil, err
	}
	profile := r.profile(ctx)
	began := r.o.Now()
	l := r.load("measuring", r.o.Batch, r.o.Concurrency)
	l.span, l.count = r.o.Duration, r.o.Messages
	if l.count > 0 {
		l.span = 0
	}
	out, err := l.run(ctx)
	if err != nil {
		return nil, err
	}
	undelivered, at, err := r.await(ctx, "delivering", before, out.accepted)
	if err != nil {
		return nil, err
	}
	if err := r.awaitWebhooks(ctx); err != nil {
		return nil, err
	}
	used, err := r.usage(ctx)
	if err != nil {
		return nil, err
	}
	used = used.minus(usage)
	if err := profile(); err != nil {
		return nil, err
	}
	after, err := r.books(ctx)
	if err != nil {
		return nil, err
	}
	n := out.accepted
	delivered := after.delivered() - before.delivered()
	if r.o.NoReceipts {
		delivered = n - undelivered // taken by the operator: nobody says more
	}
	per := func(d time.Duration) float64 { return round(float64(d.Microseconds())/float64(max(n, 1)), 1) }
	took := at.Sub(began).Seconds()
	res := &Result{
		Messages: n, MessagesPerSecond: round(float64(n)/took, 1), Delivered: delivered,
		CPUPerMessage: per(used.servers + used.database), AcceptP50: out.percentile(50), AcceptP99: out.percentile(99), AcceptP999: out.percentile(99.9),
		PeakRSS: used.peak, StealPercent: used.steal(), IdlePercent: used.idle(),
		Store: r.o.Store, Channel: r.o.Channel, Batch: r.o.Batch, Concurrency: r.o.Concurrency, Nodes: r.o.Nodes,
		Undelivered: undelivered, Seconds: round(took, 2), AcceptPerSecond: round(float64(n)/out.took.Seconds(), 1), Refused: out.refused,
		ServerCPU: per(used.servers), DatabaseCPU: per(used.database), SandboxCPU: per(used.sandbox), GeneratorCPU: per(used.self),
		Preloaded: before.Accepted, WebhookEvents: r.sink.events() - events, Problems: after.Problems,
	}
	if got := after.Accepted - before.Accepted; got != n {
		res.Problems = append(res.Problems, fmt.Sprintf("%d messages were acknowledged and %d are in the books", n, got))
	}
	if res.Problems == nil {
		res.Problems = []string{}
	}
	return res, nil
}

// Show prints a result for people.
func (r *Result) Show(w io.Writer) error {
	_, err := fmt.Fprintf(w, `%s over %s, batch %d, %d connections, %d node(s), %d messages in the store before

  messages          %d accepted, %d delivered, %d missing
  rate              %.0f a second until the last was delivered (accepted at %.0f a second)
  processor         %.1f µs a message: server %.1f, database %.1f (sandbox %.1f, load generator %.1f)
  accepting         p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms; %d answers asked to come later
  memory            %.0f MB at most
  webhook           %d events received
  machine           %.0f %% idle, %.1f %% stolen
`, r.Channel, r.Store, r.Batch, r.Concurrency, r.Nodes, r.Preloaded, r.Messages, r.Delivered, r.Undelivered,
		r.MessagesPerSecond, r.AcceptPerSecond, r.CPUPerMessage, r.ServerCPU, r.DatabaseCPU, r.SandboxCPU, r.GeneratorCPU,
		r.AcceptP50, r.AcceptP99, r.AcceptP999, r.Refused, float64(r.PeakRSS)/1e6, r.WebhookEvents, r.IdlePercent, r.StealPercent)
	if err != nil {
		return err
	}
	if b := r.Backlog; b != nil {
		if _, err := fmt.Fprintf(w, `
  with %d queued   accepted at %.0f a second meanwhile, p50 %.2f ms, p99 %.2f ms with one at a time
  killed            ready again after %.0f ms
  one-time codes    %d overtook: at the operator in p50 %.1f ms, p99 %.1f ms
  draining          %.0f a second, %.0f MB at most
`, b.Queued, b.AcceptPerSecond, b.AcceptP50, b.AcceptP99, b.Restart, b.OneTimeCodes, b.CodeP50, b.CodeP99, b.DrainPerSecond, float64(b.PeakRSS)/1e6); err != nil {
			return err
		}
	}
	for _, p := range r.Problems {
		if _, err := fmt.Fprintln(w, "  problem:", p); err != nil {
			return err
		}
	}
	return nil
}
