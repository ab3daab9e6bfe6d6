package native

import (
	"reflect"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	lib "modernc.org/sqlite/lib"
	zs "zombiezen.com/go/sqlite"
)

// A Stmt binds blobs and texts to a prepared statement and reads blobs of its
// rows without the allocation and the copy, byte by byte, that the binding
// makes of each. It serves whoever the statement serves.
type Stmt struct {
	tls    *libc.TLS
	handle uintptr

	// What is bound lies in SQLite's memory until the next Begin. A room that
	// became too small is kept until Free: parameters still lie in it.
	room uintptr
	used int
	size int
	old  []uintptr
}

// most is what is kept of memory for one statement's parameters; a larger
// value is handed over the ordinary way.
const most = 64 << 10

// Of gives the statement below s, nil if the binding's types are not those
// that this was written for.
func Of(s *zs.Stmt) *Stmt {
	v := reflect.ValueOf(s).Elem()
	handle, c := v.FieldByName("stmt"), v.FieldByName("conn")
	if !handle.IsValid() || handle.Kind() != reflect.Uintptr || !c.IsValid() || c.Type() != reflect.TypeFor[*zs.Conn]() {
		return nil
	}
	tls := c.Elem().FieldByName("tls")
	if !tls.IsValid() || tls.Type() != reflect.TypeFor[*libc.TLS]() || handle.Uint() == 0 || tls.IsNil() {
		return nil
	}
	return &Stmt{tls: (*libc.TLS)(tls.UnsafePointer()), handle: uintptr(handle.Uint())}
}

// Begin makes room for parameters; those bound before are to be bound again.
func (s *Stmt) Begin() { s.used = 0 }

// Bytes binds b, which is not empty, to the parameter, the first of which is
// 1. False says that it did not, and that the binding is to be asked.
func (s *Stmt) Bytes(param int, b []byte) bool {
	p, ok := s.keep(unsafe.SliceData(b), len(b))
	return ok && lib.Xsqlite3_bind_blob(s.tls, s.handle, int32(param), p, int32(len(b)), static) == lib.SQLITE_OK
}

// Text is Bytes for a text.
func (s *Stmt) Text(param int, t string) bool {
	p, ok := s.keep(unsafe.StringData(t), len(t))
	return ok && lib.Xsqlite3_bind_text(s.tls, s.handle, int32(param), p, int32(len(t)), static) == lib.SQLITE_OK
}

// static tells SQLite that a value stays where it is while it is bound.
const static = 0

func (s *Stmt) keep(from *byte, n int) (uintptr, bool) {
	if n == 0 || n > most {
		return 0, false
	}
	if s.used+n > s.size && !s.grow(n) {
		return 0, false
	}
	p := s.room + uintptr(s.used)
	copy(bytesAt(p, n), unsafe.Slice(from, n))
	s.used += n
	return p, true
}

func (s *Stmt) grow(n int) bool {
	size := max(64, 2*s.size)
	for size < s.used+n {
		size *= 2
	}
	if size > 2*most {
		return false
	}
	room := libc.Xmalloc(s.tls, types.Size_t(size))
	if room == 0 {
		return false
	}
	if s.room != 0 {
		s.old = append(s.old, s.room)
	}
	s.room, s.size, s.used = room, size, 0
	return true
}

// Column is the blob or text in the row's column, the first of which is 0. It
// is SQLite's memory: the next step takes it away.
func (s *Stmt) Column(col int) []byte {
	p := lib.Xsqlite3_column_blob(s.tls, s.handle, int32(col))
	if p == 0 {
		return nil
	}
	return bytesAt(p, int(lib.Xsqlite3_column_bytes(s.tls, s.handle, int32(col))))
}

// Free gives memory back when the connection is to be closed: the statement must
// not run again.
func (s *Stmt) Free() {
	for _, p := range append(s.old, s.room) {
		if p != 0 {
			libc.Xfree(s.tls, p)
		}
	}
	s.old, s.room, s.size, s.used = nil, 0, 0, 0
}
