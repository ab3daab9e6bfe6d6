// Package crashpoint lets a test kill this program at its worst moments: at
// the points named in the code, between a commit and its effect or between an
// effect and its commit.
//
// It does nothing unless PARLEY_CRASH_AT=name or name:n is in the environment;
// then the n-th passage of that point ends the process as kill -9 would: no
// deferred call runs, nothing is flushed, nobody is told. The points are listed
// by [Points]; test/crash visits them all. Start with [At].
package crashpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Variable is the environment variable that arms one point.
const Variable = "PARLEY_CRASH_AT"

// Names of the points, in the order of a message's life.
const (
	Accept        = "accept"         // a message is planned, its commit has not begun
	Accepted      = "accepted"       // its commit is durable, the client has no answer
	Attempted     = "attempted"      // the attempt is durable, its bytes have not left
	Sent          = "sent"           // the provider answered, the answer is not stored
	Answered      = "answered"       // the answer is stored, nothing was told
	CallbackKept  = "callback-kept"  // a provider's request is durable and not answered
	CallbackDone  = "callback-done"  // its events are durable, the request is not cleared
	Receipt       = "receipt"        // a receipt is joined durably, its bearer has no answer
	Received      = "received"       // a person's message is durable, its bearer has no answer
	Lease         = "lease"          // a connector's lease is ours, its lane has not begun
	WebhookPosted = "webhook-posted" // a client took an event, that is not stored
	Charging      = "charging"       // charges are read from the log, not booked
	Charged       = "charged"        // charges are booked
)

// Points lists every name.
func Points() []string {
	return []string{Accept, Accepted, Attempted, Sent, Answered, CallbackKept, CallbackDone, Receipt, Received, Lease, WebhookPosted, Charging, Charged}
}

// armed reads the environment once. It is the one variable of a package in
// this program: points lie in rooms that share nothing else, and handing a
// killer through every constructor would make it a part of their design.
var armed = sync.OnceValue(func() *bomb {
	name, count, _ := strings.Cut(os.Getenv(Variable), ":")
	if name == "" {
		return nil
	}
	b := &bomb{name: name}
	n, err := strconv.ParseInt(count, 10, 64)
	b.left.Store(1)
	if err == nil && n > 1 {
		b.left.Store(n)
	}
	return b
})

type bomb struct {
	name string
	left atomic.Int64
}

// At kills the process if the point of this name is armed and this is the
// passage that was asked for. It costs a few nanoseconds otherwise.
func At(name string) {
	b := armed()
	if b == nil || b.name != name || b.left.Add(-1) != 0 {
		return
	}
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill() // SIGKILL: if even that fails, the test sees that we live
	}
	select {} // nothing beyond this point may happen
}
