package pace_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/engine/pace"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// Over any interval a bucket gives no more than its burst and what comes back
// in that time, and it is never stingier than that for long.
func TestBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		every := time.Duration(rapid.Int64Range(1, int64(time.Second)).Draw(t, "every"))
		burst := rapid.IntRange(1, 20).Draw(t, "burst")
		b := pace.New(every, burst)
		now := start
		var taken []time.Time
		for range rapid.IntRange(1, 120).Draw(t, "asks") {
			ok, at := b.Take(now)
			if ok {
				taken = append(taken, now)
				continue
			}
			if !at.After(now) {
				t.Fatalf("refused at %v until %v", now, at)
			}
			if at.Sub(now) > every {
				t.Fatalf("the next token is %s away, one comes back every %s", at.Sub(now), every)
			}
			early := at.Add(-1)
			if early.After(now) {
				if again, _ := b.Take(early); again {
					t.Fatalf("gave before the time it named")
				}
			}
			if rapid.Bool().Draw(t, "at the time") {
				now = at
				if ok, _ := b.Take(now); !ok {
					t.Fatalf("nothing at the time it named")
				}
				taken = append(taken, now)
			} else {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*every)).Draw(t, "later")))
			}
		}
		for i := range taken {
			for j := i; j < len(taken); j++ {
				if n, most := j-i+1, burst+int(taken[j].Sub(taken[i])/every); n > most {
					t.Fatalf("%d tokens in %s, at most %d", n, taken[j].Sub(taken[i]), most)
				}
			}
		}
	})
}

func TestGiveAndIdle(t *testing.T) {
	b := pace.New(time.Second, 2)
	if !b.Idle(start) {
		t.Error("a new bucket is not full")
	}
	take := func(want bool) {
		t.Helper()
		if ok, _ := b.Take(start); ok != want {
			t.Errorf("took %v, want %v", ok, want)
		}
	}
	take(true)
	take(true)
	take(false)
	b.Give()
	take(true)
	if b.Idle(start.Add(time.Second)) || !b.Idle(start.Add(2*time.Second)) {
		t.Error("idle before it is full again, or not after")
	}
}

// A token given back to a full bucket is not a token more.
func TestGiveTooMuch(t *testing.T) {
	b := pace.New(time.Second, 2)
	for range 10 {
		b.Give()
	}
	n := 0
	for range 10 {
		if ok, _ := b.Take(start); ok {
			n++
		}
	}
	if n != 2 {
		t.Errorf("gave %d at once, want 2", n)
	}
}

func TestOwe(t *testing.T) {
	now := time.Unix(1000, 0)
	b := pace.New(time.Second, 2)
	if ok, _ := b.Take(now); !ok {
		t.Fatal("a full bucket gives nothing")
	}
	b.Owe(3, now)
	if ok, at := b.Take(now); ok || at.Sub(now) != 3*time.Second {
		t.Errorf("after owing: %v, %v", ok, at.Sub(now))
	}
	var free pace.Bucket
	free.Owe(100, now)
	if ok, _ := free.Take(now); !ok {
		t.Error("a bucket without limit owes nothing")
	}
}

func TestPause(t *testing.T) {
	for name, b := range map[string]pace.Bucket{"limited": pace.New(time.Second, 1), "unlimited": {}} {
		b.Pause(start.Add(time.Minute))
		b.Pause(start.Add(time.Second)) // the longer one stands
		if ok, at := b.Take(start); ok || !at.Equal(start.Add(time.Minute)) {
			t.Errorf("%s: %v until %v", name, ok, at)
		}
		if b.Idle(start) {
			t.Errorf("%s: idle while paused", name)
		}
		if ok, _ := b.Take(start.Add(time.Minute)); !ok {
			t.Errorf("%s: nothing after the pause", name)
		}
	}
}

func TestPerSecond(t *testing.T) {
	for _, c := range []struct {
		rate  float64
		burst int
		want  int // at one instant, of 1000 asks
	}{{0, 0, 1000}, {-1, 5, 1000}, {80, 0, 8}, {5, 0, 1}, {80, 3, 3}, {0.5, 0, 1}} {
		b := pace.PerSecond(c.rate, c.burst)
		n := 0
		for range 1000 {
			if ok, _ := b.Take(start); ok {
				n++
			}
		}
		if n != c.want {
			t.Errorf("rate %v burst %d gives %d at once, want %d", c.rate, c.burst, n, c.want)
		}
	}
}
