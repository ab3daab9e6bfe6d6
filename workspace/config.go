package workspace

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// A Config is a workspace's configuration at one version, ready to look
// things up in. It never changes: hold it for one decision and guard the
// write with its Version.
type Config struct {
	store.Configuration
	Settings Settings

	senders    map[message.SenderID]*store.Sender
	byChannel  map[message.Channel][]*store.Sender
	byAddress  map[addressKey]*store.Sender
	connectors map[message.ConnectorID]*store.Connector
	templates  map[templateKey][]*store.Template
}

type addressKey struct {
	channel message.Channel
	address string
}

type templateKey struct {
	sender   message.SenderID
	name     string
	language string
}

// newConfig indexes a configuration. Settings are read leniently: what a newer
// Parley wrote must not stop an older one.
func newConfig(in *store.Configuration) (*Config, error) {
	settings, err := readSettings(in.Settings)
	if err != nil {
		return nil, err
	}
	c := &Config{
		Configuration: *in, Settings: settings,
		senders:    make(map[message.SenderID]*store.Sender, len(in.Senders)),
		byChannel:  make(map[message.Channel][]*store.Sender),
		byAddress:  make(map[addressKey]*store.Sender, len(in.Senders)),
		connectors: make(map[message.ConnectorID]*store.Connector, len(in.Connectors)),
		templates:  make(map[templateKey][]*store.Template, len(in.Templates)),
	}
	c.Senders = slices.SortedFunc(slices.Values(in.Senders), func(a, b *store.Sender) int {
		return cmp.Compare(string(a.ID[:]), string(b.ID[:]))
	})
	for _, s := range c.Senders {
		c.senders[s.ID] = s
		c.byChannel[s.Channel] = append(c.byChannel[s.Channel], s)
		if key := (addressKey{s.Channel, s.Address}); c.byAddress[key] == nil {
			c.byAddress[key] = s
		}
	}
	for _, one := range in.Connectors {
		c.connectors[one.ID] = one
	}
	bases := make(map[string][]string) // variant → names it stands for
	for base, variants := range settings.TemplateVariants {
		for _, v := range variants {
			bases[v] = append(bases[v], base)
		}
	}
	for _, t := range in.Templates {
		names := append([]string{t.Name}, bases[t.Name]...)
		if base, ok := variantOf(t.Name); ok {
			names = append(names, base)
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			key := templateKey{t.Sender, name, t.Language}
			c.templates[key] = append(c.templates[key], t)
		}
	}
	for _, list := range c.templates {
		slices.SortFunc(list, byTTL)
	}
	return c, nil
}

// variantOf gives the base name of "name_ttl<seconds>".
func variantOf(name string) (string, bool) {
	at := strings.LastIndex(name, "_ttl")
	if at <= 0 {
		return "", false
	}
	if _, err := strconv.ParseUint(name[at+len("_ttl"):], 10, 31); err != nil {
		return "", false
	}
	return name[:at], true
}

// byTTL orders variants by how long the provider keeps trying. No TTL is the
// provider's default, the longest there is.
func byTTL(a, b *store.Template) int {
	const forever = time.Duration(1<<63 - 1)
	ttl := func(t *store.Template) time.Duration {
		if t.TTL <= 0 {
			return forever
		}
		return t.TTL
	}
	return cmp.Or(cmp.Compare(ttl(a), ttl(b)), cmp.Compare(a.Name, b.Name))
}

// Sender gives a sender, or nil.
func (c *Config) Sender(id message.SenderID) *store.Sender { return c.senders[id] }

// SendersOf gives the senders of a channel, oldest first: the first is the
// default. The slice is shared: do not change it.
func (c *Config) SendersOf(ch message.Channel) []*store.Sender { return c.byChannel[ch] }

// SenderByAddress gives the sender that messages to this end of the brand come
// to, or nil. Of two with one address it gives the older.
func (c *Config) SenderByAddress(ch message.Channel, address string) *store.Sender {
	return c.byAddress[addressKey{ch, address}]
}

// Connector gives a connector account, or nil.
func (c *Config) Connector(id message.ConnectorID) *store.Connector { return c.connectors[id] }

// Templates gives every variant of a template: the one of that name, those
// named with the suffix _ttl<seconds>, and those that
// Settings.TemplateVariants lists under the name; shortest time-to-live
// first, those with the provider's default last, in whatever review state.
// The slice is shared: do not change it.
func (c *Config) Templates(sender message.SenderID, name, language string) []*store.Template {
	return c.templates[templateKey{sender, name, language}]
}

// Config gives the snapshot of a workspace's configuration, from memory after
// the first time. It fails with store.ErrNotFound.
func (r *Registry) Config(ctx context.Context, ws message.WorkspaceID) (*Config, error) {
	r.mu.RLock()
	c := r.configs[ws]
	r.mu.RUnlock()
	if c != nil {
		return c, nil
	}
	if _, err := r.Get(ctx, ws); err != nil {
		return nil, err
	}
	return r.load(ctx, ws)
}

// load reads a configuration; a newer one already held wins.
func (r *Registry) load(ctx context.Context, ws message.WorkspaceID) (*Config, error) {
	rows, err := r.store.Configuration(ctx, ws)
	if err != nil {
		return nil, err
	}
	c, err := newConfig(rows)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.configs[ws]; old != nil && old.Version > c.Version {
		return old, nil
	}
	r.configs[ws] = c
	return c, nil
}

// Refresh brings in what changed in the store since the snapshots were taken,
// keys included, and makes the daily keys of tomorrow. The application calls
// it every second and after a Guarded verdict; it reads one small row per
// workspace when nothing changed.
func (r *Registry) Refresh(ctx context.Context) error {
	versions, err := r.store.ConfigVersions(ctx)
	if err != nil {
		return err
	}
	var changed []message.WorkspaceID
	r.mu.RLock()
	for ws, c := range r.configs {
		if versions[ws] != c.Version {
			changed = append(changed, ws)
		}
	}
	r.mu.RUnlock()
	var errs []error
	for _, ws := range changed {
		if err := r.Reload(ctx, ws); err != nil {
			errs = append(errs, err)
		}
		if _, err := r.load(ctx, ws); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, r.prepareDays(ctx))...)
}

// Stale drops the snapshot of a workspace's configuration: the next Config
// reads the store.
func (r *Registry) Stale(ws message.WorkspaceID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.configs, ws)
}
