package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// CompareOptions say how Parley and Kannel are put side by side.
type CompareOptions struct {
	Program     string // the parley binary
	Dir         string // where everything keeps its files; it must exist
	Now         func() time.Time
	Messages    int64 // of each run
	Rounds      int   // each contestant runs so often, in turns
	Concurrency int
	Window      int // submits waiting for their answer on the one SMPP link
	Progress    func(phase string, done, total int64)
}

// A Contestant is one way to carry the same messages.
type Contestant struct {
	Name     string    `json:"name"`
	Receipts bool      `json:"receipts"`
	Rates    []float64 `json:"messages_per_second"` // one a round
	CPU      []float64 `json:"cpu_us_per_message"`
	P50      []float64 `json:"accept_p50_ms"`
	P99      []float64 `json:"accept_p99_ms"`
	RSS      []int64   `json:"peak_rss_bytes"`
	Steal    []float64 `json:"steal_percent"`
	Missing  int64     `json:"missing"` // in all rounds together

	run func(ctx context.Context, dir string) error
}

// Rate is the median of the rounds.
func (c *Contestant) Rate() float64 { return median(c.Rates) }

// Cost is the median processor time in µs a message.
func (c *Contestant) Cost() float64 { return median(c.CPU) }

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(x))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Compare lets Kannel and Parley carry the same messages through the same
// SMPP sink, one after the other, in rounds. Kannel tells each receipt with one
// HTTP call; so does Parley where its name does not say otherwise.
func Compare(ctx context.Context, o CompareOptions) (out []*Contestant, err error) {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	r := &run{o: Options{Program: o.Program, Dir: o.Dir, Now: o.Now, Window: o.Window}}
	defer func() { err = errors.Join(err, r.stop()) }()
	if err := r.startSandbox(ctx); err != nil {
		return nil, err
	}
	out = []*Contestant{
		kannelRuns(o, r, "Kannel, queue in memory", true, false),
		kannelRuns(o, r, "Kannel, queue in files", true, true),
		parleyRuns(o, r, "Parley", Options{Batch: 1, Webhook: 1, Types: endTypes()}),
		parleyRuns(o, r, "Parley, all events in batches", Options{Batch: 1, Webhook: 100}),
		parleyRuns(o, r, "Parley, requests of 100, all events in batches", Options{Batch: 100, Webhook: 100}),
		kannelRuns(o, r, "Kannel, queue in memory", false, false),
		kannelRuns(o, r, "Kannel, queue in files", false, true),
		parleyRuns(o, r, "Parley", Options{Batch: 1, NoReceipts: true}),
	}
	for round := range o.Rounds {
		for i, c := range out {
			dir := filepath.Join(o.Dir, strconv.Itoa(round)+"-"+strconv.Itoa(i))
			if err := os.Mkdir(dir, 0o700); err != nil {
				return nil, err
			}
			if err := c.run(ctx, dir); err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name, err)
			}
			if err := os.RemoveAll(dir); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func endTypes() []string {
	return []string{"message.delivered", "message.failed", "message.expired", "message.cancelled", "message.unconfirmed"}
}

func kannelRuns(o CompareOptions, r *run, name string, receipts, durable bool) *Contestant {
	c := &Contestant{Name: name, Receipts: receipts}
	c.run = func(ctx context.Context, dir string) error {
		res, err := RunKannel(ctx, KannelOptions{
			Dir: dir, Now: o.Now, SMPP: r.smpp, Control: r.control, Messages: o.Messages, Concurrency: o.Concurrency,
			Window: o.Window, Receipts: receipts, Durable: durable, Progress: o.Progress,
		})
		if err != nil {
			return err
		}
		c.note(res.MessagesPerSecond, res.CPUPerMessage, res.AcceptP50, res.AcceptP99, res.StealPercent, res.PeakRSS, res.Messages-res.Delivered)
		return nil
	}
	return c
}

func parleyRuns(o CompareOptions, r *run, name string, with Options) *Contestant {
	c := &Contestant{Name: name, Receipts: !with.NoReceipts}
	with.Program, with.Now, with.Progress, with.SMPP, with.Control = o.Program, o.Now, o.Progress, r.smpp, r.control
	with.Store, with.Channel, with.Nodes, with.Recipients, with.Binds = "sqlite", "sms", 1, 100_000, 1
	with.Concurrency, with.Window, with.Messages = o.Concurrency, o.Window, o.Messages
	c.run = func(ctx context.Context, dir string) error {
		with.Dir = dir
		res, err := Run(ctx, with)
		if err != nil {
			return err
		}
		c.note(res.MessagesPerSecond, res.CPUPerMessage, res.AcceptP50, res.AcceptP99, res.StealPercent, res.PeakRSS, res.Messages-res.Delivered)
		return nil
	}
	return c
}

func (c *Contestant) note(rate, cpu, p50, p99, steal float64, rss, missing int64) {
	c.Rates, c.CPU = append(c.Rates, rate), append(c.CPU, cpu)
	c.P50, c.P99 = append(c.P50, p50), append(c.P99, p99)
	c.Steal, c.RSS = append(c.Steal, steal), append(c.RSS, rss)
	c.Missing += missing
}
