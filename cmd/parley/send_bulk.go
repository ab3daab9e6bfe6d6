package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/schollz/progressbar/v3"

	parley "github.com/parley-messaging/parley/sdk/go"
)

// A bulk sends the rows of a file, several at once.
type bulk struct {
	c  *sendCmd
	cl *parley.Client
	p  palette

	bar                    *progressbar.ProgressBar
	mu                     sync.Mutex
	results                *json.Encoder // nil = none
	taken, before, refused int64
	broken                 error // what makes going on useless
}

// run sends and tells. It can be stopped at any time and run again: what was
// accepted is not sent again. The exit status is 1 when a line was refused or
// not reached.
func (b *bulk) run(ctx context.Context, f io.Reader) (err error) {
	earlier, err := accepted(b.c.Results)
	if err != nil {
		return fmt.Errorf("--results: %w", err)
	}
	if b.c.Results != "" {
		out, opened := os.OpenFile(b.c.Results, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if opened != nil {
			return fmt.Errorf("--results: %w", opened)
		}
		defer func() { err = errors.Join(err, out.Close()) }()
		b.results = json.NewEncoder(out)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b.bar = progress(b.c.count(), "sending")
	work := make(chan row)
	var hands sync.WaitGroup
	for range max(b.c.Parallel, 1) {
		hands.Go(func() {
			for r := range work {
				if err := b.one(ctx, r); err != nil {
					stop(err)
				}
				_ = b.bar.Add(1) // a bar that cannot be drawn is no loss
			}
		})
	}
	err = b.c.rows(f, func(r row) bool {
		if r.req != nil {
			if v, ok := earlier[r.req.IdempotencyKey]; ok {
				v.Line, v.Again = r.line, true
				b.tell(v, false)
				_ = b.bar.Add(1) // the same
				return true
			}
		}
		select {
		case work <- r:
			return true
		case <-ctx.Done():
			return false
		}
	})
	close(work)
	hands.Wait()
	_ = b.bar.Finish() // the same
	if err != nil {
		return err
	}
	return b.end(ctx)
}

// one sends a row. The error is one that every other row would meet as well.
func (b *bulk) one(ctx context.Context, r row) error {
	v := lineVerdict{Line: r.line}
	if r.err != nil {
		v.Code, v.Detail = "unreadable", r.err.Error()
		b.tell(v, true)
		return nil
	}
	v.Key = r.req.IdempotencyKey
	out, err := b.cl.Messages.Send(ctx, r.req)
	var e *parley.Error
	switch {
	case err == nil:
		v.ID, v.State, v.Again = out.ID, out.State, out.Replayed
	case errors.As(err, &e) && !e.Temporary() && e.Status != http.StatusUnauthorized && e.Status != http.StatusForbidden:
		v.Code, v.Field, v.Detail, v.Remedy = e.Code, e.Field, e.Detail, e.Remedy
	default:
		return err
	}
	b.tell(v, true)
	return nil
}

// tell counts a verdict and says it: all of them as JSON, else those that a
// person must look at. fresh says that the results do not hold it yet.
func (b *bulk) tell(v lineVerdict, fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case v.ID == "":
		b.refused++
	case v.Again:
		b.before++
	default:
		b.taken++
	}
	if b.results != nil && fresh {
		b.broken = errors.Join(b.broken, b.results.Encode(v))
	}
	if b.c.JSON || v.ID == "" {
		_ = b.bar.Clear() // what is said must not stand behind the bar
	}
	if b.c.JSON {
		raw, err := json.Marshal(v)
		b.broken = errors.Join(b.broken, err)
		fmt.Println(string(raw))
	} else if v.ID == "" {
		where := ""
		if v.Field != "" {
			where = v.Field + " "
		}
		fmt.Printf("%s line %d: %s%s", b.p.bad("✗"), v.Line, where, v.Detail)
		if v.Remedy != "" {
			fmt.Print("; " + v.Remedy)
		}
		fmt.Printf(" (%s)\n", v.Code)
	}
}

// end sums up.
func (b *bulk) end(ctx context.Context) error {
	w := os.Stdout
	if b.c.JSON {
		w = os.Stderr
	}
	_, err := fmt.Fprintf(w, "%s accepted, %s accepted before, %s refused\n", b.p.good(plural(b.taken, "line")), plural(b.before, "line"), b.p.bad(plural(b.refused, "line")))
	err = errors.Join(err, b.broken)
	if cause := context.Cause(ctx); cause != nil {
		return errors.Join(fmt.Errorf("stopped before the end of the file: run the same command again to go on; what was accepted is not sent again (%s)", said(cause)), err)
	}
	if err != nil {
		return err
	}
	if b.refused > 0 {
		return exit(1)
	}
	return nil
}
