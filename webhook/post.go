package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/internal/safedial"
	"github.com/parley-messaging/parley/store"
)

const (
	// answerTimeout is from the last byte of a request to its answer's headers.
	answerTimeout = 15 * time.Second
	// postTimeout bounds one request from the dialling to the end of the answer.
	postTimeout = 25 * time.Second
	// maxAnswer is read of an answer's body, so that its connection can be used
	// again. Nothing of it is kept.
	maxAnswer = 4 << 10

	agent = "Parley-Webhooks/1"
)

// An outcome is what became of one request.
type outcome struct {
	status  int
	problem string        // "" = taken; else a stable word of ours
	after   time.Duration // what the server asked for
	gone    bool          // the server never wants to hear of this endpoint again
	cut     bool          // we stopped it: nothing is known and nothing counts
}

// post makes one request. It never gives the address or anything of an answer
// but its status.
func post(ctx context.Context, c *http.Client, t *target, l *letter, now time.Time) outcome {
	timed, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(timed, http.MethodPost, t.URL, nil)
	if err != nil {
		return outcome{problem: "bad_url"}
	}
	l.attach(r)
	timestamp := strconv.FormatInt(now.Unix(), 10)
	r.Header = http.Header{
		"Content-Type":  {"application/json"},
		"User-Agent":    {agent},
		HeaderID:        {l.id},
		HeaderTimestamp: {timestamp},
		HeaderSignature: {sign(live(t.keys, now), l.id, timestamp, l.body)},
	}
	res, err := c.Do(r)
	if err != nil {
		return outcome{problem: problem(err), cut: ctx.Err() != nil}
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer)
	_ = res.Body.Close()
	o := outcome{status: res.StatusCode}
	switch {
	case res.StatusCode/100 == 2:
		return o
	case res.StatusCode == http.StatusGone:
		o.problem, o.gone = "gone", true
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable:
		o.problem, o.after = "busy", retryAfter(res.Header, now)
	case res.StatusCode/100 == 3:
		o.problem = "redirect" // never followed: it could lead anywhere
	case res.StatusCode/100 == 4:
		o.problem = "refused"
	default:
		o.problem = "server_error"
	}
	return o
}

// problem names a failure to get any answer.
func problem(err error) string {
	var guard *safedial.Error
	var dns *net.DNSError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var timeout net.Error
	switch {
	case errors.As(err, &guard):
		return "forbidden_address"
	case errors.As(err, &dns):
		return "name_not_found"
	case errors.As(err, &verify), errors.As(err, &record), errors.As(err, &alert):
		return "tls"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection_refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return "connection_lost"
	default:
		return "no_answer"
	}
}

// A letter is the body of one request and the rows it carries. Whoever composed it
// releases it.
type letter struct {
	*parcel
	rows []*store.WebhookDelivery
	id   string
}

const (
	batchHead = `{"type":"batch","data":[`
	batchTail = `]}`
)

// compose renders rows into one request. Rows that cannot be rendered are given
// back apart: those that never will, and those that may later.
func compose(ctx context.Context, o event.Opener, rows []*store.WebhookDelivery, batch bool) (l letter, never, later []*store.WebhookDelivery) {
	l.parcel = newParcel()
	if batch {
		l.body = append(l.body, batchHead...)
	}
	for _, r := range rows {
		b := l.body
		if batch && len(l.rows) > 0 {
			b = append(b, ',')
		}
		b, err := event.AppendEvent(ctx, b, o, &r.Event)
		switch {
		case errors.Is(err, event.ErrNotObject):
			never = append(never, r)
			continue
		case err != nil:
			later = append(later, r)
			continue
		}
		l.body, l.rows = b, append(l.rows, r)
	}
	if batch {
		l.body = append(l.body, batchTail...)
	}
	if len(l.rows) > 0 {
		l.id = letterID(l.rows, batch)
	}
	return l, never, later
}

// letterID names a request: by its event, or a batch by all of its events in
// their order.
func letterID(rows []*store.WebhookDelivery, batch bool) string {
	if !batch {
		return rows[0].Event.ID.String()
	}
	h := sha256.New()
	for _, r := range rows {
		h.Write(r.Event.ID[:])
	}
	var sum [sha256.Size]byte
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	out := append(make([]byte, 0, 32), "batch_"...)
	for _, c := range h.Sum(sum[:0])[:26] {
		out = append(out, digits[c&31])
	}
	return string(out)
}
