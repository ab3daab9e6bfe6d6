// Package interop holds our channels and our pretend providers against stacks
// that others wrote: npm smpp, Debian's Kannel, npm whatsapp-api-js and npm
// jose. A misunderstanding that we share with ourselves shows here.
//
// It is not the place for tests of behaviour: those live with the channel.
// Start with peer_test.go; npm/ holds the programs that drive the peers, and
// docs/interop.md says what each run proves.
package interop
