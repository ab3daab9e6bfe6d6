package webhook

import (
	"net/http"
	"strconv"
	"time"

	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

// Sign gives the headers of a request signed with several secrets.
func Sign(id string, at time.Time, body []byte, secrets ...string) (http.Header, error) {
	var keys [][]byte
	for _, s := range secrets {
		key, err := vault.WebhookKey(s)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	return http.Header{HeaderID: {id}, HeaderTimestamp: {timestamp}, HeaderSignature: {sign(keys, id, timestamp, body)}}, nil
}

// The schedule's functions, for tests.
var (
	Wait       = wait
	Pause      = pause
	RetryAfter = retryAfter
	Problem    = problem
)

// Split gives the sizes of the requests made of rows.
func Split(rows []*store.WebhookDelivery, batch int) []int {
	var out []int
	for _, l := range split(rows, batch) {
		out = append(out, len(l))
	}
	return out
}
