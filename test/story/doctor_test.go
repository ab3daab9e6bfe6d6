package story

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-messaging/parley/internal/port"
)

// A finding is one line of doctor --json.
type finding struct{ Area, Name, Grade, Detail, Remedy string }

// doctor runs it and gives what it found, by "area: name".
func (p *place) doctor(args ...string) (found map[string]finding, code int) {
	p.t.Helper()
	out, problems, code := p.run(append([]string{"doctor", "--json"}, args...)...)
	var all struct {
		OK       bool
		Findings []finding
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		p.t.Fatalf("%v: %s%s", err, out, problems)
	}
	if all.OK != (code == 0) {
		p.t.Errorf("ok %v, exit status %d", all.OK, code)
	}
	found = map[string]finding{}
	for _, f := range all.Findings {
		if f.Grade != "ok" && f.Remedy == "" {
			p.t.Errorf("nothing to do: %+v", f)
		}
		found[f.Area+": "+f.Name] = f
	}
	return found, code
}

// TestDoctor is what doctor says of this machine: its configuration, keys, disk
// and database. What it says of providers is in app's TestCheck.
func TestDoctor(t *testing.T) {
	p := newPlace(t)
	p.set("PARLEY_ADMIN", "http://"+port.For(t))
	want := func(name, grade, remedy string, args ...string) {
		t.Helper()
		found, code := p.doctor(append([]string{"--offline"}, args...)...)
		f, ok := found[name]
		if !ok || f.Grade != grade || !strings.Contains(f.Remedy, remedy) {
			t.Errorf("%s is %+v, want a %s with %q; all: %+v", name, f, grade, remedy, found)
		}
		if (grade == "problem") != (code == 1) {
			t.Errorf("%s: exit status %d", name, code)
		}
	}
	want("configuration: public", "problem", "https://", "--public", "nonsense")
	want("master key: file", "problem", "parley keys init")
	want("database: open", "problem", "parley serve or parley migrate")
	p.ok("keys", "init")
	p.ok("migrate")
	want("database: durability", "ok", "")
	want("database: schema", "ok", "")
	want("master key: match", "ok", "")
	want("disk: space", "ok", "")
	want("server: running", "warning", "--admin")
	want("workspaces: any", "warning", "parley serve")

	key := filepath.Join(p.dir, "data", "master.key")
	must(t, os.Chmod(key, 0o644))
	want("master key: file", "problem", "chmod 600")
	must(t, os.Chmod(key, 0o600))
	must(t, os.Chmod(filepath.Join(p.dir, "data", "parley.db"), 0o644))
	want("database: file", "warning", "chmod 600")
	must(t, os.Chmod(filepath.Join(p.dir, "data", "parley.db"), 0o600))
	other := newPlace(t)
	other.ok("keys", "init")
	want("master key: match", "problem", "give the right one", "--master-key-file", filepath.Join(other.dir, "data", "master.key"))

	d := newPlace(t)
	for _, name := range []string{"LISTEN", "SANDBOX_WHATSAPP", "SANDBOX_SMPP", "SANDBOX_CONTROL"} {
		d.set("PARLEY_"+name, "127.0.0.1:0")
	}
	admin := port.For(t)
	d.set("PARLEY_ADMIN_LISTEN", admin)
	d.set("PARLEY_DATA_DIR", filepath.Join(d.dir, "data", "demo"))
	running := startDemo(t, d)
	found, code := d.doctor("--admin", "http://"+admin)
	for _, name := range []string{"server: ready", "database: open", "connector Sandbox WhatsApp: token", "connector Sandbox WhatsApp: quality", "connector Sandbox SMSC: bind"} {
		if found[name].Grade != "ok" {
			t.Errorf("%s: %+v", name, found[name])
		}
	}
	if code != 0 || found["connector Sandbox SMSC: secrecy"].Grade != "warning" {
		t.Errorf("a good demo: exit status %d, %+v", code, found)
	}
	// Without the admin address the API tells less, and doctor says so.
	found, _ = d.doctor("--admin", "http://"+port.For(t))
	if f := found["workspace Aéroparley: providers"]; f.Grade != "warning" || found["connector Sandbox SMSC: health"].Grade != "ok" {
		t.Errorf("by the API: %+v", found)
	}
	if out, _, _ := d.run("doctor", "--admin", "http://"+admin); !strings.Contains(out, "✓ connector Sandbox SMSC: bind") || !strings.Contains(out, "0 problems") || strings.Contains(out, running.key) {
		t.Errorf("for people:\n%s", out)
	}
	running.program.interrupt()
}
