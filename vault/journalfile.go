package vault

import (
	"errors"
	"io/fs"
	"os"
	"sync"
)

// A Journal is the erasure journal open for writing: an append-only file
// outside the database and its backups. Each node has its own; it is locked
// against a second writer where the system can. It is safe for concurrent use.
//
// The order of an erasure is: Append, then the transaction that destroys the
// contact's key and stores the head. A crash between the two leaves a line
// after the database's head, and erasing everyone after it at start completes
// the work.
type Journal struct {
	hidden
	mu   sync.Mutex
	in   *Installation
	path string
	file *os.File
	head JournalHead
	size int64
	bad  error // set when a write may have left bytes of unknown state
}

// ErrJournalBroken is returned after a write or flush of the journal failed,
// or when the file was changed or replaced by someone else. What was being
// appended may or may not be durable: open the journal again and append again;
// a person erased twice is no harm.
var ErrJournalBroken = errors.New("vault: the erasure journal must be opened again")

// ErrJournalLocked is returned when another process has the journal open.
var ErrJournalLocked = errors.New("vault: the erasure journal is open in another process")

// OpenJournal opens the journal at path, creating it (mode 0600) if there is
// none, verifies all of it as ReadJournal does (visit may be nil) and cuts off
// a torn last line. It fails with *JournalError, ErrJournalLocked or the
// system's error.
func OpenJournal(path string, in *Installation, known JournalHead, visit func(Erasure) error) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{in: in, path: path, file: file}
	if err := j.load(known, visit); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return j, nil
}

func (j *Journal) load(known JournalHead, visit func(Erasure) error) error {
	if err := lockFile(j.file); err != nil {
		return err
	}
	if visit == nil {
		visit = func(Erasure) error { return nil }
	}
	var err error
	if j.head, j.size, err = j.in.readJournal(j.file, known, visit); err != nil {
		return err
	}
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > j.size {
		if err := j.file.Truncate(j.size); err != nil {
			return err
		}
	}
	// Lines that were read may still be only in memory of a machine that lost
	// its writer; what we vouch for is durable first.
	if err := j.file.Sync(); err != nil {
		return err
	}
	return syncDir(j.path)
}

// Head is the last line written.
func (j *Journal) Head() JournalHead {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head
}

// Append writes one erasure and returns the new head once it would survive a
// power cut. Each has its own flush (0.2 ms and more), so that never more than
// the last line can be torn. On an error it does not count as written;
// ErrJournalBroken is permanent for this Journal.
func (j *Journal) Append(e Erasure) (JournalHead, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.bad != nil {
		return j.head, j.bad
	}
	line, head, err := j.in.encodeLine(j.head, e)
	if err != nil {
		return j.head, err
	}
	if err := j.unchanged(); err != nil {
		return j.head, j.broken(err)
	}
	if _, err := j.file.Write(line); err != nil {
		return j.head, j.broken(err)
	}
	// After a failed flush the system may have dropped the pages and call the
	// next one a success: never try again on the same file.
	if err := j.file.Sync(); err != nil {
		return j.head, j.broken(err)
	}
	j.head = head
	j.size += int64(len(line))
	return head, nil
}

// unchanged makes sure that path still is our file with our bytes: a second
// writer, a rotated log or a restored copy would break the chain in silence.
func (j *Journal) unchanged() error {
	ours, err := j.file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(j.path)
	if err != nil {
		return err
	}
	if !os.SameFile(ours, there) || ours.Size() != j.size {
		return errors.New("the file was changed or replaced")
	}
	return nil
}

func (j *Journal) broken(err error) error {
	j.bad = errors.Join(ErrJournalBroken, err)
	return j.bad
}

// Close closes the file; harmless twice.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.bad = fs.ErrClosed
	if err := j.file.Close(); !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}
