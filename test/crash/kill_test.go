package crash

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/parley-messaging/parley/internal/crashpoint"
	"github.com/parley-messaging/parley/test/internal/rig"
)

// kills is how many kills a test makes on each store.
func kills(t *testing.T) int {
	text := os.Getenv("CRASH_KILLS")
	if text == "" {
		return len(crashpoint.Points()) // once each
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("CRASH_KILLS is %q, not a number of kills", text)
	}
	return n
}

// TestKills kills one node again and again, half of the time at a named point
// and half at random, while clients send and people write; then it lets
// everything come to an end and compares the journals.
func TestKills(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		killing(t, "")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		killing(t, database(t))
	})
}

func killing(t *testing.T, url string) {
	w := rig.NewWorld(t, program, url)
	n := w.Node("one")
	key := n.FirstKey()
	n.Start()
	n.Up(30 * time.Second)
	n.API.Key = key
	hooks := listen(t)
	hooks.enlist(t, n.API)
	brand := n.Seed(key, "", nil)

	l := newLoad(t, w, brand, func() *rig.Client { return n.API })
	l.begin(4, 15*time.Millisecond)
	died := map[string]int{}
	var back time.Duration // the longest way back to answering
	r := rand.New(rand.NewPCG(1, uint64(kills(t))))
	points := crashpoint.Points()
	for i := range kills(t) {
		// The life that begins here ends at a point, or when its time has come.
		var env []string
		how, patience := "random", time.Duration(30+r.IntN(600))*time.Millisecond
		if i%2 == 0 || kills(t) <= len(points) {
			how, patience = points[i/2%len(points)], 3*time.Second
			if kills(t) <= len(points) {
				how = points[i%len(points)]
			}
			most := 25
			if how == crashpoint.Lease {
				most = 2
			}
			env = []string{crashpoint.Variable + "=" + how + ":" + strconv.Itoa(1+r.IntN(most))}
		}
		n.Kill()
		began := time.Now()
		n.Start(env...)
		if n.Up(30 * time.Second) {
			back = max(back, time.Since(began))
			balanced(t, n)
		}
		select {
		case <-n.Done():
			died[how]++
		case <-time.After(patience):
			if how != "random" {
				how = "late" // its point was not passed often enough
			}
			died[how]++
		}
		if t.Failed() {
			break
		}
	}
	n.Kill()
	n.Start()
	n.Up(30 * time.Second)
	l.end()
	drain(t, n, w)
	// What only time can settle is given its time: a day and more.
	n.Terminate(t, 30*time.Second)
	n.Args = []string{"--clock-skew", "25h"}
	n.Start()
	n.Up(30 * time.Second)
	settle(t, n)
	v := compare(t, l, n.API, hooks)
	rooms, err := audit(n)
	if err != nil || len(rooms) != 1 || rooms[0].Books.Charges != v.Charges || rooms[0].Books.Accepted != v.Promised || len(rooms[0].Problems) > 0 {
		t.Errorf("the log tells %d charges, clients %d messages, and the books are %+v (%v)", v.Charges, v.Promised, rooms, err)
	}
	n.Terminate(t, 30*time.Second)
	audited(t, w, n)
	t.Logf("%d kills (%v), back within %s at the longest; %+v", kills(t), died, back.Round(time.Millisecond), v)
	if died["late"]*4 > kills(t) {
		t.Errorf("%d of %d kills missed their point", died["late"], kills(t))
	}
}

// balanced asks a node that may die at any moment for its books.
func balanced(t *testing.T, n *rig.Node) {
	t.Helper()
	rooms, err := audit(n)
	if err != nil {
		return // it died, or was about to
	}
	for _, room := range rooms {
		if len(room.Problems) > 0 {
			t.Errorf("the books do not balance: %v: %+v", room.Problems, room.Books)
		}
	}
}

// drain waits until nothing is in flight but what nobody can know.
func drain(t *testing.T, n *rig.Node, w *rig.World) {
	t.Helper()
	var open []message
	deadline := time.Now().Add(60 * time.Second)
	pushed := time.Now()
	for {
		open = open[:0]
		for _, m := range messages(t, n.API, "outbound") {
			if !m.ended() && !m.unknown() {
				open = append(open, m)
			}
		}
		var s struct {
			WhatsApp struct{ Waiting int } `json:"whatsapp"`
			SMS      struct{ Waiting int } `json:"sms"`
		}
		w.Control.Must(t, "GET", "/stats", nil, &s)
		if len(open) == 0 && s.WhatsApp.Waiting == 0 && s.SMS.Waiting == 0 {
			return
		}
		if time.Since(pushed) > 5*time.Second {
			// Providers wait longer and longer between their tries.
			w.Control.Must(t, "POST", "/clock/advance", map[string]any{"by": "1m"}, nil)
			pushed = time.Now()
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages do not come to an end, the sandbox has %+v left to tell; the first: %+v", len(open), s, open[:min(3, len(open))])
		}
		<-time.After(100 * time.Millisecond) // between two looks
	}
}

// settle waits until nothing at all is in flight, nothing is left to tell and
// the log's readers stand at its end.
func settle(t *testing.T, n *rig.Node) {
	t.Helper()
	var last []workspaceAudit
	deadline := time.Now().Add(60 * time.Second)
	for {
		rooms, err := audit(n)
		if err != nil {
			t.Fatal(err)
		}
		last = rooms
		left := 0
		for _, room := range rooms {
			left += room.Books.Ready + room.Books.Waiting + room.Books.Callbacks + room.Books.Untold + room.Books.Unbooked + room.Books.Webhooks["pending"]
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("something stays in flight for ever: %+v", last)
		}
		<-time.After(100 * time.Millisecond) // between two looks
	}
}

// audited runs parley audit on the database alone, and against the sandbox.
func audited(t *testing.T, w *rig.World, n *rig.Node) {
	t.Helper()
	args := []string{"audit", "--json", "--sandbox", w.Control.Base, "--data-dir", w.Dir + "/data"}
	if w.Database != "" {
		args = append(args, "--database-url", w.Database)
	}
	cmd := exec.Command(program, args...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("parley audit: %v\n%s", err, out)
	}
	var report struct {
		Workspaces []workspaceAudit
		Sandbox    struct {
			Problems []string
			Notes    []string
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("parley audit: %v\n%s", err, out)
	}
	if len(report.Workspaces) == 0 || report.Workspaces[0].Books.Accepted == 0 {
		t.Errorf("parley audit saw nothing: %s", out)
	}
	if len(report.Sandbox.Notes) > 0 {
		t.Log(fmt.Sprint("parley audit notes: ", report.Sandbox.Notes))
	}
}
