package durability

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-messaging/parley/test/internal/rig"
)

// program is the path of the binary under test.
var program string

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, func(bin string) { program = bin }))
}

// tracer finds strace, or ends the test with the command that installs it.
func tracer(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("strace is not installed; run: sudo apt-get install -y strace")
	}
	return path
}

// A call is one system call as strace wrote it down.
type call struct {
	began, ended float64 // seconds; ended is 0 while it has not
	name, args   string
	failed       bool
}

var (
	whole   = regexp.MustCompile(`^(\d+) +(\d+\.\d+) (\w+)\((.*)\) += (-?\d+)(?: \w+ \(.*\))? <(\d+\.\d+)>$`)
	opened  = regexp.MustCompile(`^(\d+) +(\d+\.\d+) (\w+)\((.*) <unfinished \.\.\.>$`)
	resumed = regexp.MustCompile(`^(\d+) +(\d+\.\d+) <\.\.\. (\w+) resumed>(.*)\) += (-?\d+)`)
)

// read parses what strace -f -ttt -T wrote; calls are in the order of their
// beginnings.
func read(t *testing.T, path string) []*call {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) float64 {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatalf("strace wrote the time %q", s)
		}
		return f
	}
	var list []*call
	waiting := map[string]*call{} // by thread
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		line := lines.Text()
		if m := whole.FindStringSubmatch(line); m != nil {
			at := number(m[2])
			list = append(list, &call{at, at + number(m[6]), m[3], m[4], strings.HasPrefix(m[5], "-")})
		} else if m := opened.FindStringSubmatch(line); m != nil {
			c := &call{began: number(m[2]), name: m[3], args: m[4]}
			waiting[m[1]] = c
			list = append(list, c)
		} else if m := resumed.FindStringSubmatch(line); m != nil {
			if c := waiting[m[1]]; c != nil {
				c.ended, c.failed = number(m[2]), strings.HasPrefix(m[5], "-")
				c.args += m[4]
				delete(waiting, m[1])
			}
		}
	}
	return list
}

// TestFlushBeforeAnswer: between the coming of each request and the leaving of
// its 202, the database's log is written and its fdatasync has come to an end.
func TestFlushBeforeAnswer(t *testing.T) {
	w := rig.NewWorld(t, program, "")
	n := w.Node("one")
	key := n.FirstKey()
	n.Start()
	n.Up(30 * time.Second)
	n.Seed(key, "", nil)
	n.Terminate(t, 30*time.Second)

	trace := watch(t, n)
	ask(t, n)
	stop(t, n)

	calls := read(t, trace)
	asked, answered := requestsOf(calls)
	if len(answered) != requests || len(asked) != requests {
		t.Fatalf("%d requests and %d answers are in the trace, of %d", len(asked), len(answered), requests)
	}
	for name, answer := range answered {
		if why := flushed(calls, sqliteLog, asked[name], answer); why != nil {
			t.Errorf("%s: %v", name, why)
		}
	}
}

// requests is how many ask makes.
const requests = 20

// ask sends messages, half of them alone in their commits, half sharing some.
func ask(t *testing.T, n *rig.Node) {
	t.Helper()
	var all sync.WaitGroup
	for i := range requests {
		send := func() {
			n.API.Must(t, "POST", "/v1/messages", map[string]any{
				"to": fmt.Sprintf("+336200000%02d", i), "purpose": "utility", "content": map[string]any{"text": "hello"}, "route": []any{map[string]any{"channel": "sms"}},
			}, nil, "X-Request-Id", fmt.Sprintf("flush-%04d", i))
		}
		if i < requests/2 {
			send() // alone in its commit
		} else {
			all.Go(send) // sharing one
		}
	}
	all.Wait()
}

// requestsOf finds the reading of each request of ask and the writing of its 202.
func requestsOf(calls []*call) (asked, answered map[string]*call) {
	asked, answered = map[string]*call{}, map[string]*call{}
	id := regexp.MustCompile(`(?i)x-request-id: (flush-\d{4})`)
	for _, c := range calls {
		m := id.FindStringSubmatch(c.args)
		switch {
		case m == nil || c.failed:
		case c.name == "read" && asked[m[1]] == nil:
			asked[m[1]] = c
		case c.name == "write" && strings.Contains(c.args, "202 Accepted"):
			answered[m[1]] = c
		}
	}
	return asked, answered
}

// The logs of the stores, as strace names their files.
var (
	sqliteLog   = regexp.MustCompile(`^\d+<[^>]*parley\.db-wal>`)
	postgresLog = regexp.MustCompile(`^\d+<[^>]*/pg_wal/[0-9A-F]{24}>`)
)

// watch starts a node under strace and gives where the trace will be.
func watch(t *testing.T, n *rig.Node) string {
	t.Helper()
	trace := filepath.Join(n.W.Dir, "trace")
	n.Process = rig.Launch(t, filepath.Join(n.W.Dir, "strace.log"), nil, append([]string{
		tracer(t), "-f", "-ttt", "-T", "-y", "-s", "70000", "-o", trace,
		"-e", "trace=read,write,pwrite64,pwritev,fsync,fdatasync,sync_file_range,sendto",
	}, n.Line()...)...)
	if !n.Up(60 * time.Second) {
		t.Fatal("the server does not start under strace")
	}
	return trace
}

// flushed looks for a write to the log that began after the request was there,
// and for a flush of the log that began after that write had ended and ended
// before the answer began.
func flushed(calls []*call, log *regexp.Regexp, request, answer *call) error {
	written := 0.0
	for _, c := range calls {
		if !log.MatchString(c.args) || c.failed || c.ended == 0 || c.ended > answer.began {
			continue
		}
		switch c.name {
		case "pwrite64", "pwritev", "write":
			if c.began >= request.ended && written == 0 {
				written = c.ended
			}
		case "fdatasync", "fsync":
			if written > 0 && c.began >= written {
				return nil
			}
		}
	}
	if written == 0 {
		return errors.New("the answer left before anything was written to the log")
	}
	return errors.New("the answer left before the log was flushed")
}

// stop ends the server that strace watches, and strace with it.
func stop(t *testing.T, n *rig.Node) {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(n.ID())).Output()
	if err != nil {
		t.Fatalf("the server under strace is not found: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case <-n.Done():
	case <-time.After(60 * time.Second):
		t.Fatal("the server does not stop under strace")
	}
}

// TestFlushedSeesWhatIsMissing: the test above must not pass for want of eyes.
func TestFlushedSeesWhatIsMissing(t *testing.T) {
	wal := "5</d/parley.db-wal>"
	request, answer := &call{began: 1, ended: 1.1, name: "read"}, &call{began: 5, ended: 5.1, name: "write"}
	write := &call{began: 2, ended: 2.1, name: "pwrite64", args: wal}
	for _, c := range []struct {
		name  string
		calls []*call
		good  bool
	}{
		{"in order", []*call{write, {began: 3, ended: 4, name: "fdatasync", args: wal}}, true},
		{"nothing written", []*call{{began: 3, ended: 4, name: "fdatasync", args: wal}}, false},
		{"written before", []*call{{began: 0, ended: 0.5, name: "pwrite64", args: wal}, {began: 3, ended: 4, name: "fdatasync", args: wal}}, false},
		{"never flushed", []*call{write}, false},
		{"flushed too late", []*call{write, {began: 3, ended: 6, name: "fdatasync", args: wal}}, false},
		{"flush failed", []*call{write, {began: 3, ended: 4, name: "fdatasync", args: wal, failed: true}}, false},
		{"another file", []*call{write, {began: 3, ended: 4, name: "fdatasync", args: "5</d/parley.db>"}}, false},
		{"flushed first", []*call{{began: 1.5, ended: 1.6, name: "fdatasync", args: wal}, write}, false},
	} {
		if err := flushed(c.calls, sqliteLog, request, answer); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
