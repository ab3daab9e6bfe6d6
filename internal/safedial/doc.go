// Package safedial calls addresses that strangers gave us (webhooks, media)
// without letting them reach what only we can reach: our own machine, the
// private network, a cloud's metadata service (server side request forgery).
//
// [Guard.CheckURL] judges a URL when it is stored, so that a mistake is told at
// once. It asks no name server, and a name may be pointed elsewhere at any time
// after: what protects is [Guard.DialContext], which judges the very address
// that is about to be connected to. Redirects are the caller's to refuse:
// [Guard.Client] does.
//
// It is no firewall: an operator who can should still keep the process from
// networks it has no business with.
//
// Start with [Guard].
package safedial

// An Error says why a URL or address is refused. It repeats neither.
type Error struct {
	Reason string // a stable word, such as "private"
	Text   string // for people, with a remedy where there is one
}

// Error gives the text.
func (e *Error) Error() string { return e.Text }

func refuse(reason, text string) error { return &Error{Reason: reason, Text: text} }
