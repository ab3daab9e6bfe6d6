package message_test

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-messaging/parley/message"
)

// joinTable is the whole of message.Join: rows are where a step stands, columns
// what is learnt; "·" means that nothing changes. It is printed word for word
// in docs/states.md.
const joinTable = `
| a step that is | accepted | delivered | read | refused | expired | lost | revoked | unconfirmed |
|---|---|---|---|---|---|---|---|---|
| pending | sent | delivered | read | · | · | · | · | · |
| queued | sent | delivered | read | · | · | · | · | · |
| held | sent | delivered | read | · | · | · | · | · |
| sending | sent | delivered | read | failed | expired | unknown | revoked | · |
| unknown | sent | delivered | read | failed | expired | · | revoked | unconfirmed |
| sent | · | delivered | read | failed | expired | · | revoked | unconfirmed |
| delivered | · | · | read | · | · | · | · | · |
| read | · | · | · | · | · | · | · | · |
| failed | · | delivered | read | · | · | · | · | · |
| skipped | · | delivered | read | · | · | · | · | · |
| expired | · | delivered | read | · | · | · | · | · |
| cancelled | · | delivered | read | · | · | · | · | · |
| unconfirmed | · | delivered | read | failed | expired | · | revoked | · |
| superseded | · | · | · | · | · | · | · | · |
| revoked | · | delivered | read | · | · | · | · | · |
`

// riseTable is the whole of message.Rise: rows are where a message stands,
// columns where a step would take it.
const riseTable = `
| a message that is | scheduled | queued | sending | sent | delivered | read | failed | expired | cancelled | unconfirmed |
|---|---|---|---|---|---|---|---|---|---|---|
| scheduled | · | queued | sending | sent | delivered | read | failed | expired | cancelled | unconfirmed |
| queued | · | · | sending | sent | delivered | read | failed | expired | cancelled | unconfirmed |
| sending | · | · | · | sent | delivered | read | failed | expired | cancelled | unconfirmed |
| sent | · | · | · | · | delivered | read | failed | expired | cancelled | unconfirmed |
| delivered | · | · | · | · | · | read | · | · | · | · |
| read | · | · | · | · | · | · | · | · | · | · |
| failed | · | · | · | · | delivered | read | · | · | · | · |
| expired | · | · | · | · | delivered | read | · | · | · | · |
| cancelled | · | · | · | · | · | · | · | · | · | · |
| unconfirmed | · | · | · | · | delivered | read | · | · | · | · |
`

var factNames = map[string]message.Fact{
	"accepted": message.FactAccepted, "delivered": message.FactDelivered, "read": message.FactRead,
	"refused": message.FactRefused, "expired": message.FactExpired, "lost": message.FactLost,
	"revoked": message.FactRevoked, "unconfirmed": message.FactUnconfirmed,
}

// cells reads a table into row → column → cell.
func cells(t *testing.T, table string) map[string]map[string]string {
	t.Helper()
	out := make(map[string]map[string]string)
	var head []string
	lines := bufio.NewScanner(strings.NewReader(strings.TrimSpace(table)))
	for lines.Scan() {
		row := strings.Split(strings.Trim(lines.Text(), "| "), " | ")
		switch {
		case head == nil:
			head = row
		case strings.HasPrefix(row[0], "--"):
		default:
			if len(row) != len(head) {
				t.Fatalf("row %q has %d cells, want %d", row[0], len(row), len(head))
			}
			out[row[0]] = make(map[string]string)
			for i := 1; i < len(row); i++ {
				out[row[0]][head[i]] = row[i]
			}
		}
	}
	return out
}

func TestJoin(t *testing.T) {
	table := cells(t, joinTable)
	if len(table) != len(message.StepStates) || len(factNames) != len(message.Facts) {
		t.Fatalf("the table has %d rows and %d columns, want %d and %d", len(table), len(factNames), len(message.StepStates), len(message.Facts))
	}
	for _, s := range message.StepStates {
		for name, f := range factNames {
			want := table[s.String()][name]
			if want == "·" {
				want = s.String()
			}
			if got := message.Join(s, f, false); got.String() != want {
				t.Errorf("Join(%s, %s, false) = %s, want %s", s, name, got, want)
			}
			// Once another step has satisfied the message, the only difference is
			// that a first delivery counts as superseded.
			if (want == "delivered" || want == "read") && !s.Success() {
				want = "superseded"
			}
			if got := message.Join(s, f, true); got.String() != want {
				t.Errorf("Join(%s, %s, true) = %s, want %s", s, name, got, want)
			}
		}
	}
}

// What Join promises beyond single cells.
func TestJoinLaws(t *testing.T) {
	for _, s := range message.StepStates {
		for _, f := range message.Facts {
			for _, satisfied := range [...]bool{false, true} {
				once := message.Join(s, f, satisfied)
				if twice := message.Join(once, f, satisfied); twice != once {
					t.Errorf("%s: fact %d twice gives %s, once %s", s, f, twice, once)
				}
				if s.Success() && !once.Success() {
					t.Errorf("%s: fact %d took a delivery back: %s", s, f, once)
				}
				if once.Success() && !s.Success() && f != message.FactDelivered && f != message.FactRead {
					t.Errorf("%s: fact %d delivered without evidence", s, f)
				}
				// Delivered and read come to the same end in either order.
				if f == message.FactDelivered {
					a := message.Join(once, message.FactRead, satisfied)
					b := message.Join(message.Join(s, message.FactRead, satisfied), f, satisfied)
					if a != b {
						t.Errorf("%s: delivered, read = %s but read, delivered = %s", s, a, b)
					}
				}
			}
		}
	}
	// Every order of what a provider says about one attempt that ends well ends
	// well, and one that was refused stays refused.
	for _, last := range [...]message.Fact{message.FactDelivered, message.FactRefused, message.FactExpired} {
		a := message.Join(message.Join(message.StepSending, message.FactAccepted, false), last, false)
		b := message.Join(message.Join(message.StepSending, last, false), message.FactAccepted, false)
		c := message.Join(message.Join(message.Join(message.StepSent, message.FactUnconfirmed, false), last, false), message.FactAccepted, false)
		if a != b || a != c {
			t.Errorf("fact %d: %s, %s and %s by order", last, a, b, c)
		}
	}
}

func TestRise(t *testing.T) {
	table := cells(t, riseTable)
	if len(table) != len(message.States) {
		t.Fatalf("the table has %d rows, want %d", len(table), len(message.States))
	}
	for _, s := range message.States {
		for _, to := range message.States {
			want := table[s.String()][to.String()]
			if want == "·" {
				want = s.String()
			}
			got := message.Rise(s, to)
			if got.String() != want {
				t.Errorf("Rise(%s, %s) = %s, want %s", s, to, got, want)
			}
			if s.Ended() && !got.Ended() {
				t.Errorf("Rise(%s, %s) = %s: an end was undone", s, to, got)
			}
		}
	}
}

// The page newcomers read shows these very tables.
func TestStatesPage(t *testing.T) {
	page, err := os.ReadFile("../docs/states.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range map[string]string{"join": joinTable, "rise": riseTable} {
		if !strings.Contains(string(page), table) {
			t.Errorf("docs/states.md does not show the %s table of this test word for word", name)
		}
	}
	for _, k := range message.FaultKinds {
		if !strings.Contains(string(page), "| `"+k.String()+"` |") {
			t.Errorf("docs/states.md has no row for the fault %s", k)
		}
	}
}

func TestStateNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range message.States {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back message.State
		if err := json.Unmarshal(b, &back); err != nil || back != s {
			t.Errorf("%s came back as %s, %v", s, back, err)
		}
		if seen[s.String()] {
			t.Errorf("two states are called %s", s)
		}
		seen[s.String()] = true
	}
	var s message.State
	for _, bad := range []string{"", "pending", "Sent", "state_3"} {
		if err := s.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q passed as a state", bad)
		}
	}
	for got, want := range map[string]string{
		message.State(99).String(): "state_99", message.StepState(99).String(): "step_99",
		message.FaultKind(99).String(): "fault_99", message.Scope(99).String(): "message",
		message.ReceiptStatus(99).String(): "unknown", message.Outcome(99).String(): "unknown",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestStateKinds(t *testing.T) {
	type kind struct{ Waiting, Open, Success bool }
	want := map[message.StepState]kind{
		message.StepPending: {Waiting: true}, message.StepQueued: {Waiting: true}, message.StepHeld: {Waiting: true},
		message.StepSending: {Open: true}, message.StepUnknown: {Open: true}, message.StepSent: {Open: true},
		message.StepDelivered: {Success: true}, message.StepRead: {Success: true}, message.StepSuperseded: {Success: true},
		message.StepFailed: {}, message.StepSkipped: {}, message.StepExpired: {}, message.StepCancelled: {},
		message.StepUnconfirmed: {}, message.StepRevoked: {},
	}
	got := make(map[message.StepState]kind)
	for _, s := range message.StepStates {
		got[s] = kind{s.Waiting(), s.Open(), s.Success()}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, s := range message.States {
		if s.Ended() != (s >= message.Delivered) {
			t.Errorf("%s.Ended() = %v", s, s.Ended())
		}
	}
}

func TestTrigger(t *testing.T) {
	const d, r, a = 10, 20, 30 // not_delivered_in, not_read_in, not_replied_in
	all := message.Trigger{NotDelivered: d, NotRead: r, NotReplied: a}
	for _, c := range []struct {
		name      string
		t         message.Trigger
		s         message.StepState
		wait      int64
		word      string
		satisfied bool // without a reply
		replied   bool // with one
	}{
		{"only failure, sent", message.Trigger{}, message.StepSent, 0, "", false, false},
		{"only failure, delivered", message.Trigger{}, message.StepDelivered, 0, "", true, true},
		{"all, sent", all, message.StepSent, d, "not_delivered_in", false, true},
		{"all, delivered", all, message.StepDelivered, r, "not_read_in", false, true},
		{"all, read", all, message.StepRead, a, "not_replied_in", false, true},
		{"delivered, delivered", message.Trigger{NotDelivered: d}, message.StepDelivered, 0, "", true, true},
		{"read, delivered", message.Trigger{NotRead: r}, message.StepDelivered, r, "not_read_in", false, true},
		{"read, read", message.Trigger{NotRead: r}, message.StepRead, 0, "", true, true},
		{"shortest wins", message.Trigger{NotDelivered: r, NotReplied: d}, message.StepSent, d, "not_replied_in", false, true},
	} {
		wait, word := c.t.Wait(c.s)
		if int64(wait) != c.wait || word != c.word {
			t.Errorf("%s: waits %d for %q, want %d for %q", c.name, wait, word, c.wait, c.word)
		}
		if got := c.t.Satisfied(c.s, false); got != c.satisfied {
			t.Errorf("%s: satisfied = %v, want %v", c.name, got, c.satisfied)
		}
		if got := c.t.Satisfied(c.s, true); got != c.replied {
			t.Errorf("%s: satisfied by a reply = %v, want %v", c.name, got, c.replied)
		}
	}
}
