package fault_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/sandbox/fault"
)

func TestMagicNumbers(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range fault.Magic() {
		if seen[m.Code] || seen[m.Name] {
			t.Errorf("%s %s is there twice", m.Code, m.Name)
		}
		seen[m.Code], seen[m.Name] = true, true
		for _, number := range []string{fault.Number(m.Code, 7), fault.ValidNumber(m.Code, 2)} {
			got, ok := fault.Lookup(number)
			if !ok || got.Code != m.Code {
				t.Errorf("%s: %s is not magic", m.Name, number)
			}
			var b fault.Book
			first := b.Take(fault.WhatsApp, number)
			if first.Kind != m.WhatsApp.Kind || first.Code != m.WhatsApp.Code {
				t.Errorf("%s: first = %+v", m.Name, first)
			}
			second := b.Take(fault.WhatsApp, number)
			if m.Once && second.Kind != fault.None || !m.Once && second.Kind != first.Kind {
				t.Errorf("%s: second = %+v", m.Name, second)
			}
			if sms := b.Take(fault.SMS, number); sms.Kind != m.SMS.Kind {
				t.Errorf("%s: sms = %+v", m.Name, sms)
			}
		}
	}
	for _, plain := range []string{"", "33612345678", "12025550123", "99900009901", "9990000100", "999000010011"} {
		if m, ok := fault.Lookup(plain); ok {
			t.Errorf("%s is %s", plain, m.Name)
		}
	}
}

func TestLateIsReadFromTheNumber(t *testing.T) {
	var b fault.Book
	if f := b.Take(fault.SMS, fault.Number("19", 42)); f.After != 42*time.Second {
		t.Errorf("after %v", f.After)
	}
	if f := b.Take(fault.SMS, fault.ValidNumber("19", 0)); f.After != 5*time.Second {
		t.Errorf("after %v", f.After)
	}
}

func TestOrdersAreUsedUpInTurn(t *testing.T) {
	var b fault.Book
	b.Place(fault.Order{To: "33600000001", Fault: fault.Fault{Kind: fault.Hang}, Times: 2})
	b.Place(fault.Order{To: "33600000001", Fault: fault.Fault{Kind: fault.Cut}, Times: 1, Channel: fault.SMS})
	b.Place(fault.Order{To: "*", Fault: fault.Fault{Kind: fault.NoReceipt}})
	var got []fault.Kind
	for _, ch := range []fault.Channel{fault.WhatsApp, fault.SMS, fault.WhatsApp, fault.SMS, fault.SMS} {
		got = append(got, b.Take(ch, "33600000001").Kind)
	}
	want := []fault.Kind{fault.Hang, fault.Hang, fault.NoReceipt, fault.Cut, fault.NoReceipt}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(b.Orders()); n != 1 {
		t.Errorf("%d orders left", n)
	}
	b.Clear()
	if f := b.Take(fault.SMS, "33600000001"); f.Kind != fault.None {
		t.Errorf("after clear: %+v", f)
	}
}
