package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much the heap may grow over what lives in it before it is collected, in
// percent. Go's 100 takes 10 to 20 MB more under load and no less of the
// processor's time (docs/benchmarks.md, 2026-11-27). A larger heap grows by
// less, down to the least, so that a server of ordinary size stays small.
const (
	growMost  = 75
	growLeast = 33
	heapRoom  = 120 << 20 // within which the heap is kept while growLeast allows it
)

// growth is the percentage for so many living bytes.
func growth(live uint64) int {
	if live == 0 {
		return growMost
	}
	left := (heapRoom - int64(live)) * 100 / int64(live)
	return int(min(max(left, growLeast), growMost))
}

// tuneHeap sets the growth, and again when what lives has changed by much, until
// ctx ends. Whoever runs us and has set GOGC is left alone.
func tuneHeap(ctx context.Context) {
	if _, set := lookupEnv("GOGC"); set {
		return
	}
	now := growMost
	debug.SetGCPercent(now)
	go func() {
		look := time.NewTicker(250 * time.Millisecond)
		defer look.Stop()
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
			metrics.Read(sample)
			if sample[0].Value.Kind() != metrics.KindUint64 {
				return // a Go that does not tell
			}
			// Setting it stops the world for a moment.
			if next := growth(sample[0].Value.Uint64()); next < now-4 || next > now+4 {
				now = next
				debug.SetGCPercent(now)
			}
		}
	}()
}
