package sms

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/smpp"
	"github.com/parley-messaging/parley/smpp/gsm"
)

// Two people, and one person to two of our ends, use the same reference at the
// same time, their parts mixed in any order and each sent twice: every text is
// whole and stands under its writer.
func TestSameReferenceMixed(t *testing.T) {
	for _, concat := range []gsm.Concat{gsm.UDH8, gsm.UDH16, gsm.SAR} {
		srv := serve(t, smpp.ServerConfig{SessionConfig: smpp.SessionConfig{Window: 100}})
		s := run(t, open(t, config(srv, map[string]any{"binds": 2})), 2)
		want := map[string]string{}
		var mixed []*smpp.DeliverSM
		for i, from := range []string{"33612345678", "33612345679", "33612345678"} {
			to := []string{"36111", "36111", "36112"}[i]
			text := fmt.Sprintf("%s%d 😀", words(60), i)
			want["+"+from+" "+to] = text
			for _, p := range long(t, text, 77, concat) {
				p.Source.Addr, p.Destination.Addr = from, to
				mixed = append(mixed, p, p)
			}
		}
		rand.New(rand.NewPCG(1, uint64(concat))).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		var answers []<-chan smpp.Status
		for _, p := range mixed {
			answers = append(answers, offer(t, srv, p))
		}
		for _, a := range answers {
			if status := await(t, a); status != smpp.StatusOK {
				t.Errorf("answered %v", status)
			}
		}
		for range want {
			in := await(t, s.events).(*message.Inbound)
			if key := in.From.ID + " " + in.To; in.Content.Text != want[key] || in.Raw != nil {
				t.Errorf("%s: %q %s", key, in.Content.Text, in.Raw)
			}
		}
		if len(s.events) > 0 {
			t.Errorf("%d texts too many", len(s.events))
		}
	}
}

// However many texts never end, what waits of them has a bound, and what is
// refused the SMSC keeps.
func TestUnfinishedTextsAreBounded(t *testing.T) {
	c := open(t, config(&smsc{host: "smsc.example.net"}, map[string]any{"inbound_parts": "answer"}))
	g := c.gather
	g.start(devNull{})
	refused := 0
	for i := range partsAtMost + 100 {
		p := piece{octets: []byte{byte(i), byte(i >> 8), byte(i >> 16)}, ref: uint16(i / 200), total: 255, number: uint8(i%200) + 1}
		if fate, _, _ := g.sort(nil, &smpp.DeliverSM{Source: smpp.Address{Addr: person}}, p); fate == partRefused {
			refused++
		}
	}
	if g.parts != partsAtMost || refused != 100 {
		t.Errorf("%d parts wait, %d refused", g.parts, refused)
	}
	for i := range heldAtMost + 5 {
		g.sort(nil, &smpp.DeliverSM{Source: smpp.Address{Addr: fmt.Sprint(i)}}, piece{total: 2, number: 1})
	}
	if len(g.held) != partsAtMost/200 {
		t.Errorf("%d texts wait", len(g.held))
	}
	g.stop()
	if g.parts != 0 || len(g.held) != 0 {
		t.Errorf("%d parts of %d texts are left", g.parts, len(g.held))
	}
	g.start(devNull{})
	for i := range heldAtMost + 5 {
		g.sort(nil, &smpp.DeliverSM{Source: smpp.Address{Addr: fmt.Sprint(i)}}, piece{total: 2, number: 1})
	}
	if len(g.held) != heldAtMost {
		t.Errorf("%d texts wait", len(g.held))
	}
	g.stop()
}

// devNull stores everything at once and keeps nothing.
type devNull struct{}

func (devNull) Events(_ []message.Event, done func(error)) { done(nil) }
func (devNull) Health(channel.Health)                      {}
