package api

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-messaging/parley/api/internal/strict"
	"github.com/parley-messaging/parley/auth"
	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/media"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/workspace"
)

// An Engine is what the API asks of the engine; *engine.Engine is one.
type Engine interface {
	Accept(ctx context.Context, ws message.WorkspaceID, r *engine.Request, idem engine.Idempotency) (*engine.Answer, error)
	AcceptBatch(ctx context.Context, ws message.WorkspaceID, rs []*engine.Request, idem engine.Idempotency) ([]engine.BatchResult, error)
	Preview(ctx context.Context, ws message.WorkspaceID, r *engine.Request) (*engine.Preview, error)
	Cancel(ctx context.Context, ws message.WorkspaceID, id message.MessageID) (*engine.View, error)
	View(ctx context.Context, ws message.WorkspaceID, id message.MessageID) (*engine.View, error)
	List(ctx context.Context, ws message.WorkspaceID, f store.Filter) ([]*engine.View, error)
	Types() []channel.Type
	ResumeConnector(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID) error
	PauseConnector(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID) error
	// SyncTemplates reads the provider's templates and gives how many there are.
	// It fails with store.ErrNotFound where the account keeps none or is not open
	// here yet, and with *message.Fault as the provider does.
	SyncTemplates(ctx context.Context, ws message.WorkspaceID, id message.ConnectorID) (int, error)
}

// A Privacy office erases people and hands out what is held on them;
// *privacy.Office is one.
type Privacy interface {
	// Erase gives a signed receipt as JSON.
	Erase(ctx context.Context, ws message.WorkspaceID, who message.ContactID) ([]byte, error)
	// Export gives everything held as one JSON document.
	Export(ctx context.Context, ws message.WorkspaceID, who message.ContactID) ([]byte, error)
}

// A Store is the rows the API reads and writes itself; store.Store is one.
type Store interface {
	store.Log
	store.Webhooks
	Costs(ctx context.Context, ws message.WorkspaceID, from, to time.Time) ([]store.Cost, error)
}

// A Webhooks is told when endpoints change, so that deliveries follow at once.
// It may be left out.
type Webhooks interface {
	// EndpointChanged is called after an endpoint was made, changed or deleted,
	// and after deliveries were made pending again.
	EndpointChanged(ws message.WorkspaceID, id message.EndpointID)
}

// Phones reads telephone numbers; *rules.Phones is one.
type Phones interface {
	// Normalize gives a number in international form (E.164), or an error that
	// does not repeat it.
	Normalize(input, defaultRegion string) (e164, country string, err error)
}

// Options are what the API stands on. Engine, Workspaces, People, Privacy,
// Store, Now, ID and Log are needed.
type Options struct {
	Engine     Engine
	Workspaces *workspace.Registry
	People     *contact.Book
	Privacy    Privacy
	Store      Store
	Media      *media.Keeper // nil: no files are kept
	Phones     Phones        // nil: identities of channel phone must be given in E.164
	Now        func() time.Time
	ID         func() [16]byte // makes ids: (*id.Maker).Next of now
	Log        *slog.Logger

	// CheckURL judges a webhook's address before it is stored, against server
	// side request forgery. nil allows every http and https address.
	CheckURL func(url string) error
	// Webhooks is told of changes; nil = nobody.
	Webhooks Webhooks
	// Rate limits each workspace on this node; zero = no limit.
	Rate Rate
	// Public is the base URL clients use, shown in the documents; "" = relative.
	Public string
	// Heartbeat is how often a silent event stream is written to; 0 = 15 s.
	Heartbeat time.Duration
	// Poll is how often a stream looks for events of other nodes; 0 = 1 s.
	Poll time.Duration
}

// A Server answers /v1, /openapi.json and /docs. Make it with New. It is safe
// for concurrent use, and is an http.Handler.
type Server struct {
	o     Options
	mux   *http.ServeMux
	spec  huma.API
	doc   []byte
	meter *meter
	quit  chan struct{}
	stop  sync.Once

	scopes map[string]auth.Scope // by mux pattern, for operations behind huma

	send  *strict.Decoder[SendRequest]
	batch *strict.Decoder[BatchRequest]
}

const (
	headerRequest = "X-Request-Id"
	maxBody       = 1 << 20
	maxBatchBody  = 16 << 20
)

// New makes the API and its documents.
func New(o Options) (*Server, error) {
	if o.Engine == nil || o.Workspaces == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("api: Engine, Workspaces, Now and Log are needed")
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 15 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	s := &Server{
		o: o, mux: http.NewServeMux(), meter: newMeter(o.Rate, o.Now), quit: make(chan struct{}),
		scopes: make(map[string]auth.Scope),
		send:   strict.For[SendRequest](), batch: strict.For[BatchRequest](),
	}
	s.spec = newSpec(s)
	s.messages()
	s.contacts()
	s.suppressions()
	s.conversations()
	s.senders()
	s.connectors()
	s.templates()
	s.settings()
	s.webhooks()
	s.events()
	s.apiKeys()
	s.usage()
	s.media()
	if err := s.documents(); err != nil {
		return nil, err
	}
	s.mux.HandleFunc("/", s.nothing)
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(headerRequest)
	if !plainID(id) {
		id = rand.Text()
	}
	h := w.Header()
	h.Set(headerRequest, id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	s.mux.ServeHTTP(w, r)
}

// Handle mounts another handler beside the API: health, metrics, callbacks,
// the console. The pattern is http.ServeMux's. Call it before serving.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Spec gives the OpenAPI document, as it is committed.
func (s *Server) Spec() []byte { return s.doc }

// Close ends the live streams, which would else keep a graceful shutdown
// waiting. It is harmless twice.
func (s *Server) Close() { s.stop.Do(func() { close(s.quit) }) }

// NewServer gives an http.Server with the time limits of this API: a client
// that dribbles its headers or body is cut off. Streams lift the write limit
// for themselves.
func NewServer(addr string, h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Addr: addr, Handler: h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// plainID takes a client's own request id if it is short and harmless.
func plainID(s string) bool {
	if len(s) < 8 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// nothing answers what no pattern fits: 405 where another method would.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range [...]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if method == r.Method {
			continue
		}
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(other); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		problem(codeMethod, "", "allowed are "+strings.Join(allowed, ", "), "use one of them").write(w)
		return
	}
	problem(codeNoRoom, "", "no resource has this path", "compare it with /docs").write(w)
}

// enter does what every call needs first: who is it, may they, how fast.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, scope auth.Scope) (auth.Principal, *Problem) {
	who, err := auth.Bearer(r.Context(), s.o.Workspaces, r.Header)
	if err != nil {
		return who, s.explain(r.Context(), w.Header(), err)
	}
	if p := s.meter.admit(who.Workspace, w.Header()); p != nil {
		return who, p
	}
	if !who.May(scope) {
		return who, problem(codeScope, "", "this needs the scope "+string(scope), "use a key that has it")
	}
	return who, nil
}

// explain turns an error into a problem and logs the cause of those that are
// ours.
func (s *Server) explain(ctx context.Context, h http.Header, err error) *Problem {
	p := problemOf(err)
	switch {
	case p.Code == codeInternal && ctx.Err() == nil:
		s.o.Log.Error("request failed", "request", h.Get(headerRequest), "error", err)
	case p.Code == codeUnavailable:
		s.o.Log.Warn("request not stored", "request", h.Get(headerRequest), "error", err)
	}
	return p
}
