// Package strict decodes JSON into Go types and refuses everything that is not
// exactly as it should be: unknown fields (and fields in another case), fields
// given twice, wrong types, trailing text, broken UTF-8, too deep nesting. It
// names the place of the fault and never repeats a value.
//
// It exists because encoding/json matches names in any case, takes duplicate
// keys, names no path for unknown fields and is slow on the hot path. It
// encodes nothing.
//
// Start with [For].
package strict

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// A Class says what kind of fault was found.
type Class uint8

// The classes of fault.
const (
	Malformed Class = iota + 1 // not JSON
	Unknown                    // a field that does not exist
	Type                       // a value of another JSON type
	Twice                      // a field given twice
	Value                      // right type, but no such value
)

// A Fault is where and why decoding stopped. It never holds a value.
type Fault struct {
	Class Class
	Path  string // such as "route[1].next_if"; "" = the whole document
	Want  string // what would be right
}

// Error implements error.
func (f *Fault) Error() string {
	if f.Path == "" {
		return f.Want
	}
	return f.Path + ": " + f.Want
}

// A Kind is a JSON type.
type Kind uint8

// The JSON types. Null is never handed out: null is as if the field were absent.
const (
	String Kind = iota
	Object
	Array
	Number
	Bool
	kinds
)

var kindNames = [kinds]string{"a string", "an object", "an array", "a number", "true or false"}

// An Either is a type with more than one JSON form. Either gives a pointer
// into the receiver to decode a value of that kind into, or nil where the kind
// is not allowed. The type of the pointer must depend on the kind alone.
type Either interface{ Either(Kind) any }

// A Hinter is a type read from text that says what a good text looks like.
type Hinter interface{ Hint() string }

// A Decoder decodes into T. It is made once and safe for concurrent use.
type Decoder[T any] struct{ root *node }

// For compiles a Decoder. It panics on types that have no place in JSON
// (functions, channels): a mistake of the program, found at its start.
func For[T any]() *Decoder[T] {
	c := compiler{}
	return &Decoder[T]{c.node(reflect.TypeFor[T]())}
}

// Decode reads data into v, which should be zero. It fails with *Fault.
func (d *Decoder[T]) Decode(data []byte, v *T) error {
	s := scanner{b: data}
	s.space()
	if err := s.value(d.root, reflect.ValueOf(v).Elem(), 0); err != nil {
		return err
	}
	s.space()
	if s.i != len(s.b) {
		return s.malformed("nothing may follow the JSON value")
	}
	return nil
}

type shape uint8

const (
	asString shape = iota
	asBool
	asInt
	asUint
	asFloat
	asStruct
	asMap
	asSlice
	asPointer
	asText
	asEither
	asRaw
)

type node struct {
	shape  shape
	typ    reflect.Type
	elem   *node // of slices, maps and pointers
	fields []field
	either [kinds]*node
	want   string
}

type field struct {
	name string
	at   int
	node *node
}

type compiler map[reflect.Type]*node

func (c compiler) node(t reflect.Type) *node {
	if n := c[t]; n != nil {
		return n
	}
	n := &node{typ: t}
	c[t] = n
	ptr := reflect.PointerTo(t)
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		n.shape = asRaw
		return n
	case ptr.Implements(reflect.TypeFor[Either]()):
		n.shape = asEither
		zero := reflect.New(t).Interface().(Either)
		var want []string
		for k := range kinds {
			if into := zero.Either(k); into != nil {
				n.either[k] = c.node(reflect.TypeOf(into).Elem())
				want = append(want, kindNames[k])
			}
		}
		n.want = strings.Join(want, " or ")
		return n
	case t.Kind() != reflect.Pointer && ptr.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		n.shape, n.want = asText, "a string"
		return n
	}
	switch t.Kind() {
	case reflect.String:
		n.shape, n.want = asString, kindNames[String]
	case reflect.Bool:
		n.shape, n.want = asBool, kindNames[Bool]
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n.shape, n.want = asInt, "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n.shape, n.want = asUint, "a whole number not below zero"
	case reflect.Float32, reflect.Float64:
		n.shape, n.want = asFloat, kindNames[Number]
	case reflect.Pointer:
		n.shape, n.elem = asPointer, c.node(t.Elem())
		n.want = n.elem.want
	case reflect.Slice:
		n.shape, n.elem, n.want = asSlice, c.node(t.Elem()), kindNames[Array]
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			panic("strict: map key of " + t.String())
		}
		n.shape, n.elem, n.want = asMap, c.node(t.Elem()), kindNames[Object]
	case reflect.Struct:
		n.shape, n.want = asStruct, kindNames[Object]
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" {
				continue
			}
			if name == "" {
				name = f.Name
			}
			n.fields = append(n.fields, field{name, i, c.node(f.Type)})
		}
		if len(n.fields) > 64 {
			panic("strict: too many fields in " + t.String())
		}
	default:
		panic("strict: cannot decode into " + t.String())
	}
	return n
}

// hint says what a text should look like that its type did not take.
func hint(v any, err error) string {
	switch h := v.(type) {
	case Hinter:
		return h.Hint()
	case *time.Time:
		return `must be an RFC 3339 time, such as "2026-11-22T10:00:00Z"`
	}
	if s, ok := err.(interface{ Hint() string }); ok {
		return s.Hint()
	}
	return "is not a value of this field"
}
