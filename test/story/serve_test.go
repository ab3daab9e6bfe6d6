package story

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestServe is the first quarter of an hour of an operator.
func TestServe(t *testing.T) {
	p := newPlace(t)
	p.set("PARLEY_LISTEN", "127.0.0.1:0")
	p.set("PARLEY_ADMIN_LISTEN", "none")
	g := p.start("serve")
	said := g.until("parley doctor checks")
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(said)
		if m == nil {
			t.Fatalf("%s was not told:\n%s", pattern, said)
		}
		return m[1]
	}
	a := &api{t: t, base: find(`PARLEY_URL=(http://\S+)`), key: find(`PARLEY_API_KEY=(\S+)`)}
	eventually(t, "the key, which is shown before it is stored, is in force", func() bool {
		status, _ := a.call("GET", "/v1/me", nil)
		return status == http.StatusOK
	})
	if me := a.want(http.StatusOK, "GET", "/v1/me", nil); text(me, "workspace") == "" {
		t.Errorf("the key is nobody's: %v", me)
	}
	if !strings.Contains(said, "Next:") || !strings.Contains(said, "master.key") {
		t.Errorf("it does not say what to do next:\n%s", said)
	}
	if strings.Contains(g.problems(), a.key) {
		t.Error("the API key is in the log")
	}
	for name, most := range map[string]os.FileMode{"data": 0o700, "data/master.key": 0o600, "data/parley.db": 0o600} {
		info, err := os.Stat(filepath.Join(p.dir, name))
		must(t, err)
		if info.Mode().Perm()&^most != 0 {
			t.Errorf("%s has mode %#o, want at most %#o", name, info.Mode().Perm(), most)
		}
	}
	master, err := os.ReadFile(filepath.Join(p.dir, "data/master.key"))
	must(t, err)
	for _, line := range strings.Fields(string(master)) {
		if len(line) >= 40 && strings.Contains(said+g.problems(), line) {
			t.Error("the master key is shown")
		}
	}
	g.interrupt()

	if out, _, code := p.run("keys", "init"); code == 0 {
		t.Errorf("keys init writes over a key:\n%s", out)
	}
	if keys := p.ok("keys", "show"); strings.Contains(keys, strings.TrimSpace(string(master))) || !strings.Contains(keys, "kek") {
		t.Errorf("keys show says:\n%s", keys)
	}
	if out := p.ok("audit"); !strings.Contains(out, "the books balance") {
		t.Errorf("audit says:\n%s", out)
	}
	p.ok("backup", "copy.db")
	p.ok("restore", "copy.db", "--database-url", "sqlite:other/parley.db", "--master-key-file", "data/master.key")
	epochs := make([]int, 2)
	for i := range epochs {
		out := p.ok("migrate", "--raise-epoch", "--database-url", "sqlite:other/parley.db")
		_, number, _ := strings.Cut(out, "epoch ")
		if _, err := fmt.Sscan(number, &epochs[i]); err != nil {
			t.Fatalf("migrate --raise-epoch says:\n%s", out)
		}
	}
	if epochs[0] < 3 || epochs[1] <= epochs[0] { // the restore began the second
		t.Errorf("the epoch was raised to %v", epochs)
	}
	if out, _, code := p.run("doctor", "--offline", "--json"); code != 0 || !strings.Contains(out, `"durability"`) {
		t.Errorf("doctor says:\n%s", out)
	}
	p.ok("keys", "rotate", "master")
	p.ok("keys", "rotate", "workspace")

	g = p.start("serve")
	eventually(t, "a second start", func() bool { return strings.Contains(g.problems(), `"listening"`) })
	a.base = regexp.MustCompile(`"api":"(http://[^"]+)"`).FindStringSubmatch(g.problems())[1]
	a.want(http.StatusOK, "GET", "/v1/me", nil)
	if len(g.said()) != 0 {
		t.Errorf("a second start says what only the first should: %v", g.said())
	}
	g.interrupt()
}

// TestPrintConfig shows a configuration without its secrets.
func TestPrintConfig(t *testing.T) {
	p := newPlace(t)
	const secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="
	p.set("PARLEY_MASTER_KEY", secret)
	p.set("PARLEY_DATABASE_URL", "postgres://parley:hunter2@db/parley")
	must(t, os.WriteFile(filepath.Join(p.dir, "parley.yaml"), []byte("rate-limit: 50\nserve:\n  listen: 127.0.0.1:9999\n"), 0o600))
	out := p.ok("serve", "--print-config")
	if strings.Contains(out, secret) || strings.Contains(out, "hunter2") {
		t.Errorf("a secret is shown:\n%s", out)
	}
	for _, want := range []string{"master-key: ***", "db/parley", "listen: 127.0.0.1:9999", "rate-limit: 50"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not shown:\n%s", want, out)
		}
	}
	if entries, err := os.ReadDir(p.dir); err != nil || len(entries) != 1 {
		t.Errorf("showing the configuration made something: %v %v", entries, err)
	}
}
