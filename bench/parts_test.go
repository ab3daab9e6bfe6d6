package bench

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

func TestPeople(t *testing.T) {
	var p people
	p.begin(80, 7)
	known, fresh := map[string]int{}, map[string]int{}
	for range 1000 {
		n := string(p.appendNext(nil))
		if len(n) != 12 {
			t.Fatalf("%q is no French mobile number", n)
		}
		if strings.HasPrefix(n, prefixes[0]) {
			known[n]++
		} else {
			fresh[n]++
		}
	}
	if len(known) != 80 || len(fresh) != 200 {
		t.Errorf("%d known and %d new people, want all 80 and a fifth of 1000", len(known), len(fresh))
	}
	for n, times := range fresh {
		if times != 1 {
			t.Errorf("%s was new %d times", n, times)
		}
	}
}

func TestConn(t *testing.T) {
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch calls++; calls {
		case 1:
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(`{"id":"msg_1"}`))
		case 2:
			_, _ = w.Write(bytes.Repeat([]byte("x"), 100_000)) // chunked
		case 3:
			w.Header().Set("Retry-After", "2")
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	c := &conn{address: s.Listener.Addr().String(), timeout: 5 * time.Second, now: time.Now}
	defer c.close()
	for i, want := range []answer{
		{status: 202, body: []byte(`{"id":"msg_1"}`)},
		{status: 200, body: bytes.Repeat([]byte("x"), 100_000)},
		{status: 503, retry: 2 * time.Second},
		{status: 200}, // on a new connection
	} {
		got, err := c.ask([]byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n"))
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if got.status != want.status || got.retry != want.retry || !bytes.Equal(got.body, want.body) {
			t.Errorf("%d: %d %s with %d bytes, want %d %s with %d", i, got.status, got.retry, len(got.body), want.status, want.retry, len(want.body))
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := &conn{in: bufio.NewReader(bytes.NewReader(raw))}
		a, err := c.read()
		if err == nil && (a.status < 0 || len(a.body) > len(raw)) {
			t.Errorf("read %+v from %q", a, raw)
		}
	})
}

func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		body  string
		n     int
		batch bool
		want  int
		err   error
	}{
		{`{"id":"msg_1"}`, 1, false, 1, nil},
		{`{"accepted":100,"refused":0,"data":[]}`, 100, true, 100, nil},
		{`{"accepted":99,"refused":1,"data":[{"index":0,"error":{"code":"x"}}]}`, 100, true, 99, errVerdict},
		{`{"data":[]}`, 100, true, 0, errAnswer},
		{``, 100, true, 0, errAnswer},
	} {
		got, err := accepted([]byte(c.body), c.n, c.batch)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("accepted(%s) = %d, %v", c.body, got, err)
		}
	}
}

func TestPercentile(t *testing.T) {
	var l tally
	if got := l.percentile(50); got != 0 {
		t.Errorf("of nothing = %v", got)
	}
	for i := range 1000 {
		l.waits = append(l.waits, int32(1000*(i+1)))
	}
	for p, want := range map[float64]float64{50: 500, 99: 990, 99.9: 999, 100: 1000, 0: 1} {
		if got := l.percentile(p); got != want {
			t.Errorf("p%v = %v, want %v", p, got, want)
		}
	}
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("median = %v", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("median of four = %v", got)
	}
}

func TestSinkCounts(t *testing.T) {
	s, err := newSink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	body := `{"type":"batch","data":[{"id":"evt_1","type":"message.sent"},{"id":"evt_2","type":"message.delivered","data":{"id":"msg_1"}},{"id":"evt_3","type":"message.failed"}]}`
	for _, path := range []string{"/events", dlrPath} {
		res, err := http.Post(s.url+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	if s.events() != 4 || s.ended.Load() != 3 || s.posts.Load() != 2 {
		t.Errorf("%d events, %d ends, %d requests; want 4, 3, 2", s.events(), s.ended.Load(), s.posts.Load())
	}
}

func TestProc(t *testing.T) {
	s, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if s.parent != os.Getppid() || !strings.HasPrefix(s.name, "bench") {
		t.Errorf("stat = %+v", s)
	}
	if _, err := tree(os.Getpid()); err != nil {
		t.Error(err)
	}
	if size, err := peak(os.Getpid()); err != nil || size < 1<<20 {
		t.Errorf("peak = %d, %v", size, err)
	}
	m, err := machine()
	if err != nil || m.all <= 0 || m.idle > m.all {
		t.Errorf("machine = %+v, %v", m, err)
	}
}
