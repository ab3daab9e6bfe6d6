// Package ledger books what attempts cost: it follows the event log and turns
// every event that carries a charge into a row. Charges follow from events and
// from nothing else, so that reading the log again gives the same books.
//
// It sets no price and judges none: the engine's events say what is due, by
// whose word. It counts events for the metrics on the way, since it sees all
// of them.
//
// Start with [New].
package ledger
