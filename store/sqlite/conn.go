package sqlite

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	zs "zombiezen.com/go/sqlite"

	"github.com/parley-messaging/parley/store/sqlite/internal/native"
)

// A conn is one connection with its prepared statements. It serves one
// goroutine at a time.
type conn struct {
	c     *zs.Conn
	stmts map[string]*stmt
}

// A stmt is a prepared statement whose parameters are bound in order. The
// first failure sticks and is given by row or exec.
type stmt struct {
	s   *zs.Stmt
	raw *native.Stmt // nil: only the binding can be asked
	n   int
	err error
}

func newConn(path string, flags zs.OpenFlags) (*conn, error) {
	c, err := zs.OpenConn(path, flags)
	if err != nil {
		return nil, err
	}
	return &conn{c: c, stmts: make(map[string]*stmt)}, nil
}

// openGathering is newConn for the connection that writes: pages of a commit go
// to the write-ahead log together. That connection must keep synchronous at FULL,
// and no other may write.
func openGathering(path string, flags zs.OpenFlags) (*conn, error) {
	if err := native.Register(); err != nil {
		return nil, err
	}
	name := filepath.ToSlash(path)
	if filepath.VolumeName(path) != "" {
		name = "/" + name
	}
	for strings.HasPrefix(name, "//") { // what follows would be an authority
		name = name[1:]
	}
	name = (&url.URL{Path: name}).EscapedPath() // a question mark or a percent sign is part of the name
	return newConn("file:"+name+"?vfs="+native.Gathering, flags|zs.OpenURI)
}

func (c *conn) close() error {
	for _, s := range c.stmts {
		if s.raw != nil {
			s.raw.Free()
		}
	}
	return c.c.Close()
}

// q makes a statement ready to be bound. Statements are prepared once for the
// life of the connection, so sql must be one of a bounded set of texts.
func (c *conn) q(sql string) *stmt {
	s := c.stmts[sql]
	if s == nil {
		prepared, err := c.c.Prepare(sql)
		if err != nil {
			return &stmt{err: err}
		}
		s = &stmt{s: prepared, raw: native.Of(prepared)}
		c.stmts[sql] = s
		return s
	}
	s.n, s.err = 0, s.s.Reset()
	if s.raw != nil {
		s.raw.Begin()
	}
	return s
}

func (s *stmt) int(v int64) *stmt {
	if s.err == nil {
		s.n++
		s.s.BindInt64(s.n, v)
	}
	return s
}

func (s *stmt) bool(v bool) *stmt {
	if v {
		return s.int(1)
	}
	return s.int(0)
}

func (s *stmt) time(t time.Time) *stmt { return s.int(micros(t)) }

func (s *stmt) text(v string) *stmt {
	if s.err == nil {
		s.n++
		if s.raw == nil || !s.raw.Text(s.n, v) {
			s.s.BindText(s.n, v)
		}
	}
	return s
}

// blob binds b; nil is NULL.
func (s *stmt) blob(b []byte) *stmt {
	if s.err == nil {
		s.n++
		switch {
		case b == nil:
			s.s.BindNull(s.n)
		case s.raw == nil || !s.raw.Bytes(s.n, b):
			s.s.BindBytes(s.n, b)
		}
	}
	return s
}

// id binds 16 bytes; the zero id is NULL.
func (s *stmt) id(id [16]byte) *stmt {
	if id == [16]byte{} {
		return s.blob(nil)
	}
	return s.blob(id[:])
}

// key binds 16 bytes as they are, for columns that are never NULL.
func (s *stmt) key(id [16]byte) *stmt { return s.blob(id[:]) }

// row steps to the next row; after false or an error the statement is done.
func (s *stmt) row() (bool, error) {
	if s.err != nil {
		return false, s.err
	}
	more, err := s.s.Step()
	if err != nil {
		s.err = err
		return false, err
	}
	return more, nil
}

// exec runs the statement to its end.
func (s *stmt) exec() error {
	for {
		more, err := s.row()
		if err != nil || !more {
			return err
		}
	}
}

// done ends a statement whose rows were not read to the end.
func (s *stmt) done() {
	if s.s != nil {
		_ = s.s.Reset() // repeats an error that row has given
	}
}

func (s *stmt) i(col int) int64    { return s.s.ColumnInt64(col) }
func (s *stmt) b(col int) bool     { return s.s.ColumnInt64(col) != 0 }
func (s *stmt) str(col int) string { return s.s.ColumnText(col) }

// is reports whether a text is v, without making a string of it.
func (s *stmt) is(col int, v string) bool { return string(s.view(col)) == v }

// view is a blob or text until the next row.
func (s *stmt) view(col int) []byte {
	if s.raw != nil {
		return s.raw.Column(col)
	}
	b := make([]byte, s.s.ColumnLen(col))
	s.s.ColumnBytes(col, b)
	return b
}

func (s *stmt) t(col int) time.Time { return fromMicros(s.s.ColumnInt64(col)) }
func (s *stmt) null(col int) bool   { return s.s.ColumnIsNull(col) }

func (s *stmt) key16(col int) (v [16]byte) { copy(v[:], s.view(col)); return v }

// bytes copies a blob; NULL is nil.
func (s *stmt) bytes(col int) []byte {
	if s.s.ColumnIsNull(col) {
		return nil
	}
	return append([]byte{}, s.view(col)...)
}

// pragma reads one integer setting.
func (c *conn) pragma(name string) (int64, error) {
	s, _, err := c.c.PrepareTransient("PRAGMA " + name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Finalize() }()
	more, err := s.Step()
	if err != nil {
		return 0, err
	}
	if !more {
		return 0, fmt.Errorf("no answer to PRAGMA %s", name)
	}
	return s.ColumnInt64(0), nil
}

func (c *conn) count(sql string) (int64, error) {
	s := c.q(sql)
	if _, err := s.row(); err != nil {
		return 0, err
	}
	defer s.done()
	return s.i(0), nil
}

// micros is the stored form of a time: Unix microseconds, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMicro(v).UTC()
}

// distinct lists the values of a table's leading column by jumping from one to
// the next.
func (c *conn) distinct(column, table string) (list []int64, err error) {
	q := c.q(`WITH RECURSIVE t (v) AS (SELECT min(` + column + `) FROM ` + table + ` UNION ALL
		SELECT (SELECT min(` + column + `) FROM ` + table + ` WHERE ` + column + ` > v) FROM t WHERE v IS NOT NULL)
		SELECT v FROM t WHERE v IS NOT NULL`)
	for {
		more, err := q.row()
		if err != nil || !more {
			return list, err
		}
		list = append(list, q.i(0))
	}
}
