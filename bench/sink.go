package bench

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// A sink is the customer's webhook endpoint: it takes everything and counts.
type sink struct {
	server *http.Server
	url    string
	all    atomic.Int64 // events
	ended  atomic.Int64 // events that end a message
	posts  atomic.Int64 // requests
}

// ends are the events after which nothing more happens to a message of a run.
var ends = [...][]byte{
	[]byte(`"type":"message.delivered"`), []byte(`"type":"message.failed"`), []byte(`"type":"message.expired"`),
	[]byte(`"type":"message.cancelled"`), []byte(`"type":"message.unconfirmed"`),
}

func newSink() (*sink, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{url: "http://" + ln.Addr().String()}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 30 * time.Second}
	go func() { _ = s.server.Serve(ln) }() // its end shows in events that never come
	return s, nil
}

func (s *sink) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		return s.server.Close()
	}
	return nil
}

// dlrPath is where Kannel's delivery reports go.
const dlrPath = "/dlr"

// events is how many were received.
func (s *sink) events() int64 {
	if s == nil {
		return 0
	}
	return s.all.Load()
}

// ServeHTTP takes a request of one event or of a batch.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	s.posts.Add(1)
	if r.URL.Path == dlrPath { // Kannel's way to tell a receipt
		s.all.Add(1)
		s.ended.Add(1)
		return
	}
	s.all.Add(int64(bytes.Count(body, []byte(`"id":"evt_`))))
	for _, end := range ends {
		s.ended.Add(int64(bytes.Count(body, end)))
	}
	w.WriteHeader(http.StatusNoContent)
}
