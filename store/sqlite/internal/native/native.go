// Package native reaches under SQLite's Go binding for two things that it does
// dearly: writing the write-ahead log (see [Gathering]) and handing blobs over
// (see [Stmt]). All code of the store that handles memory outside Go is here.
//
// SQLite is C translated to Go: its memory is not moved or collected, its
// pointers are uintptrs, and its functions take a thread's state first.
package native

import "unsafe"

// at is the T that lies at address p of SQLite's memory.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// bytesAt is n bytes of SQLite's memory at p, for as long as SQLite leaves
// them there.
func bytesAt(p uintptr, n int) []byte { return unsafe.Slice(at[byte](p), n) }

// pointer is the form in which SQLite keeps the function f, which must be a
// function of the program, not a closure.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// function is the F kept as p.
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }
