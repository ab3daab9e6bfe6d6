// Package rules holds what the law, the networks and the providers decide and
// we only obey: windows, waits, limits, prices, sender law, opt-out words and
// the shape of phone numbers. All of it is dated data, embedded from data/ and
// read once by Load; nothing here is a decision and nothing here performs I/O.
//
// It is not a policy engine: whether a step may go is decided by gates, what it
// costs by package price, from what is found here.
//
// Start with Load, then Set.As, which gives the View in force at a time.
package rules
