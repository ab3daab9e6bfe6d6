package handset_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/sandbox/clock"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type log struct{ lines []string }

func (l *log) note(what string, d *handset.Delivery, at time.Time) {
	l.lines = append(l.lines, fmt.Sprintf("%s %s %s", what, d.Item.ID, at.Sub(start)))
}
func (l *log) Delivered(d *handset.Delivery, at time.Time) { l.note("delivered", d, at) }
func (l *log) Read(d *handset.Delivery, at time.Time)      { l.note("read", d, at) }
func (l *log) Expired(d *handset.Delivery, at time.Time)   { l.note("expired", d, at) }

func setup(t *testing.T, o handset.Options) (*clock.Clock, *handset.Fleet, *log) {
	t.Helper()
	c := clock.New(func() time.Time { return start })
	t.Cleanup(c.Stop)
	return c, handset.New(c, o), &log{}
}

func ptr[T any](v T) *T { return &v }

func message(l *log, id string, ch fault.Channel, until time.Duration) *handset.Delivery {
	d := &handset.Delivery{To: "33612345678", Sink: l, Item: handset.Item{ID: id, Channel: ch, Text: id}}
	if until > 0 {
		d.Until = start.Add(until)
	}
	return d
}

func TestInternetOffMakesWhatsAppWait(t *testing.T) {
	c, f, l := setup(t, handset.Options{})
	if _, err := f.Put("33612345678", handset.Change{Internet: ptr(false), ReadAfter: ptr(handset.Duration(time.Minute))}); err != nil {
		t.Fatal(err)
	}
	f.Deliver(message(l, "a", fault.WhatsApp, 0))
	f.Deliver(message(l, "b", fault.WhatsApp, time.Hour))
	f.Deliver(message(l, "c", fault.SMS, 0))
	c.Advance(2 * time.Hour)
	if n := f.Waiting("33612345678"); n != 1 {
		t.Errorf("%d waiting", n)
	}
	if _, err := f.Put("33612345678", handset.Change{Internet: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Hour)
	want := []string{"delivered c 0s", "expired b 1h0m0s", "delivered a 2h0m0s", "read a 2h1m0s"}
	if diff := cmp.Diff(want, l.lines); diff != "" {
		t.Error(diff)
	}
}

func TestPhoneOffMakesSMSWait(t *testing.T) {
	c, f, l := setup(t, handset.Options{Defaults: handset.Change{Phone: ptr(false)}})
	f.Deliver(message(l, "a", fault.SMS, time.Hour))
	f.Deliver(message(l, "b", fault.SMS, 3*time.Hour))
	c.Advance(2 * time.Hour)
	if _, err := f.Put("33612345678", handset.Change{Phone: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	c.Advance(2 * time.Hour)
	if diff := cmp.Diff([]string{"expired a 1h0m0s", "delivered b 2h0m0s"}, l.lines); diff != "" {
		t.Error(diff)
	}
}

func TestReadByHandAndInboxBound(t *testing.T) {
	_, f, l := setup(t, handset.Options{Inbox: 3, Defaults: handset.Change{AutoRead: ptr(false)}})
	for _, id := range []string{"a", "b", "c", "d"} {
		f.Deliver(message(l, id, fault.WhatsApp, 0))
	}
	if n := f.Read("33612345678", "", start); n != 3 {
		t.Errorf("read %d", n)
	}
	items := f.Inbox("33612345678")
	if len(items) != 3 || items[0].ID != "b" || !items[2].Read {
		t.Errorf("inbox = %+v", items)
	}
	if n := f.Read("33612345678", "", start); n != 0 {
		t.Errorf("read %d again", n)
	}
}

func TestDrawnLatencyFollowsTheSeedAndTheRules(t *testing.T) {
	draw := func(seed uint64, ch fault.Channel) (lines []string, within10 float64) {
		c, f, l := setup(t, handset.Options{Seed: seed, Inbox: 1, Defaults: handset.Change{Latency: ptr(handset.Drawn), AutoRead: ptr(false)}})
		const n = 4000
		for i := range n {
			d := message(l, fmt.Sprint(i), ch, 0)
			d.To = fmt.Sprint(33600000000 + i)
			f.Deliver(d)
		}
		c.Advance(10 * time.Second)
		return l.lines, float64(len(l.lines)) / n
	}
	one, wa := draw(1, fault.WhatsApp)
	again, _ := draw(1, fault.WhatsApp)
	other, _ := draw(2, fault.WhatsApp)
	if diff := cmp.Diff(one, again); diff != "" {
		t.Error("the same seed differs")
	}
	if cmp.Equal(one, other) {
		t.Error("another seed does not differ")
	}
	_, sms := draw(1, fault.SMS)
	if wa < .82 || wa > .87 || sms < .69 || sms > .78 {
		t.Errorf("within 10 s: whatsapp %.2f (want .84), sms %.2f (want .74)", wa, sms)
	}
}

func TestMagicHandsetsAndForgetting(t *testing.T) {
	_, f, l := setup(t, handset.Options{Handsets: 64})
	if s := f.Get(fault.Number("60", 1)); s.WhatsApp {
		t.Error("sms_only has WhatsApp")
	}
	if _, err := f.Put("33699999999", handset.Change{Name: ptr("Ada")}); err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		d := message(l, "x", fault.SMS, 0)
		d.To = fmt.Sprint(33600000000 + i)
		f.Deliver(d)
	}
	if n := len(f.Numbers(10_000)); n > 65 {
		t.Errorf("%d handsets remembered", n)
	}
	if s := f.Get("33699999999"); s.Name != "Ada" {
		t.Error("a configured handset was forgotten")
	}
	if _, err := f.Put("1", handset.Change{Latency: ptr("soon")}); err == nil {
		t.Error("a latency called soon is taken")
	}
}

func TestWroteOpensTheWindow(t *testing.T) {
	_, f, _ := setup(t, handset.Options{})
	f.Wrote("1", "S", handset.Item{Channel: fault.WhatsApp, At: start})
	f.Wrote("1", "S", handset.Item{Channel: fault.WhatsApp, At: start.Add(-time.Hour)})
	if got := f.Last("1", fault.WhatsApp, "S"); !got.Equal(start) {
		t.Errorf("last = %v", got)
	}
	if got := f.Last("1", fault.WhatsApp, "T"); !got.IsZero() {
		t.Errorf("last = %v", got)
	}
	b, err := json.Marshal(f.Get("1"))
	if err != nil {
		t.Fatal(err)
	}
	var s handset.Settings
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.Get("1"), s); diff != "" {
		t.Error(diff)
	}
}
