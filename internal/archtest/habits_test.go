package archtest

import (
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every package says what it is, what it is not and where to start.
func TestPackageComments(t *testing.T) {
	documented := make(map[string]bool)
	for _, s := range sources(t) {
		if strings.HasSuffix(s.name, "_test.go") {
			continue
		}
		d := s.dir()
		documented[d] = documented[d] || false
		if s.file.Doc == nil {
			continue
		}
		text := s.file.Doc.Text()
		if s.file.Name.Name == "main" || strings.HasPrefix(text, "Package "+s.file.Name.Name+" ") {
			documented[d] = true
		} else {
			t.Errorf("%s: the comment does not begin with \"Package %s\"", s.name, s.file.Name.Name)
		}
	}
	for d, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", d)
		}
	}
}

// Time is an argument (law 14): the clock is read where the program is wired,
// by pretend providers, and where a lease needs a monotonic reading.
func TestClock(t *testing.T) {
	may := exceptions{
		"app":                 "the wiring hands the clock to everyone else",
		"cmd":                 "programs run in real time",
		"bench":               "it measures real time",
		"test":                "tests of whole programs run in real time",
		"scripts":             "tools of the build run in real time",
		"sandbox":             "it plays the outside world, which has its own clock",
		"sdk":                 "it runs in somebody else's program",
		"channel/channeltest": "a suite: tests read the clock",
		"store/storetest":     "a suite: tests read the clock",
		"engine/attempt.go":   "a holder judges its lease on its own monotonic clock (law 2): the given clock may be advanced by a demo",
		"engine/lane.go":      "a holder judges its lease on its own monotonic clock (law 2): the given clock may be advanced by a demo",
		"engine/account.go":   "a lease's margin counts on the monotonic clock from before it was asked for (law 2)",
	}
	used := make(map[string]bool)
	for _, s := range sources(t) {
		if strings.HasSuffix(s.name, "_test.go") {
			continue
		}
		s.uses(func(pkg, name string, line int) {
			if pkg != "time" || name != "Now" && name != "Since" && name != "Until" {
				return
			}
			key, ok := may.find(s.name)
			if !ok {
				t.Errorf("%s:%d: time.%s: take now as an argument (law 14)", s.name, line, name)
			}
			used[key] = true
		})
	}
	for k := range may {
		if within(k, "app") || within(k, "cmd") || within(k, "scripts") || within(k, "bench") || within(k, "test") || within(k, "sandbox") {
			used[k] = true // they may, whether or not they do today
		}
	}
	may.unused(t, used)
}

// Memory outside Go is handled in one place.
func TestUnsafe(t *testing.T) {
	const place = "store/sqlite/internal/native"
	found := false
	for _, s := range sources(t) {
		for _, i := range s.file.Imports {
			switch p := strings.Trim(i.Path.Value, `"`); {
			case p != "unsafe" && !strings.HasPrefix(p, "modernc.org/"):
			case s.dir() == place:
				found = true
			default:
				t.Errorf("%s imports %s: only %s may", s.name, p, place)
			}
		}
	}
	if !found {
		t.Errorf("%s needs it no longer: change this test", place)
	}
}

func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s:%d: func init: imports have no side effects; lists are explicit", s.name, files.Position(f.Pos()).Line)
			}
		}
	}
}

// A test that is skipped proves nothing, and one that sleeps proves it by luck.
func TestNoSkipNoSleep(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test() {
			continue
		}
		s.uses(func(x, name string, line int) {
			switch {
			case (x == "t" || x == "b" || x == "f" || x == "tb") && (name == "Skip" || name == "Skipf" || name == "SkipNow"):
				t.Errorf("%s:%d: %s.%s: a skipped test proves nothing", s.name, line, x, name)
			case x == "time" && name == "Sleep":
				t.Errorf("%s:%d: time.Sleep: wait for a signal, or use testing/synctest", s.name, line)
			}
		})
	}
}

func TestNoVagueRooms(t *testing.T) {
	for _, s := range sources(t) {
		for _, part := range strings.Split(s.dir(), "/") {
			switch part {
			case "util", "utils", "common", "helper", "helpers", "base", "pkg", "models", "services", "misc":
				t.Errorf("%s: name the thing; %q says nothing", s.name, part)
			}
		}
	}
}

// Both stores carry the same migrations by name, so that "at version N" means
// one thing.
func TestMigrations(t *testing.T) {
	names := func(store string) []string {
		entries, err := os.ReadDir(filepath.Join("..", "..", "store", store, "migrations"))
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range entries {
			out = append(out, e.Name())
		}
		slices.Sort(out)
		return out
	}
	a, b := names("sqlite"), names("postgres")
	if !slices.Equal(a, b) || len(a) == 0 {
		t.Errorf("sqlite has %v, postgres has %v", a, b)
	}
}

// A file above 400 lines needs a reason, above 600 a split. Generated files are
// free.
func TestFileSizes(t *testing.T) {
	const soft, hard = 400, 600
	may := exceptions{
		"api/sdk_test.go":                "the SDK is exercised call by call against one server",
		"api/internal/strict/scan.go":    "one scanner with its states",
		"channel/whatsapp/suite_test.go": "one harness for the channel suite and its twin",
		"vault/keys_test.go":             "one key hierarchy, tested as a whole",
	}
	used := make(map[string]bool)
	for _, s := range sources(t) {
		if ast.IsGenerated(s.file) || s.lines <= soft+1 {
			continue
		}
		key, ok := may.find(s.name)
		used[key] = true
		switch {
		case s.lines > hard:
			t.Errorf("%s has %d lines: split it", s.name, s.lines)
		case !ok:
			t.Errorf("%s has %d lines: split it, or give the reason here", s.name, s.lines)
		}
	}
	may.unused(t, used)
}
