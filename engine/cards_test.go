package engine_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/media"
	"github.com/parley-messaging/parley/message"
)

func (w *world) picture() message.MediaID {
	w.t.Helper()
	var b bytes.Buffer
	must(w.t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))))
	f, err := w.media.Put(w.ctx, w.ws, &media.Upload{MIME: "image/png", Name: "city.png", Body: &b})
	must(w.t, err)
	return f.ID
}

func breaks(one, two message.MediaID) *message.TemplateUse {
	card := func(id message.MediaID, price, tail string) message.TemplateCard {
		return message.TemplateCard{
			Header: &message.Media{Type: message.Image, ID: id}, Parameters: map[string]string{"1": price},
			Buttons: []message.ButtonParameter{{Index: 0, Type: "quick_reply", Value: "more-" + tail}, {Index: 1, Type: "url", Value: tail}},
		}
	}
	return &message.TemplateUse{
		Name: "city_breaks", Language: "en_US", Parameters: map[string]string{"1": "Ada"},
		Cards: []message.TemplateCard{card(one, "99 €", "lisbon"), card(two, "89 €", "porto")},
	}
}

// A carousel goes out whole: its kept pictures are uploaded once, each card has
// its own text and buttons, and the preview shows what the phone shows.
func TestCarousel(t *testing.T) {
	w := newWorld(t)
	const to = "33612345683"
	lisbon, porto := w.picture(), w.picture()
	r := &engine.Request{
		To: engine.Recipient{Phone: "+" + to}, Purpose: message.Marketing, Template: breaks(lisbon, porto),
		Route: []engine.RouteStep{{Channel: message.WhatsApp}},
	}
	preview, err := w.engine.Preview(w.ctx, w.ws, r)
	must(t, err)
	for _, want := range []string{"Where to next, Ada?", "Lisbon from 99 €, all in.", "Porto from 89 €", "[Book]"} {
		if text := preview.Plan[0].Rendered.Text; !strings.Contains(text, want) {
			t.Errorf("the preview lacks %q:\n%s", want, text)
		}
	}
	a := w.send(r)
	w.until(a.ID, "read", func(d *message.Delivery) bool { return d.State == message.Read })
	var wire struct {
		Template struct {
			Components []struct {
				Type  string
				Cards []struct {
					Components []struct {
						Type       string
						Parameters []struct {
							Text  string
							Image struct{ ID string }
						}
					}
				}
			}
		}
	}
	it := w.last(to, "whatsapp")
	must(t, json.Unmarshal([]byte(it.Content), &wire))
	cards := wire.Template.Components[1].Cards
	if len(cards) != 2 || cards[0].Components[0].Parameters[0].Image.ID == "" || cards[0].Components[0].Parameters[0].Image.ID == cards[1].Components[0].Parameters[0].Image.ID ||
		cards[1].Components[1].Parameters[0].Text != "89 €" {
		t.Errorf("sent %s", it.Content)
	}
	v, err := w.engine.View(w.ctx, w.ws, a.ID)
	must(t, err)
	if v.Template == nil || len(v.Template.Cards) != 2 || v.Template.Cards[0].Parameters["1"] != "99 €" {
		t.Errorf("the story tells %+v", v.Template)
	}
}

// What does not fit the registered template is refused with its field before
// anything is stored, in the whole message and in one step.
func TestMisfitTemplates(t *testing.T) {
	w := newWorld(t)
	one := w.picture()
	offer := func(ends time.Time) *message.TemplateUse {
		return &message.TemplateUse{
			Name: "last_minute", Language: "en_US", Parameters: map[string]string{"1": "Ada"}, Offer: ends,
			Header:  &message.Media{Type: message.Video, URL: "https://example.com/v.mp4"},
			Buttons: []message.ButtonParameter{{Index: 0, Type: "copy_code", Value: "A"}, {Index: 1, Type: "url", Value: "b"}},
		}
	}
	cut := breaks(one, one)
	cut.Cards = cut.Cards[:1]
	bare := breaks(one, one)
	bare.Cards[1].Parameters = nil
	torn := breaks(one, one)
	torn.Cards[0].Parameters["1"] = "99\n€"
	gone := breaks(one, message.MediaID{1})
	for name, c := range map[string]struct {
		use  *message.TemplateUse
		code string
		at   string
	}{
		"a card is missing":      {cut, engine.CodeTemplateParams, "template.cards"},
		"a card has no text":     {bare, engine.CodeTemplateParams, "template.cards[1].parameters.1"},
		"a card's text in lines": {torn, engine.CodeTemplateParams, "template.cards[0].parameters.1"},
		"a header in lines":      {&message.TemplateUse{Name: "forgotten_cart", Language: "en_US", HeaderText: "A\nda"}, engine.CodeTemplateParams, "template.header_text"},
		"a card's file is gone":  {gone, engine.CodeMedia, "template.cards[1].header_media.id"},
		"an offer without end":   {offer(time.Time{}), engine.CodeTemplateParams, "template.offer_expires_at"},
		"an offer over":          {offer(w.sandbox.Clock.Now().Add(-time.Minute)), engine.CodePast, "template.offer_expires_at"},
		"a header too many":      {&message.TemplateUse{Name: "hello_world", Language: "en_US", HeaderText: "x"}, engine.CodeTemplateParams, "template.header_text"},
		"a coupon too long": {func() *message.TemplateUse {
			u := offer(w.sandbox.Clock.Now().Add(time.Hour))
			u.Buttons[0].Value = strings.Repeat("x", 21)
			return u
		}(), engine.CodeTemplateParams, "template.buttons[0].value"},
		"a text too long filled": {&message.TemplateUse{Name: "order_update", Language: "en_US", Parameters: map[string]string{"1": strings.Repeat("x", 1000), "2": "y"}}, engine.CodeTemplateParams, "template.parameters"},
	} {
		for _, own := range []bool{false, true} {
			r := &engine.Request{To: engine.Recipient{Phone: "+33612345684"}, Purpose: message.Marketing, Route: []engine.RouteStep{{Channel: message.WhatsApp}}}
			if own {
				r.Route[0].Template = c.use
			} else {
				r.Template = c.use
			}
			_, err := w.engine.Accept(w.ctx, w.ws, r, engine.Idempotency{})
			refusal, ok := err.(*engine.Refusal)
			if !ok || refusal.Code != c.code || strings.TrimPrefix(refusal.Field, "route[0].") != c.at || refusal.Remedy == "" {
				t.Errorf("%s, of the step %v: %v, %+v", name, own, err, refusal)
			}
		}
	}
}
