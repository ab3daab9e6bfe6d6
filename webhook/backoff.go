package webhook

import (
	"net/http"
	"strconv"
	"time"
)

// schedule is the wait after each failed try of one delivery: 71 hours in all.
// After the try that follows the last wait a delivery is dead.
var schedule = [...]time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 24 * time.Hour,
}

const (
	// disableAfter is for how long every try must have failed before an
	// endpoint is disabled.
	disableAfter = 72 * time.Hour
	// maxRetryAfter bounds what a server may ask for.
	maxRetryAfter = 24 * time.Hour
	// patience is how many failures in a row an endpoint may have before all of
	// its deliveries wait, not only those that failed.
	patience = 5
	// maxPause bounds that waiting: one request asks how things stand.
	maxPause = 5 * time.Minute
)

// wait gives how long a delivery rests after its given number of failed tries
// (1 or more), and false when it is dead. random is in [0, 1): waits vary by a
// tenth so that what failed together does not return together.
func wait(failed int, random float64) (time.Duration, bool) {
	if failed < 1 || failed > len(schedule) {
		return 0, false
	}
	return time.Duration(float64(schedule[failed-1]) * (0.9 + 0.2*random)), true
}

// pause gives how long an endpoint rests after failures in a row.
func pause(failures int) time.Duration {
	if failures < patience {
		return 0
	}
	return min(time.Second<<min(failures-patience, 10), maxPause)
}

// retryAfter reads the header (RFC 9110, section 10.2.3): seconds or a date;
// 0 when it is missing or past.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
