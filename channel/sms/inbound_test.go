package sms

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
	"github.com/parley-messaging/parley/smpp/gsm"
)

// long cuts a text into the deliver_sm of a phone.
func long(tb testing.TB, text string, ref uint16, concat gsm.Concat) []*smpp.DeliverSM {
	tb.Helper()
	m, err := gsm.Split(text, gsm.Options{Reference: ref, Concat: concat})
	if err != nil {
		tb.Fatal(err)
	}
	var out []*smpp.DeliverSM
	for _, s := range m.Segments {
		d := &smpp.DeliverSM{
			Source: smpp.Address{TON: 1, NPI: 1, Addr: person}, Destination: smpp.Address{TON: 3, Addr: "36111"},
			ESMClass: smpp.ESMUDHI, DataCoding: m.DataCoding(), ShortMessage: s.Octets,
		}
		if concat == gsm.SAR {
			d.ESMClass = 0
			d.TLVs = smpp.TLVs{
				smpp.TagSARMsgRefNum.Uint16(ref), smpp.TagSARTotalSegments.Uint8(uint8(s.Total)), smpp.TagSARSegmentSeqnum.Uint8(uint8(s.Number)),
			}
		}
		out = append(out, d)
	}
	return out
}

func words(n int) string {
	var b []byte
	for i := range n {
		b = append(b, "word"...)
		b = append(b, byte('0'+i%10), ' ')
	}
	return string(b)
}

// Parts come in any order, twice, over any link, and are answered only when
// the whole is stored.
func TestLongTextIn(t *testing.T) {
	for _, concat := range []gsm.Concat{gsm.UDH8, gsm.UDH16, gsm.SAR} {
		srv := serve(t, smpp.ServerConfig{})
		s := run(t, open(t, config(srv, map[string]any{"binds": 2})), 2)
		text := words(60) + "😀 é"
		parts := long(t, text, 200, concat)
		var answers []<-chan smpp.Status
		for i := len(parts) - 1; i > 0; i-- {
			answers = append(answers, offer(t, srv, parts[i]))
		}
		answers = append(answers, offer(t, srv, parts[1]))
		for _, a := range answers {
			select {
			case status := <-a:
				t.Fatalf("a part is answered with %v before the whole is here", status)
			default:
			}
		}
		s.refuse(errors.New("no"))
		answers = append(answers, offer(t, srv, parts[0]))
		for _, a := range answers {
			if status := await(t, a); status != smpp.StatusTemporaryAppError {
				t.Errorf("answered %v", status)
			}
		}
		first := await(t, s.events).(*message.Inbound)
		if first.Content.Text != text || first.Raw != nil {
			t.Errorf("%q", first.Content.Text)
		}
		s.store()
		answers = nil
		for _, p := range parts {
			answers = append(answers, offer(t, srv, p))
		}
		for _, a := range answers {
			if status := await(t, a); status != smpp.StatusOK {
				t.Errorf("answered %v", status)
			}
		}
		if again := await(t, s.events).(*message.Inbound); again.ID != first.ID {
			t.Errorf("%q, %q", first.ID, again.ID)
		}
		// The SMSC missed one answer: it sends that part again, alone.
		if status := deliver(t, srv, parts[1]); status != smpp.StatusOK {
			t.Errorf("answered %v", status)
		}
		select {
		case e := <-s.events:
			t.Errorf("a stored part came up again: %+v", e)
		default:
		}
	}
}

func TestPartNeverComes(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	s := run(t, open(t, config(srv, map[string]any{"parts_wait_seconds": 0.02})), 1)
	parts := long(t, words(80), 7, gsm.UDH8)
	first, last := offer(t, srv, parts[0]), offer(t, srv, parts[3])
	in := await(t, s.events).(*message.Inbound)
	for _, a := range []<-chan smpp.Status{first, last} {
		if status := await(t, a); status != smpp.StatusOK {
			t.Errorf("answered %v", status)
		}
	}
	want := words(80)[:153] + gap + gap + words(80)[459:]
	if diff := cmp.Diff(want, in.Content.Text); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(`{"parts":4,"missing_parts":[2,3]}`, string(in.Raw)); diff != "" {
		t.Error(diff)
	}
	// What comes after all is told again with what was there, whole in the end.
	for i, want := range map[int]string{1: `{"parts":4,"missing_parts":[3],"late_parts":true}`} {
		late := offer(t, srv, parts[i])
		if in := await(t, s.events).(*message.Inbound); string(in.Raw) != want {
			t.Errorf("%s", in.Raw)
		}
		if status := await(t, late); status != smpp.StatusOK {
			t.Errorf("answered %v", status)
		}
	}
	rest := offer(t, srv, parts[2])
	if in := await(t, s.events).(*message.Inbound); in.Content.Text != words(80) || string(in.Raw) != `{"parts":4,"late_parts":true}` {
		t.Errorf("%q %s", in.Content.Text, in.Raw)
	}
	if status := await(t, rest); status != smpp.StatusOK {
		t.Errorf("answered %v", status)
	}
}

// An SMSC that sends one message at a time: a long text comes in pieces that
// grow, nothing is lost, and doctor says what to set.
func TestOnePartAtATime(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	c := open(t, config(srv, map[string]any{"parts_wait_seconds": 0.02}))
	s := run(t, c, 1)
	if f := c.probeParts(); !f.OK {
		t.Errorf("%+v", f)
	}
	text := words(60)
	var in *message.Inbound
	for _, p := range long(t, text, 8, gsm.UDH8) {
		if status := deliver(t, srv, p); status != smpp.StatusOK {
			t.Errorf("answered %v", status)
		}
		in = await(t, s.events).(*message.Inbound)
	}
	if in.Content.Text != text {
		t.Errorf("in the end it reads %q", in.Content.Text)
	}
	if f := c.probeParts(); f.OK || !f.Works || f.Remedy == "" {
		t.Errorf("%+v", f)
	}
	// Another text under the same reference is not mixed with the first.
	other := long(t, "other "+text, 8, gsm.UDH8)
	deliver(t, srv, other[0])
	if in := await(t, s.events).(*message.Inbound); !strings.HasPrefix(in.Content.Text, "other ") || strings.Contains(string(in.Raw), "late") {
		t.Errorf("%q %s", in.Content.Text, in.Raw)
	}
}

// One message at a time: each part is answered before the next is sent.
func TestPartsAnsweredAtOnce(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	s := run(t, open(t, config(srv, map[string]any{"inbound_parts": "answer", "parts_wait_seconds": 0.05})), 1)
	parts := long(t, words(60), 9, gsm.UDH8)
	s.refuse(errors.New("no"))
	for _, p := range parts {
		if status := deliver(t, srv, p); status != smpp.StatusOK {
			t.Errorf("answered %v", status)
		}
	}
	first := await(t, s.events).(*message.Inbound)
	s.store()
	// The sink would not store it: it comes again until it does.
	again := await(t, s.events).(*message.Inbound)
	for len(s.events) > 0 {
		again = await(t, s.events).(*message.Inbound)
	}
	if again.ID != first.ID || again.Content.Text != words(60) {
		t.Errorf("%+v", again)
	}
}

// A stop gives unanswered parts back, and keeps what was answered.
func TestStopWithPartsInHand(t *testing.T) {
	for mode, want := range map[string]smpp.Status{"hold": smpp.StatusTemporaryAppError, "answer": smpp.StatusOK} {
		srv := serve(t, smpp.ServerConfig{})
		c := open(t, config(srv, map[string]any{"inbound_parts": mode}))
		s := newSink()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx, s) }()
		await(t, srv.some)
		answer := offer(t, srv, long(t, words(40), 5, gsm.UDH8)[0])
		if mode == "answer" {
			if status := await(t, answer); status != want {
				t.Errorf("answered %v", status)
			}
		} else {
			// The text behind it shows that the part has arrived.
			offer(t, srv, &smpp.DeliverSM{Source: smpp.Address{TON: 1, Addr: person}, ShortMessage: []byte("x")})
			await(t, s.events)
		}
		cancel()
		if err := await(t, ended); err != nil {
			t.Error(err)
		}
		if mode == "hold" {
			if status := await(t, answer); status != want {
				t.Errorf("answered %v", status)
			}
			if len(s.events) != 0 {
				t.Error("a part given back was handed on as well")
			}
		} else if in := await(t, s.events).(*message.Inbound); string(in.Raw) != `{"parts":2,"missing_parts":[2]}` {
			t.Errorf("%s", in.Raw)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReferenceUsedAgain(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	s := run(t, open(t, config(srv, nil)), 1)
	old := long(t, words(40), 3, gsm.UDH8)
	young := long(t, "other "+words(40), 3, gsm.UDH8)
	a := offer(t, srv, old[0])
	b := offer(t, srv, young[0])
	if in := await(t, s.events).(*message.Inbound); string(in.Raw) != `{"parts":2,"missing_parts":[2]}` {
		t.Errorf("%s", in.Raw)
	}
	await(t, a)
	c := offer(t, srv, young[1])
	if in := await(t, s.events).(*message.Inbound); in.Content.Text != "other "+words(40) {
		t.Errorf("%q", in.Content.Text)
	}
	await(t, b)
	await(t, c)
}

func TestWhatIsNoText(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	s := run(t, open(t, config(srv, nil)), 1)
	deliver(t, srv, &smpp.DeliverSM{
		Source: smpp.Address{TON: 1, Addr: person}, ESMClass: smpp.ESMUDHI,
		ShortMessage: []byte{6, gsm.ElementPort16, 4, 0x0B, 0x84, 0, 0, 1, 2, 3},
	})
	in := await(t, s.events).(*message.Inbound)
	if in.Type != message.InUnsupported || in.Content.Text != "" || string(in.Raw) != `{"data_coding":0,"octets":"010203","header":"0605040b840000","kind":"wap_push","port":2948}` {
		t.Errorf("%+v %s", in, in.Raw)
	}
	if !json.Valid(in.Raw) {
		t.Error("raw is not JSON")
	}
	// An acknowledgement that says nothing is answered and forgotten.
	if status := deliver(t, srv, &smpp.DeliverSM{ESMClass: smpp.ESMReceipt, ShortMessage: []byte("?")}); status != smpp.StatusOK {
		t.Errorf("answered %v", status)
	}
}

func TestReceiptIsAnsweredAfterItIsStored(t *testing.T) {
	srv := serve(t, smpp.ServerConfig{})
	s := run(t, open(t, config(srv, nil)), 1)
	s.refuse(errors.New("no"))
	d := &smpp.DeliverSM{
		Source: smpp.Address{TON: 1, Addr: person}, Destination: smpp.Address{TON: 1, Addr: "33699000001"}, ESMClass: smpp.ESMReceipt,
		ShortMessage: []byte("id:7 stat:DELIVRD"),
		TLVs:         smpp.TLVs{smpp.TagReceiptedMessageID.CString("9f"), smpp.TagMessageState.Uint8(5), smpp.TagNetworkErrorCode.Octets([]byte{3, 0, 1})},
	}
	if status := deliver(t, srv, d); status != smpp.StatusTemporaryAppError {
		t.Errorf("answered %v", status)
	}
	r := await(t, s.events).(*message.Receipt)
	want := &message.Receipt{
		ID: "9f", Alt: []string{"9F", "159"}, Status: message.ReceiptFailed, To: message.Address{Channel: message.Phone, ID: "+" + person}, From: "+33699000001",
		Fault: &message.Fault{Kind: message.Unreachable, Scope: message.ScopeRecipient, Certain: true, Code: "UNDELIV/net3:1", Title: "unknown subscriber"},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
}

func TestReceiptFaults(t *testing.T) {
	c := open(t, config(&smsc{host: "h"}, map[string]any{"errors": map[string]string{"011": "unreachable", "0": "refused"}}))
	for _, test := range []struct {
		receipt smpp.Receipt
		status  message.ReceiptStatus
		want    *message.Fault
	}{
		{smpp.Receipt{State: smpp.StateEnroute}, message.ReceiptSent, nil},
		{smpp.Receipt{State: smpp.StateAccepted}, message.ReceiptSent, nil},
		{smpp.Receipt{State: smpp.StateDelivered, Err: "000"}, message.ReceiptDelivered, nil},
		{smpp.Receipt{State: smpp.StateUnknown}, message.ReceiptUnknown, nil},
		{smpp.Receipt{State: smpp.StateUnset, Stat: "ODD"}, message.ReceiptSent, nil},
		{smpp.Receipt{State: smpp.StateExpired, Err: "000"}, message.ReceiptExpired, &message.Fault{Kind: message.Refused, Certain: true, Code: "EXPIRED", Title: "expired"}},
		{smpp.Receipt{State: smpp.StateDeleted}, message.ReceiptFailed, &message.Fault{Kind: message.Refused, Certain: true, Code: "DELETED", Title: "deleted"}},
		{smpp.Receipt{State: smpp.StateUndeliverable, Err: "11"}, message.ReceiptFailed, &message.Fault{Kind: message.Unreachable, Scope: message.ScopeRecipient, Certain: true, Code: "UNDELIV/11", Title: "undeliv"}},
		{smpp.Receipt{State: smpp.StateRejected, Err: "77"}, message.ReceiptFailed, &message.Fault{Kind: message.Refused, Certain: true, Code: "REJECTD/77", Title: "rejectd", Unmapped: true}},
		{smpp.Receipt{State: smpp.StateUndeliverable, HasNetworkError: true, NetworkError: [3]byte{3, 0, 27}}, message.ReceiptFailed, &message.Fault{Kind: message.Refused, Certain: true, Code: "UNDELIV/net3:27", Title: "absent subscriber"}},
		{smpp.Receipt{State: smpp.StateUndeliverable, HasNetworkError: true, NetworkError: [3]byte{2, 0, 1}}, message.ReceiptFailed, &message.Fault{Kind: message.Refused, Certain: true, Code: "UNDELIV/net2:1", Title: "undeliv"}},
	} {
		r := c.receipt(&smpp.DeliverSM{}, &test.receipt)
		if r.Status != test.status {
			t.Errorf("%+v: %v", test.receipt, r.Status)
		}
		if diff := cmp.Diff(test.want, r.Fault); diff != "" {
			t.Errorf("%+v: %s", test.receipt, diff)
		}
	}
}

func TestSpellings(t *testing.T) {
	for _, test := range []struct {
		setting, id string
		learnt      []string
		want        []string
	}{
		{"same", "155539085", nil, nil},
		{"same", "00aB", nil, []string{"00ab", "00AB", "ab"}},
		{"hex_resp_dec_receipt", "155539085", nil, []string{"945568d", "945568D", "0945568d", "0945568D"}},
		{"dec_resp_hex_receipt", "945568D", nil, []string{"945568d", "155539085"}},
		{"auto", "155539085", []string{"945568d"}, []string{"945568d", "945568D", "0945568d", "0945568D"}},
		{"auto", "10", []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "1", "2", "3", "4", "5", "6", "7"}, nil},
	} {
		c := open(t, config(&smsc{host: "h"}, map[string]any{"receipt_id": test.setting}))
		for _, id := range test.learnt {
			c.learn(id)
		}
		id, alt := c.spellings(test.id)
		if id != test.id {
			t.Errorf("%q became %q", test.id, id)
		}
		if diff := cmp.Diff(test.want, alt); diff != "" {
			t.Errorf("%s %s: %s", test.setting, test.id, diff)
		}
	}
}

func TestAddresses(t *testing.T) {
	s, err := parse(config(&smsc{host: "h"}, map[string]any{"country_code": "33"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		in   smpp.Address
		want string
	}{
		{smpp.Address{TON: 1, Addr: "491701234567"}, "+491701234567"},
		{smpp.Address{TON: 1, Addr: "+491701234567"}, "+491701234567"},
		{smpp.Address{TON: 0, Addr: "00491701234567"}, "+491701234567"},
		{smpp.Address{TON: 0, Addr: "491701234567"}, "+491701234567"},
		{smpp.Address{TON: 2, Addr: "0699000001"}, "+33699000001"},
		{smpp.Address{TON: 0, Addr: "0699000001"}, "+33699000001"},
		{smpp.Address{TON: 3, Addr: "36111"}, "36111"},
		{smpp.Address{TON: 1, Addr: "36111"}, "36111"},
		{smpp.Address{TON: 5, Addr: "ACME"}, "ACME"},
		{smpp.Address{TON: 5, Addr: "a\xff\x00"}, "a\uFFFD"},
		{smpp.Address{}, ""},
	} {
		if got := s.person(test.in); got.ID != test.want || got.Channel != message.Phone {
			t.Errorf("%+v: %+v", test.in, got)
		}
	}
	for address, want := range map[string]smpp.Address{
		"ACME": {TON: 5, Addr: "ACME"}, "36111": {TON: 3, Addr: "36111"}, "+33699000001": {TON: 1, NPI: 1, Addr: "33699000001"},
		"33699000001": {TON: 1, NPI: 1, Addr: "33699000001"}, "": {}, "twelve chars": {}, "é": {},
	} {
		got, err := s.sender(address)
		if got != want || (err == nil) != (want.Addr != "") {
			t.Errorf("%q: %+v, %v", address, got, err)
		}
	}
}

func TestCheckSender(t *testing.T) {
	for address, ok := range map[string]bool{
		"ACME": true, "36111": true, "12345678": true, "+33699000001": true, "33699000001": true, "Eleven char": true, "A&B 24-7!": true,
		"": false, "Twelve chars": false, "Café": false, " ACME": false, "1234567890123456": false, "+1234567890123456": false, "😀": false, "a\tb": false,
	} {
		problem, remedy := Type.CheckSender(address)
		if (problem == "") != ok || (remedy == "") != ok {
			t.Errorf("%q: %q, %q", address, problem, remedy)
		}
	}
}
