package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/parley-messaging/parley/message"
)

// arrivals lets callers knock and tells who came in, in order.
type arrivals struct {
	t     *testing.T
	d     *door
	names []string
	all   []*knock
	in    []string
}

func (a *arrivals) knock(name string, p message.Priority, n int) {
	a.t.Helper()
	k, err := a.d.knock(message.WorkspaceID{name[0]}, p, n)
	if err != nil {
		a.t.Fatal(name, err)
	}
	a.names, a.all = append(a.names, name), append(a.all, k)
	a.look()
}

func (a *arrivals) look() {
	for i, k := range a.all {
		if slices.Contains(a.in, a.names[i]) {
			continue
		}
		if k.open != nil {
			select {
			case <-k.open:
			default:
				continue
			}
		}
		a.in = append(a.in, a.names[i])
	}
}

// leave lets n messages out, one by one, and gives who came in since.
func (a *arrivals) leave(n int) string {
	before := len(a.in)
	for range n {
		a.d.leave(1)
		a.look()
	}
	return strings.Join(a.in[before:], " ")
}

// TestDoorIsFair: a tenant floods the API with single requests; another's few
// come in by turns with them, whatever priority the flood claims.
func TestDoorIsFair(t *testing.T) {
	a := &arrivals{t: t, d: newDoor(4)}
	for i := range 30 {
		a.knock(fmt.Sprint("A", i), message.Authentication.Priority(), 1)
	}
	if got := strings.Join(a.in, " "); got != "A0 A1 A2 A3" {
		t.Fatalf("inside are %s", got)
	}
	for i := range 3 {
		a.knock(fmt.Sprint("B", i), message.Marketing.Priority(), 1)
	}
	a.knock("Bcode", message.Authentication.Priority(), 1)
	a.knock("C0", message.Utility.Priority(), 1)
	if got, want := a.leave(9), "A4 Bcode C0 A5 B0 A6 B1 A7 B2"; got != want {
		t.Errorf("came in: %s, want %s", got, want)
	}
	if got, want := a.leave(30), "A8 A9 A10 A11 A12 A13 A14 A15 A16 A17 A18 A19 A20 A21 A22 A23 A24 A25 A26 A27 A28 A29"; got != want {
		t.Errorf("came in: %s, want %s", got, want)
	}
	if len(a.d.crowds) != 0 {
		t.Errorf("%d crowds are remembered", len(a.d.crowds))
	}
}

// A tenant's batches share by the message, not by the call.
func TestDoorCountsMessages(t *testing.T) {
	a := &arrivals{t: t, d: newDoor(10)}
	a.knock("A0", message.Marketing.Priority(), 10)
	a.knock("A1", message.Marketing.Priority(), 10)
	a.knock("A2", message.Marketing.Priority(), 10)
	for i := range 15 {
		a.knock(fmt.Sprint("B", i), message.Utility.Priority(), 1)
	}
	if got, want := a.leave(10), "A1"; got != want {
		t.Errorf("came in: %s, want %s", got, want)
	}
	if got, want := a.leave(10), "B0 B1 B2 B3 B4 B5 B6 B7 B8 B9"; got != want {
		t.Errorf("came in: %s, want %s", got, want)
	}
	if got, want := a.leave(10), "A2"; got != want {
		t.Errorf("came in: %s, want %s", got, want)
	}
	if got, want := a.leave(10), "B10 B11 B12 B13 B14"; got != want {
		t.Errorf("came in: %s, want %s", got, want)
	}
}

// More than the room comes in alone; a workspace with too much waiting is told
// so, and another is not.
func TestDoorBounds(t *testing.T) {
	a := &arrivals{t: t, d: newDoor(2)}
	a.knock("A0", 0, 5)
	a.knock("A1", 0, 80)
	if _, err := a.d.knock(message.WorkspaceID{'A'}, 0, 1); !errors.Is(err, ErrBusy) {
		t.Errorf("a workspace with 80 waiting gets %v", err)
	}
	a.knock("B0", 0, 1)
	a.d.leave(5)
	a.look()
	if got := strings.Join(a.in, " "); got != "A0 A1" {
		t.Errorf("came in: %s", got)
	}
}

// Who goes away while waiting takes nobody's place.
func TestDoorLeftWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(1)
		ws := message.WorkspaceID{'A'}
		if err := d.enter(t.Context(), ws, 0, 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { gone <- d.enter(ctx, ws, 0, 1) }()
		synctest.Wait()
		second := make(chan error)
		go func() { second <- d.enter(t.Context(), ws, 0, 1) }()
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		d.leave(1)
		if err := <-second; err != nil {
			t.Error(err)
		}
		d.leave(1)
		if d.inside != 0 || d.turns.Len() != 0 {
			t.Errorf("%d inside, %d waiting", d.inside, d.turns.Len())
		}
	})
}
