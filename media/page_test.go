package media

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Every page of every language is whole, well formed, needs nothing from
// elsewhere, and says what its status says.
func TestFarewells(t *testing.T) {
	for lang, said := range words {
		for why, status := range map[reason]int{over: http.StatusGone, broken: http.StatusNotFound, later: http.StatusServiceUnavailable} {
			if said[why][0] == "" || said[why][1] == "" {
				t.Errorf("%s has no words for %d", lang, status)
			}
			r := httptest.NewRequest(http.MethodGet, "/m/x", nil)
			r.Header.Set("Accept-Language", lang+"-XX,en;q=0.5")
			w := httptest.NewRecorder()
			farewell(w, r, status, why)
			body := w.Body.String()
			if w.Code != status || w.Header().Get("Content-Language") != lang || !strings.Contains(body, `lang="`+lang+`"`) || !strings.Contains(body, said[why][0]) {
				t.Errorf("%s %d: %d %v", lang, status, w.Code, w.Header())
			}
			if strings.Contains(body, "http") || strings.Contains(body, "url(") {
				t.Errorf("%s %d needs something from elsewhere", lang, status)
			}
			d := xml.NewDecoder(strings.NewReader(body))
			d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s %d is not well formed: %v", lang, status, err)
				}
			}
		}
	}
	w := httptest.NewRecorder()
	farewell(w, httptest.NewRequest(http.MethodHead, "/m/x", nil), http.StatusGone, over)
	if w.Body.Len() > 0 {
		t.Error("HEAD has a body")
	}
}
