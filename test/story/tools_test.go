package story

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// binary is the built program.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	if err := look("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "parley-story-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a left-over hurts nobody
	binary = filepath.Join(dir, "parley")
	out, err := exec.Command("go", "build", "-o", binary, "../../cmd/parley").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// look stats every source of the program, so that go test knows what its
// cached result depends on: the build in between hides it.
func look(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == ".git" || name == "node_modules" || name == "test") {
			return filepath.SkipDir
		}
		if !d.IsDir() && (strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".sql") || strings.HasSuffix(name, ".json")) {
			_, err = os.Stat(path)
		}
		return err
	})
}

// patience is how long anything may take on a busy machine.
const patience = 30 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually asks until it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("it never came: %s", what)
		}
	}
}

// A place is a folder with an environment in which programs run.
type place struct {
	t   *testing.T
	dir string
	env []string
}

func newPlace(t *testing.T) *place {
	dir := t.TempDir()
	return &place{t: t, dir: dir, env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_CONFIG_HOME=" + dir}}
}

func (p *place) set(name, value string) { p.env = append(p.env, name+"="+value) }

// run runs the program to its end.
func (p *place) run(args ...string) (out, problems string, code int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env, &stdout, &stderr
	err := cmd.Run()
	var left *exec.ExitError
	if err != nil && !errors.As(err, &left) {
		p.t.Fatalf("parley %s: %v", strings.Join(args, " "), err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// ok runs the program and wants it to succeed.
func (p *place) ok(args ...string) string {
	p.t.Helper()
	out, problems, code := p.run(args...)
	if code != 0 {
		p.t.Fatalf("parley %s: exit %d\n%s%s", strings.Join(args, " "), code, out, problems)
	}
	return out
}

// A program runs on its own until it is stopped.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan error

	mu     sync.Mutex
	lines  []string
	stderr bytes.Buffer
}

// Write takes what the program says on stderr.
func (g *program) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stderr.Write(b)
}

// start starts the program and returns at once.
func (p *place) start(args ...string) *program {
	p.t.Helper()
	g := &program{t: p.t, cmd: exec.Command(binary, args...), ended: make(chan error, 1)}
	g.cmd.Dir, g.cmd.Env, g.cmd.Stderr = p.dir, p.env, g
	stdout, err := g.cmd.StdoutPipe()
	must(p.t, err)
	must(p.t, g.cmd.Start())
	go func() {
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			g.mu.Lock()
			g.lines = append(g.lines, lines.Text())
			g.mu.Unlock()
		}
		g.ended <- g.cmd.Wait()
	}()
	p.t.Cleanup(func() {
		_ = g.cmd.Process.Kill() // it may have ended long ago
		if p.t.Failed() {
			p.t.Logf("parley %s said:\n%s", args[0], g.problems())
		}
	})
	return g
}

func (g *program) said() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.lines...)
}

func (g *program) problems() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stderr.String()
}

// until waits for a line that holds a text, and gives everything said so far.
func (g *program) until(text string) string {
	g.t.Helper()
	var all string
	eventually(g.t, "a line with "+text, func() bool {
		select {
		case err := <-g.ended:
			g.t.Fatalf("it ended (%v) before it said %q:\n%s", err, text, g.problems())
		default:
		}
		all = strings.Join(g.said(), "\n")
		return strings.Contains(all, text)
	})
	return all
}

// interrupt is Ctrl-C; the program must end by itself, and well.
func (g *program) interrupt() {
	g.t.Helper()
	must(g.t, g.cmd.Process.Signal(os.Interrupt))
	end := time.NewTimer(patience)
	defer end.Stop()
	select {
	case err := <-g.ended:
		if err != nil {
			g.t.Fatalf("it did not end well: %v\n%s", err, g.problems())
		}
	case <-end.C:
		g.t.Fatal("it does not stop")
	}
}

// An api is the server over HTTP.
type api struct {
	t         *testing.T
	base, key string
}

// call gives the status and the answer as JSON.
func (a *api) call(method, path string, body any) (int, map[string]any) {
	a.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		must(a.t, err)
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, a.base+path, in)
	must(a.t, err)
	req.Header.Set("Authorization", "Bearer "+a.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	must(a.t, err)
	defer func() { must(a.t, res.Body.Close()) }()
	out := map[string]any{}
	raw, err := io.ReadAll(res.Body)
	must(a.t, err)
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out); err != nil {
			a.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, raw)
		}
	}
	return res.StatusCode, out
}

// want calls and wants a status.
func (a *api) want(status int, method, path string, body any) map[string]any {
	a.t.Helper()
	got, out := a.call(method, path, body)
	if got != status {
		a.t.Fatalf("%s %s: %d, want %d: %v", method, path, got, status, out)
	}
	return out
}

// at walks into an answer: names of members and numbers of items.
func at(v any, path ...any) any {
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				return nil
			}
			v = m[key]
		case int:
			list, ok := v.([]any)
			if !ok || key >= len(list) {
				return nil
			}
			v = list[key]
		}
	}
	return v
}

func text(v any, path ...any) string {
	s, ok := at(v, path...).(string)
	if !ok {
		return ""
	}
	return s
}

func length(v any, path ...any) int {
	list, ok := at(v, path...).([]any)
	if !ok {
		return 0
	}
	return len(list)
}
