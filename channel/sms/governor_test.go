package sms

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/parley-messaging/parley/smpp"
)

// The SMSC bears 100 parts a second and says 0x58 beyond: the account comes
// down to that, keeps near it, and goes up again when the SMSC bears more.
func TestGovernor(t *testing.T) {
	for name, throughput := range map[string]float64{"without a limit of ours": 0, "with one that is too high": 1000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGovernor(throughput)
				var second time.Time
				taken := 0
				// A minute of as much as the governor lets through, to an SMSC of a pace.
				minute := func(bears int) (sent, refused int) {
					end := time.Now().Add(time.Minute)
					for time.Now().Before(end) {
						if err := g.wait(t.Context(), 1, time.Now()); err != nil {
							t.Fatal(err)
						}
						if now := time.Now(); now.Sub(second) >= time.Second {
							second, taken = now, 0
						}
						if taken++; taken > bears {
							g.slow(time.Now())
							refused++
							<-time.After(time.Millisecond)
							continue
						}
						sent++
						<-time.After(100 * time.Microsecond) // no wire takes more than that
					}
					return sent, refused
				}
				minute(100)
				sent, refused := minute(100)
				if sent < 60*50 || refused > sent/20 {
					t.Errorf("at 100 a second %d were taken and %d refused", sent, refused)
				}
				if throughput > 0 {
					minute(5000)
					if sent, refused = minute(5000); sent < 60*900 || refused > 0 {
						t.Errorf("back at full speed %d were taken and %d refused", sent, refused)
					}
				}
			})
		})
	}
	g := newGovernor(0)
	now := time.Unix(1e9, 0)
	if g.slow(now) != slowest || g.slow(now) != 0 || g.limiter.Limit() != slowest {
		t.Errorf("never below the slowest: %v", g.limiter.Limit())
	}
	g.count(1, now.Add(time.Hour))
	if g.limiter.Limit() != rate.Inf || g.slowed {
		t.Errorf("not lifted after an hour: %v", g.limiter.Limit())
	}
	g = newGovernor(80)
	if half := g.slow(now); math.Abs(half-40) > 1e-9 || g.limiter.Burst() != 4 {
		t.Errorf("half of 80 is %v", half)
	}
}

// 0x58, 0x14 and a congested SMPP 5.0 peer slow the account down.
func TestThrottledAnswersSlow(t *testing.T) {
	var answer atomic.Int32
	srv := serve(t, smpp.ServerConfig{SessionConfig: smpp.SessionConfig{Handler: func(r *smpp.Request) {
		switch answer.Load() {
		case 0:
			r.Refuse(smpp.StatusThrottled)
		case 1:
			r.Refuse(smpp.StatusQueueFull)
		default:
			r.Respond(smpp.StatusOK, &smpp.MessageResp{MessageID: "1", TLVs: smpp.TLVs{smpp.TagCongestionState.Uint8(95)}})
		}
	}}})
	for i := range int32(3) {
		answer.Store(i)
		c := open(t, config(srv, map[string]any{"throughput": 100}))
		run(t, c, 1)
		_, err := c.Send(context.Background(), outbound("x"))
		if (err == nil) != (i == 2) || c.pace.limiter.Limit() != 50 {
			t.Errorf("answer %d: %v, then %v a second", i, err, c.pace.limiter.Limit())
		}
	}
}
