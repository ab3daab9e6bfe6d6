package smsc_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/smsc"
	"github.com/parley-messaging/parley/smpp"
)

// TestMagicRecipients plays every line of the table that concerns SMS.
func TestMagicRecipients(t *testing.T) {
	good := []string{"ENROUTE", "DELIVRD"}
	type want struct {
		status smpp.Status
		lost   bool // no answer: link gone or silence
		stats  []string
		again  []string // receipts of a second, accepted message
	}
	tests := map[string]want{
		"throttle_once":         {status: smpp.StatusThrottled, again: good},
		"error_once":            {status: smpp.StatusSystemError, again: good},
		"error_after_accept":    {status: smpp.StatusSystemError, stats: good},
		"hang_after_accept":     {lost: true, stats: good},
		"cut_after_accept":      {lost: true, stats: good},
		"receipts_twice":        {stats: []string{"ENROUTE", "ENROUTE", "DELIVRD", "DELIVRD"}},
		"receipts_reordered":    {stats: []string{"DELIVRD", "ENROUTE"}},
		"receipt_first":         {stats: good},
		"no_receipt":            {},
		"late":                  {stats: good},
		"unreachable":           {stats: []string{"ENROUTE", "UNDELIV"}},
		"error_always":          {status: smpp.StatusSystemError},
		"sent_then_failed":      {stats: []string{"ENROUTE", "UNDELIV"}},
		"garbage_answer":        {status: smpp.StatusSystemError, stats: good},
		"dropped_before_accept": {lost: true, again: good},
		"sms_bad_destination":   {status: smpp.StatusInvalidDestination},
		"sms_throttled":         {status: smpp.StatusThrottled},
		"sms_silent":            {lost: true},
		"sms_undeliverable":     {stats: []string{"ENROUTE", "UNDELIV"}},
		"sms_expired":           {stats: []string{"ENROUTE", "EXPIRED"}},
		"sms_rejected":          {stats: []string{"ENROUTE", "REJECTD"}},
		"sms_deleted":           {stats: []string{"ENROUTE", "DELETED"}},
		"sms_unknown":           {stats: []string{"ENROUTE", "UNKNOWN"}},
		"sms_link_drop":         {lost: true, again: good},
		"sms_queue_full_once":   {status: smpp.StatusQueueFull, again: good},
		"phone_off":             {stats: []string{"ENROUTE"}},
	}
	for _, m := range fault.Magic() {
		test, ok2 := tests[m.Name]
		if !ok2 {
			test.stats = good // WhatsApp only
		}
		if m.SMS.Kind == fault.Fail {
			test.stats = test.stats[1:]
		}
		t.Run(m.Name, func(t *testing.T) {
			f := newFixture(t, smsc.Options{})
			e := f.bind(smpp.BindTransceiver, ok)
			other := f.bind(smpp.BindTransmitter, ok)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			to := fault.Number(m.Code, 3)
			if test.lost {
				// The message that is never answered leaves on the other bind, so
				// that the receipts have one to come by.
				answered := make(chan error, 1)
				if err := other.Submit(ctx, submit(to, "hello"), func(_ smpp.Response, err error) { answered <- err }); err != nil {
					t.Fatal(err)
				}
				if m.SMS.Kind == fault.Cut || m.SMS.Kind == fault.Drop {
					var unknown *smpp.UnansweredError
					if err := <-answered; !errors.As(err, &unknown) || !unknown.Left {
						t.Errorf("answer: %v", err)
					}
				}
			} else {
				r, err := e.SubmitWait(ctx, submit(to, "hello"))
				if r.Status != test.status || (err != nil) != (test.status != 0) {
					t.Errorf("answer: %v %v", r, err)
				}
				if m.Name == "receipt_first" && len(e.told) == 0 {
					t.Error("the answer came before the receipt")
				}
			}
			if m.Name == "late" {
				if diff := cmp.Diff(test.stats[:1], f.stats(e, 1)); diff != "" {
					t.Error(diff)
				}
				f.clock.Advance(3 * time.Second)
				test.stats = test.stats[1:]
			}
			if diff := cmp.Diff(test.stats, f.stats(e, len(test.stats))); diff != "" {
				t.Error(diff)
			}
			if test.again != nil {
				if r, err := e.SubmitWait(ctx, submit(to, "hello")); err != nil {
					t.Errorf("second answer: %v %v", r, err)
				}
				if diff := cmp.Diff(test.again, f.stats(e, len(test.again))); diff != "" {
					t.Error(diff)
				}
			}
			if len(e.told) != 0 {
				t.Errorf("%d more deliver_sm", len(e.told))
			}
		})
	}
}

func TestReceiptForms(t *testing.T) {
	for _, style := range []struct {
		ids      smsc.IDStyle
		receipts smsc.ReceiptStyle
	}{{smsc.HexDecimal, smsc.TextAndTLV}, {smsc.Decimal, smsc.TextOnly}, {smsc.Hex, smsc.TLVOnly}, {smsc.UpperHex, smsc.TextAndTLV}} {
		f := newFixture(t, smsc.Options{IDs: style.ids, Receipts: style.receipts})
		e := f.bind(smpp.BindTransceiver, ok)
		m := submit("+33612345678", "hello")
		m.RegisteredDelivery = 1
		m.TLVs = smpp.TLVs{smpp.TagUserMessageReference.Uint16(777)}
		r, err := e.SubmitWait(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		d := f.next(e)
		want := r.MessageID
		switch style.ids {
		case smsc.HexDecimal:
			n, err := strconv.ParseUint(r.MessageID, 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			want = fmt.Sprint(n)
		case smsc.UpperHex:
			want = "000000" + strings.ToUpper(r.MessageID)
		}
		tlv, has := d.TLVs.Get(smpp.TagReceiptedMessageID)
		if has != (style.receipts != smsc.TextOnly) || has && string(tlv) != want+"\x00" {
			t.Errorf("%+v: tlv %q, want %q", style, tlv, want)
		}
		text := string(d.ShortMessage)
		if style.receipts != smsc.TLVOnly && !strings.HasPrefix(text, "id:"+want+" sub:001 dlvrd:001 submit date:2603011200 done date:2603011200 stat:DELIVRD err:000 text:hello") {
			t.Errorf("%+v: %s", style, text)
		}
		if d.Source.Addr != "+33612345678" || d.Destination.Addr != "Parley" || d.ESMClass != smpp.ESMReceipt {
			t.Errorf("%+v", d)
		}
		entries, _, _ := f.journal.After(0, 10, nil)
		if len(entries) != 1 || entries[0].ID != r.MessageID || entries[0].Ref != "777" || entries[0].Fate != "delivered" || entries[0].To != "33612345678" {
			t.Errorf("%+v", entries)
		}
	}
}

func TestBindsAndOperations(t *testing.T) {
	f := newFixture(t, smsc.Options{Accounts: []smsc.Account{{SystemID: "parley", Password: "sandbox", MaxBinds: 1, Senders: []string{"Parley"}}}})
	for _, test := range []struct {
		id, password string
		status       smpp.Status
	}{{"parley", "wrong", smpp.StatusInvalidPassword}, {"nobody", "x", smpp.StatusInvalidSystemID}} {
		_, err := smpp.Dial(context.Background(), smpp.ClientConfig{Addr: f.addr, Bind: smpp.Bind{SystemID: test.id, Password: test.password}})
		var bad *smpp.StatusError
		if !errors.As(err, &bad) || bad.Status != test.status {
			t.Errorf("%s: %v", test.id, err)
		}
	}
	e := f.bind(smpp.BindTransceiver, ok)
	_, err := smpp.Dial(context.Background(), smpp.ClientConfig{Addr: f.addr, Bind: smpp.Bind{SystemID: "parley", Password: "sandbox"}})
	var bad *smpp.StatusError
	if !errors.As(err, &bad) || bad.Status != smpp.StatusBindFailed {
		t.Errorf("second bind: %v", err)
	}
	if err := e.Cancel(context.Background(), &smpp.CancelSM{}); !errors.As(err, &bad) || bad.Status != smpp.StatusCancelFailed {
		t.Errorf("cancel: %v", err)
	}
	m := submit("33612345678", "x")
	m.Source.Addr = "Other"
	if r, _ := e.SubmitWait(context.Background(), m); r.Status != smpp.StatusInvalidSource {
		t.Errorf("foreign sender: %v", r.Status)
	}
	if r, _ := e.SubmitWait(context.Background(), submit("abc", "x")); r.Status != smpp.StatusInvalidDestination {
		t.Errorf("no number: %v", r.Status)
	}
	if n := f.server.DropLinks("parley"); n != 1 {
		t.Errorf("%d links dropped", n)
	}
	<-e.Done()
}

func TestThrottle(t *testing.T) {
	f := newFixture(t, smsc.Options{Throughput: 5})
	e := f.bind(smpp.BindTransceiver, ok)
	throttled := false
	for range 10 {
		r, _ := e.SubmitWait(context.Background(), submit("33612345678", "x"))
		throttled = throttled || r.Status == smpp.StatusThrottled
	}
	if !throttled {
		t.Error("never throttled")
	}
	f.clock.Advance(10 * time.Second)
	if _, err := e.SubmitWait(context.Background(), submit("33612345678", "x")); err != nil {
		t.Error(err)
	}
}

func TestReceiptsComeOnAnotherBindAndAgain(t *testing.T) {
	f := newFixture(t, smsc.Options{})
	tx := f.bind(smpp.BindTransmitter, ok)
	if _, err := tx.SubmitWait(context.Background(), submit("33612345678", "x")); err != nil {
		t.Fatal(err)
	}
	refused := make(chan struct{}, 10)
	first := true
	rx := f.bind(smpp.BindReceiver, func() smpp.Status {
		if first {
			first = false
			refused <- struct{}{}
			return smpp.StatusTemporaryAppError
		}
		return smpp.StatusOK
	})
	<-refused
	for f.server.Stats().Retries == 0 {
		f.clock.Advance(0)
	}
	f.clock.Advance(2 * time.Second)
	got := f.stats(rx, 2)
	if !cmp.Equal(got, []string{"DELIVRD", "ENROUTE"}) && !cmp.Equal(got, []string{"ENROUTE", "DELIVRD"}) {
		t.Errorf("got %v", got)
	}
}

func TestLongMessagesBothWays(t *testing.T) {
	text := strings.Repeat("Grüße, 12 € [ok] ", 40)
	emoji := strings.Repeat("ok 👍 ", 60)
	f := newFixture(t, smsc.Options{})
	e := f.bind(smpp.BindTransceiver, ok)
	for _, text := range []string{text, emoji, "short", ""} {
		if _, err := f.server.Write(smsc.Inbound{From: "33612345678", To: "36180", Text: text}); err != nil {
			t.Fatal(err)
		}
		// Send the parts back as they came: the handset must read the same.
		for {
			d := f.next(e)
			m := submit("33612345678", "")
			m.ESMClass, m.DataCoding, m.ShortMessage, m.RegisteredDelivery = d.ESMClass, d.DataCoding, d.ShortMessage, 0
			if d.Destination.Addr != "36180" || d.Destination.TON != 3 || len(d.ShortMessage) > 160 {
				t.Errorf("%+v", d)
			}
			if _, err := e.SubmitWait(context.Background(), m); err != nil {
				t.Fatal(err)
			}
			if d.ESMClass == 0 || d.ShortMessage[4] == d.ShortMessage[5] {
				break
			}
		}
		f.server.Settle()
		inbox := f.fleet.Inbox("33612345678")
		if got := inbox[len(inbox)-1]; got.Outgoing || got.Text != text {
			t.Errorf("%q came back as %q", text, got.Text)
		}
	}
	off := false
	if _, err := f.fleet.Put("33612345678", handset.Change{Phone: &off}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.server.Write(smsc.Inbound{From: "33612345678", Text: "x"}); !errors.Is(err, smsc.ErrOff) {
		t.Errorf("off: %v", err)
	}
	if _, err := f.server.Write(smsc.Inbound{From: "33612345679", Text: "x"}); !errors.Is(err, smsc.ErrInbound) {
		t.Errorf("to nobody: %v", err)
	}
}

func TestValidityEndsInExpired(t *testing.T) {
	f := newFixture(t, smsc.Options{})
	e := f.bind(smpp.BindTransceiver, ok)
	off := false
	if _, err := f.fleet.Put("33612345678", handset.Change{Phone: &off}); err != nil {
		t.Fatal(err)
	}
	m := submit("33612345678", "x")
	m.ValidityPeriod, m.RegisteredDelivery = "000000001000000R", 2 // ten minutes, failure only
	if _, err := e.SubmitWait(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Hour)
	if diff := cmp.Diff([]string{"EXPIRED"}, f.stats(e, 1)); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkSubmit(b *testing.B) {
	f := newFixture(b, smsc.Options{})
	e := f.bind(smpp.BindTransceiver, ok)
	m := submit("33612345678", "hello")
	m.RegisteredDelivery = 1
	b.ReportAllocs()
	left := make(chan struct{}, 1)
	answered := 0
	for b.Loop() {
		answered++
		if err := e.Submit(context.Background(), m, func(smpp.Response, error) {}); err != nil {
			b.Fatal(err)
		}
	}
	go func() {
		for range answered {
			<-e.told
		}
		left <- struct{}{}
	}()
	<-left
}
