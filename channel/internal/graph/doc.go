// Package graph is what the channels on Meta's Graph API share: one HTTP call
// whose outcome is known to be certain or not, the error envelope, the
// signature of webhooks, and a small JSON reader and writer for the hot path.
//
// It knows nothing of messages: what a code means is the channel's table.
// Start with [Client] and [Decoder].
package graph
