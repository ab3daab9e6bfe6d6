package sqlite

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestOwnerOfOneWrite: who is made and loses a number in one write has left
// nothing that a start after a stop would bring back.
func TestOwnerOfOneWrite(t *testing.T) {
	sh := newShop(t, 7)
	n := sh.newcomer()
	index := n.Identities[0].Index
	err := sh.s.write(t.Context(), 1, func(w *writer) error {
		c, err := w.createContact(w.names.find(sh.ws), n)
		if err != nil {
			return err
		}
		_, err = w.disown(c.n, &index)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sh.join(t) // the log of what is late begins again
	path := filepath.Join(t.TempDir(), "copy.db")
	copyFiles(t, sh.s.path, path)
	for _, s := range []*Store{sh.s, open(t, path, Options{})} {
		found, err := s.Resolve(t.Context(), sh.ws, [][16]byte{index})
		if err != nil || found[0] != nil {
			t.Errorf("the number is found to be of %v, %v", found[0], err)
		}
		again := sh.newcomer()
		again.Identities[0].Index = index
		if err := s.CreateContact(t.Context(), again, nil); err != nil {
			t.Errorf("the number is nobody's and cannot be given: %v", err)
		}
	}
}

// TestOwnerOfAFailedWrite: a reader that was told of a contact by a write that
// failed then takes nobody else for it.
func TestOwnerOfAFailedWrite(t *testing.T) {
	sh := newShop(t, 7)
	index := [16]byte{1, 2, 3}
	err := sh.s.write(t.Context(), 1, func(w *writer) error {
		workspace := w.names.find(sh.ws)
		c, _, err := w.contact(workspace, sh.people[0])
		w.entries.mu.Lock()
		w.entries.owners[keyEntry{workspace, index}] = &ownerEntry{keyEntry{workspace, index}, c.n}
		w.entries.mu.Unlock()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found, err := sh.s.Resolve(t.Context(), sh.ws, [][16]byte{index})
	if err != nil || found[0] != nil {
		t.Errorf("the number is found to be of %v, %v", found[0], err)
	}
}

// TestContactsKept: when there is no room for another contact a few make room,
// not all.
func TestContactsKept(t *testing.T) {
	w := &writer{contacts: make(map[message.ContactID]keptContact)}
	for i := range int64(2 * contactsKept) {
		id := message.ContactID{byte(i), byte(i >> 8), byte(i >> 16)}
		w.remember(1, id, contact{n: i})
		if w.contacts[id].n != i {
			t.Fatal("a contact is not kept")
		}
		if n := len(w.contacts); n > contactsKept || i > contactsKept && n < contactsKept*9/10 {
			t.Fatalf("%d contacts are kept after %d", n, i)
		}
	}
}

// TestOwnerComesBackInOneWrite: a number that is late, is taken away and comes back
// in one group of writes is found afterwards, and nobody else can have it. Between
// the two it is nobody's.
func TestOwnerComesBackInOneWrite(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		sh := newShop(t, 7)
		n := sh.newcomer()
		one := n.Identities[0]
		if err := sh.s.CreateContact(t.Context(), n, nil); err != nil {
			t.Fatal(err)
		}
		to := n.ID
		if elsewhere {
			to = sh.people[0]
		}
		err := sh.s.write(t.Context(), 1, func(w *writer) error {
			workspace := w.names.find(sh.ws)
			from, _, err := w.contact(workspace, n.ID)
			if err != nil {
				return err
			}
			if late := w.entries.ownersOf(workspace, [][16]byte{one.Index}); late[0] != from.n {
				t.Errorf("the number is late for contact %d, not %d", late[0], from.n)
			}
			if _, err := w.disown(from.n, &one.Index); err != nil {
				return err
			}
			if owner, err := w.owner(workspace, one.Index); err != nil || owner != 0 {
				t.Errorf("a number that was taken away is contact %d's, %v", owner, err)
			}
			c, _, err := w.contact(workspace, to)
			if err != nil {
				return err
			}
			return w.insertIdentity(workspace, c.n, &one)
		})
		if err != nil {
			t.Fatal(err)
		}
		found, err := sh.s.Resolve(t.Context(), sh.ws, [][16]byte{one.Index})
		if err != nil || found[0] == nil || found[0].ID != to {
			t.Errorf("elsewhere %v: the number is found to be of %v, %v", elsewhere, found[0], err)
		}
		again := sh.newcomer()
		again.Identities[0] = one
		if err := sh.s.CreateContact(t.Context(), again, nil); !errors.Is(err, store.ErrExists) {
			t.Errorf("elsewhere %v: the number was given to another: %v", elsewhere, err)
		}
	}
}
