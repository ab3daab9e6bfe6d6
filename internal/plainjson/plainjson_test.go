package plainjson_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/internal/plainjson"
)

func TestWalk(t *testing.T) {
	for _, tt := range []struct {
		object string
		plain  bool
		want   []string
	}{
		{`{}`, true, nil},
		{`{"a":1,"b":-20,"c":0}`, true, []string{"a=1", "b=-20", "c=0"}},
		{`{"a":"x\u00e9\n\"é","b":{"c":[1,{"d":null}],"e":true},"f":[],"g":false}`, true, []string{`a="x\u00e9\n\"é"`, `b={"c":[1,{"d":null}],"e":true}`, `f=[]`, `g=false`}},
		{`{"a":1,"a":2}`, true, []string{"a=1", "a=2"}},
		{`{"a": 1}`, false, nil},
		{`{"a":1.5}`, false, []string{"a=1"}},
		{`{"a":01}`, false, []string{"a=0"}},
		{`{"a":-}`, false, nil},
		{`{"\u0061":1}`, false, nil},
		{`{"a":"\x"}`, false, nil},
		{`{"a":"\u12g4"}`, false, nil},
		{"{\"a\":\"\n\"}", false, nil},
		{`{"a":1,}`, false, []string{"a=1"}},
		{`{"a":1}}`, false, []string{"a=1"}},
		{`{"a":1`, false, []string{"a=1"}},
		{`{"a":nul}`, false, nil},
		{`{"a":[1,]}`, false, nil},
		{`{"a":"`, false, nil},
		{`{"a":"\`, false, nil},
		{`[]`, false, nil},
		{``, false, nil},
		{`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, false, nil},
	} {
		var got []string
		plain := plainjson.Walk([]byte(tt.object), func(name, value []byte) bool {
			got = append(got, string(name)+"="+string(value))
			return true
		})
		if plain != tt.plain {
			t.Errorf("%s: plain = %v", tt.object, plain)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.object, diff)
		}
	}
}

func TestWalkEnds(t *testing.T) {
	n := 0
	if plainjson.Walk([]byte(`{"a":1,"b":2,"c":3}`), func([]byte, []byte) bool { n++; return n < 2 }) || n != 2 {
		t.Errorf("walked over %d members", n)
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{`"a b"`: "a b", `""`: ""} {
		if got, ok := plainjson.Text([]byte(in)); !ok || string(got) != want {
			t.Errorf("%s: %q, %v", in, got, ok)
		}
	}
	for _, in := range []string{`"a\n"`, `1`, `null`, `"`, ``} {
		if _, ok := plainjson.Text([]byte(in)); ok {
			t.Errorf("%s is taken for a plain string", in)
		}
	}
}

func TestAppendText(t *testing.T) {
	for _, in := range []string{"", "message.sent", "é", "a\"b", "\\", "\n", "<a>", "\xff"} {
		want, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		got := plainjson.AppendText([]byte("x"), in)
		var back, meant string
		if json.Unmarshal(got[1:], &back) != nil || json.Unmarshal(want, &meant) != nil || back != meant {
			t.Errorf("%q is written as %s", in, got[1:])
		}
	}
}

// FuzzWalk: what is plain is JSON, and its members are those that encoding/json
// finds.
func FuzzWalk(f *testing.F) {
	f.Add([]byte(`{"a":"x","b":{"c":[1,true,null]},"d":-5}`))
	f.Add([]byte(`{"a":"\ud83d\ude00"}`))
	f.Fuzz(func(t *testing.T, object []byte) {
		members := make(map[string][]byte)
		if !plainjson.Walk(object, func(name, value []byte) bool { members[string(name)] = value; return true }) {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(object, &want); err != nil {
			t.Fatalf("%q is taken for plain: %v", object, err)
		}
		if strings.ToValidUTF8(string(object), "") != string(object) {
			return // names are repaired by encoding/json
		}
		if len(want) != len(members) {
			t.Fatalf("%q: %d members, not %d", object, len(members), len(want))
		}
		for name, value := range members {
			if !bytes.Equal(want[name], value) {
				t.Errorf("%q: member %q is %q, not %q", object, name, value, want[name])
			}
		}
	})
}

func BenchmarkWalk(b *testing.B) {
	object := []byte(`{"state":"delivered","purpose":"marketing","step":0,"channel":"sms","sender":"snd_01hqxkz3v2m8f5t7w9y1a3c5e7","step_state":"delivered","attempt":0}`)
	b.ReportAllocs()
	for b.Loop() {
		if !plainjson.Walk(object, func(_, _ []byte) bool { return true }) {
			b.Fatal("not plain")
		}
	}
}
