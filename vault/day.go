package vault

import (
	"encoding/binary"
	"maps"
	"time"
)

const dayLabel = "parley/day-key/v1"

// A Day is a UTC day, counted from 1970-01-01; two bytes last until 2149.
type Day uint16

// DayOf gives the UTC day of t.
func DayOf(t time.Time) Day { return Day(t.Unix() / 86400) }

// Start gives the first moment of the day, in UTC.
func (d Day) Start() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String gives the day as 2006-01-02.
func (d Day) String() string { return d.Start().Format(time.DateOnly) }

func dayAt(b []byte) Day { return Day(binary.BigEndian.Uint16(b)) }

// A WrappedDay is a daily key as the store keeps it; (Workspace, Day) is its
// primary key. Raw callbacks, parked receipts, webhook bodies, stored
// idempotent answers and search tokens are sealed under it; deleting the row
// destroys all of them at once, wherever copies lie. A backup still has the
// row: backups are kept no longer than the privacy notice says.
//
// Format of Bytes (62): 0x13, KEK version 1, nonce 12, key 32, tag 16, with
// workspace, day and KEK version as additional data.
type WrappedDay struct {
	Workspace [16]byte
	Day       Day
	Bytes     []byte
}

// NewDay makes the key of a day. It does not hold it: the caller inserts it
// unless one is there, reads back which one won, and gives that to AddDay, so
// that all nodes use the same. Making tomorrow's key before midnight keeps the
// first callback of a day quick.
func (w *Workspace) NewDay(day Day) WrappedDay {
	key := newKey()
	defer clear(key[:])
	return WrappedDay{Workspace: w.id, Day: day, Bytes: w.wrapUnder(formatWrappedDay, dayLabel, dayBytesOf(day), key)}
}

// AddDay opens a stored daily key and holds it. It fails with ErrFormat,
// *MissingKeyError or ErrOpen; a day already held is left as it is.
func (w *Workspace) AddDay(d WrappedDay) error {
	if d.Workspace != w.id {
		return ErrOpen
	}
	key, err := w.unwrapUnder(formatWrappedDay, dayLabel, KindDay, dayBytesOf(d.Day), d.Bytes)
	if err != nil {
		return err
	}
	defer clear(key[:])
	name := dayBytesOf(d.Day)
	s, err := newSealer(key, formatDay, name[0], name[1])
	if err != nil {
		return err
	}
	return w.change(func(k *workspaceKeys) error {
		if k.days[d.Day] != nil {
			return nil
		}
		days := maps.Clone(k.days)
		if days == nil {
			days = make(map[Day]*Sealer)
		}
		days[d.Day] = s
		k.days = days
		return nil
	})
}

// Day gives the sealer of a UTC day, or a *MissingKeyError when it is not
// held: for today the caller then makes it (NewDay), for a past day it reads
// the store, and what is not there was purged.
//
// Format of what it seals: 0x02, day 2 (big endian), nonce 12, ciphertext,
// tag 16.
func (w *Workspace) Day(day Day) (*Sealer, error) {
	if s := w.keys.Load().days[day]; s != nil {
		return s, nil
	}
	return nil, &MissingKeyError{Workspace: w.id, Kind: KindDay, Day: day}
}

// OpenDay appends the plaintext of a value sealed under any day that is held.
// It fails with ErrFormat, ErrOpen, or *MissingKeyError naming the day.
func (w *Workspace) OpenDay(dst, aad, sealed []byte) ([]byte, error) {
	day, err := SealedDay(sealed)
	if err != nil {
		return nil, err
	}
	s, err := w.Day(day)
	if err != nil {
		return nil, err
	}
	return s.Open(dst, aad, sealed)
}

// SealedDay tells under which day a value was sealed, or ErrFormat.
func SealedDay(sealed []byte) (Day, error) {
	if len(sealed) < dayBytes || sealed[0] != formatDay {
		return 0, ErrFormat
	}
	return dayAt(sealed[1:]), nil
}

// DropDays forgets the keys of all days before the given one and reports how
// many. Every node does it when the rows are purged; a purge that leaves keys
// in memory is not done.
func (w *Workspace) DropDays(before Day) int {
	dropped := 0
	_ = w.change(func(k *workspaceKeys) error {
		days := maps.Clone(k.days)
		maps.DeleteFunc(days, func(d Day, _ *Sealer) bool { return d < before })
		dropped = len(k.days) - len(days)
		k.days = days
		return nil
	})
	return dropped
}

// RewrapDay is Rewrap for a daily key. Seldom needed: they are gone in a week.
func (w *Workspace) RewrapDay(d WrappedDay) (WrappedDay, bool, error) {
	if WrappedVersion(d.Bytes) == w.Version(KindKEK) {
		return d, false, nil
	}
	if d.Workspace != w.id {
		return WrappedDay{}, false, ErrOpen
	}
	key, err := w.unwrapUnder(formatWrappedDay, dayLabel, KindDay, dayBytesOf(d.Day), d.Bytes)
	if err != nil {
		return WrappedDay{}, false, err
	}
	defer clear(key[:])
	d.Bytes = w.wrapUnder(formatWrappedDay, dayLabel, dayBytesOf(d.Day), key)
	return d, true, nil
}

func dayBytesOf(d Day) []byte { return binary.BigEndian.AppendUint16(nil, uint16(d)) }
