package gsm

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var clock = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

func TestReassemble(t *testing.T) {
	key := PartKey{Source: "491701234567", Destination: "2020", Reference: 7, Total: 3}
	var r Reassembler
	add := func(k PartKey, number uint8, data string, now time.Time) string {
		parts, ok := r.Add(k, number, []byte(data), now)
		if !ok {
			return ""
		}
		var whole string
		for _, p := range parts {
			whole += string(p)
		}
		return whole
	}
	other := key
	other.Source = "491700000000"
	for i, step := range []struct {
		key    PartKey
		number uint8
		data   string
		want   string
	}{
		{key, 3, "c", ""},
		{key, 1, "a", ""},
		{key, 1, "a", ""},
		{other, 2, "y", ""},
		{key, 2, "b", "abc"},
		{other, 1, "x", ""},
		{other, 3, "z", "xyz"},
		{key, 9, "lone", "lone"},
		{key, 0, "lone", "lone"},
		{PartKey{Total: 1}, 1, "one", "one"},
	} {
		if got := add(step.key, step.number, step.data, clock); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
	if r.Waiting() != 0 {
		t.Errorf("%d waiting", r.Waiting())
	}

	// The reference comes round again while the old message lacks a part.
	add(key, 1, "old", clock)
	add(key, 1, "new", clock)
	if got := r.Forget(clock); len(got) != 1 || string(got[0].Parts[0]) != "old" {
		t.Errorf("%v", got)
	}
	// A day later the rest is too late.
	add(key, 2, "b", clock.Add(KeepParts))
	if got := r.Forget(clock.Add(KeepParts)); len(got) != 1 || string(got[0].Parts[0]) != "new" || got[0].Parts[1] != nil {
		t.Errorf("%v", got)
	}
	want := []Incomplete{{Key: key, Since: clock.Add(KeepParts), Parts: [][]byte{nil, []byte("b"), nil}}}
	if diff := cmp.Diff(want, r.Forget(clock.Add(2*KeepParts))); diff != "" || r.Waiting() != 0 {
		t.Error(diff)
	}
}

func TestReassemblerIsBounded(t *testing.T) {
	var r Reassembler
	for i := range maxSets + 2 {
		r.Add(PartKey{Source: fmt.Sprint(i), Total: 2}, 1, []byte("a"), clock.Add(time.Duration(i)))
	}
	if given := r.Forget(clock); r.Waiting() != maxSets || len(given) != 2 || given[0].Key.Source != "0" {
		t.Errorf("%d waiting, %d given up", r.Waiting(), len(given))
	}
}
