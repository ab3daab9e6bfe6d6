package sqlite

import "testing"

// TestGroupsFavourWork: what was accepted goes first, and little that is new
// beside it, so that no burst of requests makes a receipt's commit long.
func TestGroupsFavourWork(t *testing.T) {
	for _, c := range []struct {
		name         string
		work, intake []int // items of each op
		items, fresh int
	}{
		{"new messages alone", nil, []int{100, 100, 100, 100}, 0, 300},
		{"beside little work", []int{50}, []int{100, 100, 100, 100}, 50, 300},
		{"beside much", []int{300, 300}, []int{60, 60, 60}, 600, 120},
		{"one request of many", []int{300}, []int{250, 1}, 300, 250},
		{"work as far as a group goes", []int{900, 200, 100}, []int{1}, 1100, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &writer{s: &Store{options: Options{Group: 1000}}}
			queue, intake := make(chan *op, 8), make(chan *op, 8)
			for _, n := range c.work {
				queue <- &op{items: n}
			}
			for _, n := range c.intake {
				intake <- &op{items: n}
			}
			var g gathering
			if !w.drain(&g, queue, intake) {
				t.Fatal("a queue is taken for closed")
			}
			if g.items != c.items || g.fresh != c.fresh {
				t.Errorf("a group of %d and %d new; want %d and %d", g.items, g.fresh, c.items, c.fresh)
			}
		})
	}
}
