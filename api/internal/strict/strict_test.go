package strict

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type sample struct {
	Name    string            `json:"name"`
	Count   int8              `json:"count,omitempty"`
	Size    uint16            `json:"size,omitempty"`
	Ratio   float64           `json:"ratio,omitempty"`
	On      bool              `json:"on,omitempty"`
	At      time.Time         `json:"at,omitzero"`
	Inner   *sample           `json:"inner,omitempty"`
	Items   []sample          `json:"items,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Raw     json.RawMessage   `json:"raw,omitempty"`
	To      target            `json:"to,omitzero"`
	Hidden  string            `json:"-"`
	private string
}

type target struct {
	Text string
	Obj  struct {
		ID string `json:"id"`
	}
}

func (t *target) Either(k Kind) any {
	switch k {
	case String:
		return &t.Text
	case Object:
		return &t.Obj
	}
	return nil
}

func TestDecode(t *testing.T) {
	_ = sample{}.private
	d := For[sample]()
	var got sample
	err := d.Decode([]byte(` {"name":"a\u00e9\ud83d\ude00\n","count":-3,"size":7,"ratio":1.5e2,"on":true,"at":"2026-11-22T10:00:00Z",
	 "inner":{"name":"b","inner":null},"items":[{"name":"c"},{}],"labels":{"k":"v"},"raw":{"x":[1,"2",null]},"to":{"id":"x"}} `), &got)
	if err != nil {
		t.Fatal(err)
	}
	want := sample{
		Name: "aé😀\n", Count: -3, Size: 7, Ratio: 150, On: true, At: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		Inner: &sample{Name: "b"}, Items: []sample{{Name: "c"}, {}}, Labels: map[string]string{"k": "v"}, Raw: json.RawMessage(`{"x":[1,"2",null]}`),
	}
	want.To.Obj.ID = "x"
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{})); diff != "" {
		t.Error(diff)
	}
	got = sample{}
	if err := d.Decode([]byte(`{"to":"me"}`), &got); err != nil || got.To.Text != "me" {
		t.Errorf("%v, %+v", err, got.To)
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		in    string
		class Class
		path  string
	}{
		{``, Malformed, ""},
		{`{`, Malformed, ""},
		{`{"name":"a"`, Malformed, ""},
		{`{"name":"a"} x`, Malformed, ""},
		{`{"name":"a",}`, Malformed, ""},
		{`{"name" "a"}`, Malformed, ""},
		{`{"name":'a'}`, Malformed, ""},
		{`{"name":"a` + "\x01" + `"}`, Malformed, ""},
		{`{"name":"a` + "\xff" + `"}`, Malformed, ""},
		{`{"name":"\ud83d"}`, Malformed, ""},
		{`{"name":"\ud83d\u0041"}`, Malformed, ""},
		{`{"name":"\x"}`, Malformed, ""},
		{`{"name":"\`, Malformed, ""},
		{`{"count":01}`, Malformed, ""},
		{`{"count":-}`, Malformed, ""},
		{`{"ratio":1.}`, Malformed, ""},
		{`{"on":tru}`, Malformed, ""},
		{`{"items":[{"name":"a"}`, Malformed, ""},
		{`[]`, Type, ""},
		{`"x"`, Type, ""},
		{`{"name":1}`, Type, "name"},
		{`{"name":{}}`, Type, "name"},
		{`{"name":[1,{"a":[]}]}`, Type, "name"},
		{`{"count":1.5}`, Type, "count"},
		{`{"count":128}`, Type, "count"},
		{`{"size":-1}`, Type, "size"},
		{`{"ratio":1e999}`, Type, "ratio"},
		{`{"on":"true"}`, Type, "on"},
		{`{"items":{}}`, Type, "items"},
		{`{"items":[{"name":"a"},{"name":false}]}`, Type, "items[1].name"},
		{`{"labels":{"k":1}}`, Type, "labels.k"},
		{`{"labels":{"k":null}}`, Type, "labels.k"},
		{`{"to":5}`, Type, "to"},
		{`{"to":{"nope":1}}`, Unknown, "to.nope"},
		{`{"Name":"a"}`, Unknown, "Name"},
		{`{"inner":{"items":[{"x":1}]}}`, Unknown, "inner.items[0].x"},
		{`{"Hidden":"a"}`, Unknown, "Hidden"},
		{`{"private":"a"}`, Unknown, "private"},
		{`{"name":"a","name":"b"}`, Twice, "name"},
		{`{"labels":{"a":"b","a":"c"}}`, Twice, "labels.a"},
		{`{"at":"yesterday"}`, Value, "at"},
		{strings.Repeat(`{"inner":`, 60) + `{}` + strings.Repeat(`}`, 60), Malformed, ""},
		{`{"raw":` + strings.Repeat(`[`, 60) + strings.Repeat(`]`, 60) + `}`, Malformed, ""},
	}
	d := For[sample]()
	for _, tt := range tests {
		var v sample
		err := d.Decode([]byte(tt.in), &v)
		var f *Fault
		if !errors.As(err, &f) {
			t.Errorf("%s: error %v", tt.in, err)
			continue
		}
		if f.Class != tt.class || f.Path != tt.path {
			t.Errorf("%s: class %d at %q, want %d at %q (%v)", tt.in, f.Class, f.Path, tt.class, tt.path, err)
		}
		if strings.Contains(err.Error(), "yesterday") {
			t.Errorf("%s: a value is repeated", tt.in)
		}
	}
}

// What we take, encoding/json takes too and reads the same way.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"a\u00e9\ud83d\ude00","count":-3,"inner":{"items":[{}]},"labels":{"k":"v"},"to":"x","raw":[1,2]}`))
	f.Add([]byte(`{"at":"2026-11-22T10:00:00Z","ratio":1e3,"on":false,"size":1}`))
	f.Add([]byte(`{"name":"a` + "\xff" + `"}`))
	d := For[sample]()
	f.Fuzz(func(t *testing.T, in []byte) {
		var got sample
		if err := d.Decode(in, &got); err != nil {
			return
		}
		if !json.Valid(in) {
			t.Fatalf("took what is not JSON: %q", in)
		}
		var want sample
		if json.Unmarshal(dropTo(in), &want) != nil {
			return
		}
		got.To, want.To = target{}, target{}
		got.Raw, want.Raw = nil, nil
		if !reflect.DeepEqual(got.Name, want.Name) || got.Count != want.Count || got.Size != want.Size || got.Ratio != want.Ratio || got.On != want.On || !got.At.Equal(want.At) {
			t.Errorf("%q: %+v, encoding/json says %+v", in, got, want)
		}
	})
}

// dropTo takes away the one field encoding/json cannot read.
func dropTo(in []byte) []byte {
	var m map[string]json.RawMessage
	if json.Unmarshal(in, &m) != nil {
		return in
	}
	delete(m, "to")
	out, _ := json.Marshal(m)
	return out
}
