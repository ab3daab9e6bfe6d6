package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

const (
	// codeEvery is the pause between two one-time codes while a backlog drains.
	codeEvery = 50 * time.Millisecond
	// besideFor is how long single requests are measured beside a full queue
	// where no duration is given.
	besideFor = 5 * time.Second
)

// backlog stops the connectors, queues messages behind them, measures how the
// server goes on accepting, kills it and measures how soon it is back, lets go,
// and measures how one-time codes overtake.
func (r *run) backlog(ctx context.Context) (*BacklogResult, error) {
	if err := r.brake(ctx, "pause"); err != nil {
		return nil, err
	}
	if err := r.resetPeak(); err != nil {
		return nil, err
	}
	fill := r.load("queueing a backlog", fillBatch, min(r.o.Concurrency, 8))
	fill.count = r.o.Backlog
	filled, err := fill.run(ctx)
	if err != nil {
		return nil, err
	}
	beside := r.load("accepting beside the backlog", 1, r.o.Concurrency)
	beside.span = cmp.Or(r.o.Duration, besideFor)
	single, err := beside.run(ctx)
	if err != nil {
		return nil, err
	}
	res := &BacklogResult{
		Queued: filled.accepted + single.accepted, AcceptPerSecond: round(float64(filled.accepted)/filled.took.Seconds(), 1),
		AcceptP50: single.percentile(50), AcceptP99: single.percentile(99),
	}
	if s := r.servers[0]; s.process != nil {
		u, err := r.usage(ctx)
		if err != nil {
			return nil, err
		}
		res.PeakRSS = u.peak
		took, err := r.restart(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("after a kill with %d messages queued: %w", res.Queued, err)
		}
		res.Restart = round(float64(took.Microseconds())/1000, 1)
	}
	if err := r.brake(ctx, "resume"); err != nil {
		return nil, err
	}
	began := r.o.Now()
	ids, err := r.codes(ctx, res.Queued)
	if err != nil {
		return nil, err
	}
	if err := r.drain(ctx, "draining the backlog"); err != nil {
		return nil, err
	}
	res.DrainPerSecond = round(float64(res.Queued)/r.o.Now().Sub(began).Seconds(), 1)
	u, err := r.usage(ctx)
	if err != nil {
		return nil, err
	}
	res.PeakRSS = max(res.PeakRSS, u.peak)
	waits, err := r.handed(ctx, ids)
	if err != nil {
		return nil, err
	}
	t := &tally{waits: waits}
	res.OneTimeCodes, res.CodeP50, res.CodeP99 = len(waits), t.percentile(50), t.percentile(99)
	return res, nil
}

func (r *run) brake(ctx context.Context, verb string) error {
	for _, id := range r.connectors {
		if err := r.call(ctx, "POST", r.servers[0].base+"/v1/connectors/"+id+"/"+verb, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// codes sends authentication messages until half of the backlog is gone, and
// gives their ids.
func (r *run) codes(ctx context.Context, queued int64) ([]string, error) {
	from, err := r.told(ctx)
	if err != nil {
		return nil, err
	}
	s := r.servers[0]
	c := &conn{address: s.address, timeout: requestTimeout, now: r.o.Now}
	defer c.close()
	l := r.load("", 1, 1)
	l.purpose = "authentication"
	var ids []string
	for i := 0; ; i++ {
		a, err := c.ask(r.appendRequest(nil, s.host, false, l.appendBody(nil, 1, r.routes[i%len(r.routes)])))
		if err != nil {
			return nil, err
		}
		if a.status == 202 {
			var in struct {
				ID string `json:"id"`
			}
			if err := json.Unmarshal(a.body, &in); err != nil {
				return nil, err
			}
			ids = append(ids, in.ID)
		} else if a.status != 429 && a.status != 503 {
			return nil, fmt.Errorf("a one-time code was answered %d: %s", a.status, bytes.TrimSpace(a.body))
		}
		told, err := r.told(ctx)
		if err != nil {
			return nil, err
		}
		r.o.Progress("one-time codes overtake", told-from, queued)
		if told-from >= queued/2 {
			return ids, nil
		}
		if err := pause(ctx, max(codeEvery, a.retry)); err != nil {
			return nil, err
		}
	}
}

// handed reads how many µs after its acceptance each message was taken by the
// operator. (Receipts cannot tell: SMPP's times are minutes.)
func (r *run) handed(ctx context.Context, ids []string) ([]int32, error) {
	var out []int32
	for _, id := range ids {
		var m struct {
			Created time.Time `json:"created_at"`
			Steps   []struct {
				Attempts []struct {
					Answered *time.Time `json:"answered_at"`
				} `json:"attempts"`
			} `json:"steps"`
		}
		if err := r.call(ctx, "GET", r.servers[0].base+"/v1/messages/"+id, nil, &m); err != nil {
			return nil, err
		}
		if len(m.Steps) == 0 || len(m.Steps[0].Attempts) == 0 || m.Steps[0].Attempts[0].Answered == nil {
			return nil, fmt.Errorf("%s was not handed over", id)
		}
		out = append(out, int32(m.Steps[0].Attempts[0].Answered.Sub(m.Created).Microseconds()))
	}
	slices.Sort(out)
	return out, nil
}
