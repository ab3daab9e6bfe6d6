// Package archtest holds the laws of the house as tests: which room may import
// which and why not the others, where the clock may be read, what no file does.
// It has no code of its own and nothing imports it.
//
// Start with rooms_test.go, the import law; a new room needs a line there. The
// laws of the data (no personal column in the clear, every table covered by
// erase) are tested where the data lives.
package archtest
