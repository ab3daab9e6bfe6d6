package workspace

import (
	"context"
	"errors"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

// keptDays is how many daily keys live at once: today's and the six before, so
// that nothing sealed under one can be read after seven days (law 8).
const keptDays = 7

// SealDay seals a value under the workspace's key of the day of now. purpose
// names table and column, id the row; both must be the same at OpenDay. The
// value can be read for seven days at most.
func (r *Registry) SealDay(ctx context.Context, ws message.WorkspaceID, now time.Time, purpose string, id [16]byte, plain []byte) (day int32, sealed []byte, err error) {
	w, err := r.Get(ctx, ws)
	if err != nil {
		return 0, nil, err
	}
	d := vault.DayOf(now)
	s, err := w.Keys.Day(d)
	if err != nil {
		if err := r.ensureDay(ctx, w, d); err != nil {
			return 0, nil, err
		}
		if s, err = w.Keys.Day(d); err != nil {
			return 0, nil, err
		}
	}
	var aad [64]byte
	return int32(d), s.Seal(nil, vault.AppendAAD(aad[:0], purpose, id[:]), plain), nil
}

// OpenDay opens what SealDay sealed; the day is also written in the value. It
// fails with *vault.MissingKeyError once the key of that day was purged.
func (r *Registry) OpenDay(ctx context.Context, ws message.WorkspaceID, _ int32, purpose string, id [16]byte, sealed []byte) ([]byte, error) {
	w, err := r.Get(ctx, ws)
	if err != nil {
		return nil, err
	}
	var aad [64]byte
	var plain []byte
	err = r.Retry(ctx, ws, func() error {
		plain, err = w.Keys.OpenDay(nil, vault.AppendAAD(aad[:0], purpose, id[:]), sealed)
		return err
	})
	return plain, err
}

// ensureDay makes the key of a day unless the store has it.
func (r *Registry) ensureDay(ctx context.Context, w *Workspace, day vault.Day) error {
	r.dayMu.Lock()
	defer r.dayMu.Unlock()
	if _, err := w.Keys.Day(day); err == nil {
		return nil
	}
	if err := r.Reload(ctx, w.ID); err != nil {
		return err
	}
	if _, err := w.Keys.Day(day); err == nil {
		return nil
	}
	made := w.Keys.NewDay(day)
	if err := r.store.PutKeys(ctx, []store.WrappedKey{dayRow(made, r.now())}); err != nil {
		return err
	}
	return r.Reload(ctx, w.ID)
}

// PurgeDays destroys the daily keys whose data has reached its seven days, in
// the store and in memory, and gives how many rows went. Call it at least once
// an hour.
func (r *Registry) PurgeDays(ctx context.Context, now time.Time) (int, error) {
	before := vault.DayOf(now) - (keptDays - 1)
	n, err := r.store.DeleteDays(ctx, int32(before))
	if err != nil {
		return 0, err
	}
	for _, w := range r.open() {
		w.Keys.DropDays(before)
	}
	return n, nil
}

// prepareDays makes the key of the coming day for every open workspace half a
// day ahead, so that the first callback after midnight waits for nobody and
// nodes have settled on one key long before its use.
func (r *Registry) prepareDays(ctx context.Context) error {
	next := vault.DayOf(r.now().Add(12 * time.Hour))
	r.dayMu.Lock()
	done := r.ahead >= next
	r.dayMu.Unlock()
	if done {
		return nil
	}
	var errs []error
	for _, w := range r.open() {
		if _, err := w.Keys.Day(next); err != nil {
			errs = append(errs, r.ensureDay(ctx, w, next))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.dayMu.Lock()
	r.ahead = next
	r.dayMu.Unlock()
	return nil
}

// SealWorkspace seals what belongs to the workspace rather than to a person or
// a day: credentials, webhook secrets. purpose and id are as at SealDay.
func (r *Registry) SealWorkspace(ctx context.Context, ws message.WorkspaceID, purpose string, id [16]byte, plain []byte) ([]byte, error) {
	w, err := r.Get(ctx, ws)
	if err != nil {
		return nil, err
	}
	return w.Keys.Seal(nil, vault.AppendAAD(nil, purpose, id[:]), plain), nil
}

// OpenWorkspace opens what SealWorkspace sealed.
func (r *Registry) OpenWorkspace(ctx context.Context, ws message.WorkspaceID, purpose string, id [16]byte, sealed []byte) ([]byte, error) {
	w, err := r.Get(ctx, ws)
	if err != nil {
		return nil, err
	}
	var plain []byte
	err = r.Retry(ctx, ws, func() error {
		plain, err = w.Keys.Open(nil, vault.AppendAAD(nil, purpose, id[:]), sealed)
		return err
	})
	return plain, err
}
