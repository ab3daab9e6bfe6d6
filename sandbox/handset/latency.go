package handset

import (
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/parley-messaging/parley/sandbox/fault"
)

// The latency words of Settings.
const (
	Instant = "instant"
	Drawn   = "drawn"
)

// ErrLatency says that a latency is neither a known word nor a duration.
var ErrLatency = errors.New("latency is instant, drawn or a duration such as 3s")

// CheckLatency returns ErrLatency unless s may stand in Settings.Latency.
func CheckLatency(s string) error {
	if s == Instant || s == Drawn {
		return nil
	}
	if d, err := time.ParseDuration(s); err != nil || d < 0 {
		return ErrLatency
	}
	return nil
}

// draw returns how long a message takes to reach the handset, and false when
// it never arrives.
func (h *handset) draw(ch fault.Channel, seed uint64) (time.Duration, bool) {
	switch h.set.Latency {
	case Instant:
		return 0, true
	case Drawn:
		r := h.dice(seed)
		if ch == fault.WhatsApp {
			return drawWhatsApp(r), true
		}
		return drawSMS(r)
	}
	d, err := time.ParseDuration(h.set.Latency)
	return d, err == nil
}

// dice is the handset's own random source, so that one person's fortune does
// not depend on the traffic of another.
func (h *handset) dice(seed uint64) *rand.Rand {
	if h.random == nil {
		h.random = rand.New(rand.NewPCG(seed, hash(h.set.Number)))
	}
	return h.random
}

// drawSMS follows the project's rules 5.5: 5 % never; else 82 % LogNormal
// (median 4 s, s 0.7), 15 % LogNormal (median 300 s, s 1.0), 3 % exponential
// (mean 3 h).
func drawSMS(r *rand.Rand) (time.Duration, bool) {
	if r.Float64() < 0.05 {
		return 0, false
	}
	switch u := r.Float64(); {
	case u < 0.82:
		return logNormal(r, 4, 0.7), true
	case u < 0.97:
		return logNormal(r, 300, 1), true
	}
	return exponential(r, 3*time.Hour), true
}

// drawWhatsApp follows the project's rules 5.5: 85 % LogNormal (median 1.5 s,
// s 0.8), 11 % exponential (mean 40 min), 4 % exponential (mean 24 h).
func drawWhatsApp(r *rand.Rand) time.Duration {
	switch u := r.Float64(); {
	case u < 0.85:
		return logNormal(r, 1.5, 0.8)
	case u < 0.96:
		return exponential(r, 40*time.Minute)
	}
	return exponential(r, 24*time.Hour)
}

func logNormal(r *rand.Rand, median, sigma float64) time.Duration {
	return time.Duration(median * math.Exp(sigma*r.NormFloat64()) * float64(time.Second))
}

func exponential(r *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(mean))
}
