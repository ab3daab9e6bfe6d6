package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	zs "zombiezen.com/go/sqlite"

	"github.com/parley-messaging/parley/store"
)

// Backup writes a consistent copy to a path that must not exist yet. Writes go
// on meanwhile; the copy is of the instant the backup began.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("backup to %s: %w", path, os.ErrExist)
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	err = copyPages(s.path, part)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("backup: %w", err), os.Remove(part))
	}
	return publish(part, path)
}

// copyPages copies the database in one reading transaction: in small steps
// every commit of the writer would begin the copy anew.
func copyPages(from, to string) error {
	src, err := newConn(from, zs.OpenReadWrite)
	if err != nil {
		return err
	}
	dst, err := newConn(to, zs.OpenReadWrite)
	if err != nil {
		return errors.Join(err, src.close())
	}
	b, err := zs.NewBackup(dst.c, "main", src.c, "main")
	if err == nil {
		_, err = b.Step(-1)
		err = errors.Join(err, b.Close())
	}
	return errors.Join(err, dst.close(), src.close())
}

// publish gives a finished file its name and makes the name durable.
func publish(part, path string) error {
	if err := os.Rename(part, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Restore makes the store at path from a backup and raises the log's epoch, so
// that no reader's cursor from before the loss skips what is told anew. It
// refuses to write over a database: move the old one away first, with its -wal
// and -shm files. The erasure journal must be replayed after it.
func Restore(ctx context.Context, backup, path string, o Options) error {
	for _, tail := range []string{"", "-wal", "-shm"} {
		if _, err := os.Stat(path + tail); err == nil {
			return fmt.Errorf("restore to %s%s: %w", path, tail, os.ErrExist)
		}
	}
	in, err := os.Open(backup)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer func() { _ = in.Close() }()
	part := path + ".part"
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(fmt.Errorf("restore: %w", err), os.Remove(part))
	}
	// Raised before the file has its name: what is there is whole.
	s, err := Open(ctx, part, o)
	if err == nil {
		_, err = s.Epoch(ctx, true)
		err = errors.Join(err, s.Close())
		_ = os.Remove(part + ".lock") // empty
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if err := publish(part, path); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// Epoch tells the log's epoch and raises it when raise is set: to the seconds
// of the clock, or by one where that is more.
func (s *Store) Epoch(ctx context.Context, raise bool) (epoch int64, err error) {
	if !raise {
		err = s.read(ctx, func(c *conn) error {
			epoch, err = c.count(`SELECT max(epoch) FROM epochs`)
			return err
		})
		return epoch, err
	}
	err = s.write(ctx, 1, func(w *writer) error {
		var err error
		if epoch, err = w.c.count(`SELECT max(epoch) + 1 FROM epochs`); err != nil {
			return err
		}
		// A backup may be restored more than once, and no epoch may come twice.
		epoch = max(epoch, w.s.options.Now().Unix())
		if err := w.flush(); err != nil {
			return err
		}
		w.epoch, w.stale = epoch, true
		return w.c.q(`INSERT INTO epochs (epoch, after) VALUES (?, ?)`).int(epoch).int(w.seq).exec()
	})
	return epoch, err
}

var _ store.Upkeep = (*Store)(nil)
