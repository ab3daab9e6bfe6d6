//go:build unix

package simulate

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/smsc"
	wa "github.com/parley-messaging/parley/sandbox/whatsapp"
)

// perMonth is how many messages a brand of a simulation sends, about.
const perMonth = 200

// TestSimulation lives a month for three seeds. SEEDS (as "4,7" or "1-20") and
// MONTHS make it longer:
//
//	make simulate SEEDS=1-20 MONTHS=12
func TestSimulation(t *testing.T) {
	seeds, err := parseSeeds(os.Getenv("SEEDS"))
	if err != nil {
		t.Fatal(err)
	}
	months := 1
	if m := os.Getenv("MONTHS"); m != "" {
		if months, err = strconv.Atoi(m); err != nil || months < 1 {
			t.Fatalf("MONTHS=%q is no number of months", m)
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			defer func() {
				if t.Failed() {
					t.Logf("again: make simulate SEEDS=%d MONTHS=%d", seed, months)
				}
			}()
			w := newWorld(t, seed)
			w.year(months)
			w.rest()
			w.check()
			t.Logf("seed %d: %d messages in %d steps (%d slow), %d requests refused, %d written by people, %d deaths, %d restarts",
				seed, len(w.sent), w.steps, w.slow, sum(w.refused), w.wrote, w.deaths, w.stops)
		})
	}
}

func parseSeeds(s string) (seeds []uint64, err error) {
	if s == "" {
		s = "1-3"
	}
	for part := range strings.SplitSeq(s, ",") {
		first, last, span := strings.Cut(part, "-")
		a, err := strconv.ParseUint(first, 10, 32)
		b := a
		if err == nil && span {
			b, err = strconv.ParseUint(last, 10, 32)
		}
		if err != nil || b < a || b-a > 10_000 {
			return nil, fmt.Errorf("SEEDS=%q: write 7, or 4,7, or 1-20", s)
		}
		for ; a <= b; a++ {
			seeds = append(seeds, a)
		}
	}
	return seeds, nil
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// year lets months of traffic happen.
func (w *world) year(months int) {
	const month = 30 * 24 * time.Hour
	// Three actions of five are messages.
	gap := month / (perMonth * 5 / 3)
	end := epoch.Add(time.Duration(months) * month)
	for at := epoch; at.Before(end); {
		at = at.Add(time.Duration(w.random.ExpFloat64() * float64(gap)))
		w.until(at)
		switch p := w.random.IntN(1000); {
		case p < 600:
			w.send()
		case p < 700:
			w.reply(w.text("yes", "thanks", "where is it?"))
		case p < 730:
			w.reply("STOP")
		case p < 750:
			w.reply("START")
		case p < 890:
			w.fiddle()
		case p < 950:
			w.skew.Store(int64(w.span(2*time.Minute) - time.Minute))
		case p < 970:
			w.cancel()
		case p < 990:
			w.die(true)
		default:
			w.die(false)
		}
	}
}

func (w *world) text(of ...string) string { return of[w.random.IntN(len(of))] }

// person gives one of a few people, who are written to again and again.
func (w *world) person() string { return fmt.Sprintf("336120000%02d", w.random.IntN(30)) }

// magic gives a number that orders a fault, and its code.
func (w *world) magic() (number, code string) {
	table := sandbox.Magic()
	m := table[w.random.IntN(len(table))]
	return fmt.Sprintf("9990000%s%02d", m.Code, w.random.IntN(100)), m.Code
}

// send asks the node for one message. Its text says which it is.
func (w *world) send() {
	s := &sent{token: fmt.Sprintf("m%d-%d.", w.seed, len(w.sent)+w.unsure+sum(w.refused)), to: w.person()}
	if w.random.IntN(4) == 0 {
		s.to, s.magic = w.magic()
	}
	r := &engine.Request{To: engine.Recipient{Phone: "+" + s.to}, Content: message.Content{Text: s.token + " Hello from the brand"}}
	if w.random.IntN(10) == 0 {
		r.Content.Text += strings.Repeat(" and more of it", 20)
	}
	if w.random.IntN(6) == 0 { // two messages on WhatsApp, to somebody who just wrote
		if _, err := w.sandbox.WhatsApp.Write(wa.Inbound{From: s.to, To: wa.DefaultNumber, Text: "hello"}); err == nil {
			w.wrote++
			w.settle()
		}
		r.Content.Media = []message.Media{{Type: message.Image, URL: "https://example.com/a.png"}, {Type: message.Image, URL: "https://example.com/b.png"}}
	}
	template := "note"
	switch w.random.IntN(5) {
	case 0:
		s.purpose = message.Authentication
	case 1, 2:
		s.purpose = message.Marketing
		template = "sale"
	case 3:
		s.purpose = message.Service
	default:
		s.purpose = message.Utility
	}
	r.Purpose = s.purpose
	if len(r.Content.Media) == 0 {
		r.Template = &message.TemplateUse{Name: template, Language: "en", Parameters: map[string]string{"what": s.token}}
	}
	after := message.Trigger{NotDelivered: time.Duration(30+w.random.IntN(300)) * time.Second}
	switch w.random.IntN(8) {
	case 0, 1, 2:
		r.Route = []engine.RouteStep{{Channel: message.WhatsApp, Next: after}, {Channel: message.SMS}}
	case 3:
		r.Route = []engine.RouteStep{{Channel: message.WhatsApp}, {Channel: message.SMS}}
	case 4:
		r.Route = []engine.RouteStep{{Channel: message.WhatsApp}}
	case 5:
		r.Route = []engine.RouteStep{{Channel: message.WhatsApp, Next: message.Trigger{NotRead: 10 * time.Minute}}, {Channel: message.SMS}}
	default:
		r.Route = []engine.RouteStep{{Channel: message.SMS}}
	}
	now := w.now()
	s.at = now
	if w.random.IntN(10) == 0 {
		r.SendAt = now.Add(w.span(48 * time.Hour))
	}
	if w.random.IntN(3) == 0 {
		r.Expires = 10*time.Minute + w.span(24*time.Hour)
	}
	w.accept(s, r)
}

func (w *world) accept(s *sent, r *engine.Request) {
	a, err := w.live.Load().engine.Accept(w.ctx, w.ws, r, engine.Idempotency{})
	var refusal *engine.Refusal
	switch {
	case err == nil:
		s.id = a.ID
		w.sent = append(w.sent, s)
	case errors.As(err, &refusal):
		w.refused[refusal.Code]++
	default:
		w.unsure++
		w.must(err)
	}
}

// reply makes a person write, where their phone lets them.
func (w *world) reply(text string) {
	who, ch := w.person(), message.SMS
	var err error
	if w.random.IntN(2) == 0 {
		ch = message.WhatsApp
		_, err = w.sandbox.WhatsApp.Write(wa.Inbound{From: who, To: wa.DefaultNumber, Text: text})
	} else {
		_, err = w.sandbox.SMSC.Write(smsc.Inbound{From: who, To: shortCode, Text: text})
	}
	if err != nil {
		return
	}
	w.wrote++
	w.settle()
	b, err := w.live.Load().store.Books(w.ctx, w.ws)
	w.must(err)
	if text != "STOP" && text != "START" || b.Received != int64(w.wrote) {
		return // or the node has not heard of it yet
	}
	key := who + " " + string(ch)
	if said := w.said[key]; len(said)%2 == 0 == (text == "STOP") {
		w.said[key] = append(said, w.sandbox.Clock.Now())
	}
}

// refusing reports whether a person had said STOP on a channel, and not START,
// at a time.
func (w *world) refusing(who, ch string, at time.Time) bool {
	stopped := false
	for _, t := range w.said[who+" "+ch] {
		if t.Before(at) {
			stopped = !stopped
		}
	}
	return stopped
}

// fiddle changes somebody's phone.
func (w *world) fiddle() {
	who, yes, no := w.person(), true, false
	var c handset.Change
	switch w.random.IntN(7) {
	case 0:
		c.Phone = &no
	case 1:
		c.Internet = &no
	case 2:
		c.WhatsApp = &no
	case 3:
		drawn := "drawn"
		c.Latency = &drawn
	case 4:
		c.AutoRead = &no
	default:
		instant := "instant"
		c = handset.Change{Phone: &yes, Internet: &yes, WhatsApp: &yes, AutoRead: &yes, Latency: &instant}
	}
	_, err := w.sandbox.Handsets.Put(who, c)
	w.must(err)
}

// cancel takes a late message back, if it is not too late.
func (w *world) cancel() {
	if len(w.sent) == 0 {
		return
	}
	_, err := w.live.Load().engine.Cancel(w.ctx, w.ws, w.sent[len(w.sent)-1].id)
	if refusal := (*engine.Refusal)(nil); !errors.As(err, &refusal) {
		w.must(err)
	}
}

// die ends the node's life in the middle of work, and begins another up to an
// hour later.
func (w *world) die(kill bool) {
	for range 5 {
		w.send()
	}
	if w.random.IntN(2) == 0 {
		w.sandbox.Clock.Advance(time.Duration(w.random.IntN(100)) * time.Millisecond)
	}
	w.close(kill)
	if kill {
		w.deaths++
	} else {
		w.stops++
	}
	if w.random.IntN(2) == 0 {
		w.until(w.sandbox.Clock.Now().Add(w.span(time.Hour)))
	}
	w.open()
}

// rest lets everything end: phones are switched on, then every horizon passes.
func (w *world) rest() {
	w.skew.Store(0)
	yes := true
	for i := range 30 {
		_, err := w.sandbox.Handsets.Put(fmt.Sprintf("336120000%02d", i), handset.Change{Phone: &yes, Internet: &yes, WhatsApp: &yes})
		w.must(err)
	}
	w.until(w.sandbox.Clock.Now().Add(60 * 24 * time.Hour))
	// The sweeps for kept callbacks and parked receipts run on real time.
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		due := w.settle().due
		b, err := w.live.Load().store.Books(w.ctx, w.ws)
		w.must(err)
		if due.IsZero() && b.Callbacks == 0 && b.Parked == 0 {
			return
		}
		select {
		case <-limit.C:
			return
		default:
			w.until(w.sandbox.Clock.Now().Add(time.Hour))
		}
	}
}

// span draws a length of time below d.
func (w *world) span(d time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(d)))
}
