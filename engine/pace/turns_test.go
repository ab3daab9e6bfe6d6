package pace_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/engine/pace"
)

// drain takes everything and gives the order of the values.
func drain(t *pace.Turns[string, string], cost func(string) int) string {
	var out []string
	for {
		v, ok := t.Next()
		if !ok {
			return strings.Join(out, " ")
		}
		if got := t.Take(cost(v)); got != v {
			return "Next said " + v + ", Take gave " + got
		}
		out = append(out, v)
	}
}

func one(string) int { return 1 }

func TestTurns(t *testing.T) {
	var q pace.Turns[string, string]
	if _, ok := q.Next(); ok || q.Len() != 0 {
		t.Error("the zero Turns is not empty")
	}
	for _, v := range []string{"a1", "a2", "a3", "a4", "b1", "c1", "b2"} {
		q.Push(v[:1], v)
	}
	if q.Len() != 7 || q.Of("a") != 4 || q.Of("d") != 0 {
		t.Errorf("%d wait, %d of a, %d of d", q.Len(), q.Of("a"), q.Of("d"))
	}
	if got, want := drain(&q, one), "a1 b1 c1 a2 b2 a3 a4"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A source that comes late goes next, and catches nothing up.
func TestTurnsLate(t *testing.T) {
	var q pace.Turns[string, string]
	for _, v := range []string{"a1", "a2", "a3", "a4", "a5", "a6"} {
		q.Push("a", v)
	}
	for range 3 {
		q.Take(1)
	}
	for _, v := range []string{"b1", "b2", "b3"} {
		q.Push("b", v)
	}
	if got, want := drain(&q, one), "b1 a4 b2 a5 b3 a6"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What is shared is the cost, also when a source was empty in between.
func TestTurnsByCost(t *testing.T) {
	var q pace.Turns[string, string]
	for _, v := range []string{"b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8"} {
		q.Push("b", v)
	}
	cost := func(v string) int {
		if v[:1] == "A" {
			return 3
		}
		return 1
	}
	q.Push("A", "A1")
	var got []string
	for q.Len() > 0 {
		v, _ := q.Next()
		q.Take(cost(v))
		if got = append(got, v); v == "A1" {
			q.Push("A", "A2")
		}
	}
	if s, want := strings.Join(got, " "), "b1 A1 b2 b3 b4 A2 b5 b6 b7 b8"; s != want {
		t.Errorf("%s, want %s", s, want)
	}
}

func TestTurnsReturn(t *testing.T) {
	var q pace.Turns[string, string]
	for _, v := range []string{"a1", "a2", "b1"} {
		q.Push(v[:1], v)
	}
	if v := q.Take(0); v != "a1" {
		t.Error(v)
	}
	if v, _ := q.Next(); v != "a2" {
		t.Errorf("putting aside cost a its turn: %s", v)
	}
	q.Return("a", "a1")
	q.Return("a", "a0")
	q.Return("c", "c1")
	if got, want := drain(&q, one), "a0 b1 c1 a1 a2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Whatever comes and goes: nothing is lost, each source keeps its order, and no
// source that waits falls behind another by more than one value of each.
func TestTurnsAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q pace.Turns[int, int]
		sources := rapid.IntRange(1, 90).Draw(t, "sources")
		cost := rapid.SliceOfN(rapid.IntRange(1, 20), sources, sources).Draw(t, "cost")
		waiting := make([][]int, sources)
		given := make([]int, sources) // since both waited
		n := 0
		for i := range rapid.IntRange(1, 300).Draw(t, "steps") {
			if q.Len() == 0 || rapid.Bool().Draw(t, "push") {
				k := rapid.IntRange(0, sources-1).Draw(t, "source")
				if len(waiting[k]) == 0 {
					clear(given)
				}
				waiting[k] = append(waiting[k], i)
				q.Push(k, i)
				n++
				continue
			}
			v, _ := q.Next()
			k := slices.IndexFunc(waiting, func(w []int) bool { return len(w) > 0 && w[0] == v })
			if k < 0 {
				t.Fatalf("%d is nobody's next", v)
			}
			q.Take(cost[k])
			n--
			waiting[k] = waiting[k][1:]
			given[k] += cost[k]
			for other := range sources {
				if len(waiting[other]) > 0 && given[k] > given[other]+cost[k]+cost[other] {
					t.Fatalf("source %d was given %d while %d got %d", k, given[k], other, given[other])
				}
			}
			if q.Len() != n {
				t.Fatalf("%d wait, said %d", n, q.Len())
			}
		}
	})
}
