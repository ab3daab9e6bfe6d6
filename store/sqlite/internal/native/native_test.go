package native

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	zs "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A pair is a connection that gathers and one that does not, on one file.
type pair struct {
	t      *testing.T
	writer *zs.Conn
	reader *zs.Conn
}

func newPair(t *testing.T) *pair {
	t.Helper()
	if err := Register(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.db")
	p := &pair{t: t}
	for i, name := range []string{"file:" + path + "?vfs=" + Gathering, path} {
		c, err := zs.OpenConn(name, zs.OpenReadWrite, zs.OpenCreate, zs.OpenURI)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			p.writer = c
			p.do(
				`PRAGMA journal_mode = WAL`,
				`PRAGMA synchronous = FULL`,
				`PRAGMA cache_size = 12`, // pages are written before the commit, and read again
				`CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB CHECK (length(v) < 100000))`, // a statement may fail alone
				`CREATE VIEW n AS WITH RECURSIVE s (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM s) SELECT v FROM s`,
			)
		} else {
			p.reader = c
		}
	}
	return p
}

// try runs statements up to the first that fails.
func (p *pair) try(statements ...string) error {
	for _, sql := range statements {
		if err := sqlitex.ExecuteTransient(p.writer, sql, nil); err != nil {
			return err
		}
	}
	return nil
}

func (p *pair) do(statements ...string) {
	p.t.Helper()
	if err := p.try(statements...); err != nil {
		p.t.Fatal(err)
	}
}

// content is what a connection sees, and whether the file is sound.
func content(t *testing.T, c *zs.Conn) string {
	t.Helper()
	var all string
	for _, sql := range []string{`PRAGMA integrity_check`, `SELECT count(*) || '.' || ifnull(sum(k), 0) || '.' || ifnull(sum(length(v)), 0) FROM t`} {
		err := sqlitex.ExecuteTransient(c, sql, &sqlitex.ExecOptions{ResultFunc: func(s *zs.Stmt) error {
			all += s.ColumnText(0) + " "
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// writes is what has reached the system, and what it is to refuse.
var writes struct{ calls, octets, refuse int }

func watch(tls *libc.TLS, file, p uintptr, n int32, offset int64) int32 {
	writes.calls++
	writes.octets += int(n)
	if writes.calls == writes.refuse {
		return lib.SQLITE_FULL
	}
	return function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](plain)(tls, file, p, n, offset)
}

var plain uintptr // the system's own write

// watched puts watch between the writer's tray and the system.
func (p *pair) watched() {
	p.t.Helper()
	v := reflect.ValueOf(p.writer).Elem()
	tls := (*libc.TLS)(v.FieldByName("tls").UnsafePointer())
	name, err := libc.CString("main")
	if err != nil {
		p.t.Fatal(err)
	}
	defer libc.Xfree(tls, name)
	out := libc.Xmalloc(tls, 8)
	defer libc.Xfree(tls, out)
	if rc := lib.Xsqlite3_file_control(tls, uintptr(v.FieldByName("conn").Uint()), name, lib.SQLITE_FCNTL_JOURNAL_POINTER, out); rc != lib.SQLITE_OK {
		p.t.Fatal(rc)
	}
	file := *at[uintptr](out)
	if at[lib.Tsqlite3_file](file).FpMethods != methods {
		p.t.Fatal("the write-ahead log is not gathered")
	}
	table := libc.Xmalloc(tls, 4096)
	own := at[lib.Tsqlite3_io_methods](table)
	*own = *ownOf(file)
	plain, own.FxWrite = own.FxWrite, pointer(watch)
	trayOf(file).own = table
	writes.calls, writes.octets, writes.refuse = 0, 0, 0
}

// TestGathered: a commit of many pages is few calls, all of it is there for
// another connection at once, and nothing of what was taken back.
func TestGathered(t *testing.T) {
	p := newPair(t)
	p.do(`PRAGMA cache_size = 1000`)
	p.watched()
	p.do(`INSERT INTO t (v) SELECT randomblob(3000) FROM n LIMIT 100`)
	if writes.octets < 100*(4096+24) || writes.calls > 6 {
		t.Errorf("%d calls for %d octets", writes.calls, writes.octets)
	}
	if got, want := content(t, p.reader), content(t, p.writer); got != want {
		t.Errorf("the reader sees %s, the writer %s", got, want)
	}
}

func TestGatheredAtRandom(t *testing.T) {
	p := newPair(t)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		before := content(t, p.reader)
		p.do(`BEGIN IMMEDIATE`)
		for range 1 + r.IntN(5) {
			switch r.IntN(5) {
			case 0:
				p.do(fmt.Sprintf(`DELETE FROM t WHERE k %% 3 = %d`, r.IntN(3)))
			case 1:
				p.do(fmt.Sprintf(`UPDATE t SET v = randomblob(%d) WHERE k %% 11 = %d`, r.IntN(9000), r.IntN(11)))
			case 2:
				p.do(`SAVEPOINT s`, `INSERT INTO t (v) SELECT randomblob(2000) FROM n LIMIT 40`, `ROLLBACK TO s`)
			default:
				p.do(fmt.Sprintf(`INSERT INTO t (v) SELECT randomblob(%d) FROM n LIMIT %d`, r.IntN(9000), r.IntN(15)))
			}
		}
		if got := content(t, p.reader); got != before {
			t.Fatalf("%d: seen before the commit: %s, was %s", i, got, before)
		}
		if r.IntN(4) == 0 {
			p.do(`ROLLBACK`)
			if got := content(t, p.reader); got != before {
				t.Fatalf("%d: seen though taken back: %s, was %s", i, got, before)
			}
		} else {
			p.do(`COMMIT`)
		}
		if got, want := content(t, p.reader), content(t, p.writer); got != want {
			t.Fatalf("%d: the reader sees %s, the writer %s", i, got, want)
		}
		if r.IntN(20) == 0 {
			p.do(`PRAGMA wal_checkpoint(` + []string{"PASSIVE", "TRUNCATE"}[r.IntN(2)] + `)`)
		}
	}
}

// TestGatheredOnAFullDisk lets each write of a transaction fail in turn, and then
// goes back, or goes on if SQLite lets it.
func TestGatheredOnAFullDisk(t *testing.T) {
	for at := 1; ; at += 1 + at/8 {
		for _, on := range []bool{false, true} {
			if !fillDisk(t, at, on) {
				if at < 5 {
					t.Errorf("only %d writes: nothing was tried", at)
				}
				return
			}
		}
	}
}

// fillDisk is false when the transaction had fewer writes.
func fillDisk(t *testing.T, at int, on bool) bool {
	p := newPair(t)
	p.do(`PRAGMA cache_size = 30`, `INSERT INTO t (v) SELECT randomblob(3000) FROM n LIMIT 10`)
	before := content(t, p.reader)
	p.watched()
	writes.refuse = at
	err := p.try(`BEGIN IMMEDIATE`, `INSERT INTO t (v) SELECT randomblob(3000) FROM n LIMIT 60`,
		`UPDATE t SET v = randomblob(2900)`, `DELETE FROM t WHERE k % 3 = 0`, `COMMIT`)
	if err == nil {
		return false
	}
	if code := zs.ErrCode(err).ToPrimary(); code != zs.ResultFull && code != zs.ResultIOErr {
		t.Fatalf("write %d: %v", at, err)
	}
	if open := !p.writer.AutocommitEnabled(); open && on && p.try(`COMMIT`) == nil {
		before = content(t, p.writer)
	} else if !p.writer.AutocommitEnabled() {
		p.do(`ROLLBACK`)
	}
	for name, c := range map[string]*zs.Conn{"reader": p.reader, "writer": p.writer} {
		if got := content(t, c); got != before || !strings.HasPrefix(got, "ok ") {
			t.Errorf("write %d: the %s sees %s, want %s", at, name, got, before)
		}
	}
	p.do(`INSERT INTO t (v) SELECT randomblob(3000) FROM n LIMIT 10`)
	if got, want := content(t, p.reader), content(t, p.writer); got != want || got == before {
		t.Errorf("write %d: after it the reader sees %s, the writer %s", at, got, want)
	}
	return true
}

// TestStmt binds values of all sizes again and again, and reads them back.
func TestStmt(t *testing.T) {
	c, err := zs.OpenConn(":memory:", zs.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := c.Prepare(`SELECT ?1, ?2, typeof(?1), typeof(?2), NULL, x''`)
	if err != nil {
		t.Fatal(err)
	}
	s := Of(prepared)
	if s == nil {
		t.Fatal("the binding's types have changed: see Of")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i, size := range []int{1, 40, 5000, 3, most, 40} {
		for range 50 {
			if err := prepared.Reset(); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 1+r.IntN(size))
			for j := range b {
				b[j] = byte('a' + r.IntN(26))
			}
			text := string(b[len(b)/2:]) + "ü"
			s.Begin()
			if !s.Bytes(1, b) {
				t.Fatalf("%d: a blob of %d is not taken", i, len(b))
			}
			if !s.Text(2, text) {
				prepared.BindText(2, text)
			}
			want := bytes.Clone(b)
			clear(b) // what is bound is a copy
			if more, err := prepared.Step(); err != nil || !more {
				t.Fatal(more, err)
			}
			if !bytes.Equal(s.Column(0), want) || string(s.Column(1)) != text {
				t.Fatalf("%d: %d octets came back wrong", i, len(want))
			}
			if a, b := prepared.ColumnText(2), prepared.ColumnText(3); a != "blob" || b != "text" {
				t.Fatalf("%d: they are %s and %s", i, a, b)
			}
			if s.Column(4) != nil || len(s.Column(5)) != 0 {
				t.Fatal("nothing is something")
			}
		}
	}
	if s.Bytes(1, nil) || s.Bytes(1, make([]byte, most+1)) || s.Bytes(9, []byte{1}) {
		t.Error("taken: nothing, too much, or a parameter that is not there")
	}
	s.Free()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
