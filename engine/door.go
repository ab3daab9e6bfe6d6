package engine

import (
	"context"
	"sync"

	"github.com/parley-messaging/parley/engine/pace"
	"github.com/parley-messaging/parley/message"
)

// A door bounds how many messages are being taken in at once. While there is
// room everybody walks in; when there is none, workspaces take turns, and
// within one the most urgent goes first: a tenant with ten thousand requests in
// flight delays another's single one by one turn (law 11). Turns among tenants
// come before priorities, because the priority is what a tenant says it is.
//
// The room is small: about what two commits take. Whoever is let in has work done
// for them that waits for a commit afterwards, in the way of the answers and
// receipts of those before them; before the door nothing is lost by waiting.
type door struct {
	room int // messages inside at once
	wait int // messages of one workspace that may wait

	mu     sync.Mutex
	inside int
	before int // messages waiting
	turns  pace.Turns[message.WorkspaceID, *crowd]
	crowds map[message.WorkspaceID]*crowd
}

// A crowd is what one workspace has waiting before the door.
type crowd struct {
	at      [lanePriorities][]*knock
	waiting int // messages
}

// A knock is one caller before the door.
type knock struct {
	n    int           // messages
	open chan struct{} // closed when they may come in; nil: they are in
	gone bool          // the caller went away
}

func newDoor(room int) *door {
	return &door{room: room, wait: 40 * room, crowds: make(map[message.WorkspaceID]*crowd)}
}

// enter waits for the turn of n messages. It fails with ErrBusy when the
// workspace has too many waiting, and with ctx's error. After nil, leave must
// follow.
func (d *door) enter(ctx context.Context, ws message.WorkspaceID, p message.Priority, n int) error {
	k, err := d.knock(ws, p, n)
	if err != nil || k.open == nil {
		return err
	}
	select {
	case <-k.open:
		return nil
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-k.open: // at the same moment
		d.left(n)
	default:
		k.gone = true
	}
	return ctx.Err()
}

// knock comes in or joins those who wait.
func (d *door) knock(ws message.WorkspaceID, p message.Priority, n int) (*knock, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.turns.Len() == 0 && d.fits(n) {
		d.inside += n
		return &knock{n: n}, nil
	}
	c := d.crowds[ws]
	if c == nil {
		c = new(crowd)
		d.crowds[ws] = c
	}
	if c.waiting > 0 && c.waiting+n > d.wait {
		return nil, ErrBusy
	}
	k := &knock{n: n, open: make(chan struct{})}
	at := min(int(p), lanePriorities-1)
	c.at[at] = append(c.at[at], k)
	c.waiting += n
	d.before += n
	d.turns.Push(ws, c)
	return k, nil
}

// leave makes room for the next.
func (d *door) leave(n int) {
	d.mu.Lock()
	d.left(n)
	d.mu.Unlock()
}

func (d *door) left(n int) {
	d.inside -= n
	for {
		c, ok := d.turns.Next()
		if !ok {
			clear(d.crowds)
			return
		}
		at := c.first()
		k := c.at[at][0]
		if !k.gone && !d.fits(k.n) {
			return
		}
		c.at[at] = c.at[at][1:]
		c.waiting -= k.n
		d.before -= k.n
		if k.gone {
			d.turns.Take(0)
			continue
		}
		d.turns.Take(k.n)
		d.inside += k.n
		close(k.open)
	}
}

// fits reports whether n more may come in; however many, they may alone.
func (d *door) fits(n int) bool { return d.inside == 0 || d.inside+n <= d.room }

// first is the most urgent priority of those who wait.
func (c *crowd) first() int {
	for at := range c.at {
		if len(c.at[at]) > 0 {
			return at
		}
	}
	panic("engine: a turn of nobody")
}

// Intake tells how many messages are being taken in on this node, and how many
// wait for their workspace's turn.
func (e *Engine) Intake() (inside, waiting int) {
	e.door.mu.Lock()
	defer e.door.mu.Unlock()
	return e.door.inside, e.door.before
}
