package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

// RotateMaster wraps every key anew under the current master key and gives how
// many it did. When it gives no error, the previous master keys may be taken
// out of the configuration. Nothing sealed is touched.
func (r *Registry) RotateMaster(ctx context.Context) (int, error) {
	list, err := r.store.WorkspaceList(ctx)
	if err != nil {
		return 0, err
	}
	owners := make([]message.WorkspaceID, 1, len(list)+1) // the zero id: the installation
	for _, w := range list {
		owners = append(owners, w.ID)
	}
	n := 0
	for _, ws := range owners {
		rows, err := r.store.Keys(ctx, ws)
		if err != nil {
			return n, err
		}
		var out []store.WrappedKey
		for _, key := range masterKeys(rows) {
			again, changed, err := r.masters.Rewrap(key)
			if err != nil {
				return n, err
			}
			if changed {
				out = append(out, toRow(again, r.now()))
			}
		}
		if len(out) == 0 {
			continue
		}
		if err := r.store.PutKeys(ctx, out); err != nil {
			return n, err
		}
		n += len(out)
	}
	return n, nil
}

// RotateKEK makes a new key-encryption key for a workspace, begins to use it
// and seals the credentials of its connectors anew. Contacts follow with
// RewrapContacts, webhook secrets with [Registry.Reseal]. Other nodes learn of
// the key when they refresh. The old version is kept: daily keys and secrets
// not yet resealed need it.
func (r *Registry) RotateKEK(ctx context.Context, ws message.WorkspaceID) error {
	w, err := r.Get(ctx, ws)
	if err != nil {
		return err
	}
	r.admin.Lock()
	defer r.admin.Unlock()
	if err := r.Reload(ctx, ws); err != nil {
		return err
	}
	next, err := r.ring.Next(ws, vault.KindKEK)
	if err != nil {
		return err
	}
	// Staged first: whoever reads the row before it goes live can open with it.
	for _, staged := range []bool{true, false} {
		next.Staged = staged
		if err := r.store.PutKeys(ctx, []store.WrappedKey{toRow(next, r.now())}); err != nil {
			return err
		}
		if err := r.Reload(ctx, ws); err != nil {
			return err
		}
	}
	c, err := r.fresh(ctx, ws)
	if err != nil {
		return err
	}
	for _, one := range c.Connectors {
		config, err := r.OpenConfig(ctx, one)
		if err != nil {
			return err
		}
		out := *one
		r.seal(w, &out, config)
		if err := r.store.PutConnector(ctx, &out, nil); err != nil {
			return err
		}
	}
	// Raises the configuration's version where there is no connector: that is
	// how other nodes hear of the key.
	if len(c.Connectors) == 0 {
		settings := c.Configuration.Settings
		if len(settings) == 0 {
			settings = json.RawMessage("{}")
		}
		if err := r.store.SetSettings(ctx, ws, settings); err != nil {
			return err
		}
	}
	_, err = r.fresh(ctx, ws)
	r.log.Info("workspace key rotated", "workspace", ws, "version", w.Keys.Version(vault.KindKEK))
	return err
}

// RewrapContacts wraps contact keys anew that are under an older key than the
// one in use, in batches, until none is left, and gives how many it did. It
// may be cut off and run again.
func (r *Registry) RewrapContacts(ctx context.Context, contacts store.Contacts, ws message.WorkspaceID, batch int) (int, error) {
	w, err := r.Get(ctx, ws)
	if err != nil {
		return 0, err
	}
	done := 0
	for {
		version := int32(w.Keys.Version(vault.KindKEK))
		people, err := contacts.RewrapContacts(ctx, ws, version, batch)
		if err != nil || len(people) == 0 {
			return done, err
		}
		keys := make([]store.ContactKey, 0, len(people))
		for _, p := range people {
			if len(p.Key) == 0 {
				continue
			}
			wrapped, _, err := w.Keys.Rewrap(p.ID, p.Key)
			if err != nil {
				return done, err
			}
			keys = append(keys, store.ContactKey{ID: p.ID, Key: wrapped, Version: version})
		}
		if len(keys) == 0 {
			return done, errors.New("the store gives contacts to rewrap that have no key")
		}
		if err := contacts.SetContactKeys(ctx, ws, keys); err != nil {
			return done, err
		}
		done += len(keys)
	}
}

// Reseal seals a value of SealWorkspace anew under the key in use. It reports
// false and gives sealed back when it is under that key already.
func (r *Registry) Reseal(ctx context.Context, ws message.WorkspaceID, purpose string, id [16]byte, sealed []byte) ([]byte, bool, error) {
	w, err := r.Get(ctx, ws)
	if err != nil {
		return nil, false, err
	}
	if len(sealed) > 1 && sealed[1] == w.Keys.Version(vault.KindKEK) {
		return sealed, false, nil
	}
	plain, err := r.OpenWorkspace(ctx, ws, purpose, id, sealed)
	if err != nil {
		return nil, false, err
	}
	again, err := r.SealWorkspace(ctx, ws, purpose, id, plain)
	return again, err == nil, err
}

// JournalHead gives the head of a node's erasure journal as SetJournalHead
// last remembered it; zero when it never did.
func (r *Registry) JournalHead(ctx context.Context, node string) (vault.JournalHead, error) {
	rows, err := r.store.Keys(ctx, message.WorkspaceID{})
	if err != nil {
		return vault.JournalHead{}, err
	}
	for _, row := range rows {
		if name, ok := strings.CutPrefix(row.Kind, kindHead); ok && name == node && len(row.Bytes) == 40 {
			var head vault.JournalHead
			for _, b := range row.Bytes[:8] {
				head.Seq = head.Seq<<8 | uint64(b)
			}
			copy(head.MAC[:], row.Bytes[8:])
			return head, nil
		}
	}
	return vault.JournalHead{}, nil
}

// SetJournalHead remembers how far a node's erasure journal has come, so that
// a journal that was cut off is noticed.
func (r *Registry) SetJournalHead(ctx context.Context, node string, head vault.JournalHead) error {
	bytes := make([]byte, 8, 40)
	for i := range 8 {
		bytes[i] = byte(head.Seq >> (56 - 8*i))
	}
	bytes = append(bytes, head.MAC[:]...)
	return r.store.PutKeys(ctx, []store.WrappedKey{{Kind: kindHead + node, Version: 1, Bytes: bytes, CreatedAt: r.now()}})
}
