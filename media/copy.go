package media

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

type copyKey struct {
	ws        message.WorkspaceID
	id        message.MediaID
	connector message.ConnectorID
}

type copyAt struct{ provider string }

// copyMargin is how long before its end a copy is made anew: a message may wait
// in the provider's queue.
const copyMargin = 24 * time.Hour

// Copy gives the id of a file's copy at a provider, uploading it the first time
// and again before the provider lets go of it. It fails with store.ErrNotFound,
// as the Uploader does, and as the store does.
func (k *Keeper) Copy(ctx context.Context, ws message.WorkspaceID, id message.MediaID, connector message.ConnectorID, to channel.Uploader) (string, error) {
	key := copyKey{ws, id, connector}
	if c, ok := k.copies.get(key, k.o.Now()); ok {
		if _, err := k.Known(ctx, ws, id); err != nil {
			return "", err // deleted since
		}
		return c.provider, nil
	}
	lock, _ := k.locks.LoadOrStore(key, new(sync.Mutex))
	mu := lock.(*sync.Mutex)
	mu.Lock()
	defer func() { k.locks.Delete(key); mu.Unlock() }()
	if c, ok := k.copies.get(key, k.o.Now()); ok {
		return c.provider, nil // another message of the same moment uploaded it
	}
	f, content, err := k.Open(ctx, ws, id)
	if err != nil {
		return "", err
	}
	now := k.o.Now()
	row, err := k.o.Store.MediaCopy(ctx, ws, id, connector)
	switch {
	case err == nil && now.Add(copyMargin).Before(row.ExpiresAt):
		plain, err := k.open(ctx, content.m, sealCopy, row.Sealed)
		if err == nil {
			k.remember(key, f, string(plain), row.ExpiresAt)
			return string(plain), nil
		}
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return "", err
	}
	provider, err := to.Upload(ctx, f.MIME, f.Name, content)
	if err != nil {
		return "", err
	}
	row = &store.MediaCopy{Workspace: ws, Media: id, Connector: connector, ExpiresAt: now.Add(copyFor)}
	if row.Sealed, err = k.seal(ctx, content.m, sealCopy, []byte(provider)); err != nil {
		return "", err
	}
	if err := k.o.Store.PutCopy(ctx, row); err != nil {
		return "", err
	}
	k.remember(key, f, provider, row.ExpiresAt)
	return provider, nil
}

// remember keeps a copy's id in memory, of the brand's own files only.
func (k *Keeper) remember(key copyKey, f *File, provider string, until time.Time) {
	if f.Contact.IsZero() {
		k.copies.put(key, copyAt{provider}, until.Add(-copyMargin))
	}
}
