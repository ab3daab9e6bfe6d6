package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// A server is one node under measurement.
type server struct {
	name    string
	process *process // nil: it was running already
	address string   // host:port of the API
	host    string
	base    string
	admin   string
}

// call asks the API or the admin address; in and out may be nil.
func (r *run) call(ctx context.Context, method, url string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute) // books of many million rows take their time
	defer cancel()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s answered %d: %s", method, req.URL.Path, res.StatusCode, bytes.TrimSpace(raw))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// books are those of all workspaces together, as the admin address tells them.
type books struct {
	Accepted int64
	States   map[string]int64
	Problems []string
	Open     int64 // webhook deliveries to be made
}

func (b *books) delivered() int64 { return b.States["delivered"] + b.States["read"] }

func (b *books) ended() int64 {
	n := b.delivered()
	for _, s := range [...]string{"failed", "expired", "cancelled", "unconfirmed"} {
		n += b.States[s]
	}
	return n
}

func (r *run) books(ctx context.Context) (*books, error) {
	var in struct {
		Workspaces []struct {
			Books struct {
				Accepted int64            `json:"accepted"`
				States   map[string]int64 `json:"states"`
				Webhooks map[string]int64 `json:"webhook_deliveries"`
			} `json:"books"`
			Problems []string `json:"problems"`
		} `json:"workspaces"`
	}
	if err := r.call(ctx, "GET", r.servers[0].admin+"/audit", nil, &in); err != nil {
		return nil, fmt.Errorf("the books: %w", err)
	}
	out := &books{States: make(map[string]int64)}
	for _, w := range in.Workspaces {
		out.Accepted += w.Books.Accepted
		for s, n := range w.Books.States {
			out.States[s] += n
		}
		out.Open += w.Books.Webhooks["pending"]
		out.Problems = append(out.Problems, w.Problems...)
	}
	return out, nil
}

// metrics are a server's, by name and labels as they are written.
type metrics map[string]float64

func (m metrics) value(name string) float64 { return m[name] }

// sum adds up a metric over all labels that hold a text.
func (m metrics) sum(name, label string) float64 {
	var n float64
	for k, v := range m {
		if strings.HasPrefix(k, name) && strings.Contains(k, label) {
			n += v
		}
	}
	return n
}

func (s *server) metrics(ctx context.Context) (metrics, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	out := metrics{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "} ")
		if ok {
			name += "}"
		} else if name, value, ok = strings.Cut(lines.Text(), " "); !ok {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil && name != "#" {
			out[name] = v
		}
	}
	return out, lines.Err()
}

// told is how many messages ended, by the events that the servers counted
// since they started: cheap to ask, and some milliseconds behind. Where no
// receipts are asked for it is how many the operator took.
func (r *run) told(ctx context.Context) (int64, error) {
	if r.o.NoReceipts {
		st, err := r.smsc(ctx)
		return st.Accepted, err
	}
	var n float64
	for _, s := range r.servers {
		m, err := s.metrics(ctx)
		if err != nil {
			return 0, err
		}
		for _, end := range [...]string{"delivered", "failed", "expired", "cancelled", "unconfirmed"} {
			n += m.sum("parley_events_total", `type="message.`+end+`"`)
		}
	}
	return int64(n), nil
}

// await waits until n messages more than before have ended, and gives how many
// did not in time, and when the last one did.
func (r *run) await(ctx context.Context, phase string, before *books, n int64) (missing int64, at time.Time, err error) {
	last, since := int64(-1), r.o.Now()
	for {
		told, err := r.told(ctx)
		if err != nil {
			return 0, at, err
		}
		now := r.o.Now()
		if told != last {
			last, since = told, now
		}
		at = since
		if told-r.began >= before.ended()+n-r.ended {
			return 0, now, nil
		}
		r.o.Progress(phase, told-r.began-(before.ended()-r.ended), n)
		if now.Sub(since) > settle {
			b, err := r.books(ctx)
			if err != nil {
				return 0, at, err
			}
			return n - (b.ended() - before.ended()), at, nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return 0, at, err
		}
	}
}

var errStuck = errors.New("nothing moves any more")

// drain waits until every message has ended and every webhook is out.
func (r *run) drain(ctx context.Context, phase string) error {
	b, err := r.books(ctx)
	if err != nil {
		return err
	}
	missing, _, err := r.await(ctx, phase, b, b.Accepted-b.ended())
	if err != nil {
		return err
	}
	if missing > 0 {
		return fmt.Errorf("%w: %d messages have not ended", errStuck, missing)
	}
	return r.awaitWebhooks(ctx)
}

// awaitWebhooks waits until the receiver has heard of every end.
func (r *run) awaitWebhooks(ctx context.Context) error {
	if r.sink == nil || r.o.NoReceipts {
		return nil
	}
	last, since := int64(-1), r.o.Now()
	for {
		told, err := r.told(ctx)
		if err != nil {
			return err
		}
		got := r.sink.ended.Load()
		if got >= told-r.began {
			return nil
		}
		if got != last {
			last, since = got, r.o.Now()
		}
		r.o.Progress("telling the webhook", got, told-r.began)
		if r.o.Now().Sub(since) > settle {
			return fmt.Errorf("%w: the webhook was told the end of %d messages of %d", errStuck, got, told-r.began)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// profile takes processor profiles of the first server, one after another, until
// what it gives is called, and writes FILE, FILE.2, FILE.3 (pprof reads them as
// one). FILE.heap is what memory held while the load ran, FILE.allocs what was
// allocated since the server began.
func (r *run) profile(ctx context.Context) func() error {
	if r.o.Profile == "" {
		return func() error { return nil }
	}
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 1; ; n++ {
			name := r.o.Profile
			if n > 1 {
				name += "." + strconv.Itoa(n)
			}
			if err := r.fetchProfile(ctx, "profile?seconds="+strconv.Itoa(profileSpan), name); err != nil {
				failed <- err
				return
			}
			if n == 1 {
				if err := r.fetchProfile(ctx, "heap", r.o.Profile+".heap"); err != nil {
					failed <- err
					return
				}
			}
			select {
			case <-stop:
				failed <- r.fetchProfile(ctx, "allocs", r.o.Profile+".allocs")
				return
			default:
			}
		}
	}()
	return func() error { close(stop); return <-failed }
}

// profileSpan is how many seconds each processor profile covers.
const profileSpan = 5

func (r *run) fetchProfile(ctx context.Context, what, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.servers[0].admin+"/debug/pprof/"+what, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o600)
}
