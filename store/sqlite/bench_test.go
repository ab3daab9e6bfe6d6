package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// TestLogStaysShort checks that the write-ahead log is copied and begun anew
// while writes and reads go on.
func TestLogStaysShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, path, Options{Migrate: true, copyAt: 100})
	ws := message.WorkspaceID(newID(time.Now()))
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 400 {
				if err := accept(s, ws, 3000); err != nil {
					t.Error(err)
					return
				}
				if _, err := s.List(context.Background(), ws, store.Filter{Limit: 2}); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	log, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	// About 16,000 pages were written; each of them went through the log. It has some
	// 500 where readers overlap, and as many thousands if it never waits for them.
	if pages := log.Size() / 4120; pages > 3000 {
		t.Errorf("the write-ahead log has grown to %d pages", pages)
	}
}

// BenchmarkWebhooks takes one event to one endpoint: enqueue, claim, settle.
func BenchmarkWebhooks(b *testing.B) {
	w := newBench(b, 100)
	ctx := context.Background()
	w.lives(b, 0, 500)
	endpoint := message.EndpointID(newID(time.Now()))
	var cursor store.Cursor
	var left []*store.LogEvent
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; {
		b.StopTimer()
		for len(left) == 0 {
			var err error
			if left, cursor, err = w.s.Read(ctx, message.WorkspaceID{}, cursor, 500); err != nil {
				b.Fatal(err)
			}
			if len(left) == 0 {
				w.lives(b, i, 500)
			}
		}
		b.StartTimer()
		now := time.Now()
		rows := make([]*store.WebhookDelivery, len(left))
		for j, e := range left {
			rows[j] = &store.WebhookDelivery{ID: newID(now), Workspace: w.ws, Endpoint: endpoint, Event: e.Event, State: store.WebhookPending, NextAt: now, CreatedAt: now}
		}
		if err := w.s.Enqueue(ctx, "webhooks", cursor, rows); err != nil {
			b.Fatal(err)
		}
		for {
			list, err := w.s.Claim(ctx, endpoint, "a", now, now.Add(time.Minute), 200)
			if err != nil {
				b.Fatal(err)
			}
			if len(list) == 0 {
				break
			}
			tries := make([]*store.WebhookTry, len(list))
			for j, r := range list {
				tries[j] = &store.WebhookTry{ID: r.ID, Endpoint: endpoint, At: now, State: store.WebhookDelivered, Status: 200}
			}
			if err := w.s.Settle(ctx, "a", tries); err != nil {
				b.Fatal(err)
			}
		}
		i += len(left)
		left = nil
	}
}

// BenchmarkCommit tells how long one small write waits while the store is busy
// with lives in groups of 500: the tail is what checkpoints and flushes cost.
func BenchmarkCommit(b *testing.B) {
	w := newBench(b, 1000)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := 0; ; i += 500 {
			select {
			case <-stop:
				return
			default:
				w.lives(b, i, 500)
			}
		}
	}()
	waits := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		begin := time.Now()
		if err := w.s.Ping(context.Background()); err != nil {
			b.Fatal(err)
		}
		waits = append(waits, time.Since(begin))
	}
	b.StopTimer()
	close(stop)
	wg.Wait()
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(waits[len(waits)-1].Microseconds()), "max-µs")
}
