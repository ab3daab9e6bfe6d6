package postgres

import (
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgtype"
)

// quickly teaches a connection to write the arrays of our statements without
// looking at each element by reflection: they are most of what a group sends.
func quickly(m *pgtype.Map) {
	quick(m, pgtype.ByteaArrayOID, pgtype.ByteaOID, func(b []byte, v []byte) []byte {
		if v == nil {
			return append(b, 0xff, 0xff, 0xff, 0xff) // NULL
		}
		return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
	})
	quick(m, pgtype.TextArrayOID, pgtype.TextOID, func(b []byte, v string) []byte {
		return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
	})
	quick(m, pgtype.Int2ArrayOID, pgtype.Int2OID, func(b []byte, v int16) []byte {
		return binary.BigEndian.AppendUint16(append(b, 0, 0, 0, 2), uint16(v))
	})
	quick(m, pgtype.Int4ArrayOID, pgtype.Int4OID, func(b []byte, v int32) []byte {
		return binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 4), uint32(v))
	})
	quick(m, pgtype.Int8ArrayOID, pgtype.Int8OID, func(b []byte, v int64) []byte {
		return binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(v))
	})
	quick(m, pgtype.BoolArrayOID, pgtype.BoolOID, func(b []byte, v bool) []byte {
		n := byte(0)
		if v {
			n = 1
		}
		return append(b, 0, 0, 0, 1, n)
	})
}

// A quickArray is the driver's codec of an array type but for one Go type.
type quickArray[T any] struct {
	*pgtype.ArrayCodec
	element uint32
	write   func([]byte, T) []byte
}

func quick[T any](m *pgtype.Map, array, element uint32, write func([]byte, T) []byte) {
	t, ok := m.TypeForOID(array)
	if !ok {
		return
	}
	if codec, ok := t.Codec.(*pgtype.ArrayCodec); ok {
		m.RegisterType(&pgtype.Type{Name: t.Name, OID: array, Codec: &quickArray[T]{codec, element, write}})
	}
}

// PlanEncode implements pgtype.Codec.
func (c *quickArray[T]) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ours := value.([]T); ours && format == pgtype.BinaryFormatCode {
		return c
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

// Encode implements pgtype.EncodePlan, in the form of array_recv.
func (c *quickArray[T]) Encode(value any, b []byte) ([]byte, error) {
	list := value.([]T)
	if list == nil {
		return nil, nil
	}
	b = binary.BigEndian.AppendUint32(b, 1) // dimension
	b = binary.BigEndian.AppendUint32(b, 1) // some may be NULL
	b = binary.BigEndian.AppendUint32(b, c.element)
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	b = binary.BigEndian.AppendUint32(b, 1) // the first index
	for _, v := range list {
		b = c.write(b, v)
	}
	return b, nil
}
