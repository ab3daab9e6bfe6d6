package postgres

import (
	"fmt"
	"log/slog"
	"time"
)

// Options tune a store. The zero value of each field is its default.
type Options struct {
	// URL is postgres://… or a keyword/value string, as libpq reads it.
	URL string
	// ListenURL is a direct address for LISTEN when URL leads through a pooler
	// that gives connections per transaction. Empty with Pooler: nothing is
	// heard of other nodes and the engine lives on its polls.
	ListenURL string
	// Pooler says that URL leads through such a pooler (PgBouncer): no prepared
	// statements are kept and no session settings are relied on.
	Pooler bool
	// Writers is the number of connections that commit groups, 1 to 4; default 2.
	Writers int
	// Readers is the number of connections for everything else; default 8.
	Readers int
	// Group is how many items one commit takes at most; default 1000.
	Group int
	// Backlog is how many items may wait for a commit before writes fail with
	// store.ErrUnavailable; default 20,000.
	Backlog int
	// Statement and Lock are the server's limits for one statement and one wait
	// for a lock; defaults 30 s and 10 s. Wait is the limit for getting a
	// connection; default 5 s.
	Statement, Lock, Wait time.Duration
	// Migrate applies missing migrations at Open.
	Migrate bool
	// Node names this process in hints to others; empty: a random name.
	Node string
	// Log hears of lost connections; nil: nobody does.
	Log *slog.Logger
	// Now is the clock of the caller; mandatory. Leases do not use it: they
	// live on the database's.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	wait := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Writers, 2)
	def(&o.Readers, 8)
	def(&o.Group, 1000)
	def(&o.Backlog, 20_000)
	wait(&o.Statement, 30*time.Second)
	wait(&o.Lock, 10*time.Second)
	wait(&o.Wait, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) validate() error {
	switch {
	case o.URL == "":
		return fmt.Errorf("postgres: no URL")
	case o.Now == nil:
		return fmt.Errorf("postgres: no clock")
	case o.Writers < 1 || o.Writers > 4:
		return fmt.Errorf("postgres: %d writers; want 1 to 4", o.Writers)
	case o.Readers < 2:
		return fmt.Errorf("postgres: %d readers; want 2 at least", o.Readers)
	case o.Group < 1 || o.Backlog < 1:
		return fmt.Errorf("postgres: group %d and backlog %d must be positive", o.Group, o.Backlog)
	case o.Statement < 0 || o.Lock < 0 || o.Wait < 0:
		return fmt.Errorf("postgres: limits must be positive")
	}
	return nil
}
