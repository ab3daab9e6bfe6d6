package bench

import (
	"strconv"
	"sync/atomic"
)

// prefixes are French mobile ranges of a million numbers each: the known
// people live in the first, the new ones fill the others.
var prefixes = [...]string{"+33612", "+33660", "+33661", "+33662", "+33664", "+33665", "+33666", "+33667", "+33668", "+33650", "+33651", "+33670", "+33671"}

const perPrefix = 1_000_000

// people gives recipients: four of five messages go to known ones, in an order
// that scatters them, and every fifth to somebody never written to before.
type people struct {
	known int
	turn  atomic.Uint64
	fresh atomic.Uint64
}

// begin sets how many are known, and after how many others new ones begin:
// never fewer than a store that is used again has seen.
func (p *people) begin(known int, seen int64) {
	p.known = known
	p.fresh.Store(uint64(max(seen, 0)))
}

// stride is coprime to any number of known people below a million: a prime.
const stride = 15485863

// appendNext appends the number of the next recipient.
func (p *people) appendNext(b []byte) []byte {
	turn := p.turn.Add(1)
	if turn%5 == 0 {
		n := p.fresh.Add(1) - 1
		return appendNumber(b, 1+n/perPrefix%uint64(len(prefixes)-1), n%perPrefix)
	}
	return p.appendKnown(b, (turn-turn/5)*stride%uint64(p.known))
}

func (p *people) appendKnown(b []byte, n uint64) []byte { return appendNumber(b, 0, n) }

func appendNumber(b []byte, prefix, n uint64) []byte {
	b = append(b, prefixes[prefix]...)
	var digits [8]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(b, digits[2:]...)
}

// serial names requests: idempotency keys that no other run used.
type serial struct {
	run  string
	next atomic.Int64
}

func (s *serial) append(b []byte) []byte {
	b = append(append(b, s.run...), '-')
	return strconv.AppendInt(b, s.next.Add(1), 10)
}
