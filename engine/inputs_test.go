package engine

import (
	"slices"
	"strconv"
	"testing"

	"github.com/parley-messaging/parley/message"
)

// TestInputs: what was begun is taken first, attempts have a small share of
// their own and fill what is left up to their bound, nothing is lost, doubled or
// moved past its like, and only what can be told again is shed.
func TestInputs(t *testing.T) {
	var q inputs
	const n = 1300
	told := func(error) {}
	for i := range n {
		in := input{tries: i}
		switch i % 3 {
		case 0:
			in.job = &job{priority: message.Marketing.Priority()}
		case 1:
			in.fail = told
		}
		q.add(in)
	}
	if away := q.shed(); len(away) != n/3 || slices.ContainsFunc(away, func(in input) bool { return in.fail == nil }) {
		t.Errorf("%d inputs were shed, of %d that can be told again", len(away), n/3)
	}
	for i := range 2 * batch {
		q.add(input{tries: n + i})
	}
	code := input{job: &job{priority: message.Authentication.Priority()}}
	q.add(code)
	if q.fresh[len(q.fresh)-1].job == code.job || q.first[len(q.first)-1].job != code.job {
		t.Error("a one-time code waits among the attempts")
	}
	q.first = q.first[:len(q.first)-1]
	var begun, fresh []int
	var sizes []string
	for q.len() > 0 {
		ins := q.take()
		if len(ins) == 0 || len(ins) > batch {
			t.Fatalf("%d inputs were taken with %d left", len(ins), q.len())
		}
		first := slices.IndexFunc(ins, func(in input) bool { return in.job != nil })
		if first < 0 {
			first = len(ins)
		}
		sizes = append(sizes, strconv.Itoa(first)+"+"+strconv.Itoa(len(ins)-first))
		for i, in := range ins {
			switch {
			case (in.job != nil) != (i >= first):
				t.Fatalf("attempts and others are mixed: %d of %d", i, len(ins))
			case in.job != nil:
				fresh = append(fresh, in.tries)
			default:
				begun = append(begun, in.tries)
			}
		}
	}
	if len(begun) != n/3+2*batch || len(fresh) != n/3+1 || !slices.IsSorted(begun) || !slices.IsSorted(fresh) {
		t.Errorf("%d begun and %d fresh came out, in order %v and %v", len(begun), len(fresh), slices.IsSorted(begun), slices.IsSorted(fresh))
	}
	if want := []string{"480+32", "480+32", "480+32", "17+128", "0+128", "0+82"}; !slices.Equal(sizes, want) {
		t.Errorf("taken %v, want %v", sizes, want)
	}
}
