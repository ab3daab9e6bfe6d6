package app

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// A Secret is a value that never prints: String gives three stars.
type Secret string

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the value itself.
func (s *Secret) UnmarshalText(b []byte) error { *s = Secret(b); return nil }

// LogValue hides the value from loggers.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Options configure a node. The zero value of each field takes its default;
// the tags are what `parley serve --help` prints.
type Options struct {
	Listen      string `help:"Address of the API." default:"127.0.0.1:8080" env:"PARLEY_LISTEN"`
	AdminListen string `help:"Address of metrics and profiles; \"none\" switches them off." default:"127.0.0.1:8081" env:"PARLEY_ADMIN_LISTEN"`
	Public      string `help:"Base URL under which providers and phones reach this node." env:"PARLEY_PUBLIC_URL"`
	DataDir     string `help:"Folder of the embedded database, keys and the erasure journal." default:"data" env:"PARLEY_DATA_DIR"`
	DatabaseURL string `help:"sqlite:PATH or postgres://…; default: sqlite in the data folder." env:"PARLEY_DATABASE_URL"`
	ListenURL   string `help:"PostgreSQL: direct address for LISTEN, where database-url is a transaction pooler." env:"PARLEY_LISTEN_URL"`
	Pooler      bool   `help:"PostgreSQL: database-url is a transaction pooler such as PgBouncer." env:"PARLEY_POOLER"`
	Migrate     bool   `help:"Bring the schema forward at start." default:"true" negatable:"" env:"PARLEY_MIGRATE"`

	MasterKey     Secret `help:"Master key, base64 or hex of 32 bytes; better: master-key-file." env:"PARLEY_MASTER_KEY"`
	MasterKeyFile string `help:"File of the master key; default: master.key in the data folder, made the first time." env:"PARLEY_MASTER_KEY_FILE"`
	Journal       string `help:"Erasure journal; keep it out of the database's backups. Default: erasures.journal in the data folder." env:"PARLEY_ERASURE_JOURNAL"`
	Node          string `help:"Name of this node, unique among nodes on one database." env:"PARLEY_NODE"`

	WebhookAllow []string      `help:"Networks in CIDR form that webhooks may reach although they are private." env:"PARLEY_WEBHOOK_ALLOW"`
	RateLimit    float64       `help:"API requests a second per workspace and node; 0 = no limit." env:"PARLEY_RATE_LIMIT"`
	Intake       int           `help:"Messages that are taken in at once; more keeps a distant database busy." default:"256" env:"PARLEY_INTAKE"`
	LogLevel     string        `help:"debug, info, warn or error." default:"info" enum:"debug,info,warn,error" env:"PARLEY_LOG_LEVEL"`
	LogFormat    string        `help:"text or json; default: text on a terminal." default:"" enum:",text,json" env:"PARLEY_LOG_FORMAT"`
	StopIn       time.Duration `help:"How long a stop waits for attempts on the wire." default:"20s" env:"PARLEY_STOP_IN"`
	Sandbox      bool          `kong:"-"` // take the sandbox's numbers as phone numbers
	LeaseFor     time.Duration `help:"Life of a connector's lease: a dead node is replaced within it." default:"3s" env:"PARLEY_LEASE_FOR"`
}

// WithDefaults fills what was left out.
func (o Options) WithDefaults() Options {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&o.Listen, "127.0.0.1:8080")
	set(&o.AdminListen, "127.0.0.1:8081")
	set(&o.DataDir, "data")
	set(&o.DatabaseURL, "sqlite:"+filepath.Join(o.DataDir, "parley.db"))
	set(&o.Journal, filepath.Join(o.DataDir, "erasures.journal"))
	set(&o.LogLevel, "info")
	if o.MasterKey == "" {
		set(&o.MasterKeyFile, filepath.Join(o.DataDir, "master.key"))
	}
	if o.StopIn <= 0 {
		o.StopIn = 20 * time.Second
	}
	if o.LeaseFor <= 0 {
		o.LeaseFor = 3 * time.Second
	}
	return o
}

// An OptionError names the option at fault and what to do.
type OptionError struct{ Option, Problem, Remedy string }

// Error implements error.
func (e *OptionError) Error() string { return e.Option + " " + e.Problem + "; " + e.Remedy }

// Validate fails with *OptionError before anything is opened.
func (o *Options) Validate() error {
	if _, _, err := net.SplitHostPort(o.Listen); err != nil {
		return &OptionError{"listen", "is not host:port", "give an address such as 127.0.0.1:8080"}
	}
	if o.AdminListen != "none" {
		if _, _, err := net.SplitHostPort(o.AdminListen); err != nil {
			return &OptionError{"admin-listen", "is not host:port", "give an address such as 127.0.0.1:8081, or none"}
		}
	}
	if _, ok := sqlitePath(o.DatabaseURL); !ok && !strings.HasPrefix(o.DatabaseURL, "postgres://") && !strings.HasPrefix(o.DatabaseURL, "postgresql://") {
		return &OptionError{"database-url", "names no known database", "give sqlite:PATH or postgres://user@host/name"}
	}
	if o.Public != "" {
		u, err := url.Parse(o.Public)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return &OptionError{"public", "is not an http(s) URL", "give the address providers reach, such as https://parley.example"}
		}
	}
	if o.Intake < 0 {
		return &OptionError{"intake", "is below nought", "give how many messages may be taken in at once; 0 = 256"}
	}
	if _, err := o.allowed(); err != nil {
		return err
	}
	return nil
}

func (o *Options) allowed() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range o.WebhookAllow {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, &OptionError{"webhook-allow", "holds something that is no network", "write networks like 10.0.0.0/8"}
		}
		out = append(out, p)
	}
	return out, nil
}

// Print shows every option with secrets hidden, one a line.
func (o *Options) Print() string {
	var b strings.Builder
	for _, line := range [...]struct {
		name  string
		value any
	}{
		{"listen", o.Listen},
		{"admin-listen", o.AdminListen},
		{"public", o.Public},
		{"data-dir", o.DataDir},
		{"database-url", hideURL(o.DatabaseURL)},
		{"listen-url", hideURL(o.ListenURL)},
		{"pooler", o.Pooler},
		{"migrate", o.Migrate},
		{"master-key", o.MasterKey},
		{"master-key-file", o.MasterKeyFile},
		{"journal", o.Journal},
		{"node", o.Node},
		{"webhook-allow", strings.Join(o.WebhookAllow, ",")},
		{"rate-limit", o.RateLimit},
		{"intake", o.Intake},
		{"log-level", o.LogLevel},
		{"log-format", o.LogFormat},
		{"stop-in", o.StopIn},
		{"lease-for", o.LeaseFor},
	} {
		fmt.Fprintf(&b, "%s: %v\n", line.name, line.value)
	}
	return b.String()
}

// hideURL takes the password out of a database URL.
func hideURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "***")
		return strings.Replace(u.String(), "%2A%2A%2A", "***", 1)
	}
	return s
}
