package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

// opener answers with one text, or says that the person is gone.
type opener struct {
	plain  string
	erased bool
	err    error
}

func (o opener) OpenEvent(context.Context, *store.Event) ([]byte, bool, error) {
	return []byte(o.plain), o.erased, o.err
}

func TestRender(t *testing.T) {
	base := store.Event{
		ID: message.EventID{1}, Workspace: message.WorkspaceID{2}, Message: message.MessageID{3}, Contact: message.ContactID{4},
		Type: event.MessageReceived, Version: 5, At: time.Date(2026, 3, 1, 12, 0, 0, 120_000_000, time.FixedZone("", 3600)),
		Data: []byte(`{"channel": "sms", "version": 99, "n": 12345678901234567890}`), Sealed: []byte{1},
	}
	plain, told := base, base
	plain.Data, told.Data = []byte(`{"channel":"sms","n":1}`), []byte(`{"metadata":{"c":1}}`)
	bare := store.Event{ID: message.EventID{1}, Workspace: message.WorkspaceID{2}, Type: event.ConnectorPaused, At: base.At}
	head := `{"id":"` + base.ID.String() + `","type":"message.received","timestamp":"2026-03-01T11:00:00.12Z","workspace":"` + base.Workspace.String() +
		`","data":{"message":"` + base.Message.String() + `","contact":"` + base.Contact.String() + `","version":5,`
	for _, tt := range []struct {
		name string
		in   store.Event
		with opener
		want string
	}{
		{"joined", base, opener{plain: `{"from":"+33612345678","channel":"other"}`}, head + `"channel":"sms","n":12345678901234567890,"from":"+33612345678"}}`},
		{"joined as it stands", plain, opener{plain: `{"from":"+33612345678","channel":"other"}`}, head + `"channel":"sms","n":1,"from":"+33612345678"}}`},
		{"with metadata", plain, opener{plain: `{"metadata":{"a":"b"}}`}, head + `"channel":"sms","n":1,"metadata":{"a":"b"}}}`},
		{"metadata twice", told, opener{plain: `{"metadata":{"a":"b"}}`}, head + `"metadata":{"c":1}}}`},
		{"erased", base, opener{erased: true}, head + `"erased":true,"channel":"sms","n":12345678901234567890}}`},
		{"bare", bare, opener{err: errors.New("nothing is sealed")}, `{"id":"` + base.ID.String() + `","type":"connector.paused","timestamp":"2026-03-01T11:00:00.12Z","workspace":"` + base.Workspace.String() + `","data":{}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := event.Render(t.Context(), tt.with, &store.LogEvent{Event: tt.in})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
			if !json.Valid(got) {
				t.Error("is not JSON")
			}
		})
	}
}

func TestRenderFails(t *testing.T) {
	broken := errors.New("store is away")
	e := store.Event{ID: message.EventID{1}, Sealed: []byte{1}}
	if _, err := event.RenderEvent(t.Context(), opener{err: broken}, &e); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	for _, data := range []string{`[]`, `{"a":`, `{"a":1`, `1`, `{"a" 1}`} {
		e := store.Event{ID: message.EventID{1}, Data: []byte(data)}
		if _, err := event.RenderEvent(t.Context(), opener{}, &e); !errors.Is(err, event.ErrNotObject) {
			t.Errorf("%s: got %v", data, err)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add("message.sent", []byte(`{"a":[1,{"b":null}]}`), []byte(`{"a":2,"c":"\u2028"}`))
	f.Add("x\"", []byte(`{}`), []byte(``))
	f.Fuzz(func(t *testing.T, kind string, data, personal []byte) {
		e := store.Event{ID: message.EventID{1}, Type: kind, Data: data, Sealed: []byte{1}}
		out, err := event.RenderEvent(t.Context(), opener{plain: string(personal)}, &e)
		if err == nil && !json.Valid(out) {
			t.Fatalf("not JSON: %s", out)
		}
	})
}

func TestTypes(t *testing.T) {
	for _, name := range event.Types {
		if !event.Valid(name) {
			t.Errorf("%s is not valid", name)
		}
	}
	if event.Valid("message.lost") || event.Valid("") {
		t.Error("a type that does not exist is valid")
	}
}

// BenchmarkAppendEvent encodes what a webhook is told of a delivered message.
func BenchmarkAppendEvent(b *testing.B) {
	e := store.Event{
		ID: message.EventID{1}, Workspace: message.WorkspaceID{2}, Message: message.MessageID{3}, Contact: message.ContactID{4},
		Type: event.MessageDelivered, Version: 3, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Data: []byte(`{"channel":"sms","step":0,"attempt":0,"state":"delivered","price":{"amount":"0.060000","currency":"EUR"}}`),
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = event.AppendEvent(b.Context(), buf[:0], opener{}, &e); err != nil {
			b.Fatal(err)
		}
	}
}
