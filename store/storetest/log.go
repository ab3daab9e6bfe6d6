package storetest

import (
	"fmt"
	"sync"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// say appends one event by way of a suppression of nobody.
func (k *kit) say(ws message.WorkspaceID, kind string) message.EventID {
	k.Helper()
	e := k.event(kind, message.MessageID{}, message.ContactID{})
	e.Workspace = ws
	k.ok(k.s.Suppress(k.ctx, store.Suppression{Workspace: ws, Index: k.id(), Scope: "all", Reason: "api", At: k.now}, []store.Event{e}))
	return e.ID
}

func (k *kit) page(ws message.WorkspaceID, after store.Cursor, limit int) ([]message.EventID, store.Cursor) {
	k.Helper()
	list, next, err := k.s.Read(k.ctx, ws, after, limit)
	k.ok(err)
	var out []message.EventID
	for _, e := range list {
		out = append(out, e.ID)
	}
	if len(list) > 0 && list[len(list)-1].Cursor != next {
		k.Error("the cursor is not the one after the last event")
	}
	return out, next
}

func logTests() []test {
	return []test{
		{"the log is read in pages, of one workspace or of all", func(k *kit) {
			other := k.workspace()
			var mine, all []message.EventID
			for i := range 6 {
				ws := k.ws
				if i%3 == 1 {
					ws = other
				}
				id := k.say(ws, "a.b")
				all = append(all, id)
				if ws == k.ws {
					mine = append(mine, id)
				}
			}
			for _, ws := range []message.WorkspaceID{{}, k.ws} {
				want := all
				if ws == k.ws {
					want = mine
				}
				var got []message.EventID
				var c store.Cursor
				for {
					page, next := k.page(ws, c, 2)
					if len(page) == 0 {
						break
					}
					got, c = append(got, page...), next
				}
				k.same("events", got, want)
				rest, _ := k.page(ws, c, 10)
				k.same("nothing more", rest, []message.EventID(nil))
				id := k.say(k.ws, "a.c")
				rest, _ = k.page(ws, c, 10)
				k.same("the next", rest[len(rest)-1:], []message.EventID{id})
				all, mine = append(all, id), append(mine, id)
			}
			list, _, err := k.s.Read(k.ctx, k.ws, "", 3)
			k.ok(err)
			rest, _ := k.page(k.ws, list[1].Cursor, 1)
			k.same("from an event's own cursor", rest, []message.EventID{list[2].ID})
		}},
		{"the head is where the log ends now", func(k *kit) {
			k.say(k.ws, "a.b")
			head, err := k.s.Head(k.ctx)
			k.ok(err)
			id := k.say(k.ws, "a.b")
			page, _ := k.page(message.WorkspaceID{}, head, 10)
			k.same("after the head", page, []message.EventID{id})
		}},
		{"a named reader's cursor is kept", func(k *kit) {
			c, err := k.s.Cursor(k.ctx, "charges")
			k.ok(err)
			k.same("at the start", c, store.Cursor(""))
			k.say(k.ws, "a.b")
			head, err := k.s.Head(k.ctx)
			k.ok(err)
			k.ok(k.s.SaveCursor(k.ctx, "charges", head))
			c, err = k.s.Cursor(k.ctx, "charges")
			k.ok(err)
			k.same("saved", c, head)
		}},
		{"a commit of events is told", func(k *kit) {
			changed := k.s.Changed()
			k.say(k.ws, "a.b")
			<-changed
		}},
		{"a reader beside many writers skips nothing and repeats nothing", func(k *kit) {
			const writers, each = 8, 40
			done := make(chan struct{})
			var wg sync.WaitGroup
			for w := range writers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for i := range each {
						e := k.event(fmt.Sprintf("w.%d", w), message.MessageID{}, message.ContactID{})
						e.Version = int32(i)
						err := k.s.Suppress(k.ctx, store.Suppression{Workspace: k.ws, Index: k.id(), Scope: "all", Reason: "api", At: k.now}, []store.Event{e, k.event("second", message.MessageID{}, message.ContactID{})})
						if err != nil {
							k.Error(err)
							return
						}
					}
				}()
			}
			go func() { wg.Wait(); close(done) }()
			seen := make(map[message.EventID]bool)
			next := make(map[string]int32)
			var c store.Cursor
			take := func() int {
				list, after, err := k.s.Read(k.ctx, message.WorkspaceID{}, c, 50)
				if err != nil {
					k.Error(err)
					return 0
				}
				c = after
				for _, e := range list {
					if seen[e.ID] {
						k.Errorf("event %s came twice", e.ID)
					}
					seen[e.ID] = true
					if e.Type == "second" {
						continue
					}
					if e.Version != next[e.Type] {
						k.Errorf("%s: event %d, want %d", e.Type, e.Version, next[e.Type])
					}
					next[e.Type] = e.Version + 1
				}
				return len(list)
			}
			for running := true; running; {
				changed := k.s.Changed()
				if take() > 0 {
					continue
				}
				select {
				case <-changed:
				case <-done:
					running = false
				}
			}
			for take() > 0 {
			}
			if len(seen) != 2*writers*each {
				k.Errorf("%d events read, want %d", len(seen), 2*writers*each)
			}
		}},
		{"a raised epoch keeps cursors good and skips nothing", func(k *kit) {
			k.say(k.ws, "a.b")
			head, err := k.s.Head(k.ctx)
			k.ok(err)
			before, err := k.s.Epoch(k.ctx, false)
			k.ok(err)
			raised, err := k.s.Epoch(k.ctx, true)
			k.ok(err)
			now, err := k.s.Epoch(k.ctx, false)
			k.ok(err)
			if raised <= before || now != raised {
				k.Errorf("epoch %d, raised to %d, then %d", before, raised, now)
			}
			id := k.say(k.ws, "a.c")
			page, _ := k.page(k.ws, head, 10)
			k.same("after the old head", page, []message.EventID{id})
			all, _ := k.page(k.ws, "", 10)
			if len(all) != 2 {
				k.Errorf("%d events from the start", len(all))
			}
		}},
	}
}
