package interop

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/sms"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/smsc"
)

// Our channel binds to npm smpp, sends every kind of text in every way a long
// one can go, and takes receipts, texts of people, enquire_link and unbind.
func TestSMSToNode(t *testing.T) {
	texts := map[string]string{
		"gsm":       "Votre carte est prête: {12,50 €} [à payer] ~^|\\",
		"ucs2":      "Привет, 世界! 👩‍👩‍👧 🇫🇷",
		"long gsm":  strings.Repeat("Bonjour {à} tous. ", 30),
		"long ucs2": strings.Repeat("Где моя карта? 😀 ", 20),
	}
	for _, long := range []string{"udh8", "udh16", "sar", "payload"} {
		t.Run(long, func(t *testing.T) {
			p := node(t, "smsc.mjs")
			var at struct{ Port int }
			p.await("listening", &at)
			c, err := sms.Open([]byte(fmt.Sprintf(`{"host":"127.0.0.1","port":%d,"system_id":"parley","password":"sandbox","long":%q,"enquire_link_seconds":0.1,"reconnect_min_seconds":0.05}`, at.Port, long)), channel.Env{Now: time.Now, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			r := link(t, c)
			var bound struct{ Version int }
			p.await("bound", &bound)
			for h := next(t, r.health); !h.Up; h = next(t, r.health) {
			}
			if bound.Version != 0x34 {
				t.Errorf("interface_version %#x", bound.Version)
			}
			for name, text := range texts {
				a, err := c.Send(t.Context(), &message.Outbound{
					To: message.Address{Channel: message.Phone, ID: "+" + person}, From: message.Sender{Address: "Parley"},
					Content: message.Content{Text: text},
				})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				var seen struct {
					From, To, Text string
					TON, Parts     int
				}
				p.await("text", &seen)
				if seen.Text != text || seen.From != "Parley" || seen.To != person || seen.TON != 1 {
					t.Errorf("%s: node reads %+v\nwant %q", name, seen, text)
				}
				for range a.Parts {
					got, ok := next(t, r.events).(*message.Receipt)
					if !ok || got.Status != message.ReceiptDelivered || got.To.ID != "+"+person || !named(got, a.Parts) {
						t.Errorf("%s: receipt %+v for %v", name, got, a.Parts)
					}
					var taken struct{ Status int }
					p.await("receipt_taken", &taken)
					if taken.Status != 0 {
						t.Errorf("%s: the receipt was answered with %#x", name, taken.Status)
					}
				}
			}
			inbound(t, p, r)
			p.await("enquired", nil)
			var status int
			if p.do("enquire", nil, &status); status != 0 {
				t.Errorf("enquire_link was answered with %#x", status)
			}
			if p.do("unbind", nil, &status); status != 0 {
				t.Errorf("unbind was answered with %#x", status)
			}
			p.await("bound", nil) // and back again
		})
	}
}

func named(r *message.Receipt, parts []string) bool {
	for _, id := range append(r.Alt, r.ID) {
		for _, p := range parts {
			if id == p {
				return true
			}
		}
	}
	return false
}

// inbound lets node's people write to us.
func inbound(t *testing.T, p *peer, r *run) {
	t.Helper()
	for _, text := range []string{"STOP", "où est ma carte {€} ?", "👍 да"} {
		var status int
		p.do("write", map[string]any{"from": person, "to": "36111", "text": text}, &status)
		in, ok := next(t, r.events).(*message.Inbound)
		if status != 0 || !ok || in.Content.Text != text || in.From.ID != "+"+person || in.To != "36111" {
			t.Errorf("%q came as %+v, answered with %#x", text, in, status)
		}
	}
	pieces := []string{strings.Repeat("длинный ", 8), strings.Repeat("текст 😀 ", 7), "конец"}
	p.order("write_long", map[string]any{"from": person, "to": "36111", "pieces": pieces})
	if in, ok := next(t, r.events).(*message.Inbound); !ok || in.Content.Text != strings.Join(pieces, "") {
		t.Errorf("a text of three parts came as %+v", in)
	}
	var end struct{ Result []int }
	p.await("done", &end)
	for _, status := range end.Result {
		if status != 0 {
			t.Errorf("a part was answered with %#x", status)
		}
	}
}

// npm smpp as the SMSC of an account with a link for each direction: receipts
// and people come over the other one. Flash, octets and a push of people are
// told as what they are, and refusals as what they mean.
func TestSMSToNodeInTwoLinks(t *testing.T) {
	p := node(t, "smsc.mjs")
	var at struct{ Port int }
	p.await("listening", &at)
	c, err := sms.Open([]byte(fmt.Sprintf(`{"host":"127.0.0.1","port":%d,"system_id":"parley","password":"sandbox","bind":"transmitter+receiver"}`, at.Port)), channel.Env{Now: time.Now, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	r := link(t, c)
	modes := map[string]bool{}
	for range 2 {
		var bound struct{ Mode string }
		p.await("bound", &bound)
		modes[bound.Mode] = true
	}
	if !modes["transmitter"] || !modes["receiver"] {
		t.Errorf("bound as %v", modes)
	}
	for h := next(t, r.health); h.Links < 2; h = next(t, r.health) {
	}
	out := &message.Outbound{To: message.Address{Channel: message.Phone, ID: "+" + person}, From: message.Sender{Address: "Parley"}, Content: message.Content{Text: "Bonjour"}}
	a, err := c.Send(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := next(t, r.events).(*message.Receipt); !ok || got.Status != message.ReceiptDelivered || !named(got, a.Parts) {
		t.Errorf("receipt %+v for %v", got, a.Parts)
	}
	inbound(t, p, r)
	for name, in := range map[string]struct {
		order map[string]any
		kind  message.InboundType
		text  string
		raw   string
	}{
		"flash":  {map[string]any{"coding": 0x10, "hex": "596573"}, message.InText, "Yes", `{"message_class":0}`},
		"octets": {map[string]any{"coding": 0xF5, "hex": "0102ff"}, message.InUnsupported, "", `{"data_coding":245,"octets":"0102ff","kind":"binary","message_class":1}`},
		"push":   {map[string]any{"coding": 4, "udh": "0605040b8423f0", "hex": "010603beaf848c82"}, message.InUnsupported, "", `{"data_coding":4,"octets":"010603beaf848c82","header":"0605040b8423f0","kind":"mms_notification","port":2948}`},
	} {
		in.order["from"], in.order["to"] = person, "36111"
		var status int
		p.do("write_octets", in.order, &status)
		got, ok := next(t, r.events).(*message.Inbound)
		if status != 0 || !ok || got.Type != in.kind || got.Content.Text != in.text || string(got.Raw) != in.raw {
			t.Errorf("%s came as %+v %s, answered with %#x", name, got, got.Raw, status)
		}
	}
	p.do("refuse", map[string]any{"statuses": []int{0x58, 0x08, 0x0B, 0x0A}}, new(int))
	for _, want := range []message.FaultKind{message.Throttled, message.Transient, message.Unreachable, message.Misconfigured} {
		_, err := c.Send(t.Context(), out)
		var f *message.Fault
		if !errors.As(err, &f) || f.Kind != want || !f.Certain || f.Doubtful != (want == message.Transient) {
			t.Errorf("refused as %v (%+v), want %v", err, f, want)
		}
	}
	if _, err := c.Send(t.Context(), out); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
}

// npm smpp is a customer of our pretend SMSC.
func TestNodeToSandbox(t *testing.T) {
	s := play(t)
	port := portOf(t, s.SMPPAddr())
	type answer struct {
		Command, ID string
		Status      int
		SystemID    string `json:"system_id"`
	}
	stranger := node(t, "esme.mjs", port)
	stranger.await("connected", nil)
	var a answer
	if stranger.do("bind", map[string]any{"password": "wrong"}, &a); a.Status != 0x0E {
		t.Errorf("a wrong password got %+v", a)
	}
	p := node(t, "esme.mjs", port)
	p.await("connected", nil)
	if p.do("bind", map[string]any{"password": smsc.DefaultPassword}, &a); a.Status != 0 || a.Command != "bind_transceiver_resp" || a.SystemID != "sandbox" {
		t.Fatalf("%+v", a)
	}
	type deliver struct {
		From, To, Text, ID string
		ESM, State, UDH    int
	}
	receipt := func(id string) {
		t.Helper()
		var d deliver
		p.await("deliver", &d)
		if d.ESM != 4 || d.ID != id || d.State != 2 || d.From != person || d.To != "Node" || !strings.Contains(d.Text, "id:"+id+" ") || !strings.Contains(d.Text, "stat:DELIVRD") {
			t.Errorf("receipt %+v for %s", d, id)
		}
	}
	for _, text := range []string{"Bonjour {à} tous €", "Привет 👋"} {
		if p.do("submit", map[string]any{"to": person, "text": text}, &a); a.Status != 0 || a.ID == "" {
			t.Fatalf("%+v", a)
		}
		receipt(a.ID)
		if in := s.Handsets.Inbox(person); len(in) == 0 || in[len(in)-1].Text != text {
			t.Errorf("the phone shows %+v", in)
		}
	}
	pieces := []string{strings.Repeat("часть ", 10), strings.Repeat("два 😀 ", 9), "три"}
	var parts []answer
	p.do("submit_long", map[string]any{"to": "33611111111", "pieces": pieces}, &parts)
	for range parts {
		p.await("deliver", nil)
	}
	if in := s.Handsets.Inbox("33611111111"); len(in) != 1 || in[0].Text != strings.Join(pieces, "") {
		t.Errorf("the phone shows %+v", in)
	}
	if p.do("payload", map[string]any{"to": "33622222222", "text": strings.Repeat("ы", 300)}, &a); a.Status != 0 {
		t.Errorf("message_payload: %+v", a)
	}
	if p.do("submit", map[string]any{"to": "99900004000", "text": "x"}, &a); a.Status != 0x0B {
		t.Errorf("a bad destination: %+v", a)
	}
	if p.do("query", nil, &a); a.Status == 0 {
		t.Errorf("query_sm: %+v", a)
	}
	if p.do("enquire", nil, &a); a.Command != "enquire_link_resp" || a.Status != 0 {
		t.Errorf("%+v", a)
	}
	long := strings.Repeat("réponse 😀 ", 20)
	if _, err := s.SMSC.Write(smsc.Inbound{From: person, To: "Node", Text: long}); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for units := len(utf16.Encode([]rune(long))); units > 0; units = len(utf16.Encode([]rune(long))) - len(utf16.Encode([]rune(got.String()))) {
		var d deliver
		p.await("deliver", &d)
		if d.UDH == 0 || d.From != person || d.To != "Node" || d.Text == "" {
			t.Fatalf("%+v", d)
		}
		got.WriteString(d.Text)
	}
	if got.String() != long {
		t.Errorf("node reads %q", got.String())
	}
	if p.do("unbind", nil, &a); a.Command != "unbind_resp" || a.Status != 0 {
		t.Errorf("%+v", a)
	}
	p.await("closed", nil)
}
