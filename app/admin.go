package app

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// startAdmin serves metrics and profiles on an address of their own.
func (a *App) startAdmin() error {
	if a.Options.AdminListen == "none" {
		return nil
	}
	ln, err := net.Listen("tcp", a.Options.AdminListen)
	if err != nil {
		return &OptionError{"admin-listen", "cannot be listened on: " + err.Error(), "stop what uses it, give another address, or none"}
	}
	a.admin = ln.Addr()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &books{app: a})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /audit", a.audit)
	mux.HandleFunc("GET /check", a.check)
	mux.HandleFunc("POST /backup", a.backup)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := srv.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("admin address stopped", "error", err)
		}
	}()
	a.undo.add("admin", func(context.Context) error { return srv.Close() })
	return nil
}

// A WorkspaceAudit is the balance of one workspace.
type WorkspaceAudit struct {
	ID       message.WorkspaceID `json:"id"`
	Name     string              `json:"name"`
	Books    BooksJSON           `json:"books"`
	Problems []string            `json:"problems"`
}

// BooksJSON is store.Books with words for states.
type BooksJSON struct {
	Accepted  int64            `json:"accepted"`
	States    map[string]int64 `json:"states"`
	Ready     int64            `json:"ready"`
	Waiting   int64            `json:"waiting"`
	Lost      int64            `json:"lost"`
	OpenRefs  int64            `json:"open_receipts"`
	Parked    int64            `json:"parked_receipts"`
	Callbacks int64            `json:"callbacks"`
	SetAside  int64            `json:"callbacks_set_aside"`
	Received  int64            `json:"received"`
	Charges   int64            `json:"charges"`
	Webhooks  map[string]int64 `json:"webhook_deliveries"`
	Events    int64            `json:"events"`
	Untold    int64            `json:"events_untold"`
	Unbooked  int64            `json:"events_unbooked"`
	Orphans   int64            `json:"orphans"`
}

// AuditAll balances the books of every workspace.
func AuditAll(ctx context.Context, s store.Store) ([]WorkspaceAudit, error) {
	rooms, err := s.WorkspaceList(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]WorkspaceAudit, 0, len(rooms))
	for _, w := range rooms {
		b, err := s.Books(ctx, w.ID)
		if err != nil {
			return nil, err
		}
		one := WorkspaceAudit{ID: w.ID, Name: w.Name, Problems: Audit(b), Books: BooksJSON{
			Accepted: b.Accepted, States: make(map[string]int64, len(b.States)), Ready: b.Ready, Waiting: b.Waiting, Lost: b.Lost,
			OpenRefs: b.OpenRefs, Parked: b.Parked, Callbacks: b.Callbacks, SetAside: b.SetAside, Received: b.Received,
			Charges: b.Charges, Webhooks: b.Webhooks, Events: b.Events, Untold: b.Untold, Unbooked: b.Unbooked, Orphans: b.Orphans,
		}}
		for state, n := range b.States {
			one.Books.States[state.String()] = n
		}
		out = append(out, one)
	}
	return out, nil
}

func (a *App) audit(w http.ResponseWriter, r *http.Request) {
	rooms, err := AuditAll(r.Context(), a.Store)
	if err != nil {
		a.log.Error("audit failed", "error", err)
		http.Error(w, "the store cannot be read", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"workspaces": rooms}) // the client may be gone
}

// check looks at what is configured, for doctor.
func (a *App) check(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	findings := a.Check(r.Context(), r.URL.Query().Get("offline") != "")
	_ = json.NewEncoder(w).Encode(map[string]any{"findings": findings}) // the client may be gone
}

// backup writes a copy of the database to a path on this machine.
func (a *App) backup(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Query().Get("path")
	if !filepath.IsAbs(path) {
		http.Error(w, "path must be absolute", http.StatusBadRequest)
		return
	}
	if err := a.Store.Backup(r.Context(), path); err != nil {
		a.log.Error("backup failed", "error", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// books shows what the ledger's readers and the engine counted.
type books struct{ app *App }

var (
	messagesDesc = prometheus.NewDesc("parley_events_total", "Events of messages read from the log since this node started.", []string{"type", "channel"}, nil)
	waitingDesc  = prometheus.NewDesc("parley_store_writes_waiting", "Writes waiting for a commit.", nil, nil)
	limitDesc    = prometheus.NewDesc("parley_store_writes_limit", "Writes the store lets wait before it answers 503.", nil, nil)
	intakeDesc   = prometheus.NewDesc("parley_intake_messages", "Messages being taken in by this node, and those that wait for their workspace's turn.", []string{"where"}, nil)
	laneDesc     = prometheus.NewDesc("parley_lane_messages", "Messages in memory by connector and where they are.", []string{"connector", "where"}, nil)
)

// Describe implements prometheus.Collector.
func (b *books) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{messagesDesc, waitingDesc, limitDesc, intakeDesc, laneDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (b *books) Collect(ch chan<- prometheus.Metric) {
	waiting, limit := b.app.Store.Backlog()
	ch <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(waiting))
	ch <- prometheus.MustNewConstMetric(limitDesc, prometheus.GaugeValue, float64(limit))
	inside, before := b.app.Engine.Intake()
	ch <- prometheus.MustNewConstMetric(intakeDesc, prometheus.GaugeValue, float64(inside), "inside")
	ch <- prometheus.MustNewConstMetric(intakeDesc, prometheus.GaugeValue, float64(before), "waiting")
	for _, c := range b.app.Ledger.Counts() {
		ch <- prometheus.MustNewConstMetric(messagesDesc, prometheus.CounterValue, float64(c.Events), c.Type, string(c.Channel))
	}
	for _, l := range b.app.Engine.Lanes() {
		ch <- prometheus.MustNewConstMetric(laneDesc, prometheus.GaugeValue, float64(l.Queued), l.Connector.String(), "queue")
		ch <- prometheus.MustNewConstMetric(laneDesc, prometheus.GaugeValue, float64(l.InFlight), l.Connector.String(), "attempt")
	}
}

// Audit balances the books of a workspace, or of all for the zero id (law 13).
// It gives the books and what does not balance.
func Audit(b *store.Books) (problems []string) {
	var sum, open int64
	for state, n := range b.States {
		sum += n
		if !state.Ended() {
			open += n
		}
	}
	say := func(ok bool, text string) {
		if !ok {
			problems = append(problems, text)
		}
	}
	say(sum == b.Accepted, "accepted messages and their states do not add up")
	say(open == b.Ready+b.Waiting+b.Lost, "messages in flight and where they wait do not add up")
	say(b.Lost == 0, "messages in flight wait for nothing: nobody would ever move them")
	say(b.Orphans == 0, "messages without delivery, or deliveries without message")
	say(b.SetAside == 0, "callbacks could not be read and were set aside")
	return problems
}
