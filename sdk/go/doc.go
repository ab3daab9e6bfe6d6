// Package parley is a client of a Parley server: send messages over every
// channel a person uses, follow them, and keep contacts and configuration.
//
//	c := parley.New("https://parley.example.com", "pk_…")
//	sent, err := c.Messages.Send(ctx, &parley.SendRequest{
//		To:      parley.Phone("+33612345678"),
//		Purpose: parley.Utility,
//		Content: &parley.Content{Text: "Your boarding pass is ready."},
//	})
//
// It needs the standard library only. Every send carries an idempotency key,
// so that a call that failed half-way is repeated safely; errors are [*Error].
// It is no server and keeps no state.
//
// Start with [New]; webhooks are checked with [VerifyWebhook].
package parley
