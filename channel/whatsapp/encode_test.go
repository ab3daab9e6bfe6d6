package whatsapp

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/message"
)

// schemas compiles entry points of Meta's repaired schema.
func schemas(t testing.TB, names ...string) map[string]*jsonschema.Schema {
	t.Helper()
	var raw json.RawMessage
	load(t, "testdata/meta-cloudapi/repaired_v23.schema.json", &raw)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("meta.json", doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]*jsonschema.Schema{}
	for _, name := range names {
		if out[name], err = compiler.Compile("meta.json#/$defs/" + name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func valid(t testing.TB, s *jsonschema.Schema, body []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(body)))
	if err != nil {
		t.Fatalf("not JSON: %v\n%s", err, body)
	}
	if err := s.Validate(doc); err != nil {
		t.Errorf("%v\n%s", err, body)
	}
}

var (
	phoneAddress  = message.Address{Channel: message.Phone, ID: "+33612345678"}
	scopedAddress = message.Address{Channel: message.WhatsApp, Scope: "506914307656634", ID: "FR.13491208655302741918"}
)

// contents are one content of every kind, by name.
func contents() map[string]message.Content {
	link := func(t message.MediaType) []message.Media {
		return []message.Media{{Type: t, URL: "https://example.com/file"}}
	}
	reply := []message.Action{{Type: message.Reply, Title: "Changer de siège", Payload: "seat"}, {Type: message.Reply, Title: "Non"}}
	return map[string]message.Content{
		"text":          {Text: "Votre carte d'embarquement \"AF1234\"\n\ttab \u2028 👍 \x01", Preview: true},
		"image link":    {Media: link(message.Image), Text: "caption"},
		"image id":      {Media: []message.Media{{Type: message.Image, Provider: "1013859600285441", Caption: "c"}}},
		"video":         {Media: link(message.Video)},
		"audio":         {Media: link(message.Audio)},
		"voice":         {Media: link(message.Voice)},
		"sticker":       {Media: link(message.Sticker)},
		"document":      {Media: []message.Media{{Type: message.Document, URL: "https://example.com/a.pdf", Filename: "AF1234.pdf", Caption: "c"}}},
		"location":      {Location: &message.Location{Latitude: 48.8584, Longitude: 2.2945, Name: "Tour Eiffel", Address: "Paris"}},
		"location bare": {Location: &message.Location{Latitude: 48.8584, Longitude: 2.2945}},
		"card": {Cards: []message.Card{{
			Name: "Ada Lovelace", First: "Ada", Last: "Lovelace", Company: "Analytical", Birthday: "1815-12-10",
			Phones: []message.CardValue{{Value: "+44 20", Type: "WORK", WaID: "4420"}}, Emails: []message.CardValue{{Value: "ada@example.com", Type: "WORK"}},
			URLs: []message.CardValue{{Value: "https://example.com"}}, Addresses: []message.CardValue{{Value: "1 Street", Type: "HOME"}},
		}, {Name: "Bob"}}},
		"reaction":       {Reaction: &message.Reaction{Target: "wamid.X", Emoji: "👍"}},
		"reaction taken": {Reaction: &message.Reaction{Target: "wamid.X"}},
		"buttons":        {Text: "body", Header: "header", Footer: "footer", Actions: reply},
		"buttons image":  {Text: "body", Media: link(message.Image), Actions: reply},
		"buttons file":   {Text: "body", Media: []message.Media{{Type: message.Document, Provider: "1", Filename: "a.pdf"}}, Actions: reply},
		"link":           {Text: "body", Footer: "f", Actions: []message.Action{{Type: message.URL, Title: "Open", URL: "https://example.com/?a=1&b=2"}}},
		"list": {Text: "body", Header: "h", Footer: "f", List: &message.List{Button: "Choose", Sections: []message.Section{
			{Title: "One", Rows: []message.Row{{Payload: "a", Title: "A", Description: "first"}, {Title: "B"}}}, {Title: "Two", Rows: []message.Row{{Payload: "c", Title: "C"}}},
		}}},
		"request": {Text: "Where are you?", Request: "location"},
	}
}

func templates() map[string]message.TemplateUse {
	base := func(f func(*message.TemplateUse)) message.TemplateUse {
		t := message.TemplateUse{Name: "boarding_pass", Language: "fr", Parameters: map[string]string{"1": "Ada", "2": "AF1234"}, Order: []string{"1", "2"}}
		f(&t)
		return t
	}
	return map[string]message.TemplateUse{
		"plain":      {Name: "hello_world", Language: "en_US"},
		"positional": base(func(*message.TemplateUse) {}),
		"named":      {Name: "n", Language: "fr", Named: true, Parameters: map[string]string{"flight": "AF\n1234", "name": "Ada"}, Order: []string{"name", "flight"}},
		"unordered":  base(func(t *message.TemplateUse) { t.Order = nil }),
		"image": base(func(t *message.TemplateUse) {
			t.Header = &message.Media{Type: message.Image, URL: "https://example.com/i.png"}
		}),
		"document": base(func(t *message.TemplateUse) {
			t.Header = &message.Media{Type: message.Document, Provider: "1", Filename: "a.pdf"}
		}),
		"video": base(func(t *message.TemplateUse) {
			t.Header = &message.Media{Type: message.Video, URL: "https://example.com/v.mp4"}
		}),
		"header": base(func(t *message.TemplateUse) { t.HeaderText = "AF1234" }),
		"place": base(func(t *message.TemplateUse) {
			t.Place = &message.Location{Latitude: 1, Longitude: 2, Name: "CDG", Address: "Roissy"}
		}),
		"buttons": base(func(t *message.TemplateUse) {
			t.Buttons = []message.ButtonParameter{
				{Index: 0, Type: "quick_reply", Value: "seat"},
				{Index: 1, Type: "URL", Value: "X7K2"},
				{Index: 2, Type: "copy_code", Value: "SAVE20"},
				{Index: 3, Type: "flow", Value: "token", Payload: `{"a":1}`},
			}
		}),
		"carousel": {
			Name: "carousel_template_media_cards_v1", Language: "en_US", Parameters: map[string]string{"1": "Pablo", "2": "30%", "3": "30OFF"}, Order: []string{"1", "2", "3"},
			Components: json.RawMessage(`[{"type":"CAROUSEL","cards":[{"components":[{"type":"HEADER","format":"IMAGE"},{"type":"BODY","text":"A {{2}} b {{1}} c"}]}]}]`),
			Cards: []message.TemplateCard{
				{Header: &message.Media{Type: message.Image, Provider: "24230790383178626"}, Parameters: map[string]string{"1": "one", "2": "two\n"}, Buttons: []message.ButtonParameter{{Index: 0, Type: "quick_reply", Value: "more-aloes"}, {Index: 1, Type: "url", Value: "BLUE_ELF"}}},
				{Header: &message.Media{Type: message.Video, URL: "https://example.com/v.mp4"}, Parameters: map[string]string{"1": "1", "2": "2"}, Buttons: []message.ButtonParameter{{Index: 1, Type: "url", Value: "BUDDHA"}}},
			},
		},
		"carousel of products": {Name: "carousel_template_product_cards_v1", Language: "en_US", Parameters: map[string]string{"1": "Pablo"}, Cards: []message.TemplateCard{
			{Product: &message.Product{ID: "nqryix03ez", Catalog: "194836987003835"}}, {Product: &message.Product{ID: "p2", Catalog: "194836987003835"}, Buttons: []message.ButtonParameter{{Index: 0, Type: "url", Value: "p2"}}},
		}},
		"offer": {
			Name: "limited_time_offer_caribbean_pkg_2023", Language: "en_US", Parameters: map[string]string{"1": "Pablo", "2": "CARIBE25"}, Order: []string{"1", "2"},
			Header: &message.Media{Type: message.Image, Provider: "1"}, Offer: time.UnixMilli(1_800_000_000_123).UTC(),
			Buttons: []message.ButtonParameter{{Index: 0, Type: "copy_code", Value: "CARIBE25"}, {Index: 1, Type: "url", Value: "n3mtql"}},
		},
		"catalogue":       {Name: "intro_catalog_offer", Language: "en_US", Buttons: []message.ButtonParameter{{Index: 0, Type: "catalog", Value: "2lc20305pt"}}},
		"catalogue plain": {Name: "intro_catalog_offer", Language: "en_US", Buttons: []message.ButtonParameter{{Index: 0, Type: "catalog"}}},
		"products": {Name: "abandoned_cart", Language: "en_US", HeaderText: "Pablo", Buttons: []message.ButtonParameter{{Index: 0, Type: "mpm", Value: "p1", Sections: []message.ProductSection{
			{Title: "Popular Bundles", Products: []string{"p1", "p2"}}, {Title: "Premium", Products: []string{"p3"}},
		}}}},
		"product":      {Name: "abandoned_cart_offer", Language: "en_US", Parameters: map[string]string{"1": "25OFF", "2": "25%"}, Product: &message.Product{ID: "nqryix03ez", Catalog: "194836987003835"}},
		"order":        {Name: "pay", Language: "en", Buttons: []message.ButtonParameter{{Index: 0, Type: "order_details", Payload: `{"reference_id":"A-42","type":"digital-goods","currency":"INR","total_amount":{"value":500,"offset":100}}`}}},
		"call":         {Name: "call_us", Language: "en", Buttons: []message.ButtonParameter{{Index: 0, Type: "voice_call", Value: "A-42"}}},
		"flow plain":   {Name: "form", Language: "en", Buttons: []message.ButtonParameter{{Index: 0, Type: "flow"}}},
		"gif":          {Name: "moving", Language: "en", Header: &message.Media{Type: message.Video, Provider: "1"}, Components: json.RawMessage(`[{"type":"HEADER","format":"GIF"}]`)},
		"header named": {Name: "n", Language: "fr", Named: true, HeaderText: "AF1234", Components: json.RawMessage(`[{"type":"HEADER","format":"TEXT","text":"Flight {{flight}}"}]`)},
		"code one tap": {Name: "otp", Language: "fr", Category: message.Authentication, Parameters: map[string]string{"1": "123456"}, Buttons: []message.ButtonParameter{{Index: 0, Type: "url", Value: "123456"}}},
		"code":         {Name: "otp", Language: "fr", Category: message.Authentication, Parameters: map[string]string{"1": "123456"}},
	}
}

// outbounds gives every kind of message we send.
func outbounds() map[string]message.Outbound {
	all := map[string]message.Outbound{}
	for name, c := range contents() {
		all[name] = message.Outbound{To: phoneAddress, Content: c, Purpose: message.Service, Echo: "msg_01.0.1"}
	}
	for name, u := range templates() {
		all["template "+name] = message.Outbound{To: phoneAddress, Template: &u, Purpose: message.Utility, Echo: "msg_01.0.1"}
	}
	all["reply"] = message.Outbound{To: phoneAddress, Content: message.Content{Text: "yes"}, ReplyTo: "wamid.Y"}
	all["user id"] = message.Outbound{To: scopedAddress, Content: message.Content{Text: "yes"}}
	return all
}

func TestSendsFitMetasSchema(t *testing.T) {
	schema := schemas(t, "SendRequest")["SendRequest"]
	for name, m := range outbounds() {
		t.Run(name, func(t *testing.T) {
			body, err := encode(nil, &m)
			if err != nil {
				t.Fatal(err)
			}
			valid(t, schema, body)
		})
	}
}

// What Fit makes of anything must be a message Meta takes.
func TestFittedContentFitsMetasSchema(t *testing.T) {
	schema := schemas(t, "SendRequest")["SendRequest"]
	long := strings.Repeat("word ", 300)
	for name, c := range contents() {
		for variant, change := range map[string]func(*message.Content){
			"as is":       func(*message.Content) {},
			"header":      func(c *message.Content) { c.Header, c.Footer = "A title", "the end" },
			"long":        func(c *message.Content) { c.Text = long },
			"long header": func(c *message.Content) { c.Header = long[:300] },
			"media": func(c *message.Content) {
				c.Media = append(c.Media, message.Media{Type: message.Video, URL: "https://example.com/v"})
			},
			"audio": func(c *message.Content) {
				c.Media = append(c.Media, message.Media{Type: message.Audio, URL: "https://example.com/v", Caption: "hear"})
			},
			"dial": func(c *message.Content) {
				c.Actions = append(c.Actions, message.Action{Type: message.Dial, Title: "Call", Phone: "+331"})
			},
			"link": func(c *message.Content) {
				c.Actions = append(c.Actions, message.Action{Type: message.URL, Title: "A link with a long title", URL: "https://example.com"})
			},
			"many": func(c *message.Content) {
				for i := range 7 {
					c.Actions = append(c.Actions, message.Action{Type: message.Reply, Title: strings.Repeat(string(rune('a'+i)), 30)})
				}
			},
			"location": func(c *message.Content) { c.Location = &message.Location{Latitude: 1, Longitude: 2} },
		} {
			t.Run(name+" "+variant, func(t *testing.T) {
				given := c
				change(&given)
				r, err := Render(&given, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, ch := range r.Changes {
					if ch.Level == channel.No {
						t.Fatalf("refused: %v", ch)
					}
				}
				for _, part := range channel.Series(&r.Content, &Type.Caps) {
					body, err := encode(nil, &message.Outbound{To: phoneAddress, Content: part})
					if err != nil {
						t.Fatalf("%v: %+v", err, r)
					}
					valid(t, schema, body)
				}
			})
		}
	}
}
