//go:build unix

package simulate

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/journal"
	"github.com/parley-messaging/parley/store"
)

// withheld are the faults under which a message arrives and no receipt of it
// ever comes, or comes under an id that nobody was told while more than one
// attempt to the address is open.
var withheld = map[string]bool{"18": true}

// untold are the faults that take the provider's answer away: on SMS its id
// with it.
var untold = map[string]bool{"12": true, "13": true, "14": true, "29": true}

// check compares what clients were told, our records and what the providers
// received.
func (w *world) check() {
	w.t.Helper()
	books, err := w.live.Load().store.Books(w.ctx, w.ws)
	w.must(err)
	w.balance(books)
	arrived := w.journal()
	for _, s := range w.sent {
		w.compare(s, w.stored(s.id).Delivery, arrived[s.token])
	}
	if len(w.sent) < 50 {
		w.t.Errorf("only %d messages were accepted; refused: %v", len(w.sent), w.refused)
	}
	ends := make([]string, 0, len(books.States))
	for _, state := range slices.Sorted(maps.Keys(books.States)) {
		ends = append(ends, state.String())
	}
	if !slices.Contains(ends, "read") || !slices.Contains(ends, "failed") {
		w.t.Errorf("the story is too quiet: %v", ends)
	}
}

// balance is law 13.
func (w *world) balance(b *store.Books) {
	w.t.Helper()
	var all int64
	for state, n := range b.States {
		if all += n; !state.Ended() && n > 0 {
			w.t.Errorf("seed %d: %d messages are %s after every horizon", w.seed, n, state)
		}
	}
	if all != b.Accepted || b.Accepted != int64(len(w.sent)) {
		w.t.Errorf("seed %d: %d messages were acknowledged, %d are stored, %d have a state", w.seed, len(w.sent), b.Accepted, all)
	}
	if b.Lost != 0 || b.Orphans != 0 || b.Ready != 0 || b.Waiting != 0 || b.Callbacks != 0 || b.SetAside != 0 || b.Parked != 0 {
		w.t.Errorf("seed %d: the books do not balance: %+v", w.seed, b)
	}
	if b.Received != int64(w.wrote) {
		w.t.Errorf("seed %d: people wrote %d messages, %d are stored", w.seed, w.wrote, b.Received)
	}
}

// journal reads what the providers took from us, by the token in the text.
func (w *world) journal() map[string][]journal.Entry {
	w.t.Helper()
	out := make(map[string][]journal.Entry)
	list, _, lost := w.sandbox.Journal.After(0, 1<<30, func(e *journal.Entry) bool { return e.Direction == "mt" })
	if lost > 0 {
		w.t.Fatalf("the journal forgot %d entries", lost)
	}
	byID := make(map[message.MessageID]string, len(w.sent))
	for _, s := range w.sent {
		byID[s.id] = s.token
	}
	second := make(map[message.Echo]string) // fates of the second of two messages
	for _, e := range list {
		if echo, ok := message.ParseEcho(e.Ref); ok && echo.Part == 1 && !strings.HasPrefix(e.Fate, "refused") && e.Fate != "dropped" {
			echo.Part = 0
			second[echo] = e.Fate
		}
	}
	for i, e := range list {
		if e.Part == 1 {
			e.Fate = whole(list[i:])
		}
		if echo, ok := message.ParseEcho(e.Ref); ok && e.Type == "image" {
			if echo.Part > 0 {
				continue
			}
			// Arrived as a whole when both did.
			if other := second[echo]; (other != "delivered" && other != "read") && (e.Fate == "delivered" || e.Fate == "read") {
				e.Fate = "torn"
			}
		}
		if e.Part > 1 || strings.HasPrefix(e.Fate, "refused") || e.Fate == "dropped" {
			continue
		}
		token := ""
		if echo, ok := message.ParseEcho(e.Ref); ok {
			token = byID[echo.Message]
		} else if i := strings.Index(e.Text, "m"); i >= 0 {
			token, _, _ = strings.Cut(e.Text[i:], " ")
		}
		if !strings.HasPrefix(token, "m") {
			w.t.Errorf("seed %d: the provider received something that nobody sent: %s %s", w.seed, e.Channel, e.Fate)
			continue
		}
		out[token] = append(out[token], e)
	}
	return out
}

// whole gives the fate of a long text whose first part leads the list: what
// became of all its parts, or torn.
func whole(list []journal.Entry) string {
	first, next := &list[0], 2
	for i := range list {
		if e := &list[i]; e.To == first.To && e.Parts == first.Parts && e.Part == next {
			if e.Fate != first.Fate {
				return "torn"
			}
			if next++; next > first.Parts {
				return first.Fate
			}
		}
	}
	return "torn"
}

// compare holds one message's record against the bytes that arrived.
func (w *world) compare(s *sent, d *message.Delivery, taken []journal.Entry) {
	w.t.Helper()
	complain := func(what string) {
		w.t.Helper()
		w.t.Errorf("seed %d: %s (%s, magic %q, %s): %s\n\tour record: %s (%s), %s\n\tthe provider's: %s",
			w.seed, s.token, s.id, s.magic, s.purpose, what, d.State, d.Reason, story(d), fates(taken))
		near, _, _ := w.sandbox.Journal.After(0, 1000, func(e *journal.Entry) bool { return e.To == s.to })
		for _, e := range near {
			if e.Time.Sub(s.at).Abs() > 72*time.Hour {
				continue
			}
			w.t.Logf("\tto that number: %+v", e)
		}
	}
	if !d.State.Ended() {
		complain("it never ended")
	}
	attempts := make(map[message.Channel]int)
	reached := make(map[message.Channel]int)
	var told bool
	for i := range d.Steps {
		st := &d.Steps[i]
		attempts[st.Channel] += len(st.Attempts)
		told = told || st.State.Success()
	}
	copies := make(map[message.Channel]int)
	var came bool
	for _, e := range taken {
		ch := message.Channel(e.Channel)
		copies[ch]++
		if s.purpose == message.Marketing && w.refusing(s.to, e.Channel, e.Time) {
			complain("marketing left after STOP")
		}
		if e.Fate == "delivered" || e.Fate == "read" {
			reached[ch]++
			came = true
		}
	}
	for ch, n := range copies {
		if n > attempts[ch] {
			complain("more copies were taken than attempts are recorded")
		}
	}
	success := d.State == message.Delivered || d.State == message.Read
	for i := range d.Steps {
		if st := &d.Steps[i]; st.State.Success() && reached[st.Channel] == 0 {
			complain("a step is recorded as delivered that never arrived")
		}
	}
	if success != told {
		complain("the message's state is not that of its steps")
	}
	// An SMSC that says "not taken" (0x08) and takes it all the same is believed:
	// no answer tells the two apart.
	if s.purpose == message.Marketing && s.magic != "12" && (reached[message.WhatsApp] > 1 || reached[message.SMS] > 1) {
		complain("marketing arrived twice")
	}
	if came && !success && !withheld[s.magic] && !(reached[message.WhatsApp] == 0 && (untold[s.magic] || w.twin(s, d))) {
		complain("it arrived, and we do not know")
	}
}

// twin reports whether another attempt to the same number went unanswered at
// about the time of one of this message's: then no receipt without a known id
// fits exactly one of them, and none is believed.
func (w *world) twin(s *sent, d *message.Delivery) bool {
	for _, mine := range unanswered(d) {
		for _, other := range w.sent {
			if other == s || other.to != s.to {
				continue
			}
			for _, theirs := range unanswered(w.stored(other.id).Delivery) {
				if mine.Sub(theirs).Abs() < 25*time.Hour {
					return true
				}
			}
		}
	}
	return false
}

// unanswered gives when the attempts by SMS began of which the provider's id
// was not told.
func unanswered(d *message.Delivery) (list []time.Time) {
	for i := range d.Steps {
		for j := range d.Steps[i].Attempts {
			if a := &d.Steps[i].Attempts[j]; d.Steps[i].Channel == message.SMS && (a.Outcome == message.Uncertain || a.Inferred) {
				list = append(list, a.StartedAt)
			}
		}
	}
	return list
}

func story(d *message.Delivery) string {
	var b strings.Builder
	for i := range d.Steps {
		s := &d.Steps[i]
		b.WriteString(string(s.Channel) + "=" + s.State.String() + "(" + s.Reason)
		for j := range s.Attempts {
			b.WriteString(" " + s.Attempts[j].Outcome.String() + "@" + s.Attempts[j].StartedAt.Format("0102T15:04:05.000"))
			if s.Attempts[j].Code != "" {
				b.WriteString(":" + s.Attempts[j].Code)
			}
		}
		b.WriteString(") ")
	}
	return b.String()
}

func fates(list []journal.Entry) string {
	var b strings.Builder
	for _, e := range list {
		b.WriteString(e.Channel + "=" + e.Fate + "@" + e.Time.Format("0102T15:04:05.000") + " " + e.Fault + "; ")
	}
	return b.String()
}
