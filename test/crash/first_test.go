package crash

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/pgtest"
	"github.com/parley-messaging/parley/test/internal/rig"
)

var shownKey = regexp.MustCompile(`PARLEY_API_KEY=(\S+)`)

// shown gives the keys that lives of a node printed.
func shown(outputs ...string) (keys []string) {
	for _, m := range shownKey.FindAllStringSubmatch(strings.Join(outputs, "\n"), -1) {
		keys = append(keys, m[1])
	}
	return keys
}

// TestFirstStartCutOff kills the first start of an installation at any moment,
// on both stores. Whatever was made by then, after the next start its operator
// holds a key that works, and there is one workspace.
func TestFirstStartCutOff(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, nil)
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for cut := range 8 {
				url := ""
				if kind == "postgres" {
					url = pg.Empty(t)
				}
				w := rig.NewWorld(t, program, url)
				n := w.Node("")
				n.Start()
				// A first start takes about 100 ms here; the exact moment is the
				// scheduler's choice.
				select {
				case <-time.After(time.Duration(cut*20) * time.Millisecond):
				case <-n.Done():
				}
				n.Kill()
				first := n.Output()
				n.Start()
				if !n.Up(30 * time.Second) {
					t.Fatal("it does not start after a start that was cut off")
				}
				works := func() bool {
					for _, key := range shown(first, n.Output()) {
						n.API.Key = key
						if _, err := n.API.Call(context.Background(), "GET", "/v1/me", nil, nil); err == nil {
							return true
						}
					}
					return false
				}
				rig.Eventually(t, "the operator holds a key that works", 20*time.Second, works)
				rooms, err := audit(n)
				if err != nil || len(rooms) != 1 {
					t.Errorf("%d workspaces, %v", len(rooms), err)
				}
				n.Terminate(t, 30*time.Second)
			}
		})
	}
}

// TestFirstStartTogether: nodes that meet on an empty database make one
// workspace and show one key.
func TestFirstStartTogether(t *testing.T) {
	t.Parallel()
	w := rig.NewWorld(t, program, database(t))
	// The master key is there before, as on machines that share one.
	if out, err := exec.Command(program, "keys", "init", "--data-dir", filepath.Join(w.Dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("keys init: %v\n%s", err, out)
	}
	var nodes []*rig.Node
	for _, name := range []string{"a", "b", "c"} {
		nodes = append(nodes, w.Node(name, "--journal", filepath.Join(w.Dir, name+".journal")))
	}
	var all sync.WaitGroup
	for _, n := range nodes {
		n.Start()
	}
	for _, n := range nodes {
		all.Go(func() { n.Up(30 * time.Second) })
	}
	all.Wait()
	var outputs []string
	rig.Eventually(t, "a key is shown", 20*time.Second, func() bool {
		outputs = nil
		for _, n := range nodes {
			outputs = append(outputs, n.Output())
		}
		return len(shown(outputs...)) > 0
	})
	for _, n := range nodes {
		n.Terminate(t, 30*time.Second)
	}
	nodes[0].Start()
	nodes[0].Up(30 * time.Second)
	rooms, err := audit(nodes[0])
	if err != nil || len(rooms) != 1 || len(shown(outputs...)) != 1 {
		t.Errorf("%d workspaces and %d keys were made, %v", len(rooms), len(shown(outputs...)), err)
	}
}

// TestStopWhileStarting: a node that is told to stop at any moment of its start
// ends cleanly.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	w := rig.NewWorld(t, program, "")
	n := w.Node("")
	_ = n.FirstKey()
	for cut := range 12 {
		n.Start()
		select {
		case <-time.After(time.Duration(10+cut*10) * time.Millisecond):
		case <-n.Done():
		}
		if err := syscall.Kill(n.ID(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-n.Done()
		if code := n.ExitCode(); code > 0 {
			t.Errorf("stopped after %d ms it ended with status %d", 10+cut*10, code)
		}
	}
}
