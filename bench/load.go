package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A load is many connections that ask without a pause, for a span or until a
// number of messages is in.
type load struct {
	r         *run
	phase     string
	batch     int
	conns     int
	span      time.Duration
	count     int64
	introduce int64 // the first so many messages go to the known people, each once
	purpose   string

	taken    atomic.Int64 // messages that were put into requests
	accepted atomic.Int64
	refused  atomic.Int64
}

// A tally is what a load came to.
type tally struct {
	accepted int64
	refused  int64
	took     time.Duration
	waits    []int32 // µs from request to answer, sorted
}

func (r *run) load(phase string, batch, conns int) *load {
	return &load{r: r, phase: phase, batch: batch, conns: conns, purpose: "utility"}
}

// requestTimeout is how long an answer may take: a load that waits is told
// from a server that hangs.
const requestTimeout = 60 * time.Second

func (l *load) run(ctx context.Context) (*tally, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := l.r.o.Now()
	waits := make([][]int32, l.conns)
	var wg sync.WaitGroup
	for i := range l.conns {
		wg.Go(func() {
			w, err := l.ask(ctx, i, began)
			if err != nil {
				cancel(err)
			}
			waits[i] = w
		})
	}
	done := make(chan struct{})
	var shown sync.WaitGroup
	shown.Go(func() { l.show(done) })
	wg.Wait()
	close(done)
	shown.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	t := &tally{accepted: l.accepted.Load(), refused: l.refused.Load(), took: l.r.o.Now().Sub(began), waits: merged(waits)}
	return t, nil
}

func merged(waits [][]int32) []int32 {
	all := slices.Concat(waits...)
	slices.Sort(all)
	return all
}

func (l *load) show(done <-chan struct{}) {
	total := l.count
	if total == 0 {
		total = -1
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.r.o.Progress(l.phase, l.accepted.Load(), total)
		case <-done:
			return
		}
	}
}

// ask is one connection's work.
func (l *load) ask(ctx context.Context, i int, began time.Time) (waits []int32, err error) {
	now := l.r.o.Now
	s := l.r.servers[i%len(l.r.servers)]
	c := &conn{address: s.address, timeout: requestTimeout, now: now}
	defer c.close()
	waits = make([]int32, 0, 4096)
	var body, request []byte
	for ctx.Err() == nil && (l.span == 0 || now().Sub(began) < l.span) {
		n := l.batch
		if l.count > 0 {
			last := l.taken.Add(int64(n))
			if over := last - l.count; over >= int64(n) {
				break
			} else if over > 0 {
				n -= int(over)
			}
		}
		body = l.appendBody(body[:0], n, l.r.routes[i%len(l.r.routes)])
		request = l.r.appendRequest(request[:0], s.host, n > 1 || l.batch > 1, body)
		for {
			sent := now()
			a, err := c.ask(request)
			if err != nil {
				if ctx.Err() != nil {
					break
				}
				return waits, fmt.Errorf("a request failed: %w", err)
			}
			if a.status == 202 {
				waits = append(waits, int32(min(now().Sub(sent).Microseconds(), math.MaxInt32)))
				got, err := accepted(a.body, n, l.batch > 1)
				if err != nil {
					return waits, err
				}
				l.accepted.Add(int64(got))
				break
			}
			if a.status != 429 && a.status != 503 {
				return waits, fmt.Errorf("the server answered %d: %s", a.status, bytes.TrimSpace(a.body))
			}
			l.refused.Add(1)
			if err := pause(ctx, max(a.retry, 50*time.Millisecond)); err != nil {
				break
			}
		}
	}
	return waits, nil
}

// pause waits, or fails when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errVerdict = errors.New("an item of a batch was refused")

// accepted reads how many of n items an answer took.
func accepted(body []byte, n int, batch bool) (int, error) {
	if !batch {
		return 1, nil
	}
	rest, ok := bytes.CutPrefix(body, []byte(`{"accepted":`))
	end := bytes.IndexByte(rest, ',')
	if !ok || end < 0 {
		return 0, errAnswer
	}
	got, err := strconv.Atoi(string(rest[:end]))
	if err != nil {
		return 0, errAnswer
	}
	if got != n {
		from := max(bytes.Index(body, []byte(`"error"`)), 0)
		return got, fmt.Errorf("%w: %s", errVerdict, body[from:min(from+300, len(body))])
	}
	return got, nil
}

func (r *run) appendRequest(b []byte, host string, batch bool, body []byte) []byte {
	b = append(b, "POST /v1/messages"...)
	if batch {
		b = append(b, "/batch"...)
	}
	b = append(append(b, " HTTP/1.1\r\nHost: "...), host...)
	b = append(append(b, "\r\nAuthorization: Bearer "...), r.key...)
	b = r.requests.append(append(b, "\r\nContent-Type: application/json\r\nIdempotency-Key: "...))
	b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), int64(len(body)), 10)
	return append(append(b, "\r\n\r\n"...), body...)
}

// appendBody writes the JSON of n messages.
func (l *load) appendBody(b []byte, n int, route string) []byte {
	b = append(append(b, `{"purpose":"`...), l.purpose...)
	b = append(append(b, `","route":`...), route...)
	whatsapp := l.r.o.Channel == "whatsapp"
	many := l.batch > 1
	switch {
	case whatsapp && many:
		b = append(b, `,"template":{"name":"boarding_pass","language":"en"}`...)
	case whatsapp:
		b = append(b, `,"template":{"name":"boarding_pass","language":"en","parameters":{"flight":"AF`...)
		b = append(l.number(b), `"}}`...)
	case many:
		b = append(b, `,"content":{"text":"Your order {{order}} is on its way and will arrive tomorrow."}`...)
	default:
		b = append(b, `,"content":{"text":"Your order `...)
		b = append(l.number(b), ` is on its way and will arrive tomorrow."}`...)
	}
	if !many {
		b = append(l.appendPerson(append(b, `,"to":"`...)), `"}`...)
		return b
	}
	b = append(b, `,"messages":[`...)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = l.appendPerson(append(b, `{"to":"`...))
		if whatsapp {
			b = append(l.number(append(b, `","parameters":{"flight":"AF`...)), `"}}`...)
		} else {
			b = append(l.number(append(b, `","parameters":{"order":"`...)), `"}}`...)
		}
	}
	return append(b, "]}"...)
}

func (l *load) appendPerson(b []byte) []byte {
	if l.introduce > 0 {
		if n := l.r.people.turn.Add(1); n <= uint64(l.introduce) {
			return l.r.people.appendKnown(b, n-1)
		}
	}
	return l.r.people.appendNext(b)
}

// number writes five digits that differ from message to message.
func (l *load) number(b []byte) []byte {
	return strconv.AppendUint(b, 10000+l.r.people.turn.Load()%90000, 10)
}

// percentile gives milliseconds.
func (t *tally) percentile(p float64) float64 {
	if len(t.waits) == 0 {
		return 0
	}
	i := int(math.Ceil(p*float64(len(t.waits))/100-1e-9)) - 1
	return round(float64(t.waits[min(max(i, 0), len(t.waits)-1)])/1000, 3)
}

func round(x float64, digits int) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	k := math.Pow10(digits)
	return math.Round(x*k) / k
}

func hostOf(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return "", &OptionError{"url", "must be like http://127.0.0.1:8080: the load generator speaks plain HTTP"}
	}
	return u.Host, nil
}
