package whatsapp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/parley-messaging/parley/sandbox/whatsapp"
)

// BenchmarkSend is the whole life of a template message inside one process:
// the HTTP call, three statuses, the webhook posts.
func BenchmarkSend(b *testing.B) {
	f := newFixture(b, whatsapp.Options{})
	body := `{"messaging_product":"whatsapp","recipient_type":"individual","to":"33612345678","type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"Ada"},{"type":"text","text":"A-42"}]}]},"biz_opaque_callback_data":"ms_0123456789"}`
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequest(http.MethodPost, f.url("/v23.0/106540352242922/messages"), strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer sandbox-token")
			answer, err := f.client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
	})
	for f.server.Stats().Waiting > 0 {
		runtime.Gosched()
	}
}

// BenchmarkHandle is the provider's own share: no sockets.
func BenchmarkHandle(b *testing.B) {
	f := newFixture(b, whatsapp.Options{})
	body := `{"messaging_product":"whatsapp","recipient_type":"individual","to":"33612345678","type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"Ada"},{"type":"text","text":"A-42"}]}]},"biz_opaque_callback_data":"ms_0123456789"}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v23.0/106540352242922/messages", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer sandbox-token")
		f.server.ServeHTTP(httptest.NewRecorder(), r)
	}
}
