package webhook

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
)

func TestParcelIsUsedAgainWhenNobodyReads(t *testing.T) {
	p := newParcel()
	p.body = append(p.body, "first"...)
	var r http.Request
	p.attach(&r)
	again, err := r.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	p.release()
	for i, body := range []io.ReadCloser{r.Body, again} {
		if users := p.users.Load(); users != int32(2-i) {
			t.Fatalf("%d users while %d read", users, 2-i)
		}
		if b, err := io.ReadAll(body); err != nil || string(b) != "first" {
			t.Fatalf("read %q, %v", b, err)
		}
		_, _ = body.Close(), body.Close() // twice is once
		if _, err := body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("a closed body gives %v", err)
		}
	}
	if users := p.users.Load(); users != 0 {
		t.Errorf("%d users in the end", users)
	}
}

// TestParcelIsClosedWhileRead: the transport may do so.
func TestParcelIsClosedWhileRead(t *testing.T) {
	for range 100 {
		p := newParcel()
		p.body = append(p.body, make([]byte, 1000)...)
		body := p.open()
		p.release()
		var both sync.WaitGroup
		both.Go(func() {
			for {
				if _, err := body.Read(make([]byte, 10)); err != nil {
					return
				}
			}
		})
		both.Go(func() { _ = body.Close() })
		other := newParcel()
		for range 1000 {
			other.body = append(other.body, 1)
		}
		both.Wait()
		other.release()
	}
}
