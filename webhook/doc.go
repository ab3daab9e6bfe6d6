// Package webhook calls customers: it follows the event log, writes one
// delivery row per event and endpoint, and posts those rows until they are
// taken or three days have passed.
//
// A request follows Standard Webhooks 1.0 (headers webhook-id,
// webhook-timestamp and webhook-signature). Its body is one event as GET
// /v1/events shows it, or, where an endpoint asked for batches,
//
//	{"type":"batch","data":[event, …]}
//
// in which no two events are of the same message. The webhook-id is the event's
// id; that of a batch names exactly these events together, so that a receiver
// who remembers webhook-ids never drops an event he has not seen. Deliveries
// are made at least once: who must count, counts event ids.
//
// Events of one message arrive in the order of their version: the next one
// leaves once the one before was taken or given up. Events of different
// messages overtake each other.
//
// An event whose endpoint has nothing waiting and answers quickly is sent before
// its row is written (express.go); everything else is claimed from the rows
// (sender.go).
//
// The package does not decide who may register an address (package api does)
// and keeps no answer of a customer's server: a status and a word of ours.
//
// Start with [New], then sender in sender.go.
package webhook
