// Package api is the HTTP door of Parley: /v1, JSON, one file per resource.
// The Go types here are the contract: openapi.json is generated from them,
// committed, and compared by a test.
//
// It decides nothing about messages (package engine does), keeps nothing
// (package store does) and takes no provider's callbacks (package callback
// does). Errors are RFC 9457 problems with a stable code; no error, log line or
// header repeats a value that a client sent.
//
// Start with [New]; the way of a message in is messages.go, its wire form
// wire.go, its limits request.go.
package api
