package whatsapp_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/whatsapp"
	"github.com/parley-messaging/parley/message"
	twin "github.com/parley-messaging/parley/sandbox/whatsapp"
)

// A kind is a use of a template that fills all it has, and ways to get it
// wrong, by the field our check names. The twin, which knows Meta's rules by
// itself, must refuse them too.
type kind struct {
	use   message.TemplateUse
	shows []string // in the preview and on the phone
	wrong map[string]func(*message.TemplateUse)
}

func button(index int, typ, value string) message.ButtonParameter {
	return message.ButtonParameter{Index: index, Type: typ, Value: value}
}

func picture(t message.MediaType) *message.Media {
	return &message.Media{Type: t, URL: "https://example.com/file"}
}

func kinds() map[string]kind {
	type wrong = map[string]func(*message.TemplateUse)
	one := func(v string) map[string]string { return map[string]string{"1": v} }
	catalogue := &message.Product{ID: "nqryix03ez", Catalog: "194836987003835"}
	long := strings.Repeat("x", 300)
	return map[string]kind{
		"hello_world": {use: message.TemplateUse{}, shows: []string{"Hello World", "Welcome", "sample message"}, wrong: wrong{
			"template.header_text":      func(t *message.TemplateUse) { t.HeaderText = "x" },
			"template.buttons[0].index": func(t *message.TemplateUse) { t.Buttons = append(t.Buttons, button(0, "url", "x")) },
			"template.cards": func(t *message.TemplateUse) {
				t.Cards = []message.TemplateCard{{Product: catalogue}, {Product: catalogue}}
			},
			"template.offer_expires_at": func(t *message.TemplateUse) { t.Offer = time.Now().Add(time.Hour) },
			"template.header_media":     func(t *message.TemplateUse) { t.Header = picture(message.Image) },
		}},
		"flight_news": {
			use: message.TemplateUse{
				HeaderText: "AF1234", Parameters: map[string]string{"time": "10:05"},
				Buttons: []message.ButtonParameter{{Index: 0, Type: "flow", Value: "token", Payload: `{"screen":"SEAT"}`}, button(1, "voice_call", "A-42")},
			},
			shows: []string{"Flight AF1234", "at 10:05", "[Change seat]", "[Call us]"},
			wrong: wrong{
				"template.header_text":        func(t *message.TemplateUse) { t.HeaderText = "" },
				"template.buttons[0].type":    func(t *message.TemplateUse) { t.Buttons[0].Type, t.Buttons[0].Payload = "url", "" },
				"template.buttons[0].payload": func(t *message.TemplateUse) { t.Buttons[0].Payload = "[]" },
				"template.buttons[1].value":   func(t *message.TemplateUse) { t.Buttons[1].Value = "" },
				"template.buttons[1].index":   func(t *message.TemplateUse) { t.Buttons[1].Index = 0; t.Buttons[1].Type = "flow" },
			},
		},
		"gate_map": {use: message.TemplateUse{Parameters: one("AF1234"), Place: &message.Location{Latitude: 49, Longitude: 2.5, Name: "CDG"}}, shows: []string{"CDG", "AF1234", "[Call us]"}, wrong: wrong{
			"template.header_location": func(t *message.TemplateUse) { t.Place = nil },
			"template.buttons[0]":      func(t *message.TemplateUse) { t.Buttons = append(t.Buttons, button(0, "url", "x")) },
			"template.parameters":      func(t *message.TemplateUse) { t.Parameters["1"] = strings.Repeat(long, 4) },
		}},
		"invoice": {use: message.TemplateUse{Parameters: map[string]string{"number": "A-42"}, Header: picture(message.Document)}, shows: []string{"[document", "A-42"}, wrong: wrong{
			"template.header_media":      func(t *message.TemplateUse) { t.Header = nil },
			"template.header_media.type": func(t *message.TemplateUse) { t.Header = picture(message.Image) },
		}},
		"one_time_code": {use: message.TemplateUse{Parameters: one("123456")}, shows: []string{"123456"}},
		"login_code": {use: message.TemplateUse{Parameters: one("123456")}, shows: []string{"[Copy code]"}, wrong: wrong{
			"template.parameters.1": func(t *message.TemplateUse) { t.Parameters = one("1234567890123456") },
		}},
		"last_minute": {
			use: message.TemplateUse{
				Parameters: one("Ada"), Header: picture(message.Video), Offer: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
				Buttons: []message.ButtonParameter{button(0, "copy_code", "CARIBE25"), button(1, "url", "n3mtql")},
			},
			shows: []string{"[video", "Expiring offer!", "Good news, Ada", "[Copy offer code]", "[Book now!]"},
			wrong: wrong{
				"template.offer_expires_at": func(t *message.TemplateUse) { t.Offer = time.Time{} },
				"template.buttons":          func(t *message.TemplateUse) { t.Buttons = t.Buttons[1:] },
				"template.buttons[0].value": func(t *message.TemplateUse) { t.Buttons[0].Value = long },
			},
		},
		"city_breaks": {
			use: message.TemplateUse{Parameters: one("Ada"), Cards: []message.TemplateCard{
				{Header: picture(message.Image), Parameters: one("99 €"), Buttons: []message.ButtonParameter{button(0, "quick_reply", "more-lisbon"), button(1, "url", "lisbon")}},
				{Header: picture(message.Image), Parameters: one("89 €"), Buttons: []message.ButtonParameter{button(1, "url", "porto")}},
			}},
			shows: []string{"Where to next, Ada?", "Lisbon from 99 €", "Porto from 89 €", "[Book]"},
			wrong: wrong{
				"template.cards":                       func(t *message.TemplateUse) { t.Cards = t.Cards[:1] },
				"template.cards[1]":                    func(t *message.TemplateUse) { t.Cards[1].Header = nil },
				"template.cards[0].header_media.type":  func(t *message.TemplateUse) { t.Cards[0].Header = picture(message.Video) },
				"template.cards[0].parameters.1":       func(t *message.TemplateUse) { t.Cards[0].Parameters = nil },
				"template.cards[0].parameters.2":       func(t *message.TemplateUse) { t.Cards[0].Parameters["2"] = "x" },
				"template.cards[1].parameters":         func(t *message.TemplateUse) { t.Cards[1].Parameters = one(long) },
				"template.cards[1].buttons":            func(t *message.TemplateUse) { t.Cards[1].Buttons = nil },
				"template.cards[0].buttons[1].index":   func(t *message.TemplateUse) { t.Cards[0].Buttons[1].Index = 2 },
				"template.cards[1].header_product":     func(t *message.TemplateUse) { t.Cards[1].Header, t.Cards[1].Product = nil, catalogue },
				"template.cards[0].header_media.type ": func(t *message.TemplateUse) { t.Cards[0].Header = picture(message.Document) },
			},
		},
		"new_arrivals": {
			use:   message.TemplateUse{Parameters: one("Ada"), Cards: []message.TemplateCard{{Product: catalogue}, {Product: catalogue}, {Product: catalogue}}},
			shows: []string{"New in the shop, Ada!", "nqryix03ez", "[View]"},
			wrong: wrong{
				"template.cards":                   func(t *message.TemplateUse) { t.Cards = t.Cards[:1] },
				"template.cards[0].header_product": func(t *message.TemplateUse) { t.Cards[0].Product = &message.Product{ID: "x"} },
				"template.cards[0].buttons[0]":     func(t *message.TemplateUse) { t.Cards[0].Buttons = []message.ButtonParameter{button(0, "url", "x")} },
			},
		},
		"shop_window": {use: message.TemplateUse{Buttons: []message.ButtonParameter{button(0, "catalog", "2lc20305pt")}}, shows: []string{"[View catalog]"}},
		"forgotten_cart": {
			use: message.TemplateUse{HeaderText: "Ada", Buttons: []message.ButtonParameter{{Index: 0, Type: "mpm", Value: "p1", Sections: []message.ProductSection{{Title: "Cart", Products: []string{"p1", "p2"}}}}}},
			shows: []string{
				"Forget something, Ada?", "[View items]",
			},
			wrong: wrong{
				"template.header_text":                     func(t *message.TemplateUse) { t.HeaderText = strings.Repeat("x", 61) },
				"template.buttons":                         func(t *message.TemplateUse) { t.Buttons = nil },
				"template.buttons[0].sections":             func(t *message.TemplateUse) { t.Buttons[0].Sections = nil },
				"template.buttons[0].sections[0].title":    func(t *message.TemplateUse) { t.Buttons[0].Sections[0].Title = strings.Repeat("x", 25) },
				"template.buttons[0].sections[0].products": func(t *message.TemplateUse) { t.Buttons[0].Sections[0].Products = []string{""} },
				"template.buttons[0].sections ": func(t *message.TemplateUse) {
					t.Buttons[0].Sections[0].Products = strings.Fields(strings.Repeat("p ", 31))
				},
				"template.buttons[0].sections[0].products ": func(t *message.TemplateUse) { t.Buttons[0].Sections[0].Products = nil },
			},
		},
		"forgotten_item": {use: message.TemplateUse{Parameters: one("25OFF"), Product: catalogue}, shows: []string{"nqryix03ez", "25OFF", "[View]"}, wrong: wrong{
			"template.header_product":    func(t *message.TemplateUse) { t.Product = nil },
			"template.header_product.id": func(t *message.TemplateUse) { t.Product = &message.Product{} },
		}},
		"to_pay": {use: message.TemplateUse{Parameters: one("A-42"), Buttons: []message.ButtonParameter{{Index: 0, Type: "order_details", Payload: `{"reference_id":"A-42"}`}}}, shows: []string{"[Review and Pay]"}, wrong: wrong{
			"template.buttons[0].payload": func(t *message.TemplateUse) { t.Buttons[0].Payload = "" },
		}},
		"spring_offer": {use: message.TemplateUse{Parameters: one("Ada"), Header: picture(message.Image), Buttons: []message.ButtonParameter{button(0, "quick_reply", "STOP"), button(1, "url", "a")}}, shows: []string{"[Stop]"}},
	}
}

// Every kind of component goes out as the twin takes it, is shown in the
// preview as on the phone, and every misuse is refused before with its field,
// as the twin would refuse it.
func TestEveryKindOfTemplate(t *testing.T) {
	p := start(t, twin.Options{})
	w := open(t, p.http.URL)
	p.listen(t, w)
	remote, err := w.Templates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	number := 33600000000
	send := func(use *message.TemplateUse, purpose message.Purpose) (string, error) {
		number++
		to := "+" + strconv.Itoa(number)
		_, err := w.Send(t.Context(), &message.Outbound{To: message.Address{Channel: message.Phone, ID: to}, Template: use, Purpose: purpose})
		return to[1:], err
	}
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			registered := func(use message.TemplateUse) *message.TemplateUse {
				for _, r := range remote {
					if r.Name == name {
						use.Name, use.Language, use.Category, use.Named = r.Name, r.Language, r.Category, r.Named
						use.Body, use.Components, use.Order = r.Body, r.Components, channel.Placeholders(r.Body)
					}
				}
				if use.Name == "" {
					t.Fatal("the twin has no such template")
				}
				return &use
			}
			use := registered(k.use)
			r, err := whatsapp.Render(&message.Content{}, use)
			if err != nil {
				t.Fatal(err)
			}
			to, err := send(use, use.Category)
			if err != nil {
				t.Fatal(err)
			}
			p.events(t, w, func(e message.Event) bool {
				r, ok := e.(*message.Receipt)
				return ok && r.To.ID == "+"+to && r.Status >= message.ReceiptDelivered
			})
			phone := p.fleet.Inbox(to)[0].Text
			for _, want := range k.shows {
				if !strings.Contains(r.Text, want) && use.Body != "" {
					t.Errorf("the preview does not show %q:\n%s", want, r.Text)
				}
				if !strings.Contains(phone, strings.TrimPrefix(want, "[product: ")) {
					t.Errorf("the phone does not show %q:\n%s", want, phone)
				}
			}
			for field, change := range k.wrong {
				bad := registered(kinds()[name].use)
				change(bad)
				_, err := whatsapp.Render(&message.Content{}, bad)
				var misfit *channel.Misfit
				if !errors.As(err, &misfit) || misfit.Field != strings.TrimSpace(field) || misfit.Detail == "" || misfit.Remedy == "" {
					t.Errorf("%s: %v", field, err)
				}
				var f *message.Fault
				if _, err := send(bad, bad.Category); !errors.As(err, &f) || !f.Certain || f.Kind != message.Refused {
					if field == "template.cards[0].parameters.2" {
						continue // what the card has no place for does not leave
					}
					t.Errorf("%s: the twin: %v", field, err)
				}
			}
		})
	}
}

// What others registered with Meta can be registered with the twin and filled:
// the check finds the header, the buttons and the cards of each.
func TestTemplatesOfOthers(t *testing.T) {
	var all []twin.Template
	for _, file := range []string{"carousel", "limited_time_offer", "buttons", "authentication"} {
		b, err := os.ReadFile(filepath.Join("testdata", "pywa-templates", "template_"+file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var named map[string]twin.Template
		if err := json.Unmarshal(b, &named); err != nil {
			t.Fatal(err)
		}
		for _, one := range named {
			one.Status = "APPROVED"
			all = append(all, one)
		}
	}
	p := start(t, twin.Options{Templates: all})
	w := open(t, p.http.URL)
	remote, err := w.Templates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	product := &message.Product{ID: "p1", Catalog: "1"}
	image := picture(message.Image)
	card := func(i string) message.TemplateCard {
		return message.TemplateCard{Header: image, Buttons: []message.ButtonParameter{button(1, "url", i)}}
	}
	fills := map[string]message.TemplateUse{
		"carousel_template_media_cards_v1":      {Cards: []message.TemplateCard{card("a"), card("b"), card("c")}},
		"carousel_template_product_cards_v1":    {Cards: []message.TemplateCard{{Product: product}, {Product: product}}},
		"limited_time_offer_caribbean_pkg_2023": {Header: image, Offer: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Buttons: []message.ButtonParameter{button(0, "copy_code", "CARIBE25"), button(1, "url", "a")}},
		"seasonal_promotion":                    {HeaderText: "Summer Sale"},
		"order_confirmation":                    {Header: picture(message.Document)},
		"order_delivery_update":                 {Place: &message.Location{Latitude: 1, Longitude: 2}},
		"abandoned_cart_offer":                  {Product: product},
		"intro_catalog_offer":                   {},
		"coupon_code_fall2023_25off":            {Buttons: []message.ButtonParameter{button(1, "copy_code", "25OFF")}},
		"abandoned_cart":                        {HeaderText: "Pablo", Buttons: []message.ButtonParameter{{Type: "mpm", Sections: []message.ProductSection{{Products: []string{"p1"}}}}}},
		"authentication_code_autofill_button":   {},
		"authentication_code_copy_code_button":  {},
		"zero_tap_auth_template":                {},
	}
	for _, r := range remote {
		use, ok := fills[r.Name]
		if !ok {
			continue
		}
		delete(fills, r.Name)
		use.Name, use.Language, use.Category, use.Body, use.Components = r.Name, r.Language, r.Category, r.Body, r.Components
		use.Order = channel.Placeholders(r.Body)
		use.Parameters = map[string]string{}
		for _, name := range use.Order {
			use.Parameters[name] = "x"
		}
		if r.Category == message.Authentication {
			use.Parameters["1"] = "123456"
		}
		if _, err := whatsapp.Render(&message.Content{}, &use); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		if _, err := w.Send(t.Context(), &message.Outbound{To: message.Address{Channel: message.Phone, ID: "+" + person}, Template: &use, Purpose: r.Category}); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		if r.Category == message.Authentication {
			continue
		}
		// Nothing filled is nothing that fits, but for what has nothing to fill.
		bare := use
		bare.Header, bare.HeaderText, bare.Place, bare.Product, bare.Buttons, bare.Cards = nil, "", nil, nil, nil, nil
		if _, err := whatsapp.Render(&message.Content{}, &bare); (err == nil) != (r.Name == "intro_catalog_offer") {
			t.Errorf("%s, not filled: %v", r.Name, err)
		}
	}
	if len(fills) > 0 {
		t.Errorf("not tried: %v", fills)
	}
}

// A positional template whose text names its places in another order, as a
// translation may, still gets each value in its place.
func TestPlacesTurnedRound(t *testing.T) {
	turned := twin.Template{
		Name: "turned", Language: "de", Category: "UTILITY", Status: "APPROVED",
		Components: json.RawMessage(`[{"type":"BODY","text":"Ihr Paket {{2}} ist da, {{1}}!"}]`),
	}
	p := start(t, twin.Options{Templates: []twin.Template{turned}})
	w := open(t, p.http.URL)
	p.listen(t, w)
	use := &message.TemplateUse{Name: "turned", Language: "de", Parameters: map[string]string{"1": "Ada", "2": "A-42"}, Order: channel.Placeholders("Ihr Paket {{2}} ist da, {{1}}!")}
	a, err := w.Send(t.Context(), &message.Outbound{To: message.Address{Channel: message.Phone, ID: "+" + person}, Template: use, Purpose: message.Utility})
	if err != nil {
		t.Fatal(err)
	}
	p.events(t, w, func(e message.Event) bool {
		r, ok := e.(*message.Receipt)
		return ok && r.ID == a.Parts[0] && r.Status >= message.ReceiptDelivered
	})
	if got := p.fleet.Inbox(person)[0].Text; got != "Ihr Paket A-42 ist da, Ada!" {
		t.Error(got)
	}
}
