package whatsapp

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// idSource makes ids that repeat only with the same seed and the same start.
type idSource struct {
	nonce uint64
	next  atomic.Uint64
}

func (s *idSource) seed(seed uint64, start time.Time) {
	s.nonce = mix(seed ^ uint64(start.UnixNano()))
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

func (s *idSource) fresh() uint64 { return mix(s.nonce + s.next.Add(1)) }

const upperHex = "0123456789ABCDEF"

// wamid makes a message id that looks like Meta's: base64 that embeds the
// peer's number and 18 hex digits. Nobody should parse it.
func (s *idSource) wamid(peer string, inbound bool) string {
	n := s.next.Add(1)
	var raw [64]byte
	b := append(raw[:0], 0x1C, 0x18, byte(len(peer)))
	b = append(b, peer...)
	direction := byte(0x11)
	if inbound {
		direction = 0x12
	}
	b = append(b, 0x15, 0x02, 0x00, direction, 0x18, 0x12)
	var id [9]byte
	binary.BigEndian.PutUint64(id[:8], mix(s.nonce+n))
	id[8] = byte(n)
	for _, c := range id {
		b = append(b, upperHex[c>>4], upperHex[c&15])
	}
	b = append(b, 0x00)
	var out [6 + 96]byte
	o := append(out[:0], "wamid."...)
	return string(base64.StdEncoding.AppendEncode(o, b))
}

// object makes an id of a stored thing: digits.
func (s *idSource) object() string { return strconv.FormatUint(1e15+s.fresh()%9e15, 10) }

func (s *idSource) trace() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], s.fresh())
	binary.BigEndian.PutUint64(b[8:], s.fresh())
	return "A" + base64.RawURLEncoding.EncodeToString(b[:])
}

// waID is the canonical WhatsApp id of a number, which can differ from what
// was dialled: Brazil drops the ninth digit outside the area codes below 31,
// Mexico adds a 1 (wire facts, section 2.2).
func waID(number string) string {
	switch {
	case len(number) == 13 && strings.HasPrefix(number, "55") && number[2] >= '3' && number[4] == '9':
		return number[:4] + number[5:]
	case len(number) == 12 && strings.HasPrefix(number, "52") && number[2] != '1':
		return "521" + number[2:]
	}
	return number
}

// userID is the business-scoped user id of a number: a country code and
// digits that do not show the number at first sight. numberOf reverses it.
func userID(number string) string {
	b := []byte("XX.1")
	for i := len(number) - 1; i >= 0; i-- {
		b = append(b, '9'-(number[i]-'0'))
	}
	return string(b)
}

func numberOf(user string) (string, bool) {
	digits, ok := strings.CutPrefix(user, "XX.1")
	if !ok || digits == "" {
		return "", false
	}
	b := make([]byte, 0, len(digits))
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i] < '0' || digits[i] > '9' {
			return "", false
		}
		b = append(b, '9'-(digits[i]-'0'))
	}
	return string(b), true
}

// digitsOf takes what may stand around a phone number away; ok is false when
// something else is left or its length is not that of a number.
func digitsOf(to string) (digits string, ok bool) {
	clean := true
	for i := range len(to) {
		if to[i] < '0' || to[i] > '9' {
			clean = false
			break
		}
	}
	if !clean {
		to = strings.NewReplacer("+", "", " ", "", "-", "", "(", "", ")", "", ".", "").Replace(to)
		for i := range len(to) {
			if to[i] < '0' || to[i] > '9' {
				return "", false
			}
		}
	}
	return to, len(to) >= 7 && len(to) <= 15
}
