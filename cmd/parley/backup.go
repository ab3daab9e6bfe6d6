package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-messaging/parley/store/sqlite"
)

type backupCmd struct {
	databaseFlags
	adminFlag
	To   string `arg:"" help:"File to write; it must not exist." type:"path"`
	JSON bool   `name:"json" help:"Print JSON."`
}

var errNotEmbedded = errors.New("this is for the embedded database: copy PostgreSQL with its own tools (pg_basebackup, pg_dump), and keep the master key and the erasure journal apart from the copies")

// Run writes a consistent copy, through the server when one runs.
func (c *backupCmd) Run(ctx context.Context) error {
	o := c.options()
	path, embedded := file(&o)
	if !embedded {
		return errNotEmbedded
	}
	to, err := filepath.Abs(c.To)
	if err != nil {
		return err
	}
	began := time.Now()
	done := spin("copying the database")
	s, err := sqlite.Open(ctx, path, sqlite.Options{Now: time.Now})
	switch {
	case held(err):
		err = c.inner().call(ctx, "POST", "/backup?path="+url.QueryEscape(to), nil, nil)
		if err != nil {
			err = fmt.Errorf("a server holds the database and its admin address %s was asked: %w", c.Admin, err)
		}
	case err == nil:
		err = errors.Join(s.Backup(ctx, to), s.Close())
	default:
		err = explain(err)
	}
	done()
	if err != nil {
		return err
	}
	info, err := os.Stat(to)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(map[string]any{"path": to, "bytes": info.Size(), "seconds": time.Since(began).Seconds()})
	}
	fmt.Printf("%s: %.1f MB in %s\n", to, float64(info.Size())/1e6, time.Since(began).Round(time.Millisecond))
	fmt.Printf("It is of no use without the master key (%s): keep that apart. The erasure journal (%s) belongs to no backup: it erases again after a restore.\n", o.MasterKeyFile, o.Journal)
	return nil
}

type restoreCmd struct {
	databaseFlags
	From string `arg:"" help:"The copy that parley backup made." type:"existingfile"`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run puts a copy in the place of the database.
func (c *restoreCmd) Run(ctx context.Context) error {
	o := c.options()
	path, embedded := file(&o)
	if !embedded {
		return errNotEmbedded
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	done := spin("restoring")
	err := sqlite.Restore(ctx, c.From, path, sqlite.Options{Now: time.Now, Migrate: true, Log: slog.New(slog.DiscardHandler)})
	done()
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: a restore writes over nothing; stop the server and move the old files (%[2]s, %[2]s-wal, %[2]s-shm) away first", err, path)
	}
	if err != nil {
		return explain(err)
	}
	_, jerr := os.Stat(o.Journal)
	if c.JSON {
		return printJSON(map[string]any{"path": path, "journal": o.Journal, "journal_found": jerr == nil})
	}
	fmt.Printf("%s is restored; readers of events will be told again what followed the copy.\n", path)
	if jerr == nil {
		fmt.Printf("At its next start the server erases again whom %s names.\n", o.Journal)
	} else {
		fmt.Printf("There is no erasure journal at %s: put it back before the server starts, or people erased since the copy are there again.\n", o.Journal)
	}
	return nil
}

// spin shows life on a terminal until done is called.
func spin(what string) (done func()) {
	bar := progress(-1, what)
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				_ = bar.Add(1) // a bar that cannot be drawn is no loss
			case <-quit:
				_ = bar.Finish() // the same
				return
			}
		}
	}()
	return func() { close(quit); <-gone }
}
