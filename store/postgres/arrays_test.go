package postgres

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

// TestQuickArrays: what we write is what the driver writes.
func TestQuickArrays(t *testing.T) {
	ours, theirs := pgtype.NewMap(), pgtype.NewMap()
	quickly(ours)
	for _, c := range []struct {
		oid   uint32
		value any
	}{
		{pgtype.ByteaArrayOID, [][]byte{{1, 2}, nil, {}}},
		{pgtype.ByteaArrayOID, [][]byte{}},
		{pgtype.TextArrayOID, []string{"a", "", "é"}},
		{pgtype.Int2ArrayOID, []int16{1, -1}},
		{pgtype.Int4ArrayOID, []int32{1, -1}},
		{pgtype.Int8ArrayOID, []int64{1, -1 << 63}},
		{pgtype.BoolArrayOID, []bool{true, false}},
	} {
		if ours.PlanEncode(c.oid, pgtype.BinaryFormatCode, c.value) == nil {
			t.Errorf("%T has no plan", c.value)
		}
		got, err := ours.Encode(c.oid, pgtype.BinaryFormatCode, c.value, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := theirs.Encode(c.oid, pgtype.BinaryFormatCode, c.value, nil)
		if err != nil {
			t.Fatal(err)
		}
		// The driver says "no NULL" in the second word where it has looked.
		if len(got) != len(want) || !bytes.Equal(got[8:], want[8:]) || !bytes.Equal(got[:4], want[:4]) {
			t.Errorf("%#v: %x, want %x", c.value, got, want)
		}
		into := reflect.New(reflect.TypeOf(c.value))
		if err := theirs.Scan(c.oid, pgtype.BinaryFormatCode, got, into.Interface()); err != nil {
			t.Error(err)
		}
		if !reflect.DeepEqual(into.Elem().Interface(), c.value) {
			t.Errorf("%#v came back as %#v", c.value, into.Elem())
		}
	}
}
