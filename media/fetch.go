package media

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const (
	claimFor = 5 * time.Minute // longer than fetchFor: nobody else begins meanwhile
	fetchFor = 3 * time.Minute // one try
	maxTries = 14              // with backoff: about the day in which a provider mends itself
)

// Expect gives the row of a file that a person sent and a provider holds, to be
// stored in the write that stores the message; it sets att.ID. p may be a draft.
func (k *Keeper) Expect(p *contact.Person, msg message.MessageID, from message.ConnectorID, att *message.Media) (*store.MediaFile, error) {
	now := k.o.Now()
	if att.ID.IsZero() {
		att.ID = message.MediaID(k.o.IDs.Next(now))
	}
	m := &store.MediaFile{
		ID: att.ID, Workspace: p.Workspace, Contact: p.ID, Message: msg, Connector: from, Type: att.Type, MIME: baseType(att.MIME),
		State: store.MediaWaiting, NextAt: now, CreatedAt: now, ExpiresAt: now.Add(k.o.InboundFor),
	}
	raw, err := json.Marshal(&facts{Name: fileName(att.Filename), Provider: att.Provider})
	if err != nil {
		return nil, err
	}
	m.Sealed, err = p.Seal(sealFacts, m.ID, raw)
	return m, err
}

// Claim takes files that wait to be fetched, for this node alone.
func (k *Keeper) Claim(ctx context.Context, limit int) ([]*store.MediaFile, error) {
	now := k.o.Now()
	return k.o.Store.ClaimMedia(ctx, now, now.Add(claimFor), limit)
}

// errSum is a file that arrived other than the provider says it is.
var errSum = errors.New("media: the file arrived broken")

// Fetch fetches a claimed file and stores how that ended: it is ready
// (media.ready), it is lost (media.lost), or it is tried again later. from may
// be nil: the account is not open now. The error is the store's; the fetch's own
// is logged.
func (k *Keeper) Fetch(ctx context.Context, m *store.MediaFile, from channel.Fetcher) error {
	f, err := k.facts(ctx, m)
	if err != nil {
		if errors.Is(err, contact.ErrErased) || errors.Is(err, store.ErrNotFound) {
			return nil // erased meanwhile, with its row
		}
		return err
	}
	if from != nil {
		try, cancel := context.WithTimeout(ctx, fetchFor)
		err = k.take(try, m, &f, from)
		cancel()
	} else {
		err = errors.New("media: the account is not open")
	}
	now := k.o.Now()
	var fault *message.Fault
	var refused *RefusedError
	switch {
	case err == nil:
		m.State, m.NextAt = store.MediaReady, time.Time{}
	case ctx.Err() != nil:
		return ctx.Err() // the claim ends, and the next node begins
	case errors.Is(err, store.ErrNotFound):
		return nil // deleted meanwhile
	case errors.As(err, &refused), errors.As(err, &fault) && fault.Kind == message.Refused && fault.Certain, m.Tries >= maxTries, k.expired(m):
		m.State, m.NextAt = store.MediaLost, time.Time{}
		k.o.Log.Warn("a file a person sent is lost", "media", m.ID, "connector", m.Connector, "tries", m.Tries, "error", err)
	default:
		m.NextAt = now.Add(min(5*time.Second<<min(m.Tries, 10), 2*time.Hour))
		k.o.Log.Info("a file a person sent is tried again", "media", m.ID, "connector", m.Connector, "tries", m.Tries, "error", err)
		return k.o.Store.SetMedia(ctx, m, nil)
	}
	data := map[string]any{"media": m.ID, "type": m.Type}
	kind := event.MediaReady
	if m.State == store.MediaLost {
		kind = event.MediaLost
		data["reason"] = "not_fetched"
		if refused != nil {
			data["reason"] = refused.Reason
		}
	} else {
		data["mime_type"], data["size"] = m.MIME, m.Size
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	err = k.o.Store.SetMedia(ctx, m, []store.Event{{
		ID: message.EventID(k.o.IDs.Next(now)), Workspace: m.Workspace, Type: kind, Message: m.Message, Contact: m.Contact, At: now, Data: raw,
	}})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// take brings a file's content over.
func (k *Keeper) take(ctx context.Context, m *store.MediaFile, f *facts, from channel.Fetcher) error {
	file, err := from.Fetch(ctx, f.Provider)
	if err != nil {
		return err
	}
	defer func() { _ = file.Body.Close() }() // all of it was read, or it failed
	if file.Size > Largest {
		return &RefusedError{Reason: ReasonTooLarge, Limit: Largest}
	}
	head := make([]byte, chunkSize)
	n, _, err := readChunk(file.Body, head)
	if err != nil {
		return err
	}
	said := file.MIME
	if baseType(said) == "" {
		said = m.MIME
	}
	// What a person sent is kept as what it looks like: there is nobody to
	// refuse it to.
	mimeType, ok := agree(said, head[:n])
	if !ok {
		mimeType = sniff(head[:n])
	}
	m.MIME = mimeType
	if err := k.fill(ctx, m, f, io.MultiReader(&fixed{b: head[:n]}, file.Body), Largest); err != nil {
		return err
	}
	if file.Size > 0 && file.Size != m.Size || !sameSum(file.SHA256, f.SHA256) {
		return errSum
	}
	return nil
}

// sameSum compares a provider's fingerprint, in hex or base64, with ours; one
// that is neither says nothing.
func sameSum(theirs, ours string) bool {
	raw, err := hex.DecodeString(theirs)
	if err != nil || len(raw) != 32 {
		if raw, err = base64.StdEncoding.DecodeString(theirs); err != nil || len(raw) != 32 {
			return true
		}
	}
	return hex.EncodeToString(raw) == ours
}
