package whatsapp_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-messaging/parley/channel"
	"github.com/parley-messaging/parley/channel/channeltest"
	"github.com/parley-messaging/parley/channel/whatsapp"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/sandbox/clock"
	"github.com/parley-messaging/parley/sandbox/fault"
	"github.com/parley-messaging/parley/sandbox/handset"
	"github.com/parley-messaging/parley/sandbox/journal"
	twin "github.com/parley-messaging/parley/sandbox/whatsapp"
)

const person = "33612345678"

// A provider is the sandbox's Cloud API on a real socket.
type provider struct {
	server *twin.Server
	faults *fault.Book
	fleet  *handset.Fleet
	http   *httptest.Server
	posts  chan channel.Callback // what it posted to our callback address
}

func start(t testing.TB, o twin.Options) *provider {
	t.Helper()
	p := &provider{faults: &fault.Book{}, posts: make(chan channel.Callback, 1000)}
	begin, began := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC), time.Now()
	c := clock.New(func() time.Time { return begin.Add(time.Since(began)) })
	p.fleet = handset.New(c, handset.Options{})
	o.IgnoreWindow = true
	var err error
	p.server, err = twin.New(o, twin.Parts{Clock: c, Fleet: p.fleet, Faults: p.faults, Journal: journal.New(1000, nil), Log: slog.New(slog.DiscardHandler), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	p.http = httptest.NewServer(p.server)
	t.Cleanup(func() {
		p.server.Close()
		p.http.Close()
		c.Stop()
	})
	return p
}

// listen gives the provider a callback address that keeps what is posted.
func (p *provider) listen(t testing.TB, w channel.Receiver) {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c := channel.Callback{Method: r.Method, Header: r.Header, Query: r.URL.Query(), Body: body}
		a, _ := w.Verify(&c)
		if a.Keep {
			p.posts <- c
		}
		rw.WriteHeader(a.Status)
		_, _ = io.WriteString(rw, a.Body)
	}))
	t.Cleanup(hook.Close)
	if err := p.server.SetCallback(t.Context(), hook.URL, ""); err != nil {
		t.Fatal(err)
	}
}

func config(base string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"base_url":%q,"version":"v24.0","phone_number_id":%q,"waba_id":%q,"token":%q,"app_secret":%q,"verify_token":%q,"portfolio":"506914307656634"}`,
		base, twin.DefaultNumber, twin.DefaultWABA, twin.DefaultToken, twin.DefaultAppSecret, twin.DefaultVerifyToken))
}

func TestSuite(t *testing.T) {
	without := func(change string) json.RawMessage {
		var c map[string]any
		if err := json.Unmarshal(config("https://graph.facebook.com"), &c); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(change), &c); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	channeltest.Run(t, channeltest.Harness{
		Type:    whatsapp.Type,
		Start:   startTwin,
		Nobody:  nobody,
		Secrets: []string{twin.DefaultToken, twin.DefaultAppSecret, twin.DefaultVerifyToken},
		To:      message.Address{Channel: message.Phone, ID: "+" + person},
		From:    message.Sender{Channel: message.WhatsApp, Address: twin.DefaultNumber},
		Bad: map[string]json.RawMessage{
			"config":          json.RawMessage(`["sandbox-token"]`),
			"base_url":        without(`{"base_url":"ftp://sandbox-token@x"}`),
			"version":         without(`{"version":"24"}`),
			"phone_number_id": without(`{"phone_number_id":"+33 6"}`),
			"waba_id":         without(`{"waba_id":"abc"}`),
			"token":           without(`{"token":"sandbox-token\n"}`),
			"app_secret":      without(`{"app_secret":""}`),
			"verify_token":    without(`{"verify_token":null}`),
			"throughput":      without(`{"throughput":-1}`),
			"tokn":            without(`{"tokn":"sandbox-token"}`),
		},
	})
}

// nobody gives an address where nobody listens: one that was just given up.
func nobody(t *testing.T) json.RawMessage {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return config("http://" + l.Addr().String())
}

func startTwin(t *testing.T) *channeltest.Twin {
	p := start(t, twin.Options{})
	var said atomic.Int64
	return &channeltest.Twin{
		Config: config(p.http.URL),
		Order: func(o channeltest.Order) bool {
			p.faults.Clear()
			f := map[channeltest.Order]fault.Fault{
				channeltest.Refuse:       {Kind: fault.Reject, Code: 131009},
				channeltest.Throttle:     {Kind: fault.Reject, Code: 130429},
				channeltest.Unauthorized: {Kind: fault.Reject, Code: 190},
				channeltest.Busy:         {Kind: fault.Reject, Code: 131016},
				channeltest.Broken:       {Kind: fault.Garbage},
				channeltest.Cut:          {Kind: fault.Cut},
				channeltest.Hang:         {Kind: fault.Hang},
				channeltest.Drop:         {Kind: fault.Drop},
			}[o]
			if f.Kind != fault.None {
				p.faults.Place(fault.Order{To: "*", Fault: f})
			}
			return o == channeltest.Accept || f.Kind != fault.None
		},
		Taken: func() int { return int(p.server.Stats().Accepted) },
		Receipts: func(id, echo string, statuses ...message.ReceiptStatus) []channel.Callback {
			var all []channel.Callback
			for _, s := range statuses {
				extra := ""
				if s == message.ReceiptFailed {
					extra = `,"errors":[{"code":131026,"title":"Message undeliverable"}]`
				}
				all = append(all, signed(change(fmt.Sprintf(`"statuses":[{"id":%q,"status":%q,"timestamp":"1762084800","recipient_id":%q,"biz_opaque_callback_data":%q%s}]`,
					id, s.String(), person, echo, extra))))
			}
			return all
		},
		Say: func(text string) []channel.Callback {
			b, err := json.Marshal(text)
			if err != nil {
				t.Fatal(err)
			}
			return []channel.Callback{signed(change(fmt.Sprintf(`"contacts":[{"wa_id":%q,"profile":{"name":"Ada"}}],"messages":[{"from":%q,"id":"wamid.in%d","timestamp":"1762084800","type":"text","text":{"body":%s}}]`,
				person, person, said.Add(1), b)))}
		},
		Batch: func(list []channel.Callback) channel.Callback {
			var changes []string
			for _, c := range list {
				_, rest, _ := strings.Cut(string(c.Body), `"changes":[`)
				changes = append(changes, strings.TrimSuffix(rest, "]}]}"))
			}
			return signed(strings.Join(changes, ","))
		},
	}
}

func change(value string) string {
	return `{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"` + twin.DefaultNumber + `"},` + value + `}}`
}

func signed(changes string) channel.Callback {
	body := []byte(`{"object":"whatsapp_business_account","entry":[{"id":"` + twin.DefaultWABA + `","changes":[` + changes + `]}]}`)
	mac := hmac.New(sha256.New, []byte(twin.DefaultAppSecret))
	mac.Write(body)
	return channel.Callback{
		Method: http.MethodPost, Query: url.Values{}, Body: body,
		Header: http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}},
	}
}

func open(t testing.TB, base string) *whatsapp.Connector {
	t.Helper()
	w, err := whatsapp.Open(config(base), channel.Env{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// events reads what the provider posts until keep has seen enough.
func (p *provider) events(t *testing.T, w channel.Receiver, keep func(message.Event) bool) {
	t.Helper()
	for {
		select {
		case c := <-p.posts:
			events, err := w.Decode(c.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if keep(e) {
					return
				}
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the provider does not post what is awaited")
		}
	}
}

// One message from the call to the reader and back, all over sockets.
func TestRoundTrip(t *testing.T) {
	p := start(t, twin.Options{})
	w := open(t, p.http.URL)
	p.listen(t, w)
	a, err := w.Send(t.Context(), &message.Outbound{
		To: message.Address{Channel: message.Phone, ID: "+" + person}, Echo: "msg_1.0.0",
		Template: &message.TemplateUse{Name: "hello_world", Language: "en_US"}, Purpose: message.Utility,
	})
	if err != nil {
		t.Fatal(err)
	}
	best := message.ReceiptStatus(0)
	p.events(t, w, func(e message.Event) bool {
		r, ok := e.(*message.Receipt)
		if !ok || r.ID != a.Parts[0] || r.Echo != "msg_1.0.0" || r.From != twin.DefaultNumber {
			t.Fatalf("unexpected %+v", e)
		}
		best = max(best, r.Status)
		return best >= message.ReceiptDelivered
	})
	brand := message.Sender{Address: twin.DefaultNumber}
	if err := w.MarkRead(t.Context(), brand, a.Parts[0], true); err == nil {
		t.Error("our own message was marked as read")
	}
	id, err := p.server.Write(twin.Inbound{From: person, Text: "Merci \U0001F44D é/"})
	if err != nil {
		t.Fatal(err)
	}
	p.events(t, w, func(e message.Event) bool {
		in, ok := e.(*message.Inbound)
		if ok && (in.ID != id || in.Content.Text != "Merci \U0001F44D é/" || in.From.ID != "+"+person || in.To != twin.DefaultNumber) {
			t.Errorf("%+v", in)
		}
		return ok
	})
	if err := w.MarkRead(t.Context(), brand, id, true); err != nil {
		t.Errorf("mark read: %v", err)
	}
	if box := p.fleet.Inbox(person); !box[len(box)-1].Seen || !p.fleet.Typing(person, twin.DefaultNumber) {
		t.Errorf("the person sees neither blue ticks nor typing: %+v", box)
	}
}

// People who hide their number are known by a business-scoped id only.
func TestToAUserID(t *testing.T) {
	p := start(t, twin.Options{})
	w := open(t, p.http.URL)
	p.listen(t, w)
	hidden := true
	if _, err := p.fleet.Put(person, handset.Change{HideNumber: &hidden}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.server.Write(twin.Inbound{From: person, Text: "hello"}); err != nil {
		t.Fatal(err)
	}
	var from message.Address
	p.events(t, w, func(e message.Event) bool {
		in, ok := e.(*message.Inbound)
		if ok {
			from = in.From
		}
		return ok
	})
	if from.Channel != message.WhatsApp || from.Scope != "506914307656634" {
		t.Fatalf("from %+v", from)
	}
	a, err := w.Send(t.Context(), &message.Outbound{To: from, Content: message.Content{Text: "hello too"}})
	if err != nil {
		t.Fatal(err)
	}
	p.events(t, w, func(e message.Event) bool {
		r, ok := e.(*message.Receipt)
		return ok && r.ID == a.Parts[0] && r.To == from
	})
}

// Every magic recipient that refuses at once is a certain fault of a known
// code; every one that leaves us in doubt is an uncertain one.
func TestMagicRecipients(t *testing.T) {
	p := start(t, twin.Options{Hang: time.Millisecond})
	w := open(t, p.http.URL)
	p.listen(t, w)
	for _, m := range fault.Magic() {
		_, err := w.Send(t.Context(), &message.Outbound{To: message.Address{Channel: message.Phone, ID: "+" + fault.Number(m.Code, 0)}, Content: message.Content{Text: "x"}})
		var f *message.Fault
		failed := errors.As(err, &f)
		switch m.WhatsApp.Kind {
		case fault.Reject:
			if !failed || !f.Certain || f.Unmapped || f.Code != strconv.Itoa(m.WhatsApp.Code) {
				t.Errorf("%s: %v", m.Name, err)
			}
		case fault.ErrorBefore, fault.ErrorAfter, fault.Hang, fault.Silent, fault.Cut, fault.Drop, fault.Garbage:
			if !failed || f.Certain || f.Kind != message.Transient {
				t.Errorf("%s: %v", m.Name, err)
			}
		default:
			if err != nil {
				t.Errorf("%s: %v", m.Name, err)
			}
		}
	}
}

// A server error that says nothing may hide a message that was taken.
func TestServerErrorsAreUncertain(t *testing.T) {
	p := start(t, twin.Options{})
	w := open(t, p.http.URL)
	p.faults.Place(fault.Order{To: "*", Fault: fault.Fault{Kind: fault.ErrorAfter}})
	_, err := w.Send(t.Context(), &message.Outbound{To: message.Address{Channel: message.Phone, ID: "+" + person}, Content: message.Content{Text: "x"}})
	f, ok := err.(*message.Fault)
	if !ok || f.Certain || f.Kind != message.Transient || f.Code != "131000" {
		t.Errorf("got %v", err)
	}
}

func TestMediaComesAndGoes(t *testing.T) {
	p := start(t, twin.Options{})
	w := open(t, p.http.URL)
	id, err := w.Upload(t.Context(), "image/png", `a"b.png`, strings.NewReader("\x89PNG\r\n\x1a\nrest"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := w.Fetch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := io.Copy(&b, f.Body); err != nil {
		t.Fatal(err)
	}
	if err := f.Body.Close(); err != nil {
		t.Error(err)
	}
	if b.String() != "\x89PNG\r\n\x1a\nrest" || f.MIME != "image/png" || f.Size != int64(b.Len()) {
		t.Errorf("%d bytes of %s, said %d", b.Len(), f.MIME, f.Size)
	}
	if _, err := w.Fetch(t.Context(), "../"+twin.DefaultWABA); err == nil {
		t.Error("fetched something that is no media id")
	}
}

func TestTemplatesAndProbe(t *testing.T) {
	p := start(t, twin.Options{})
	w := open(t, p.http.URL)
	list, err := w.Templates(t.Context())
	if err != nil || len(list) != len(p.server.Templates(twin.DefaultWABA)) {
		t.Fatalf("%d templates, %v", len(list), err)
	}
	for _, remote := range list {
		if remote.Name == "" || remote.Language == "" || remote.State == "" || remote.Category == "" || remote.Body == "" && remote.Category != message.Authentication {
			t.Errorf("%+v", remote)
		}
	}
	for _, f := range w.Probe(t.Context()) {
		if !f.OK && f.Remedy == "" {
			t.Errorf("%+v", f)
		}
		t.Logf("%s: %v %s (%s)", f.Name, f.OK, f.Detail, f.Remedy)
	}
	p.server.SetToken("another")
	findings := w.Probe(t.Context())
	if findings[0].OK || findings[0].Name != "token" || findings[0].Remedy == "" {
		t.Errorf("%+v", findings[0])
	}
}

// BenchmarkSend is the whole way over a loopback socket, with the provider's
// answer made in the same process.
func BenchmarkSend(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"messaging_product":"whatsapp","contacts":[{"input":"33612345678","wa_id":"33612345678"}],"messages":[{"id":"wamid.HBgL"}]}`)
	}))
	defer server.Close()
	w := open(b, server.URL)
	m := &message.Outbound{To: message.Address{Channel: message.Phone, ID: "+" + person}, Content: message.Content{Text: "Votre carte d'embarquement"}, Echo: "msg_01jbq3c6m0e9x8v7t6s5r4q3p2.0.0"}
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.Send(b.Context(), m); err != nil {
				b.Error(err)
			}
		}
	})
}
