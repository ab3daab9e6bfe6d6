package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/sandbox/clock"
)

func TestAdvanceRunsInOrderAtTheirOwnTime(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := clock.New(func() time.Time { return start })
	defer c.Stop()
	var got []string
	note := func(name string) func(time.Time) {
		return func(at time.Time) {
			got = append(got, name+" "+at.Sub(start).String()+" "+c.Now().Sub(start).String())
		}
	}
	c.After(3*time.Hour, note("c"))
	c.After(time.Hour, note("a"))
	c.After(time.Hour, func(at time.Time) {
		note("b")(at)
		c.After(30*time.Minute, note("b2"))
	})
	c.After(48*time.Hour, note("never"))
	if now := c.Advance(24 * time.Hour); now != start.Add(24*time.Hour) {
		t.Errorf("now = %v", now)
	}
	want := []string{"a 1h0m0s 1h0m0s", "b 1h0m0s 1h0m0s", "b2 1h30m0s 1h30m0s", "c 3h0m0s 3h0m0s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c.Pending() != 1 {
		t.Errorf("pending = %d", c.Pending())
	}
}

func TestRealTimersFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(time.Now)
		defer c.Stop()
		fired := make(chan time.Time, 2)
		begin := time.Now()
		c.After(time.Minute, func(at time.Time) { fired <- at })
		c.After(time.Second, func(at time.Time) { fired <- at })
		if at := <-fired; at.Sub(begin) != time.Second {
			t.Errorf("first after %v", at.Sub(begin))
		}
		if at := <-fired; at.Sub(begin) != time.Minute {
			t.Errorf("second after %v", at.Sub(begin))
		}
	})
}

func TestWakeFollowsAJumpOfTheReading(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	readings := make(chan time.Duration, 1)
	readings <- 0
	c := clock.New(func() time.Time {
		d := <-readings
		readings <- d
		return now.Add(d)
	})
	defer c.Stop()
	ran := false
	c.After(time.Hour, func(time.Time) { ran = true })
	<-readings
	readings <- 2 * time.Hour
	c.Wake()
	if !ran {
		t.Error("the jump ran nothing")
	}
}

func TestStopRunsNothingMore(t *testing.T) {
	c := clock.New(time.Now)
	c.After(time.Hour, func(time.Time) { t.Error("ran after stop") })
	c.Stop()
	c.Stop()
	c.Advance(2 * time.Hour)
}
