package vault

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrOpen is returned when a sealed or wrapped value does not open: the key is
// another one, the additional data names another place, or bytes were altered.
// Which of these it was cannot be known.
var ErrOpen = errors.New("vault: value does not open: wrong key, wrong place or altered")

// ErrFormat is returned for bytes that are no value of the wanted kind at all:
// too short, or an unknown format byte.
var ErrFormat = errors.New("vault: not a sealed value of this kind")

// ErrClosed is returned by a key that is the zero value or was closed.
var ErrClosed = errors.New("vault: the key is closed")

// ErrVersions is returned when a key of a workspace was renewed 255 times:
// versions are one byte.
var ErrVersions = errors.New("vault: no key version left")

// MissingKeyError says that a value needs a key that is not held in memory.
// For a workspace or daily key the caller reads the keys from the store again
// and retries once: another node may have made the key. If the store does not
// have it either, the key was purged and the value is gone for ever.
type MissingKeyError struct {
	Workspace [16]byte // zero for installation keys
	Kind      Kind
	Version   uint8  // zero when any version would do
	Day       Day    // set for KindDay
	MasterID  string // set when it is the master key that is missing
}

// Error names the key, never its bytes.
func (e *MissingKeyError) Error() string {
	switch {
	case e.MasterID != "":
		return "vault: " + string(e.Kind) + " key is wrapped by master key " + strconv.Quote(e.MasterID) +
			", which was not given (add it after the current one)"
	case e.Kind == KindDay:
		return "vault: daily key of " + e.Day.String() + " is not held (never made, not loaded, or purged)"
	}
	return fmt.Sprintf("vault: %s key version %d is not held (never made, not loaded, or retired)", e.Kind, e.Version)
}

// MasterError says why a master key was refused and what to do. It never
// repeats the key.
type MasterError struct {
	Path    string // empty for a key given by value
	Problem string
	Remedy  string
	Err     error // the system's error, may be nil
}

// Error gives path, problem and remedy in one line.
func (e *MasterError) Error() string {
	s := "vault: master key"
	if e.Path != "" {
		s += " file " + e.Path
	}
	s += ": " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Remedy != "" {
		s += " (hint: " + e.Remedy + ")"
	}
	return s
}

// Unwrap gives the system's error.
func (e *MasterError) Unwrap() error { return e.Err }

// JournalError says that an erasure journal is not what was written: altered,
// cut in the middle, or shorter than what the database remembers. Entries
// before Line are genuine.
type JournalError struct {
	Line    uint64 // 1 is the first
	Problem string
	Err     error // may be nil
}

// Error gives the line and the problem.
func (e *JournalError) Error() string {
	s := "vault: erasure journal, line " + strconv.FormatUint(e.Line, 10) + ": " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause, if any.
func (e *JournalError) Unwrap() error { return e.Err }
