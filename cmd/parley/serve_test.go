package main

import (
	"runtime/debug"
	"testing"
)

// TestCollectOften: we collect more often than Go would, and leave it to who
// has set GOGC.
func TestCollectOften(t *testing.T) {
	before := debug.SetGCPercent(100)
	ask := lookupEnv
	t.Cleanup(func() { lookupEnv = ask; debug.SetGCPercent(before) })
	for _, c := range []struct {
		set  bool
		want int
	}{{true, 100}, {false, gcPercent}} {
		lookupEnv = func(name string) (string, bool) { return "", name == "GOGC" && c.set }
		collectOften()
		if got := debug.SetGCPercent(100); got != c.want {
			t.Errorf("GOGC set: %v: the heap grows by %d %%, want %d", c.set, got, c.want)
		}
	}
}
