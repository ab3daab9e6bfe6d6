// Package media keeps files: what a brand sends and what people send back. It
// takes them in as a stream, judges type and size, seals them in chunks of
// 64 KiB under the key of the person they belong to (the workspace's for the
// brand's own), fetches what providers hold for us before it expires, and opens
// files under short signed links on the operator's own domain.
//
// It is no archive and no content network: files expire. It does not know how a
// message is told to a channel (package channel does) nor when one is sent
// (package engine does), and it holds no SQL.
//
// Start with [Keeper.Put]; the way of a link is link.go and serve.go, that of a
// file from a person fetch.go.
package media
