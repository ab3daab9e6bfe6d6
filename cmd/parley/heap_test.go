package main

import (
	"runtime/debug"
	"testing"
)

func TestGrowth(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 75}, {20 * mb, 75}, {68 * mb, 75}, {75 * mb, 60}, {80 * mb, 50}, {86 * mb, 39}, {92 * mb, 33}, {128 * mb, 33}, {4 << 30, 33}} {
		if got := growth(c.live); got != c.want {
			t.Errorf("%d MB may grow by %d %%, want %d", c.live/mb, got, c.want)
		}
	}
}

// TestTuneHeap: we collect more often than Go would, follow what lives, and leave
// it to who has set GOGC.
func TestTuneHeap(t *testing.T) {
	before := debug.SetGCPercent(100)
	ask := lookupEnv
	t.Cleanup(func() { lookupEnv = ask; debug.SetGCPercent(before) })
	for _, c := range []struct {
		set  bool
		want int
	}{{true, 100}, {false, growMost}} {
		lookupEnv = func(name string) (string, bool) { return "", name == "GOGC" && c.set }
		tuneHeap(t.Context())
		if got := debug.SetGCPercent(100); got != c.want {
			t.Errorf("GOGC set: %v: the heap grows by %d %%, want %d", c.set, got, c.want)
		}
	}
}
