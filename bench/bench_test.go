package bench_test

import (
	"bytes"
	stdcmp "cmp"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/bench"
)

// program builds the real binary: what is measured is what is shipped.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "parley")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/parley-messaging/parley/cmd/parley").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

func TestRun(t *testing.T) {
	path := program(t)
	for _, c := range []struct {
		name string
		o    bench.Options
	}{
		{"one at a time", bench.Options{Channel: "sms", Batch: 1, Webhook: 100}},
		{"batches", bench.Options{Channel: "sms", Batch: 100, Webhook: 1}},
		{"without receipts", bench.Options{Channel: "sms", Batch: 1, NoReceipts: true}},
		{"whatsapp", bench.Options{Channel: "whatsapp", Batch: 10, Webhook: 100}},
		{"a backlog", bench.Options{Channel: "sms", Batch: 10, Backlog: 2000, Duration: 200 * time.Millisecond, Webhook: 100}},
		{"receipts later", bench.Options{Channel: "sms", Batch: 10, Latency: 300 * time.Millisecond, Webhook: 100}},
		{"two nodes", bench.Options{Store: "postgres", Nodes: 2, Channel: "sms", Batch: 1, Webhook: 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.o
			o.Program, o.Dir, o.Now = path, t.TempDir(), time.Now
			o.Store, o.Nodes = stdcmp.Or(o.Store, "sqlite"), max(o.Nodes, 1)
			o.Concurrency, o.Messages, o.Recipients, o.Binds, o.Window = 4, 500, 100, 1, 100
			res, err := bench.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if res.Messages != 500 || res.Delivered != 500 || res.Undelivered != 0 || len(res.Problems) > 0 {
				t.Errorf("of 500 messages %d were accepted, %d delivered, %d missing; problems %q", res.Messages, res.Delivered, res.Undelivered, res.Problems)
			}
			if res.MessagesPerSecond <= 0 || res.CPUPerMessage <= 0 || res.AcceptP50 <= 0 || res.AcceptP99 < res.AcceptP50 || res.PeakRSS <= 0 {
				t.Errorf("a figure is missing: %+v", res)
			}
			if c.o.Webhook > 0 && res.WebhookEvents < 3*500 {
				t.Errorf("the webhook was told %d events of 500 messages, want 3 of each", res.WebhookEvents)
			}
			if b := res.Backlog; (b != nil) != (c.o.Backlog > 0) || b != nil && (b.Queued < 2000 || b.OneTimeCodes == 0 || b.Restart == 0) {
				t.Errorf("backlog = %+v", b)
			}
		})
	}
}

func TestResultIsOneLine(t *testing.T) {
	line, err := json.Marshal(&bench.Result{})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{
		"messages", "messages_per_second", "delivered", "cpu_us_per_message", "accept_p50_ms", "accept_p99_ms",
		"peak_rss_bytes", "steal_percent", "store", "channel", "batch", "concurrency", "nodes",
	} {
		if _, ok := got[field]; !ok {
			t.Errorf("%q is promised and missing", field)
		}
	}
	if bytes.ContainsRune(line, '\n') {
		t.Error("more than one line")
	}
}

func TestRunRefuses(t *testing.T) {
	good := bench.Options{Store: "sqlite", Channel: "sms", Batch: 1, Concurrency: 1, Nodes: 1, Duration: time.Second, Recipients: 100}
	for _, c := range []struct {
		option string
		change func(*bench.Options)
	}{
		{"store", func(o *bench.Options) { o.Store = "files" }},
		{"channel", func(o *bench.Options) { o.Channel = "fax" }},
		{"batch", func(o *bench.Options) { o.Batch = 0 }},
		{"concurrency", func(o *bench.Options) { o.Concurrency = 0 }},
		{"nodes", func(o *bench.Options) { o.Nodes = 2 }},
		{"recipients", func(o *bench.Options) { o.Recipients = 0 }},
		{"duration", func(o *bench.Options) { o.Duration = 0 }},
		{"webhook", func(o *bench.Options) { o.Webhook = 101 }},
		{"receipts", func(o *bench.Options) { o.NoReceipts, o.Channel = true, "whatsapp" }},
		{"sandbox", func(o *bench.Options) { o.SMPP = "127.0.0.1:2775" }},
		{"latency", func(o *bench.Options) { o.Latency = time.Hour }},
		{"latency", func(o *bench.Options) { o.Latency, o.SMPP, o.Control = time.Second, "127.0.0.1:2775", "127.0.0.1:8091" }},
		{"url", func(o *bench.Options) { o.URL = "http://127.0.0.1:8080" }},
	} {
		o := good
		c.change(&o)
		_, err := bench.Run(t.Context(), o)
		var bad *bench.OptionError
		if !errors.As(err, &bad) || bad.Option != c.option {
			t.Errorf("%s: err = %v", c.option, err)
		}
	}
}

func TestPlot(t *testing.T) {
	var b bytes.Buffer
	err := bench.Plot(&b, "A <title>", "/s", []bench.Bar{{Label: "one & two", Value: 1000}, {Label: "three", Value: 3210.4, Good: true}})
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/plot.svg")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("plot (-want +got):\n%s", diff)
	}
}
