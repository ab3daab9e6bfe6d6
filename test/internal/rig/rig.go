// Package rig runs the real program as real processes for the tests of the
// whole: it builds it once, starts servers and the sandbox on fixed addresses,
// kills them, and calls their APIs as a stranger would.
//
// It knows no row and no type of the program: what a test says, it says from
// outside. Start with [Main] and [NewWorld].
package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Main builds the program, hands its path to use, runs the tests of a package
// and removes what it built. It gives the exit code for os.Exit.
func Main(m *testing.M, use func(bin string)) int {
	dir, err := os.MkdirTemp("", "parley-rig")
	if err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin := filepath.Join(dir, "parley")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/parley-messaging/parley/cmd/parley").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "rig: the program does not build: %v\n%s", err, out)
		return 1
	}
	use(bin)
	return m.Run()
}

// A Process is a program that runs, or ran.
type Process struct {
	cmd    *exec.Cmd
	done   chan struct{}
	stdout output
}

// An output is what a process says, readable while it says it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// Launch starts a program that ends with the test at the latest. What it logs
// is appended to a file.
func Launch(t testing.TB, logFile string, env []string, line ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(line[0], line[1:]...), done: make(chan struct{})}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, log
	dieWithUs(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is told by ProcessState
		close(p.done)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Kill ends the process with SIGKILL and returns once it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// Terminate asks the process to stop, and fails the test if it does not within
// a time or ends badly.
func (p *Process) Terminate(t testing.TB, within time.Duration) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(within):
		p.Kill()
		t.Fatalf("it did not stop within %s", within)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("it stopped with status %d", code)
	}
}

// Freeze stops the process in its tracks, as a machine that hangs would; Thaw
// lets it go on.
func (p *Process) Freeze(t testing.TB) { p.signal(t, syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (p *Process) Thaw(t testing.TB) { p.signal(t, syscall.SIGCONT) }

func (p *Process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Output is what the process wrote to its standard output so far.
func (p *Process) Output() string {
	p.stdout.mu.Lock()
	defer p.stdout.mu.Unlock()
	return p.stdout.text.String()
}

// Alive reports whether the process still runs.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ExitCode is the status a process ended with, -1 when a signal ended it or it
// still runs.
func (p *Process) ExitCode() int {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

// ID is the number of the process.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// A Client calls one HTTP API with one key.
type Client struct {
	Base string
	Key  string
	HTTP *http.Client
}

// A StatusError is an answer with a status of 400 or more.
type StatusError struct {
	Status int
	Body   string
}

// Error implements error.
func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Body) }

// Call sends in as JSON (nil: nothing), reads the answer into out (nil: drop
// it) and gives the status. It fails with *StatusError and with errors of the
// network.
func (c *Client) Call(ctx context.Context, method, path string, in, out any, header ...string) (int, error) {
	var body io.Reader
	if raw, ok := in.([]byte); ok {
		body = bytes.NewReader(raw)
	} else if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.Key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	res, err := h.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if res.StatusCode >= 400 {
		return res.StatusCode, &StatusError{res.StatusCode, string(raw)}
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			return res.StatusCode, fmt.Errorf("%s %s: %w: %s", method, path, err, raw)
		}
	}
	return res.StatusCode, nil
}

// Must calls and ends the test on any error.
func (c *Client) Must(t testing.TB, method, path string, in, out any, header ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := c.Call(ctx, method, path, in, out, header...); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// Status gives the status of an error of Call; 0 = the network's.
func Status(err error) int {
	var s *StatusError
	if errors.As(err, &s) {
		return s.Status
	}
	return 0
}

// Eventually waits until a condition holds and gives how long that took; the
// test ends when it never does.
func Eventually(t testing.TB, what string, within time.Duration, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Since(began) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-tick.C
	}
	return time.Since(began)
}
