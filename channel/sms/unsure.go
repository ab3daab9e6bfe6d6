package sms

import (
	"errors"
	"strings"
	"sync"

	"github.com/parley-messaging/parley/message"
)

// unsure remembers texts whose answer is awaited or was lost, by the reference
// they carry, so that a receipt which repeats the reference settles them.
// References go round after 65535 texts, so the number of the person must fit
// as well. Its memory ends with the process; after that the engine infers by
// addresses.
type unsure struct {
	mu    sync.Mutex
	last  uint16
	texts map[uint16]unsureText
}

type unsureText struct{ to, echo string }

// keep notes a text and gives its reference; never 0.
func (u *unsure) keep(to, echo string) uint16 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last++; u.last == 0 {
		u.last = 1
	}
	if u.texts == nil {
		u.texts = map[uint16]unsureText{}
	}
	u.texts[u.last] = unsureText{to, echo}
	return u.last
}

// settle forgets a text unless err leaves it open whether it left.
func (u *unsure) settle(ref uint16, err error) {
	var fault *message.Fault
	if errors.As(err, &fault) && !fault.Certain {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.texts, ref)
}

// find gives our id of the text that a receipt about to is for, "" if none.
func (u *unsure) find(ref uint16, to string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	text, ok := u.texts[ref]
	if !ok || text.to != strings.TrimPrefix(to, "+") {
		return ""
	}
	return text.echo
}
