package message_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-messaging/parley/message"
)

func anyID(t *rapid.T) (id message.MessageID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	return id
}

func TestIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := anyID(t)
		raw, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		back := message.MessageID{1}
		if err := json.Unmarshal(raw, &back); err != nil || back != id {
			t.Fatalf("%s came back as %v, %v", raw, back, err)
		}
		if len(id.String()) != 30 && !id.IsZero() {
			t.Fatalf("%q is not 30 characters", id)
		}
	})
}

func TestIDOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyID(t), anyID(t)
		if a.IsZero() || b.IsZero() {
			return
		}
		if got, want := strings.Compare(a.String(), b.String()), bytes.Compare(a[:], b[:]); got != want {
			t.Fatalf("texts compare %d, ids %d", got, want)
		}
	})
}

func TestIDPrefixes(t *testing.T) {
	one := [16]byte{15: 1}
	tail := "_" + strings.Repeat("0", 25) + "1"
	for got, want := range map[string]string{
		message.WorkspaceID(one).String(): "ws", message.MessageID(one).String(): "msg", message.ContactID(one).String(): "ct",
		message.ConversationID(one).String(): "cv", message.SenderID(one).String(): "sd", message.ConnectorID(one).String(): "cn",
		message.TemplateID(one).String(): "tp", message.EndpointID(one).String(): "we", message.DeliveryID(one).String(): "wd",
		message.APIKeyID(one).String(): "key", message.EventID(one).String(): "evt", message.MediaID(one).String(): "md",
	} {
		if got != want+tail {
			t.Errorf("%s, want %s", got, want+tail)
		}
	}
}

func TestBadID(t *testing.T) {
	for _, bad := range []string{
		"", "msg_", "msg", "ct_00000000000000000000000001", "msg_0000000000000000000000001",
		"msg_000000000000000000000000010", "msg_80000000000000000000000001", "msg_0000000000000000000000000I",
		"msg_0000000000000000000000000u", "MSG_00000000000000000000000001", "msg_00000000000000000000000000",
	} {
		var id message.MessageID
		if bad == "" {
			continue // the empty text is the zero id
		}
		err := id.UnmarshalText([]byte(bad))
		if !errors.Is(err, message.ErrBadID) {
			t.Errorf("%q: %v", bad, err)
		} else if len(bad) > 4 && strings.Contains(err.Error(), bad[4:]) {
			t.Errorf("the error repeats what was given: %v", err)
		}
	}
}

func FuzzID(f *testing.F) {
	f.Add("msg_00000000000000000000000001")
	f.Add("msg_7zzzzzzzzzzzzzzzzzzzzzzzzz")
	f.Add("ct_")
	f.Fuzz(func(t *testing.T, s string) {
		var id message.MessageID
		if err := id.UnmarshalText([]byte(s)); err == nil && id.String() != s {
			t.Fatalf("%q came back as %q", s, id)
		}
	})
}

func TestEchoRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := message.Echo{Message: anyID(t), Step: rapid.IntRange(0, 255).Draw(t, "step"), Attempt: rapid.IntRange(0, 65535).Draw(t, "attempt"), Part: rapid.IntRange(0, 255).Draw(t, "part")}
		back, ok := message.ParseEcho(e.String())
		if ok == e.Message.IsZero() || ok && back != e {
			t.Fatalf("%s came back as %v, %v", e, back, ok)
		}
	})
}

func FuzzEcho(f *testing.F) {
	f.Add("msg_00000000000000000000000001.0.1")
	f.Add("msg_00000000000000000000000001.256.1")
	f.Add("msg_00000000000000000000000001.1")
	f.Add("msg_00000000000000000000000001.0.1.2")
	f.Add("msg_00000000000000000000000001.0.1.0")
	f.Fuzz(func(t *testing.T, s string) {
		e, ok := message.ParseEcho(s)
		if !ok {
			return
		}
		if e.Step > 255 || e.Attempt > 65535 || e.Step < 0 || e.Attempt < 0 {
			t.Fatalf("%q gave %+v", s, e)
		}
		if back, ok := message.ParseEcho(e.String()); !ok || back != e {
			t.Fatalf("%q gave %+v and then %+v", s, e, back)
		}
	})
}
