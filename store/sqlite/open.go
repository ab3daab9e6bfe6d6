package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	zs "zombiezen.com/go/sqlite"

	"github.com/parley-messaging/parley/store"
)

// ErrLocked says that another process has the store open.
var ErrLocked = errors.New("another process has this database open: stop it first, or use PostgreSQL for several nodes")

// The write-ahead log is copied into the file when it has this many pages
// (40 MB): fewer, larger copies were half as dear with millions of rows.
const checkpointPages = 10_000

// Only the keeper's copying can make a connection wait.
const busyTimeout = 5 * time.Second

// openWriter opens the writing connection with settings that survive a power
// cut, reads them back and checks the schema.
func openWriter(ctx context.Context, path string, o Options) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := private(path, o.Migrate); err != nil {
		return nil, err
	}
	c, err := openGathering(path, zs.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	if err := setUp(c, o); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// private makes the file, readable by its owner only, before SQLite would.
func private(path string, create bool) error {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, os.ErrNotExist) && !create {
		return fmt.Errorf("%w: there is no database yet; run `parley migrate`", store.ErrSchema)
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

func setUp(c *conn, o Options) error {
	c.c.SetBusyTimeout(busyTimeout)
	for _, setting := range []string{
		"journal_mode = WAL",
		"synchronous = FULL", // a commit waits for the disk
		"foreign_keys = ON",
		"secure_delete = ON", // erased content is overwritten
		// Checkpoints are the keeper's work; this is the brake if it fails.
		fmt.Sprintf("wal_autocheckpoint = %d", 4*checkpointPages),
		fmt.Sprintf("cache_size = -%d", o.Cache),
		"temp_store = MEMORY",
		"trusted_schema = OFF",
	} {
		if err := c.set(setting); err != nil {
			return fmt.Errorf("PRAGMA %s: %w", setting, err)
		}
	}
	if o.weak {
		if err := c.set("synchronous = NORMAL"); err != nil {
			return err
		}
	}
	if err := durable(c); err != nil {
		return err
	}
	if err := checkSchema(c, o.Migrate); err != nil {
		return err
	}
	if o.pages > 0 {
		if err := c.set(fmt.Sprintf("max_page_count = %d", o.pages)); err != nil {
			return err
		}
	}
	if o.readOnly {
		return c.set("query_only = ON")
	}
	return nil
}

// durable reads the settings back: a build or a file system may not keep them.
func durable(c *conn) error {
	s := c.q(`PRAGMA journal_mode`)
	if _, err := s.row(); err != nil {
		return err
	}
	mode := s.str(0)
	s.done()
	if mode != "wal" {
		return fmt.Errorf("%w: journal_mode is %s, not wal (is the file on a network disk?)", store.ErrWeak, mode)
	}
	for name, least := range map[string]int64{"synchronous": 2, "secure_delete": 1, "foreign_keys": 1} {
		v, err := c.pragma(name)
		if err != nil {
			return err
		}
		if v < least {
			return fmt.Errorf("%w: %s is %d, want %d", store.ErrWeak, name, v, least)
		}
	}
	return nil
}

func openReader(path string) (*conn, error) {
	c, err := newConn(path, zs.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	c.c.SetBusyTimeout(busyTimeout)
	for _, setting := range []string{"query_only = ON", "cache_size = -1024", "temp_store = MEMORY", "trusted_schema = OFF"} {
		if err := c.set(setting); err != nil {
			return nil, errors.Join(fmt.Errorf("PRAGMA %s: %w", setting, err), c.close())
		}
	}
	return c, nil
}

// set runs a PRAGMA to its end.
func (c *conn) set(setting string) error {
	s, _, err := c.c.PrepareTransient("PRAGMA " + setting)
	if err != nil {
		return err
	}
	for more := true; more && err == nil; {
		more, err = s.Step()
	}
	return errors.Join(err, s.Finalize())
}
