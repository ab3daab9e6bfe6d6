package pace_test

import (
	"encoding/binary"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/engine/pace"
)

// TestPairsAreForgotten: of a campaign to many people no more is kept than what
// still holds something back, and that is kept.
func TestPairsAreForgotten(t *testing.T) {
	p := pace.NewPairs(6*time.Second, 2)
	now := start
	slowed := [16]byte{0xff}
	p.Pause(slowed, now.Add(time.Hour), now)
	most := 0
	for i := range 100_000 { // a thousand a second
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], uint64(i))
		if ok, _ := p.Take(id, now); !ok {
			t.Fatalf("recipient %d has to wait", i)
		}
		most = max(most, p.Len())
		now = now.Add(time.Millisecond)
	}
	if most > 2*(6000+1)+1 {
		t.Errorf("%d pairs are held, of 6,000 that are not idle", most)
	}
	if ok, at := p.Take(slowed, now); ok || at.Before(now) {
		t.Errorf("a pair that was slowed for an hour may go at %v", at)
	}
}

// TestPairsAreBuckets: each key has a bucket of its own, and does what it does.
func TestPairsAreBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		every := time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "every"))
		burst := rapid.IntRange(0, 5).Draw(t, "burst")
		p, now := pace.NewPairs(every, burst), start
		each := make(map[byte]*pace.Bucket)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "later")))
			id := byte(rapid.IntRange(0, 3).Draw(t, "key"))
			b := each[id]
			if b == nil {
				var fresh pace.Bucket
				if every > 0 {
					fresh = pace.New(every, burst)
				}
				b, each[id] = &fresh, &fresh
			}
			key := [16]byte{id}
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				n := rapid.IntRange(1, 3).Draw(t, "n")
				b.Owe(n, now)
				p.Owe(key, n, now)
			case 1:
				until := now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "pause")))
				if every > 0 {
					b.Pause(until)
				}
				p.Pause(key, until, now)
			default:
				ok, at := b.Take(now)
				if got, gotAt := p.Take(key, now); got != ok || !gotAt.Equal(at) {
					t.Fatalf("%v at %v, want %v at %v", got, gotAt, ok, at)
				}
				if ok && rapid.Bool().Draw(t, "for nothing") {
					b.Give()
					p.Give(key)
				}
			}
		}
	})
}
