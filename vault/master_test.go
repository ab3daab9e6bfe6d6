package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseMasters(t *testing.T) {
	raw := unhex(t, masterB)
	want := masters(t, masterB).CurrentID()
	for _, text := range []string{
		strings.ToUpper(masterB), " " + masterB + "\r\n",
		base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
		masterB + "," + masterA,
	} {
		if m, err := ParseMasters(text); err != nil || m.CurrentID() != want {
			t.Errorf("%.8s…: %v", text, err)
		}
	}
	if m := masters(t, masterA+" "+masterB); !m.Holds(want) || m.CurrentID() == want {
		t.Error("the second key is a previous one")
	}
	for name, text := range map[string]string{
		"empty": " ", "short": masterB[:62], "long": masterB + "00", "not hex": "zz" + masterB[2:],
		"zeros": strings.Repeat("0", 64), "repeated": strings.Repeat("abcd", 16), "twice": masterB + " " + masterB,
		"words": "correct-horse-battery-staple", "second bad": masterB + " secret",
	} {
		_, err := ParseMasters(text)
		if refusal := (*MasterError)(nil); !errors.As(err, &refusal) || refusal.Remedy == "" {
			t.Errorf("%s: %v", name, err)
		} else if s := err.Error(); strings.Contains(s, masterB[:8]) || strings.Contains(s, "correct") || strings.Contains(s, "secret") {
			t.Errorf("%s: the refusal shows the key: %s", name, s)
		}
	}
}

func TestMasterFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	created, err := CreateMaster(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	loaded, err := LoadMaster("", path)
	if err != nil || loaded.CurrentID() != created.CurrentID() {
		t.Errorf("load: %v", err)
	}
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left beside the key: %v, %v", left, err)
	}
	if _, err := CreateMaster(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created over an existing file: %v", err)
	}
	rotated, err := RotateMaster(path)
	if err != nil {
		t.Fatal(err)
	}
	if rotated.CurrentID() == created.CurrentID() || !rotated.Holds(created.CurrentID()) {
		t.Error("rotation keeps the old key behind the new one")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode after rotation %v, %v", info.Mode(), err)
	}
	if _, err := LoadMaster(masterA, path); err == nil {
		t.Error("value and file together were taken")
	}
	if _, err := LoadMaster("", ""); err == nil {
		t.Error("no key was taken")
	}
	if _, err := LoadMaster("", path+".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := LoadMaster("", filepath.Dir(path)); err == nil {
		t.Error("a folder was taken")
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		refusal := (*MasterError)(nil)
		if _, err := LoadMaster("", path); !errors.As(err, &refusal) || refusal.Remedy == "" || refusal.Path != path {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMaster("", link); err != nil {
		t.Errorf("a container's link to a secret: %v", err)
	}
}

// TestNothingPrints tries every way a secret could slip out, also from inside
// another struct, where fmt goes by reflection and calls no method.
func TestNothingPrints(t *testing.T) {
	m := masters(t, vectorMaster)
	_, _, w, in := vectorKeys(t)
	key, _ := w.NewContactKey([16]byte{1})
	sealer, err := key.Sealer()
	if err != nil {
		t.Fatal(err)
	}
	journal, err := OpenJournal(filepath.Join(t.TempDir(), "j"), in, JournalHead{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	secrets := []string{
		fmt.Sprintf("%x", *key.key()), fmt.Sprint(*key.key()), fmt.Sprintf("%v", key.key()[:4])[1:9],
		"000102030405", "0 1 2 3 4 5", "0x0, 0x1, 0x2", "a0a1a2a3a4", "160 161 162 163", "0xa0, 0xa1",
	}
	for name, v := range map[string]any{
		"masters": m, "keyring": NewKeyring(m), "workspace": w, "contact key": key, "sealer": sealer,
		"installation": in, "journal": journal,
	} {
		type holder struct{ inner any }
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "v", v, "h", struct{ V any }{v})
		encoded, err := json.Marshal(map[string]any{"v": v})
		if err != nil || string(encoded) != `{"v":"***"}` {
			t.Errorf("%s as JSON: %s, %v", name, encoded, err)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%t"} {
			if got := fmt.Sprintf(verb, v); got != "***" {
				t.Errorf("%s as %s: %s", name, verb, got)
			}
			fmt.Fprintf(&logged, verb, holder{v})
			fmt.Fprintf(&logged, verb, struct{ k ContactKey }{key})
		}
		for _, secret := range secrets {
			if strings.Contains(logged.String(), secret) {
				t.Errorf("%s leaks: %s", name, logged.String())
			}
		}
	}
}
