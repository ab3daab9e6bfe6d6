// Command kannel-bench puts Parley and Debian's Kannel side by side: the same
// messages, the same SMPP sink, one run. It prints a table, one JSON line with
// everything measured, and writes the plots of docs/benchmarks.md.
//
// Kannel runs as Debian ships it, on free ports, in a temporary folder:
//
//	sudo apt-get install -y --no-install-recommends kannel
//	make build && go run ./scripts/kannel-bench
//
// The measuring itself is package bench: start with [bench.Compare].
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/parley-messaging/parley/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kannel-bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	o := bench.CompareOptions{Now: time.Now}
	flag.StringVar(&o.Program, "parley", "bin/parley", "the program to measure")
	flag.Int64Var(&o.Messages, "messages", 30_000, "messages of each run")
	flag.IntVar(&o.Rounds, "rounds", 3, "how often each contestant runs")
	flag.IntVar(&o.Concurrency, "concurrency", 64, "HTTP connections")
	flag.IntVar(&o.Window, "window", 500, "submits waiting on the one SMPP link")
	plots := flag.String("plots", "", "folder to write plots to; empty = none")
	flag.Parse()
	if o.Program, err = filepath.Abs(o.Program); err != nil {
		return err
	}
	if o.Dir, err = os.MkdirTemp("", "kannel-bench"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	phase := ""
	o.Progress = func(now string, _, _ int64) {
		if now != phase {
			phase = now
			fmt.Fprintln(os.Stderr, time.Now().Format("15:04:05"), now)
		}
	}
	all, err := bench.Compare(ctx, o)
	if err != nil {
		return err
	}
	if err := table(all); err != nil {
		return err
	}
	line, err := json.Marshal(all)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if *plots == "" {
		return nil
	}
	if err := os.MkdirAll(*plots, 0o755); err != nil {
		return err
	}
	return errors.Join(
		plot(filepath.Join(*plots, "kannel-rate.svg"), "Messages a second, with receipts", "/s", all, (*bench.Contestant).Rate),
		plot(filepath.Join(*plots, "kannel-cpu.svg"), "Processor time of a message, with receipts", "µs", all, (*bench.Contestant).Cost),
	)
}

// table prints Markdown, with rates as multiples of Kannel's best.
func table(all []*bench.Contestant) error {
	best := map[bool]float64{}
	for _, c := range all {
		if isKannel(c) {
			best[c.Receipts] = max(best[c.Receipts], c.Rate())
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 1, ' ', 0)
	_, err := fmt.Fprintln(w, "| with receipts\t| messages/s\t| to Kannel's best\t| CPU µs/message\t| missing\t|\n|---\t|---\t|---\t|---\t|---\t|")
	receipts := true
	for _, c := range all {
		if c.Receipts != receipts {
			receipts = c.Receipts
			_, e := fmt.Fprintln(w, "| **without receipts**\t|\t|\t|\t|\t|")
			err = errors.Join(err, e)
		}
		_, e := fmt.Fprintf(w, "| %s\t| %.0f\t| %.2f\t| %.0f\t| %d\t|\n", c.Name, c.Rate(), c.Rate()/best[c.Receipts], c.Cost(), c.Missing)
		err = errors.Join(err, e)
	}
	return errors.Join(err, w.Flush())
}

func isKannel(c *bench.Contestant) bool { return len(c.Name) >= 6 && c.Name[:6] == "Kannel" }

func plot(path, title, unit string, all []*bench.Contestant, value func(*bench.Contestant) float64) error {
	var bars []bench.Bar
	for _, c := range all {
		if c.Receipts {
			bars = append(bars, bench.Bar{Label: c.Name, Value: value(c), Good: !isKannel(c)})
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(bench.Plot(f, title, unit, bars), f.Close())
}
