package webhook_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/parley-messaging/parley/event"
	"github.com/parley-messaging/parley/store"
)

// An endpoint that answers without end is hung up on: it took what it was told.
func TestEndlessAnswer(t *testing.T) {
	r := start(t)
	hung := make(chan struct{})
	url := r.serve(func(w http.ResponseWriter, q *http.Request) {
		w.WriteHeader(http.StatusOK)
		for chunk := make([]byte, 64<<10); ; {
			if _, err := w.Write(chunk); err != nil || q.Context().Err() != nil {
				close(hung)
				return
			}
		}
	})
	e, _ := r.endpoint(url)
	r.dispatcher()
	began := time.Now()
	r.events(event.MessageReceived, r.message())
	r.until("taken", func() bool { return len(r.rows(e, store.WebhookDelivered)) == 1 })
	select {
	case <-hung:
	case <-time.After(patience):
		t.Error("it may go on answering")
	}
	if took := time.Since(began); took > patience {
		t.Errorf("it was listened to for %v", took)
	}
}
