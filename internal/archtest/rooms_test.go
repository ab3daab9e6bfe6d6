package archtest

import (
	"sort"
	"strings"
	"testing"
)

// A room is a folder with its law: what of ours it may import. Folders below
// it without a line of their own belong to it.
type room struct {
	may     []string          // rooms; a trailing slash means "and all below"
	never   map[string]string // the reason for the forbidden imports people try
	because string            // the reason for all others
}

const (
	policy    = "the engine is policy: providers and SQL are reached through their seams, or they could not be exchanged"
	seam      = "a seam that knows one side is no seam"
	deletable = "one adapter must be deletable without touching anything else: what two of them share lives in channel or channel/internal"
	dialect   = "SQL shared between the stores hides the weaker dialect; storetest says what they have in common"
	pure      = "it is pure: it decides on facts it is given, so that every case can be tested"
	consumer  = "it consumes facts and does not drive"
	ground    = "everything may import it, so it must drag nothing along"
	edge      = "only cmd and the tests of the whole program import the wiring"
	asOthers  = "the pretend provider speaks as the real one would: code shared with us would share our misunderstanding"
)

// rooms is the import law of the house. internal/archtest is its only home.
var rooms = map[string]room{
	"message":  {because: ground},
	"smpp":     {because: "the protocol stands alone: it knows nothing of us and may leave the house"},
	"sdk":      {because: "it leaves the house: standard library only"},
	"rules":    {may: []string{"message"}, because: "dated data is a tool, not an actor"},
	"vault":    {may: []string{"message"}, because: "keys are a tool, not an actor: stores see only sealed values"},
	"price":    {may: []string{"message", "rules"}, because: pure},
	"event":    {may: []string{"message", "store", "internal/plainjson"}, because: "it is the vocabulary of the log: readers and writers share it, so it depends on neither"},
	"internal": {because: "it has no meaning in the business"},

	"internal/id": {may: []string{"message"}, because: "it makes ids and knows nothing else"},

	"channel":             {may: []string{"message"}, never: map[string]string{"channel/": seam}, because: seam},
	"channel/internal":    {may: []string{"message", "channel"}, because: deletable},
	"channel/channeltest": {may: []string{"message", "channel"}, never: map[string]string{"sandbox/": "the suite is told how to reach a twin; it knows none"}, because: "one suite for all channels knows none of them"},
	"channel/sms":         {may: []string{"message", "channel", "channel/internal/", "smpp/"}, never: map[string]string{"sandbox/": asOthers}, because: deletable},
	"channel/whatsapp":    {may: []string{"message", "channel", "channel/internal/"}, never: map[string]string{"sandbox/": asOthers}, because: deletable},

	"store":           {may: []string{"message"}, never: map[string]string{"store/": seam, "vault": "stores see only sealed values"}, because: seam},
	"store/storetest": {may: []string{"message", "store"}, because: "one suite for both stores knows neither"},
	"store/sqlite":    {may: []string{"message", "store"}, never: map[string]string{"store/postgres": dialect, "vault": "stores see only sealed values"}, because: seam},
	"store/postgres":  {may: []string{"message", "store"}, never: map[string]string{"store/sqlite": dialect, "vault": "stores see only sealed values"}, because: seam},

	"workspace": {may: []string{"message", "store", "vault", "internal/id"}, because: "the tenant's configuration and keys stand below everything that acts for a tenant"},
	"contact":   {may: []string{"message", "store", "vault", "workspace", "event", "internal/id"}, because: "people are looked up by those who act; they act on nobody"},
	"privacy":   {may: []string{"message", "store", "vault", "workspace", "contact", "event", "internal/id"}, never: map[string]string{"engine": "erasing must work while nothing is sent"}, because: consumer},
	"auth":      {may: []string{"message", "store", "workspace"}, because: consumer},
	"ledger":    {may: []string{"message", "store", "event", "internal/crashpoint", "internal/plainjson"}, never: map[string]string{"engine": "charges follow from events, not from whoever made them", "price": "it books what the event says, at the rate used then"}, because: consumer},
	"webhook":   {may: []string{"message", "store", "event", "contact", "workspace", "vault", "internal/"}, never: map[string]string{"engine": "it reads the log: a dead endpoint must hold up nobody"}, because: consumer},

	"media": {may: []string{"message", "channel", "store", "workspace", "contact", "event", "internal/id"}, never: map[string]string{"engine": "a file is kept and opened whether or not anything is sent", "channel/": "providers are reached through the seam", "store/": "SQL is the stores' own"}, because: "it keeps files: what becomes of messages is the engine's"},

	"engine": {
		may:     []string{"message", "channel", "store", "rules", "price", "workspace", "contact", "media", "event", "internal/id", "internal/crashpoint", "internal/plainjson", "engine/"},
		never:   map[string]string{"channel/": policy, "store/": policy, "vault": "it opens what is sealed through workspace and contact, which know whose key it is", "api": "the engine answers its callers and calls none of them", "webhook": "webhooks read the log: the engine does not know them"},
		because: policy,
	},
	"engine/flow":  {may: []string{"message"}, never: map[string]string{"engine/gate": "the life of a delivery is told what a gate decided", "engine/route": "the life of a delivery is told its route"}, because: pure},
	"engine/gate":  {may: []string{"message", "rules"}, because: pure},
	"engine/pace":  {may: []string{"message"}, because: pure},
	"engine/route": {may: []string{"message", "rules", "price", "engine/gate"}, because: pure},

	"callback": {may: []string{"message", "channel", "store", "engine"}, never: map[string]string{"channel/": "providers are reached through the seam"}, because: "it verifies, keeps the raw bytes and hands over: nothing more before the provider has its answer"},
	"api": {
		may:     []string{"message", "channel", "store", "engine", "auth", "contact", "workspace", "media", "event", "privacy", "ledger", "rules", "price", "vault", "internal/id", "api/"},
		never:   map[string]string{"channel/": "providers are reached through the seam", "store/": "SQL is the stores' own", "webhook": "both read the same log; neither calls the other"},
		because: edge,
	},
	"api/internal": {because: "it reads JSON and knows no business"},

	"sandbox": {may: []string{"smpp/"}, because: asOthers},
	"bench":   {may: []string{"message", "sandbox/", "internal/pgtest", "internal/port"}, never: map[string]string{"engine": "it measures from outside, as a client and a provider see it"}, because: "it measures the program from outside"},
	"scripts": {because: "tools of the build stand outside the house"},

	"scripts/channels":     {may: []string{"message", "channel", "channel/"}, because: "it writes what the channels say of themselves"},
	"scripts/kannel-bench": {may: []string{"bench", "sandbox/", "smpp/"}, because: "it measures a peer with the very load and sink that measure us"},
	"app":                  {may: []string{"*"}, never: map[string]string{"cmd/": "the wiring does not know who starts it"}},
	"cmd":                  {may: []string{"*"}},
	"test":                 {may: []string{"*"}},
}

// roomOf gives the room a package belongs to.
func roomOf(pkg string) (string, bool) {
	for p := pkg; ; {
		if _, ok := rooms[p]; ok {
			return p, true
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			return "", false
		}
		p = p[:i]
	}
}

func matches(pattern, pkg string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/"); ok {
		return within(pkg, dir)
	}
	return pattern == "*" || pattern == pkg
}

// allowed says whether one package may import another, and if not why.
func allowed(from, to string) (ok bool, because string) {
	name, ok := roomOf(from)
	if !ok {
		return false, "the folder has no line in rooms: decide what it may import, and why not the rest"
	}
	if name == "app" || name == "cmd" || name == "test" {
		if matches("cmd/", to) && name == "app" {
			return false, rooms[name].never["cmd/"]
		}
		return true, ""
	}
	if matches("app/", to) || matches("cmd/", to) {
		return false, edge
	}
	if own, _ := roomOf(to); own == name {
		return true, ""
	}
	r := rooms[name]
	for _, m := range r.may {
		if matches(m, to) {
			return true, ""
		}
	}
	best := -1
	because = r.because
	for n, why := range r.never {
		if matches(n, to) && len(n) > best {
			best, because = len(n), why
		}
	}
	return false, because
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		if strings.HasSuffix(s.name, "_test.go") {
			continue
		}
		if _, ok := roomOf(s.dir()); !ok {
			t.Errorf("%s: the folder has no line in rooms", s.name)
		}
		for _, to := range s.imports() {
			if ok, because := allowed(s.dir(), to); !ok {
				t.Errorf("%s imports %s, which it must not: %s", s.name, to, because)
			}
		}
	}
}

// Tests may reach further (a real store, a pretend provider), but not
// everywhere.
func TestImportsOfTests(t *testing.T) {
	for _, s := range sources(t) {
		from := s.dir()
		for _, to := range s.imports() {
			suite := to == "store/storetest" || to == "channel/channeltest"
			test := strings.HasSuffix(s.name, "_test.go")
			switch {
			case suite && !test:
				t.Errorf("%s imports %s: suites are imported by tests only, or they would ship", s.name, to)
			case !test:
			case matches("app/", to) && !within(from, "app") && !within(from, "cmd") && !within(from, "test"):
				t.Errorf("%s imports %s: %s", s.name, to, edge)
			case within(from, "store/sqlite") && to == "store/postgres", within(from, "store/postgres") && to == "store/sqlite":
				t.Errorf("%s imports %s: %s", s.name, to, dialect)
			case within(from, "channel/sms") && to == "channel/whatsapp", within(from, "channel/whatsapp") && to == "channel/sms":
				t.Errorf("%s imports %s: %s", s.name, to, deletable)
			case within(from, "sandbox") && matches("channel/", to):
				t.Errorf("%s imports %s: %s", s.name, to, asOthers)
			}
		}
	}
}

// What the pure rooms may not touch, whoever made it.
func TestPureRooms(t *testing.T) {
	world := []string{"os", "net", "net/http", "database/sql", "log", "log/slog", "sync", "context", "math/rand", "math/rand/v2", "crypto/rand"}
	for _, s := range sources(t) {
		name, _ := roomOf(s.dir())
		switch name {
		case "message", "engine/flow", "engine/gate", "engine/pace", "engine/route":
		default:
			continue
		}
		if s.test() {
			continue
		}
		for _, i := range s.file.Imports {
			p := strings.Trim(i.Path.Value, `"`)
			for _, w := range world {
				if p == w {
					t.Errorf("%s imports %s: %s", s.name, p, pure)
				}
			}
			if strings.Contains(p, ".") && !strings.HasPrefix(p, module) {
				t.Errorf("%s imports %s: the ground stands on the standard library alone", s.name, p)
			}
		}
	}
	for _, s := range sources(t) {
		if !within(s.dir(), "engine") || s.test() {
			continue
		}
		for _, i := range s.file.Imports {
			switch p := strings.Trim(i.Path.Value, `"`); p {
			case "net/http", "database/sql":
				t.Errorf("%s imports %s: %s", s.name, p, policy)
			}
		}
	}
}

// The law itself makes sense: it names rooms that are there, and the test can
// fail.
func TestTheLawItself(t *testing.T) {
	there := make(map[string]bool)
	for _, s := range sources(t) {
		for d := s.dir(); d != "."; {
			there[d] = true
			i := strings.LastIndexByte(d, '/')
			if i < 0 {
				break
			}
			d = d[:i]
		}
	}
	names := make([]string, 0, len(rooms))
	for name := range rooms {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		r := rooms[name]
		if !there[name] && name != "test" {
			t.Errorf("%s has a law and no code", name)
		}
		if r.because == "" && len(r.may) == 0 {
			t.Errorf("%s: no reason", name)
		}
	}
	for _, c := range [][2]string{
		{"engine", "channel/whatsapp"},
		{"engine", "store/sqlite"},
		{"engine", "vault"},
		{"message", "store"},
		{"store/sqlite", "store/postgres"},
		{"sandbox/whatsapp", "channel"},
		{"channel/sms", "channel/whatsapp"},
		{"channel/sms", "engine"},
		{"webhook", "engine"},
		{"api", "app"},
		{"engine/flow", "engine/gate"},
		{"smpp/gsm", "message"},
		{"app", "cmd/parley"},
		{"nowhere", "message"},
		{"vault", "store"},
	} {
		if ok, because := allowed(c[0], c[1]); ok || because == "" {
			t.Errorf("%s may import %s (%q)", c[0], c[1], because)
		}
	}
	for _, c := range [][2]string{{"engine", "engine/flow"}, {"smpp", "smpp/gsm"}, {"channel/sms", "smpp/gsm"}, {"app", "store/sqlite"}, {"sandbox/smsc", "smpp"}} {
		if ok, because := allowed(c[0], c[1]); !ok {
			t.Errorf("%s may not import %s: %s", c[0], c[1], because)
		}
	}
}
