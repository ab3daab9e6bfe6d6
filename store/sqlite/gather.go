package sqlite

import "time"

// What was accepted goes before what is to be accepted: a group takes all work
// that waits and fills up with new messages to about groupShare, though always
// to intakeShare of those. Receipts come through a window, one commit long each:
// were commits longer for the sake of bursts of requests, messages would come in
// faster than they can end, and each would be written once more on the way.
const (
	groupShare  = 300
	intakeShare = 100
)

// While the store is busy a group waits a little for company: a commit costs as
// much for its own pages, whoever shares it.
const (
	busyAt    = 16 // items in the group before
	gatherFor = 2 * time.Millisecond
)

// A gathering is a group on its way to a commit.
type gathering struct {
	group        []*op
	items, fresh int // of work and of new messages
}

// serve runs until both queues are closed and empty.
func (w *writer) serve() {
	defer close(w.s.stopped)
	var g gathering
	wait, idle := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer wait.Stop()
	defer idle.Stop()
	queue, intake := w.s.queue, w.s.intake
	for queue != nil || intake != nil {
		busy := g.items+g.fresh >= busyAt
		g = gathering{group: g.group[:0]}
		if w.behind() {
			idle.Reset(restAfter)
		}
		select {
		case <-idle.C:
			w.rest()
			continue
		case o, ok := <-queue:
			if !ok {
				queue = nil
				continue
			}
			w.take(&g, o, &g.items)
		case o, ok := <-intake:
			if !ok {
				intake = nil
				continue
			}
			w.take(&g, o, &g.fresh)
		}
		for waited := !busy; ; {
			open := w.drain(&g, queue, intake)
			if waited || !open || g.items+g.fresh >= groupShare {
				break
			}
			wait.Reset(gatherFor)
			for !waited && g.items+g.fresh < groupShare {
				select {
				case o, ok := <-queue:
					if waited = !ok; ok {
						w.take(&g, o, &g.items)
					}
				case o, ok := <-intake:
					if waited = !ok; ok {
						w.take(&g, o, &g.fresh)
					}
				case <-wait.C:
					waited = true
				}
			}
			waited = true
		}
		if len(g.group) > 0 {
			w.commit(g.group)
		}
		clear(g.group)
		w.tidy()
	}
	w.rest()
}

// drain takes what waits, work before new messages, as far as a group goes; open
// is false when a queue was closed.
func (w *writer) drain(g *gathering, queue, intake chan *op) (open bool) {
	for g.items < w.s.options.Group {
		select {
		case o, ok := <-queue:
			if !ok {
				return false
			}
			w.take(g, o, &g.items)
			continue
		default:
		}
		break
	}
	for g.fresh < max(intakeShare, groupShare-g.items) {
		select {
		case o, ok := <-intake:
			if !ok {
				return false
			}
			w.take(g, o, &g.fresh)
			continue
		default:
		}
		break
	}
	return true
}

// take puts an op into a group, unless its caller has given it up.
func (w *writer) take(g *gathering, o *op, count *int) {
	if !o.state.CompareAndSwap(0, 1) {
		w.s.waiting.Add(-int64(o.items))
		return
	}
	g.group = append(g.group, o)
	*count += o.items
}
