package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-messaging/parley/app"
)

func startDemo(t *testing.T) *app.Demo {
	t.Helper()
	o := app.DemoOptions{Options: app.Options{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", DataDir: t.TempDir(), Migrate: true}}
	d, err := app.StartDemo(t.Context(), o, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			t.Error("stop:", err)
		}
	})
	return d
}

func call(t *testing.T, d *app.Demo, method, path, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.App.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+d.Key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if len(bytes.TrimSpace(raw)) > 0 {
		if err := json.Unmarshal(raw, &out); err != nil {
			t.Fatalf("%s %s answered %d with %s", method, path, res.StatusCode, raw)
		}
	}
	return res.StatusCode, out
}

// TestGreeting sends what the demo tells a newcomer to paste.
func TestGreeting(t *testing.T) {
	d := startDemo(t)
	var greeting bytes.Buffer
	d.Greet(&greeting)
	_, rest, ok := strings.Cut(greeting.String(), "-d '")
	body, _, ok2 := strings.Cut(rest, "'\n")
	if !ok || !ok2 {
		t.Fatal("the greeting has no curl line")
	}
	status, answer := call(t, d, "POST", "/v1/messages", body)
	if status != http.StatusAccepted {
		t.Fatalf("status %d: %v", status, answer)
	}
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, story := call(t, d, "GET", "/v1/messages/"+answer["id"].(string), "")
		if story["state"] == "read" {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not read in time: %v", story)
		}
	}
}
