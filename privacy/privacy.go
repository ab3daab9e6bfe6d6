// Package privacy answers people's rights over their data: it erases a person
// and proves it, and hands out everything held on one.
//
// Erasing is destroying the person's key (law 8). The erasure is written to a
// journal outside the database first, so that a restored backup can be erased
// again; [Open] does that at every start. It decides nothing about retention
// and knows nothing of who may ask: that is the API's.
//
// Start with [Office.Erase].
package privacy

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/parley-messaging/parley/contact"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/id"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
	"github.com/parley-messaging/parley/workspace"
)

// reasonErased is the suppression left behind: no marketing to whoever asked
// to be erased, until they come back by themselves.
const reasonErased = "erased"

// dayKeysLive is how long raw data under daily keys outlives an erasure.
const dayKeysLive = 7 * 24 * time.Hour

// A Store is what an Office reads and writes.
type Store interface {
	store.Contacts
	store.Outbox
	store.Log
}

// Options are what an Office stands on.
type Options struct {
	Store      Store
	Workspaces *workspace.Registry
	People     *contact.Book
	Now        func() time.Time
	IDs        *id.Maker
	Log        *slog.Logger
	// Journal is the path of this node's erasure journal, outside the database
	// and its backups; Node names the node for good.
	Journal string
	Node    string
	// Shorter accepts a journal that holds less than the database remembers: an
	// operator's word that the rest is lost.
	Shorter bool
	// Content gives what a message said, as JSON, for exports; nil opens it
	// under contact.PurposeContent.
	Content func(p *contact.Person, m *store.Message) (json.RawMessage, error)
}

// An Office erases and exports. It is safe for concurrent use.
type Office struct {
	o       Options
	mu      sync.Mutex // one erasure at a time: journal, store and head in order
	journal *vault.Journal
	behind  bool // a journalled erasure is not in the store: the head must wait
}

// Open opens the erasure journal, creating it if there is none, and erases
// again whoever a restored backup brought back. It fails with
// *vault.JournalError, vault.ErrJournalLocked, or as the store does; nothing
// may be sent before it has worked.
func Open(ctx context.Context, o Options) (*Office, error) {
	known, err := o.Workspaces.JournalHead(ctx, o.Node)
	if err != nil {
		return nil, err
	}
	must := known
	if o.Shorter {
		must = vault.JournalHead{}
	}
	var back []vault.Erasure
	journal, err := vault.OpenJournal(o.Journal, o.Workspaces.Installation(), must, func(e vault.Erasure) error {
		// Up to the head the database holds the erasures itself.
		if e.Seq > must.Seq {
			back = append(back, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	office := &Office{o: o, journal: journal}
	for _, e := range back {
		if _, err := office.again(ctx, e); err != nil {
			return nil, errors.Join(err, journal.Close())
		}
	}
	if head := journal.Head(); head != known {
		if err := o.Workspaces.SetJournalHead(ctx, o.Node, head); err != nil {
			return nil, errors.Join(err, journal.Close())
		}
	}
	return office, nil
}

// Close closes the journal.
func (o *Office) Close() error { return o.journal.Close() }

// Erase destroys a person's key and everything that is sealed under it, leaves
// a keyed suppression of marketing for each of their addresses, and gives a
// signed receipt (vault.SignReceipt). It is journalled before the store is
// written: when the store fails after that, the error is returned and the next
// start completes the work. Erasing someone again gives a receipt that counts
// nothing. It fails with store.ErrNotFound.
func (o *Office) Erase(ctx context.Context, ws message.WorkspaceID, who message.ContactID) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	requested := o.o.Now()
	o.o.People.Forget(ws, who)
	p, err := o.o.People.ByID(ctx, ws, who)
	if err != nil {
		return nil, err
	}
	proof := message.EventID(o.o.IDs.Next(requested))
	receipt := vault.ErasureReceipt{
		ID: proof.String(), Workspace: ws.String(), Contact: who.String(),
		RequestedAt: requested, ErasedAt: p.ErasedAt, CompleteAt: p.ErasedAt.Add(dayKeysLive), Suppressed: true,
	}
	if p.Erased() {
		return o.sign(receipt)
	}
	if receipt.Erased, err = o.count(ctx, p); err != nil {
		return nil, err
	}
	at := o.o.Now()
	entry := vault.Erasure{At: at, Workspace: ws, Contact: who, Receipt: receipt.ID}
	for i := range p.Identities {
		entry.Indexes = append(entry.Indexes, p.Identities[i].Index)
	}
	head, err := o.journal.Append(entry)
	if err != nil {
		return nil, fmt.Errorf("writing the erasure journal: %w", err)
	}
	receipt.ErasedAt, receipt.CompleteAt, receipt.Journal = at, at.Add(dayKeysLive), head.Seq
	receipt.Suppressed = len(entry.Indexes) > 0
	if _, err := o.destroy(ctx, entry, proof, false); err != nil {
		o.behind = true
		return nil, err
	}
	if !o.behind {
		if err := o.o.Workspaces.SetJournalHead(ctx, o.o.Node, head); err != nil {
			// The person is erased; only more lines than needed are repeated at
			// the next start.
			o.behind = true
			o.o.Log.Warn("the head of the erasure journal could not be remembered", "error", err)
		}
	}
	o.o.Log.Info("contact erased", "workspace", ws, "contact", who, "receipt", receipt.ID)
	return o.sign(receipt)
}

// destroy does what the journal says, once or again.
func (o *Office) destroy(ctx context.Context, e vault.Erasure, id message.EventID, replayed bool) (store.Verdict, error) {
	ws, who := message.WorkspaceID(e.Workspace), message.ContactID(e.Contact)
	for _, index := range e.Indexes {
		err := o.o.Store.Suppress(ctx, store.Suppression{
			Workspace: ws, Index: index, Scope: contact.ScopeMarketing, Reason: reasonErased, At: e.At,
		}, nil)
		if err != nil {
			return 0, err
		}
	}
	data, err := json.Marshal(map[string]any{"receipt": e.Receipt, "replayed": replayed})
	if err != nil {
		return 0, err
	}
	defer o.o.People.Forget(ws, who)
	return o.o.Store.Erase(ctx, ws, who, e.At, []store.Event{{
		ID: id, Workspace: ws, Type: event.ContactErased, Contact: who, At: e.At, Data: data,
	}})
}

// again erases someone whom a backup may have brought back, and reports
// whether it had.
func (o *Office) again(ctx context.Context, e vault.Erasure) (bool, error) {
	ws, who := message.WorkspaceID(e.Workspace), message.ContactID(e.Contact)
	p, err := o.o.Store.Contact(ctx, ws, who)
	if errors.Is(err, store.ErrNotFound) || err == nil && !p.ErasedAt.IsZero() {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// Addresses that the backup knows and the journal does not go too.
	for i := range p.Identities {
		if index := p.Identities[i].Index; !slices.Contains(e.Indexes, index) {
			e.Indexes = append(e.Indexes, index)
		}
	}
	if _, err := o.destroy(ctx, e, message.EventID(o.o.IDs.Next(o.o.Now())), true); err != nil {
		return false, err
	}
	o.o.Log.Warn("contact erased again after a restore", "workspace", ws, "contact", who, "receipt", e.Receipt)
	return true, nil
}

// ReplayJournal erases again everyone in a journal that the store still has,
// and gives how many they were. Open does it for the node's own journal; this
// is for those of nodes that are gone.
func (o *Office) ReplayJournal(ctx context.Context, journal io.Reader) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	_, err := vault.ReadJournal(journal, o.o.Workspaces.Installation(), vault.JournalHead{}, func(e vault.Erasure) error {
		was, err := o.again(ctx, e)
		if was {
			n++
		}
		return err
	})
	return n, err
}

func (o *Office) sign(r vault.ErasureReceipt) ([]byte, error) {
	return o.o.Workspaces.Installation().SignReceipt(r)
}

// PublicKey is what others verify receipts with.
func (o *Office) PublicKey() ed25519.PublicKey { return o.o.Workspaces.Installation().PublicKey() }

// VerifyReceipt checks a receipt that this installation signed. It fails with
// vault.ErrReceipt.
func (o *Office) VerifyReceipt(document []byte) (vault.ErasureReceipt, error) {
	return vault.VerifyReceipt(o.PublicKey(), document)
}

// count says what an erasure destroys.
func (o *Office) count(ctx context.Context, p *contact.Person) ([]vault.ErasedItem, error) {
	var messages int64
	err := o.messages(ctx, p, func(m *store.Stored) error {
		if len(m.Sealed) > 0 {
			messages++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	items := []vault.ErasedItem{
		{What: "key", Count: 1},
		{What: "identities", Count: int64(len(p.Identities))},
		{What: "messages", Count: messages},
		{What: "windows", Count: int64(len(p.Windows))},
	}
	if len(p.Profile) > 0 {
		items = append(items, vault.ErasedItem{What: "profile", Count: 1})
	}
	return items, nil
}

// messages visits every message of a person, newest first.
func (o *Office) messages(ctx context.Context, p *contact.Person, visit func(*store.Stored) error) error {
	const page = 500
	f := store.Filter{Contact: p.ID, Limit: page}
	for {
		list, err := o.o.Store.List(ctx, p.Workspace, f)
		if err != nil {
			return err
		}
		for _, m := range list {
			if err := visit(m); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
		f.Before = list[len(list)-1].ID
	}
}
