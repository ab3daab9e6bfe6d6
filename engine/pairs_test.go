package engine

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/engine/pace"
	"github.com/parley-messaging/parley/message"
)

// TestPairsAreForgotten: of a campaign to many people no more is kept than what
// still holds something back, and that is kept.
func TestPairsAreForgotten(t *testing.T) {
	l := &lane{pairs: make(map[[16]byte]*pace.Bucket), pairBy: channel.Limits{PairEvery: 6 * time.Second, PairBurst: 2}}
	now := time.Unix(1_800_000_000, 0)
	slowed := [16]byte{0xff}
	l.slow(&message.Fault{Scope: message.ScopePair, RetryAfter: time.Hour}, slowed, now)
	most := 0
	for i := range 100_000 { // a thousand a second
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], uint64(i))
		if _, ok := l.pair(&job{identity: id}, now); !ok {
			t.Fatalf("recipient %d has to wait", i)
		}
		most = max(most, len(l.pairs))
		now = now.Add(time.Millisecond)
	}
	if most > 2*(6000+1)+1 {
		t.Errorf("%d pairs are held, of 6,000 that are not idle", most)
	}
	if at, ok := l.pair(&job{identity: slowed}, now); ok || at.Before(now) {
		t.Errorf("a pair that was slowed for an hour may go at %v", at)
	}
}
