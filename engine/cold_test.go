package engine

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/message"
)

func coldRecord(n int, labelled bool) *record {
	at := time.UnixMicro(1_790_000_000_000_000).UTC()
	d := &message.Delivery{
		Workspace: message.WorkspaceID{1}, Contact: message.ContactID{2}, State: message.Sent, Version: int32(n), Purpose: message.Utility,
		CreatedAt: at, ExpiresAt: at.Add(time.Hour), Due: at.Add(time.Minute), Country: "FR", Labelled: labelled,
		Steps: []message.Step{{Channel: message.SMS, State: message.StepSent, Attempts: []message.Attempt{{StartedAt: at, Parts: []message.Part{{Ref: []byte{3}, Key: message.RefKey{4}}}}}}},
	}
	binary.BigEndian.PutUint64(d.ID[:], uint64(n))
	return &record{ws: d.Workspace, d: d, identity: [16]byte{5}, sealed: []byte("sealed"), base: int32(n)}
}

// What comes out of the cold is what went in, but for content that no receipt
// needs; the first that went in leave when there is no room.
func TestCold(t *testing.T) {
	c := newCold(3)
	for n := 1; n <= 5; n++ {
		c.put(coldRecord(n, n%2 == 1))
	}
	for n := 1; n <= 5; n++ {
		want := coldRecord(n, n%2 == 1)
		got := c.take(want.d.ID)
		if n < 3 {
			if got != nil {
				t.Errorf("record %d is held beyond the bound", n)
			}
			continue
		}
		if got == nil {
			t.Fatalf("record %d is gone", n)
		}
		if diff := cmp.Diff(want.d, got.d); diff != "" {
			t.Errorf("record %d: %s", n, diff)
		}
		if got.ws != want.ws || got.identity != want.identity || got.base != want.base {
			t.Errorf("record %d: %+v", n, got)
		}
		if labelled := n%2 == 1; got.bare == labelled || labelled && string(got.sealed) != "sealed" {
			t.Errorf("record %d: bare %v, sealed %q", n, got.bare, got.sealed)
		}
		if c.take(want.d.ID) != nil {
			t.Errorf("record %d is there twice", n)
		}
	}
	c.put(coldRecord(3, false))
	c.put(coldRecord(3, false)) // its first place in the ring is passed over
	for n := 6; n <= 7; n++ {
		c.put(coldRecord(n, false))
	}
	if len(c.records) > 3 {
		t.Errorf("%d records are held", len(c.records))
	}
}
