package whatsapp

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// FuzzParse compares our reader and writer with encoding/json.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":"b\u00e9\ud83d\ude00\/","n":null,"x":[1,2.5e3,true,{}],"o":{"k":"v"}}`, `"\ud800"`, `[`, `{"a":1,}`, `01`, `-0`, "\"\xff\"", `{"a":"\u+123"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		v, err := parse(doc)
		if err != nil {
			var other any
			if json.Unmarshal([]byte(doc), &other) == nil && len(doc) < 2*maxDepth {
				t.Fatalf("refused %q", doc)
			}
			return
		}
		if !json.Valid([]byte(doc)) {
			t.Fatalf("took %q", doc)
		}
		again, err := parse(string(appendValue(nil, &v)))
		if err != nil {
			t.Fatal(err)
		}
		if string(appendValue(nil, &again)) != string(appendValue(nil, &v)) {
			t.Fatalf("%q does not come back", doc)
		}
		if v.kind == isString {
			var s string
			if err := json.Unmarshal([]byte(doc), &s); err != nil || s != v.str {
				t.Fatalf("%q read as %q, not %q (%v)", doc, v.str, s, err)
			}
			var back string
			if err := json.Unmarshal(appendString(nil, v.str), &back); err != nil || back != s {
				t.Fatalf("%q written as %s", s, appendString(nil, v.str))
			}
		}
	})
}

func TestSignatureVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/webhook_signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Channel, Name, Secret, Body, Value string
		Valid                              bool
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		if v.Channel != "meta" {
			continue
		}
		if got := sign(v.Secret, []byte(v.Body)) == v.Value; got != v.Valid {
			t.Errorf("%s: %v", v.Name, got)
		}
		doc, err := parse(v.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(appendValue(nil, &doc)); v.Valid && got != v.Body {
			t.Errorf("%s: written as %s", v.Name, got)
		}
	}
}

func TestUserIDComesBack(t *testing.T) {
	for _, n := range []string{"33612345678", "99900001001", "1"} {
		if got, ok := numberOf(userID(n)); !ok || got != n {
			t.Errorf("%s became %s", n, got)
		}
	}
	if got := waID("525512345678"); got != "5215512345678" {
		t.Error(got)
	}
	if !reflect.DeepEqual(none, value{}) {
		t.Error("none was written")
	}
}
