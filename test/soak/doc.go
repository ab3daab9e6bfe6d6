// Package soak sends random texts for a long time through the channels and the
// pretend providers, with faults at a low rate: every character must arrive as
// it was sent, and memory must stay flat.
//
// `go test` sends 12,000 messages; PARLEY_SOAK=1000000 (make soak) sends more.
// It is not a measure of speed: that is the package bench. Start with
// soak_test.go; text_test.go makes the texts.
package soak
