package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// tree reads any JSON with a Decoder into what encoding/json gives.
func tree(d *Decoder) any {
	switch d.peek() {
	case '{':
		m := map[string]any{}
		d.Object()
		for d.Next() {
			key := string(bytes.ToValidUTF8(d.Key(), []byte("\ufffd")))
			m[key] = tree(d)
		}
		return m
	case '[':
		l := []any{}
		d.Array()
		for d.Item() {
			l = append(l, tree(d))
		}
		return l
	case '"':
		return d.Text()
	case 't', 'f':
		return d.Bool()
	case 'n':
		d.Null()
		return nil
	}
	return d.Float()
}

func FuzzDecoder(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,"x\u00e9\ud83d\udc4d\n\/",true,null,{}],"b":{"c":[]}}`, `[]`, ` null `, `"\ud83d"`, `{"a":1,}`, `[1 2]`, `{"a"}`, `1e999`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := NewDecoder(data)
		d.Skip()
		skipped := d.End()
		d = NewDecoder(data)
		got := tree(&d)
		err := d.End()
		if !json.Valid(data) {
			return
		}
		if err != nil || skipped != nil {
			t.Fatalf("valid JSON is refused: %v %v", err, skipped)
		}
		var want any
		if json.Unmarshal(data, &want) != nil {
			return // numbers out of range
		}
		if !utf8.Valid(data) {
			return // repaired in another way
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAppendStringIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "s")
		b := AppendString(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		d := NewDecoder(b)
		if own := d.Text(); back != own || utf8.ValidString(s) && back != s {
			t.Fatalf("%q became %q and %q", s, back, own)
		}
	})
	for _, f := range []float64{0, -1.5, 48.8584, 1e-9, 1e21, math.Inf(1), math.NaN()} {
		if b := AppendFloat(nil, f); !json.Valid(b) {
			t.Errorf("%s", b)
		}
	}
}

func TestLenientScalars(t *testing.T) {
	d := NewDecoder([]byte(`{"n":"42","s":7,"b":"true","o":{"x":1},"a":[1],"z":null,"neg":-3,"big":99999999999999999999,"f":"1.5"}`))
	got := map[string]any{}
	if d.Object() {
		for d.Next() {
			switch key := string(d.Key()); key {
			case "n", "neg", "big":
				got[key] = d.Int()
			case "s", "o", "z":
				got[key] = d.Text()
			case "b":
				got[key] = d.Bool()
			case "a":
				got[key] = d.Object()
			case "f":
				got[key] = d.Float()
			}
		}
	}
	want := map[string]any{"n": int64(42), "s": "7", "b": true, "o": "", "a": false, "z": "", "neg": int64(-3), "big": int64(0), "f": 1.5}
	if diff := cmp.Diff(want, got); diff != "" || d.End() != nil {
		t.Error(diff, d.End())
	}
}

// A transport that is slow to begin must not send after the call has failed.
func TestNothingLeavesAfterSealing(t *testing.T) {
	begin, done := make(chan struct{}), make(chan error, 1)
	slow := roundTripper(func(r *http.Request) (*http.Response, error) {
		go func() {
			<-begin
			_, err := io.ReadAll(r.Body)
			done <- err
		}()
		return nil, context.Canceled
	})
	c := Client{HTTP: &http.Client{Transport: slow}, Base: "http://127.0.0.1", Token: "t"}
	u, err := c.URL("/x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Do(t.Context(), http.MethodPost, u, "application/json", []byte("{}"))
	var call *CallError
	if !errors.As(err, &call) || call.Written || !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	close(begin)
	if err := <-done; !errors.Is(err, errSealed) {
		t.Errorf("the body could still be read: %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
