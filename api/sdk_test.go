package api

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/engine"
	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	sdk "github.com/parley-messaging/parley/sdk/go"
	"github.com/parley-messaging/parley/store"
)

// The SDK's types have the fields of the document's schemas, all of them and
// no others, and of the same sort.
func TestSDKTypes(t *testing.T) {
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Ref        string `json:"$ref"`
		Type       any
		Required   []string
		Properties map[string]schema
	}
	var doc struct {
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	types := []any{
		sdk.SendRequest{},
		sdk.BatchRequest{},
		sdk.BatchItem{},
		sdk.RouteStep{},
		sdk.NextIf{},
		sdk.Amount{},
		sdk.Accepted{},
		sdk.PlanStep{},
		sdk.Warning{},
		sdk.Rendered{},
		sdk.Change{},
		sdk.Choice{},
		sdk.Saving{},
		sdk.Preview{},
		sdk.BatchAnswer{},
		sdk.BatchVerdict{},
		sdk.Content{},
		sdk.Media{},
		sdk.Action{},
		sdk.List{},
		sdk.Section{},
		sdk.Row{},
		sdk.Location{},
		sdk.Card{},
		sdk.CardValue{},
		sdk.Reaction{},
		sdk.TemplateUse{},
		sdk.TemplateCard{},
		sdk.Product{},
		sdk.ProductSection{},
		sdk.ButtonParameter{},
		sdk.Message{},
		sdk.DeliveredBy{},
		sdk.Step{},
		sdk.Attempt{},
		sdk.Part{},
		sdk.Charge{},
		sdk.Inbound{},
		sdk.Contact{},
		sdk.Identity{},
		sdk.NewIdentity{},
		sdk.ContactRequest{},
		sdk.ContactChange{},
		sdk.Suppression{},
		sdk.SuppressionRequest{},
		sdk.Conversation{},
		sdk.Thread{},
		sdk.Window{},
		sdk.Sender{},
		sdk.SenderRequest{},
		sdk.Connector{},
		sdk.ConnectorHealth{},
		sdk.NewConnector{},
		sdk.ConnectorChange{},
		sdk.ChannelKind{},
		sdk.ReceiptsGiven{},
		sdk.Template{},
		sdk.TemplateRequest{},
		sdk.Endpoint{},
		sdk.EndpointRequest{},
		sdk.WebhookDelivery{},
		sdk.ReplayRequest{},
		sdk.RotateRequest{},
		sdk.Event{},
		sdk.Me{},
		sdk.Settings{},
		sdk.SettingsStep{},
		sdk.Retention{},
		sdk.PriceOverride{},
		sdk.APIKey{},
		sdk.APIKeyRequest{},
		sdk.Usage{},
		sdk.UsageLine{},
		sdk.FieldFault{},
		sdk.File{},
		sdk.ReadRequest{},
	}
	names := map[string]string{"Recipient": "RecipientObject", "EventPage": "EventsDoc", "Error": "Problem"}
	covered := map[string]bool{
		// Envelopes the SDK opens for its callers, or has under another form.
		"APIKeys": true, "ChannelKinds": true, "Connectors": true, "Senders": true, "Templates": true, "Endpoints": true, "Suppressions": true, "Windows": true,
		"Replayed": true, "SyncedTemplates": true, "FilledTemplate": true, "FilledTemplateCard": true, "PageContact": true, "PageConversation": true, "PageMessage": true, "PageWebhookDelivery": true,
	}
	for _, v := range append(types, sdk.Recipient{}, sdk.EventPage{}, sdk.Error{}) {
		typ := reflect.TypeOf(v)
		name := typ.Name()
		if other := names[name]; other != "" {
			name = other
		}
		covered[name] = true
		s, ok := doc.Components.Schemas[name]
		if !ok {
			t.Errorf("no schema %s", name)
			continue
		}
		var want, got []string
		for field := range s.Properties {
			want = append(want, field)
		}
		for i := range typ.NumField() {
			tag, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if tag == "" || tag == "-" {
				continue
			}
			got = append(got, tag)
			if sort := sortOf(typ.Field(i).Type); s.Properties[tag].Ref == "" && s.Properties[tag].Type != nil && sort != "" {
				kind, _ := s.Properties[tag].Type.(string)
				if list, ok := s.Properties[tag].Type.([]any); ok && len(list) > 0 {
					kind, _ = list[0].(string)
				}
				if kind == "integer" {
					kind = "number"
				}
				if kind != sort {
					t.Errorf("%s.%s is %s in the SDK and %s in the document", name, tag, sort, kind)
				}
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-document +SDK):\n%s", name, diff)
		}
	}
	for name := range doc.Components.Schemas {
		if !covered[name] {
			t.Errorf("the SDK has no %s", name)
		}
	}
}

func sortOf(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[json.RawMessage](), t == reflect.TypeFor[sdk.Route]():
		return ""
	case t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[sdk.Duration]():
		return "string"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "array"
	}
	return "object"
}

func TestMessagesBySDK(t *testing.T) {
	r := newRig(t, nil)
	ctx, c := t.Context(), r.client()
	r.engine.answer.Plan = plan(r)
	sent, err := c.Messages.Send(ctx, &sdk.SendRequest{
		To: sdk.Phone("+33612345678"), Purpose: sdk.Utility, Content: &sdk.Content{Text: "hi"}, Expires: sdk.Duration(time.Hour),
		Route: sdk.Route{{Channel: sdk.WhatsApp, Next: &sdk.NextIf{NotDelivered: sdk.Duration(time.Minute)}}, {Channel: sdk.SMS}},
	})
	r.check(err)
	if sent.ID != r.engine.answer.ID.String() || len(sent.Plan) != 2 || sent.Plan[0].Estimate.Amount != "0.1234" || sent.Plan[0].Wait != sdk.Duration(time.Minute) {
		t.Errorf("%+v", sent)
	}
	if r.engine.idem[0].Key == "" || r.engine.requests[0].Route[0].Next.NotDelivered != time.Minute {
		t.Errorf("%+v %+v", r.engine.idem[0], r.engine.requests[0])
	}
	_, err = c.Messages.Send(ctx, &sdk.SendRequest{To: sdk.ContactID(r.ids.Contact(noon).String()), Purpose: sdk.Service, Content: &sdk.Content{Text: "hi"}, Route: sdk.AutoRoute()})
	r.check(err)
	if !r.engine.requests[1].Auto {
		t.Error("not auto")
	}
	batch, err := c.Messages.Batch(ctx, &sdk.BatchRequest{Purpose: sdk.Utility, Content: &sdk.Content{Text: "{{n}}"}, Messages: []sdk.BatchItem{{To: sdk.Phone("+331"), Parameters: map[string]string{"n": "v"}}, {To: sdk.Phone("refused")}}})
	r.check(err)
	if batch.Accepted != 1 || batch.Data[1].Error.Code != engine.CodeBadNumber {
		t.Errorf("%+v", batch)
	}
	_, err = c.Messages.Send(ctx, &sdk.SendRequest{To: sdk.Phone("+331"), Purpose: sdk.Utility})
	if !sdk.IsCode(err, engine.CodeEmpty) {
		t.Errorf("error %v", err)
	}

	older := r.view(r.ids.Contact(noon), "one")
	newer := r.view(r.ids.Contact(noon), "two")
	inbound := r.view(r.ids.Contact(noon), "hello")
	inbound.Message.Direction = store.MO
	r.engine.views = []*engine.View{inbound}
	r.check(c.Messages.MarkRead(ctx, inbound.Message.ID.String(), true))
	if typing, read := r.engine.read[inbound.Message.ID]; !typing || !read {
		t.Errorf("marked as read: %v", r.engine.read)
	}
	r.engine.err = &engine.Refusal{Code: engine.CodeProvider, Detail: "the provider answered: transient"}
	if err := c.Messages.MarkRead(ctx, inbound.Message.ID.String(), false); !sdk.IsCode(err, engine.CodeProvider) {
		t.Errorf("a provider that fails: %v", err)
	}
	r.engine.err = nil
	r.engine.views = []*engine.View{newer, older}
	got, err := c.Messages.Get(ctx, older.Message.ID.String())
	r.check(err)
	if got.Content.Text != "one" || got.State != "delivered" || len(got.Steps) != 1 || got.Steps[0].Attempts[0].Parts[0].ProviderID != "wamid.1" || got.Cost[0].Amount != "0.07" || got.Steps[0].Next.NotRead != sdk.Duration(time.Hour) {
		b, _ := json.MarshalIndent(got, "", " ")
		t.Errorf("%s", b)
	}
	if err := c.Messages.MarkRead(ctx, older.Message.ID.String(), true); !sdk.IsCode(err, engine.CodeInvalid) {
		t.Errorf("marking our own message as read: %v", err)
	}
	if _, err := c.Messages.Cancel(ctx, older.Message.ID.String()); !sdk.IsCode(err, engine.CodeNotCancellable) {
		t.Errorf("error %v", err)
	}
	var texts []string
	for m, err := range c.Messages.All(ctx, sdk.ListMessages{ListOptions: sdk.ListOptions{Limit: 1}, Direction: "outbound"}) {
		r.check(err)
		texts = append(texts, m.Content.Text)
	}
	if !slices.Equal(texts, []string{"two", "one"}) || r.engine.filter[0].Direction != store.MT {
		t.Errorf("%v %+v", texts, r.engine.filter)
	}
}

// view makes a delivered message of the rig's workspace.
func (r *rig) view(who message.ContactID, text string) *engine.View {
	id := r.ids.Message(noon)
	return &engine.View{
		Message: store.Message{ID: id, Workspace: r.ws, Contact: who, Direction: store.MT, Purpose: message.Utility, CreatedAt: noon}, To: "+33612345678",
		Content: &message.Content{Text: text}, Refs: [][][]string{{{"wamid.1"}}},
		Delivery: &message.Delivery{ID: id, State: message.Delivered, Version: 3, Steps: []message.Step{{
			Channel: message.WhatsApp, State: message.StepDelivered, Next: message.Trigger{NotRead: time.Hour},
			Attempts: []message.Attempt{{Outcome: message.Taken, StartedAt: noon, Parts: []message.Part{{State: message.ReceiptDelivered}}}},
		}}},
		Charges: []*store.Charge{{Amount: message.Money{Micros: 50_000, Currency: "EUR"}, At: noon}, {Amount: message.Money{Micros: 20_000, Currency: "EUR"}, At: noon}},
	}
}

func TestContactsBySDK(t *testing.T) {
	r := newRig(t, nil)
	ctx, c := t.Context(), r.client()
	ada, err := c.Contacts.Create(ctx, &sdk.ContactRequest{Name: "Ada", Language: "fr", Country: "FR", Metadata: map[string]string{"k": "v"}, Identities: []sdk.NewIdentity{{Channel: sdk.PhoneChannel, Address: "+33 6 12 34 56 78"}}})
	r.check(err)
	if ada.Identities[0].Address != "+33612345678" || ada.Name != "Ada" || ada.Metadata["k"] != "v" {
		t.Errorf("%+v", ada)
	}
	if _, err := c.Contacts.Create(ctx, &sdk.ContactRequest{Identities: []sdk.NewIdentity{{Channel: sdk.PhoneChannel, Address: "+33612345678"}}}); !sdk.IsCode(err, codeExists) {
		t.Errorf("error %v", err)
	}
	found, err := c.Contacts.ByPhone(ctx, "+33 612 345 678")
	r.check(err)
	if found == nil || found.ID != ada.ID {
		t.Errorf("%+v", found)
	}
	if nobody, err := c.Contacts.ByPhone(ctx, "+33612345679"); err != nil || nobody != nil {
		t.Errorf("%+v %v", nobody, err)
	}
	ada, err = c.Contacts.Update(ctx, ada.ID, &sdk.ContactChange{Name: "Ada L."})
	r.check(err)
	ada, err = c.Contacts.AddIdentity(ctx, ada.ID, &sdk.NewIdentity{Channel: "messenger", Scope: "page", Address: "42"})
	r.check(err)
	if ada.Name != "Ada L." || ada.Country != "" || len(ada.Identities) != 2 {
		t.Errorf("%+v", ada)
	}
	added := ada.Identities[slices.IndexFunc(ada.Identities, func(i sdk.Identity) bool { return i.Channel == "messenger" })]
	ada, err = c.Contacts.RemoveIdentity(ctx, ada.ID, added.ID)
	r.check(err)
	if _, err := c.Contacts.RemoveIdentity(ctx, ada.ID, "idn_00"); !sdk.IsCode(err, engine.CodeNotFound) {
		t.Errorf("error %v", err)
	}
	wishes, err := c.Contacts.Suppress(ctx, ada.ID, &sdk.SuppressionRequest{Scope: "marketing"})
	r.check(err)
	if len(wishes) != 1 || wishes[0].Scope != "marketing" || wishes[0].Reason != "api" {
		t.Errorf("%+v", wishes)
	}
	r.check(c.Contacts.Allow(ctx, ada.ID, "marketing"))
	if wishes, err = c.Contacts.Suppressions(ctx, ada.ID); err != nil || len(wishes) != 0 {
		t.Errorf("%+v %v", wishes, err)
	}
	if err := c.Contacts.Allow(ctx, ada.ID, "marketing"); !sdk.IsCode(err, engine.CodeNotFound) {
		t.Errorf("error %v", err)
	}
	bob, err := c.Contacts.Create(ctx, &sdk.ContactRequest{Name: "Bob", Identities: []sdk.NewIdentity{{Channel: sdk.PhoneChannel, Address: "+33612345670"}}})
	r.check(err)
	first, err := c.Contacts.List(ctx, sdk.ListOptions{Limit: 1})
	r.check(err)
	second, err := c.Contacts.List(ctx, sdk.ListOptions{Limit: 1, After: first.Next})
	r.check(err)
	if first.Data[0].ID != bob.ID || second.Data[0].ID != ada.ID || second.Next != "" {
		t.Errorf("%+v %+v", first, second)
	}
	export, err := c.Contacts.Export(ctx, ada.ID)
	r.check(err)
	if !bytes.Contains(export, []byte(`+33612345678`)) || !json.Valid(export) {
		t.Errorf("%s", export)
	}
	receipt, err := c.Contacts.Erase(ctx, ada.ID)
	r.check(err)
	if !bytes.Contains(receipt, []byte(ada.ID)) || !bytes.Contains(receipt, []byte("signature")) {
		t.Errorf("%s", receipt)
	}
	gone, err := c.Contacts.Get(ctx, ada.ID)
	r.check(err)
	if gone.ErasedAt == nil || gone.Name != "" || len(gone.Identities) != 0 {
		t.Errorf("%+v", gone)
	}
	if _, err := c.Contacts.Update(ctx, ada.ID, &sdk.ContactChange{Name: "x"}); !sdk.IsCode(err, engine.CodeErased) {
		t.Errorf("error %v", err)
	}
	if _, err := c.Contacts.Export(ctx, ada.ID); !sdk.IsCode(err, engine.CodeErased) {
		t.Errorf("error %v", err)
	}
}

func TestConversationsBySDK(t *testing.T) {
	r := newRig(t, nil)
	ctx, c := t.Context(), r.client()
	var people []message.ContactID
	for _, number := range []string{"+33612345671", "+33612345672"} {
		p, err := c.Contacts.Create(ctx, &sdk.ContactRequest{Name: number, Identities: []sdk.NewIdentity{{Channel: sdk.PhoneChannel, Address: number}}})
		r.check(err)
		var id message.ContactID
		r.check(id.UnmarshalText([]byte(p.ID)))
		people = append(people, id)
	}
	a1, b1, a2 := r.view(people[0], "a1"), r.view(people[1], "b1"), r.view(people[0], "a2")
	r.engine.views = []*engine.View{a2, b1, a1}
	p, err := r.book.ByID(ctx, r.ws, people[0])
	r.check(err)
	sd := message.SenderID(r.ids.Next(noon))
	r.check(r.store.OpenWindow(ctx, r.ws, people[0], store.Window{Identity: p.Identities[0].Index, Sender: sd, Kind: "service", OpenedAt: noon, ClosesAt: noon.Add(time.Hour)}, nil))
	r.book.Forget(r.ws, people[0])

	var last []string
	for after := ""; ; {
		list, err := c.Conversations.List(ctx, sdk.ListOptions{Limit: 1, After: after})
		r.check(err)
		for _, one := range list.Data {
			last = append(last, one.Last.Content.Text)
		}
		if after = list.Next; after == "" {
			break
		}
	}
	if !slices.Equal(last, []string{"a2", "b1"}) {
		t.Errorf("conversations %v", last)
	}
	thread, err := c.Conversations.Get(ctx, people[0].String(), sdk.ListOptions{})
	r.check(err)
	if len(thread.Data) != 2 || thread.Name != "+33612345671" || len(thread.Windows) != 1 || !thread.Windows[0].Open {
		t.Errorf("%+v", thread)
	}
	windows, err := c.Conversations.Windows(ctx, people[0].String())
	r.check(err)
	if len(windows) != 1 || windows[0].Sender != sd.String() {
		t.Errorf("%+v", windows)
	}
}

func TestEventsBySDK(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := r.client()
	make := func(name string) {
		t.Helper()
		_, err := c.Contacts.Create(ctx, &sdk.ContactRequest{Name: name, Identities: []sdk.NewIdentity{{Channel: "messenger", Address: name}}})
		r.check(err)
	}
	make("1")
	make("2")
	page, err := c.Events.List(ctx, sdk.EventOptions{Limit: 1})
	r.check(err)
	if len(page.Data) != 1 || !page.More || page.Data[0].Type != event.ContactCreated || page.Data[0].Workspace != r.ws.String() {
		t.Fatalf("%+v", page)
	}
	rest, err := c.Events.List(ctx, sdk.EventOptions{After: page.Next})
	r.check(err)
	if len(rest.Data) != 1 || rest.More {
		t.Errorf("%+v", rest)
	}
	none, err := c.Events.List(ctx, sdk.EventOptions{Types: []string{event.MessageRead}})
	r.check(err)
	if len(none.Data) != 0 || none.Next == "" {
		t.Errorf("%+v", none)
	}

	// The stream begins at the second event, lives through a broken connection
	// and misses nothing.
	var ids []string
	for e, err := range c.Events.Stream(ctx, sdk.EventOptions{After: page.Next}) {
		r.check(err)
		ids = append(ids, e.ID)
		switch len(ids) {
		case 1:
			r.web.CloseClientConnections()
			make("3")
		case 2:
			make("4")
		}
		if len(ids) == 3 {
			break
		}
	}
	all, err := c.Events.List(t.Context(), sdk.EventOptions{After: page.Next})
	r.check(err)
	var want []string
	for _, e := range all.Data {
		want = append(want, e.ID)
	}
	if !slices.Equal(want, ids) {
		t.Errorf("stream %v, log %v", ids, want)
	}
}

// A server that stops ends its streams.
func TestStreamEnds(t *testing.T) {
	r := newRig(t, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := r.call("GET", "/v1/events/stream", "")
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	}()
	r.server.Close()
	r.server.Close()
	<-done
}
