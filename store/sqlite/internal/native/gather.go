package native

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	lib "modernc.org/sqlite/lib"
)

// Gathering is the name of a VFS that is the system's own but for one thing: of
// a write-ahead log, writes that follow on one another are held in memory and
// go to the file together. SQLite writes each page of a commit in two calls;
// this makes one of sixty.
//
// What is held goes to the file before anything else is done with it: before
// it is flushed to disk, read, measured, cut or closed, and when held bytes
// are full. SQLite tells others of a commit after it flushed the log, if
// synchronous is FULL; on a connection where it is less, others would look for
// pages that are not in the file yet. And what a transaction that was taken back
// has left goes to the file with the next call. So the VFS is for the only
// connection that writes, which insists on FULL, and for file systems where a
// write does not harm its neighbours (SQLITE_IOCAP_POWERSAFE_OVERWRITE); else it
// steps aside.
// See https://www.sqlite.org/vfs.html and sqlite3WalFrames.
const Gathering = "gathering"

// held is the most that is held, thirty pages: SQLite hands no more than this to
// one call of the system (seekAndWriteFd).
const held = 1<<17 - 1

// A tray follows the system's own data of an open file.
type tray struct {
	own    uintptr // the system's methods of the file
	buffer uintptr // held bytes of memory
	start  int64   // where in the file what is held begins
	n      int     // how many bytes are held
}

var (
	once       sync.Once
	registered error

	// All of these live as long as the program.
	system  uintptr // the VFS that does the work
	trayAt  uintptr // of an open file's data
	methods uintptr // of files whose writes are gathered
)

// Register makes the VFS known to SQLite, once for the program.
func Register() error {
	once.Do(func() { registered = register() })
	return registered
}

func register() error {
	tls := libc.NewTLS()
	defer tls.Close()
	if system = lib.Xsqlite3_vfs_find(tls, 0); system == 0 {
		return errors.New("SQLite has no file system")
	}
	name, err := libc.CString(Gathering)
	if err != nil {
		return err
	}
	vfs := libc.Xmalloc(tls, types.Size_t(unsafe.Sizeof(lib.Tsqlite3_vfs{})))
	methods = libc.Xmalloc(tls, types.Size_t(unsafe.Sizeof(lib.Tsqlite3_io_methods{})))
	if vfs == 0 || methods == 0 {
		return errors.New("no memory for SQLite's file system")
	}
	*at[lib.Tsqlite3_io_methods](methods) = lib.Tsqlite3_io_methods{}

	v := at[lib.Tsqlite3_vfs](vfs)
	*v = *at[lib.Tsqlite3_vfs](system)
	trayAt = (uintptr(v.FszOsFile) + 7) &^ 7
	v.FszOsFile = int32(trayAt + unsafe.Sizeof(tray{}))
	v.FpNext, v.FzName, v.FxOpen = 0, name, pointer(open)
	if rc := lib.Xsqlite3_vfs_register(tls, vfs, 0); rc != lib.SQLITE_OK {
		return fmt.Errorf("SQLite refuses the file system %q: %d", Gathering, rc)
	}
	return nil
}

func trayOf(file uintptr) *tray { return at[tray](file + trayAt) }

// open opens a file the system's way and, if it is a write-ahead log, puts the
// gathering methods in place of the system's.
func open(tls *libc.TLS, _, name, file uintptr, flags int32, out uintptr) int32 {
	own := function[func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32](at[lib.Tsqlite3_vfs](system).FxOpen)
	rc := own(tls, system, name, file, flags, out)
	if rc != lib.SQLITE_OK || flags&lib.SQLITE_OPEN_WAL == 0 {
		return rc
	}
	f := at[lib.Tsqlite3_file](file)
	traits := function[func(*libc.TLS, uintptr) int32](at[lib.Tsqlite3_io_methods](f.FpMethods).FxDeviceCharacteristics)
	if traits(tls, file)&lib.SQLITE_IOCAP_POWERSAFE_OVERWRITE == 0 || !stand(f.FpMethods) {
		return rc
	}
	buffer := libc.Xmalloc(tls, held)
	if buffer == 0 {
		return rc
	}
	*trayOf(file) = tray{own: f.FpMethods, buffer: buffer}
	f.FpMethods = methods
	return rc
}

var standing sync.Mutex

// stand makes the gathering methods of the system's own ones, and says whether
// they are made of these.
func stand(own uintptr) bool {
	standing.Lock()
	defer standing.Unlock()
	theirs, ours := at[lib.Tsqlite3_io_methods](own), at[lib.Tsqlite3_io_methods](methods)
	made := *theirs
	made.FxClose, made.FxRead, made.FxWrite = pointer(shut), pointer(read), pointer(write)
	made.FxTruncate, made.FxSync, made.FxFileSize = pointer(truncate), pointer(flush), pointer(size)
	made.FxFileControl = pointer(control)
	if ours.FiVersion == 0 {
		*ours = made
	}
	return *ours == made
}

func ownOf(file uintptr) *lib.Tsqlite3_io_methods {
	return at[lib.Tsqlite3_io_methods](trayOf(file).own)
}

// put writes what is held into the file. What cannot be written is forgotten, and
// SQLite must take back what it was part of: where it expects no failed write, it
// hears of an I/O error, after which it always does.
func put(tls *libc.TLS, file uintptr) int32 {
	t := trayOf(file)
	if t.n == 0 {
		return lib.SQLITE_OK
	}
	n := t.n
	t.n = 0
	return writeOwn(tls, file, t.buffer, int32(n), t.start)
}

func writeOwn(tls *libc.TLS, file, p uintptr, n int32, offset int64) int32 {
	return function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](ownOf(file).FxWrite)(tls, file, p, n, offset)
}

func write(tls *libc.TLS, file, p uintptr, n int32, offset int64) int32 {
	t := trayOf(file)
	if offset != t.start+int64(t.n) || t.n+int(n) > held {
		if rc := put(tls, file); rc != lib.SQLITE_OK {
			return rc
		}
		t.start = offset
	}
	if n > held {
		return writeOwn(tls, file, p, n, offset)
	}
	copy(bytesAt(t.buffer+uintptr(t.n), int(n)), bytesAt(p, int(n)))
	t.n += int(n)
	return lib.SQLITE_OK
}

func read(tls *libc.TLS, file, p uintptr, n int32, offset int64) int32 {
	if rc := put(tls, file); rc != lib.SQLITE_OK {
		return lib.SQLITE_IOERR_WRITE
	}
	return function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](ownOf(file).FxRead)(tls, file, p, n, offset)
}

func truncate(tls *libc.TLS, file uintptr, size int64) int32 {
	if rc := put(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return function[func(*libc.TLS, uintptr, int64) int32](ownOf(file).FxTruncate)(tls, file, size)
}

func flush(tls *libc.TLS, file uintptr, flags int32) int32 {
	if rc := put(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return function[func(*libc.TLS, uintptr, int32) int32](ownOf(file).FxSync)(tls, file, flags)
}

func size(tls *libc.TLS, file, out uintptr) int32 {
	if rc := put(tls, file); rc != lib.SQLITE_OK {
		return lib.SQLITE_IOERR_WRITE
	}
	return function[func(*libc.TLS, uintptr, uintptr) int32](ownOf(file).FxFileSize)(tls, file, out)
}

func control(tls *libc.TLS, file uintptr, op int32, arg uintptr) int32 {
	if rc := put(tls, file); rc != lib.SQLITE_OK {
		return lib.SQLITE_IOERR_WRITE
	}
	return function[func(*libc.TLS, uintptr, int32, uintptr) int32](ownOf(file).FxFileControl)(tls, file, op, arg)
}

func shut(tls *libc.TLS, file uintptr) int32 {
	rc := put(tls, file)
	own := ownOf(file)
	libc.Xfree(tls, trayOf(file).buffer)
	// The system's own close looks at nothing but its own data.
	if closed := function[func(*libc.TLS, uintptr) int32](own.FxClose)(tls, file); rc == lib.SQLITE_OK {
		rc = closed
	}
	return rc
}
