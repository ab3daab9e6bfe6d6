package sqlite

import (
	"context"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// Accept stores messages to send. A message whose id is there already is
// answered Duplicate.
func (s *Store) Accept(ctx context.Context, items []*store.Acceptance) ([]store.AcceptResult, error) {
	results := make([]store.AcceptResult, len(items))
	queue := s.intake
	if len(items) > 0 && items[0].Delivery.Purpose == message.Authentication {
		queue = s.queue // no campaign delays a one-time code (law 11), not even at the door
	}
	err := s.queued(ctx, queue, len(items), func(w *writer) error {
		for i, item := range items {
			var err error
			if results[i], err = w.accept(item); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// accept looks at everything that may refuse the item before it writes.
func (w *writer) accept(a *store.Acceptance) (store.AcceptResult, error) {
	m := a.Message
	workspace, err := w.number(m.Workspace)
	if err != nil {
		return store.AcceptResult{}, err
	}
	if k := a.Idempotency; k != nil {
		if before, err := w.usedKey(workspace, k); err != nil || before.Verdict != store.Done {
			return before, err
		}
	}
	who, verdict, err := w.person(workspace, m.Contact, a.NewContact)
	if err != nil || verdict != store.Done {
		return store.AcceptResult{Verdict: verdict}, err
	}
	if a.Fence != nil && w.fenced(a.Fence) {
		return store.AcceptResult{Verdict: store.Fenced}, nil
	}
	if g := a.Guard; g != nil && (w.config[workspace] != g.Config || a.NewContact == nil && who.version != g.Contact) {
		return store.AcceptResult{Verdict: store.Guarded}, nil
	}
	if a.NewContact != nil {
		there, err := w.exists(workspace, m.ID)
		if err != nil || there {
			return store.AcceptResult{Verdict: store.Duplicate, Message: m.ID}, err
		}
		if who, err = w.createContact(workspace, a.NewContact); err != nil {
			return store.AcceptResult{}, err
		}
	}
	fresh, err := w.insertMessage(workspace, who.n, m)
	if err != nil || !fresh {
		return store.AcceptResult{Verdict: store.Duplicate, Message: m.ID}, err
	}
	if err := w.insertDelivery(workspace, a); err != nil {
		return store.AcceptResult{}, err
	}
	if k := a.Idempotency; k != nil {
		if err := w.claimKey(workspace, k, m.ID); err != nil {
			return store.AcceptResult{}, err
		}
	}
	return store.AcceptResult{Verdict: store.Done, Message: m.ID}, w.log(a.Events)
}

// person finds the contact of a message, or checks that it can be made.
func (w *writer) person(workspace int64, id message.ContactID, fresh *store.NewContact) (contact, store.Verdict, error) {
	who, ok, err := w.contact(workspace, id)
	if err != nil {
		return who, 0, err
	}
	if fresh == nil {
		if !ok || who.erased {
			return who, store.StaleContact, nil
		}
		return who, store.Done, nil
	}
	if ok {
		return who, store.IdentityTaken, nil
	}
	for i := range fresh.Identities {
		owner, err := w.owner(workspace, fresh.Identities[i].Index)
		if err != nil || owner != 0 {
			return who, store.IdentityTaken, err
		}
	}
	return who, store.Done, nil
}

func (w *writer) exists(workspace int64, id message.MessageID) (bool, error) {
	q := w.c.q(`SELECT 1 FROM messages WHERE workspace = ? AND id = ?`).int(workspace).key(id)
	more, err := q.row()
	q.done()
	return more, err
}

// insertMessage writes nothing and gives false when the id is there already.
func (w *writer) insertMessage(workspace, contact int64, m *store.Message) (fresh bool, err error) {
	purpose, err := w.word(string(m.Purpose))
	if err != nil {
		return false, err
	}
	channel, err := w.word(string(m.Channel))
	if err != nil {
		return false, err
	}
	sender, err := w.number(m.Sender)
	if err != nil {
		return false, err
	}
	fresh, err = w.wrote(w.c.q(`INSERT INTO messages (workspace, id, contact, direction, purpose, channel, sender, created_at, provider_at, identity, sealed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`).
		int(workspace).key(m.ID).int(contact).int(int64(m.Direction)).int(purpose).int(channel).int(sender).
		time(m.CreatedAt).time(m.ProviderAt).id(m.Identity).blob(m.Sealed))
	if fresh {
		w.entries.addPerson(personEntry{contact, m.ID})
	}
	return fresh, err
}

func (w *writer) insertDelivery(workspace int64, a *store.Acceptance) error {
	connector, err := w.number(a.Connector)
	if err != nil {
		return err
	}
	w.stage(workspace, connector, a.Delivery, a.Ready, nil)
	return nil
}

// sending reports whether an attempt of the current step has no answer yet.
func sending(d *message.Delivery) bool {
	s := d.Step()
	return s != nil && s.State == message.StepSending
}

// Apply moves deliveries on.
func (s *Store) Apply(ctx context.Context, items []*store.Change) ([]store.Applied, error) {
	results := make([]store.Applied, len(items))
	err := s.write(ctx, len(items), func(w *writer) error {
		for i, item := range items {
			var err error
			if results[i], err = w.apply(item); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

func (w *writer) apply(c *store.Change) (store.Applied, error) {
	d := c.Delivery
	workspace, err := w.number(d.Workspace)
	if err != nil {
		return store.Applied{}, err
	}
	if c.Fence != nil && w.fenced(c.Fence) {
		return w.refused(workspace, d, store.Fenced)
	}
	if c.Guard != nil {
		who, ok, err := w.contact(workspace, d.Contact)
		if err != nil {
			return store.Applied{}, err
		}
		if !ok || who.version != c.Guard.Contact || w.config[workspace] != c.Guard.Config {
			return w.refused(workspace, d, store.Guarded)
		}
	}
	connector, err := w.number(c.Connector)
	if err != nil {
		return store.Applied{}, err
	}
	version, row, ok, err := w.version(moveKey{workspace, d.ID})
	switch {
	case err != nil:
		return store.Applied{}, err
	case !ok:
		return store.Applied{Verdict: store.Missing}, nil
	case version != int64(d.Version)-1:
		return store.Applied{Verdict: store.Conflict}, nil
	}
	w.stage(workspace, connector, d, c.Ready, row)
	for i := range c.Close {
		if err := w.closeRef(workspace, d.ID, &c.Close[i]); err != nil {
			return store.Applied{}, err
		}
	}
	for i := range c.Open {
		if err := w.openRef(&c.Open[i]); err != nil {
			return store.Applied{}, err
		}
	}
	a := store.Applied{Verdict: store.Done}
	if w.parked > 0 {
		if a.Parked, err = w.waitingFor(c.Open); err != nil {
			return store.Applied{}, err
		}
	}
	return a, w.log(c.Events)
}

// refused gives why a change was not written: Missing and Conflict say more
// than a guard or a fence.
func (w *writer) refused(workspace int64, d *message.Delivery, why store.Verdict) (store.Applied, error) {
	version, _, ok, err := w.version(moveKey{workspace, d.ID})
	switch {
	case err != nil:
		return store.Applied{}, err
	case !ok:
		return store.Applied{Verdict: store.Missing}, nil
	case version != int64(d.Version)-1:
		return store.Applied{Verdict: store.Conflict}, nil
	}
	return store.Applied{Verdict: why}, nil
}
