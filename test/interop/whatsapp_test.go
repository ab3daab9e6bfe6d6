package interop

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/whatsapp"
	"github.com/parley-messaging/parley/message"
	twin "github.com/parley-messaging/parley/sandbox/whatsapp"
)

// npm whatsapp-api-js takes our pretend Cloud API for Meta's: it sends every
// kind of message, uploads and fetches media, passes the handshake, and finds
// the signatures of the webhooks good.
func TestWhatsAppAPIJS(t *testing.T) {
	s := play(t)
	p := node(t, "whatsapp.mjs", s.WhatsAppURL(), twin.DefaultToken, twin.DefaultAppSecret, twin.DefaultVerifyToken)
	var at struct{ Port int }
	p.await("listening", &at)
	if err := s.SetCallback(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/hook", at.Port), ""); err != nil {
		t.Fatalf("their handshake: %v", err)
	}
	type answer struct {
		Messages []struct{ ID string }
		Error    *struct{ Code int }
	}
	send := func(kind string, more map[string]any) string {
		t.Helper()
		o := map[string]any{"kind": kind, "phone": twin.DefaultNumber, "to": person, "echo": "echo-" + kind}
		for k, v := range more {
			o[k] = v
		}
		var a answer
		p.do("send", o, &a)
		if a.Error != nil || len(a.Messages) != 1 || !strings.HasPrefix(a.Messages[0].ID, "wamid.") {
			t.Fatalf("%s: %+v", kind, a)
		}
		return a.Messages[0].ID
	}
	upload := func(kind string, size int) string {
		t.Helper()
		var m struct {
			ID    string
			Error json.RawMessage
		}
		p.do("upload", map[string]any{"phone": twin.DefaultNumber, "type": kind, "size": size}, &m)
		if m.ID == "" {
			t.Fatalf("%s: %s", kind, m.Error)
		}
		return m.ID
	}
	image, document := upload("image/png", 5000), upload("application/pdf", 70_000)
	var media struct {
		Size int
		Type string
	}
	if p.do("media", map[string]any{"id": document}, &media); media.Size != 70_000 || media.Type != "application/pdf" {
		t.Errorf("fetched %+v", media)
	}
	text := send("text", nil)
	for _, kind := range []string{"location", "buttons", "list", "cta", "place", "template"} {
		send(kind, nil)
	}
	templates := []string{"carousel", "products", "offer", "catalogue", "list_of_products", "product", "map", "flow", "code"}
	for _, kind := range templates {
		send(kind, nil)
	}
	send("text", map[string]any{"context": text})
	send("reaction", map[string]any{"target": text})
	send("image", map[string]any{"id": image})
	send("document", map[string]any{"id": document})
	seen := map[string]int{}
	for len(seen) < 10+len(templates) {
		var st struct{ ID, Status, Phone, Echo string }
		p.await("status", &st)
		if st.Phone != person || !strings.HasPrefix(st.Echo, "echo-") || !strings.HasPrefix(st.ID, "wamid.") {
			t.Fatalf("%+v", st)
		}
		if st.Status == "delivered" {
			seen[st.Echo]++
		}
	}
	types := map[string]bool{}
	for _, item := range s.Handsets.Inbox(person) {
		types[item.Type] = true
		if item.ID == text && item.Text != "ça marche 👩‍👩‍👧 {€}" {
			t.Errorf("the phone shows %q", item.Text)
		}
	}
	for _, want := range []string{"text", "location", "interactive", "template", "image", "document"} {
		if !types[want] {
			t.Errorf("no %s on the phone: %v", want, types)
		}
	}
	type inbound struct {
		From, Name, Phone string
		Message           struct {
			ID, Type    string
			Text        struct{ Body string }
			Interactive struct {
				Button struct{ ID, Title string } `json:"button_reply"`
			}
			Image struct{ ID, Caption string }
		}
	}
	for _, in := range []twin.Inbound{
		{From: person, Type: "text", Text: "où est ma carte ? 😀"},
		{From: person, Type: "button_reply", Payload: "yes", Title: "Oui", Context: text},
		{From: person, Type: "image", Text: "regarde", MIME: "image/png"},
	} {
		if _, err := s.WhatsApp.Write(in); err != nil {
			t.Fatal(err)
		}
		var m inbound
		p.await("message", &m)
		if m.From != person || m.Name == "" || m.Phone != twin.DefaultNumber || !strings.HasPrefix(m.Message.ID, "wamid.") {
			t.Errorf("%+v", m)
		}
		switch in.Type {
		case "text":
			if m.Message.Text.Body != in.Text {
				t.Errorf("%+v", m)
			}
			var ok struct{ Success bool }
			if p.do("read", map[string]any{"phone": twin.DefaultNumber, "id": m.Message.ID}, &ok); !ok.Success {
				t.Error("the read receipt was refused")
			}
		case "button_reply":
			if m.Message.Interactive.Button.ID != "yes" || m.Message.Interactive.Button.Title != "Oui" {
				t.Errorf("%+v", m)
			}
		default:
			if m.Message.Image.Caption != "regarde" {
				t.Errorf("%+v", m)
			}
			if p.do("media", map[string]any{"id": m.Message.Image.ID}, &media); media.Type != "image/png" || media.Size == 0 {
				t.Errorf("fetched %+v", media)
			}
		}
	}
	var gone struct{ Success bool }
	if p.do("remove", map[string]any{"id": image}, &gone); !gone.Success {
		t.Error("the image cannot be deleted")
	}
	var a answer
	if p.do("send", map[string]any{"kind": "text", "phone": twin.DefaultNumber, "to": "99900002500"}, &a); a.Error == nil || a.Error.Code != 190 {
		t.Errorf("an expired token: %+v", a)
	}
}

// npm jose opens what we seal and seals what we open, on both ends.
func TestJose(t *testing.T) {
	s := play(t)
	p := node(t, "jose.mjs", s.WhatsAppURL(), twin.DefaultToken)
	var at struct{ Port int }
	p.await("listening", &at)
	t.Run("a business of theirs", func(t *testing.T) {
		var settings struct {
			Status string
			Key    string `json:"cloud_encryption_key"`
		}
		p.do("register", map[string]any{"phone": twin.DefaultNumber}, &settings)
		if settings.Status != "enabled" || settings.Key == "" {
			t.Fatalf("%+v", settings)
		}
		type answer struct {
			Status int
			Header struct{ Alg, Enc string }
			Body   struct {
				Messages []struct{ ID string }
			}
		}
		body := map[string]any{"messaging_product": "whatsapp", "to": person, "type": "text", "text": map[string]any{"body": "secret 🤫"}}
		for _, enc := range []string{"A256GCM", "A128GCM"} {
			var a answer
			p.do("send", map[string]any{"phone": twin.DefaultNumber, "key": settings.Key, "enc": enc, "body": body}, &a)
			if a.Status != 200 || a.Header.Enc != "A256GCM" || a.Header.Alg != "RSA-OAEP" || len(a.Body.Messages) != 1 {
				t.Errorf("%s: %+v", enc, a)
			}
		}
		s.Settle()
		if in := s.Handsets.Inbox(person); len(in) != 2 || in[1].Text != "secret 🤫" {
			t.Errorf("the phone shows %+v", in)
		}
	})
	t.Run("a cloud of theirs", func(t *testing.T) {
		private := key(t)
		config, err := json.Marshal(map[string]any{
			"base_url": fmt.Sprintf("http://127.0.0.1:%d", at.Port), "phone_number_id": "1", "token": "t", "app_secret": "s", "verify_token": "v",
			"encryption": map[string]any{"private_key": private},
		})
		if err != nil {
			t.Fatal(err)
		}
		w, err := whatsapp.Open(config, channel.Env{Now: time.Now, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		a, err := w.Send(t.Context(), &message.Outbound{To: message.Address{Channel: message.Phone, ID: "+" + person}, Content: message.Content{Text: "secret 🤫"}})
		if err != nil || len(a.Parts) != 1 || a.Parts[0] != "wamid.JOSE" {
			t.Fatalf("%+v %v", a, err)
		}
		var opened struct {
			Header struct{ Alg, Enc string }
			Body   struct {
				To   string
				Text struct{ Body string }
			}
		}
		p.await("opened", &opened)
		if opened.Body.Text.Body != "secret 🤫" || opened.Body.To != person || opened.Header.Enc != "A256GCM" || opened.Header.Alg != "RSA-OAEP" {
			t.Errorf("%+v", opened)
		}
	})
}
