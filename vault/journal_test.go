package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func erasure(n byte) Erasure {
	return Erasure{
		At: time.Date(2026, 11, 22, 10, 0, int(n), 0, time.UTC), Workspace: [16]byte{1}, Contact: [16]byte{n},
		Indexes: [][16]byte{{1, n}, {2, n}}, Receipt: "er_1",
	}
}

// writeJournal gives a closed journal of n lines, its text and all its heads.
func writeJournal(t *testing.T, in *Installation, n int) (path, text string, heads []JournalHead) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "erasures.jsonl")
	j, err := OpenJournal(path, in, JournalHead{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		head, err := j.Append(erasure(byte(i)))
		if err != nil || head != j.Head() {
			t.Fatal(head, err)
		}
		heads = append(heads, head)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(raw), heads
}

func read(in *Installation, text string, known JournalHead) (n int, err error) {
	_, err = ReadJournal(strings.NewReader(text), in, known, func(Erasure) error { n++; return nil })
	return n, err
}

func TestJournalReopens(t *testing.T) {
	_, _, _, in := vectorKeys(t)
	path, _, heads := writeJournal(t, in, 3)
	j, err := OpenJournal(path, in, heads[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(path, in, heads[1], nil); !errors.Is(err, ErrJournalLocked) {
		t.Errorf("second writer: %v", err)
	}
	if head, err := j.Append(erasure(9)); err != nil || head.Seq != 4 {
		t.Errorf("append: %v, %v", head, err)
	}
	if err := errors.Join(j.Close(), j.Close()); err != nil {
		t.Error(err)
	}
	if _, err := j.Append(erasure(9)); err == nil {
		t.Error("appended to a closed journal")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := read(in, string(raw), heads[2]); n != 4 || err != nil {
		t.Errorf("%d lines, %v", n, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	stop := errors.New("stop")
	if _, err := OpenJournal(path, in, JournalHead{}, func(Erasure) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the visitor's error: %v", err)
	}
}

// TestJournalTorn cuts the last line at every byte: the lines before it stand,
// and writing goes on after them.
func TestJournalTorn(t *testing.T) {
	_, _, _, in := vectorKeys(t)
	path, text, heads := writeJournal(t, in, 3)
	second := strings.LastIndexByte(strings.TrimSuffix(text, "\n"), '\n') + 1
	for cut := second; cut < len(text); cut++ {
		if n, err := read(in, text[:cut], heads[1]); n != 2 || err != nil {
			t.Fatalf("cut at %d: %d lines, %v", cut, n, err)
		}
	}
	zeroed := text[:second+50] + strings.Repeat("\x00", 100) + text[second+150:]
	for name, torn := range map[string]string{"cut": text[:len(text)-20], "no line feed": text[:len(text)-1], "zeros": zeroed, "only zeros": text[:second] + "\x00\x00"} {
		if n, err := read(in, torn, heads[1]); n != 2 || err != nil {
			t.Errorf("%s: %d lines, %v", name, n, err)
		}
		if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := OpenJournal(path, in, heads[1], nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if head, err := j.Append(erasure(9)); err != nil || head.Seq != 3 {
			t.Errorf("%s: append: %v, %v", name, head, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := read(in, string(raw), heads[1]); n != 3 || err != nil {
			t.Errorf("%s, after: %d lines, %v", name, n, err)
		}
	}
}

func TestJournalTampered(t *testing.T) {
	v, m, _, in := vectorKeys(t)
	_, text, heads := writeJournal(t, in, 4)
	lines := strings.SplitAfter(text, "\n")[:4]
	join := func(order ...int) string {
		var b strings.Builder
		for _, i := range order {
			b.WriteString(lines[i])
		}
		return b.String()
	}
	for name, bad := range map[string]string{
		"line removed":   join(0, 2, 3),
		"first removed":  join(1, 2, 3),
		"swapped":        join(0, 2, 1, 3),
		"repeated":       join(0, 1, 1, 2, 3),
		"foreign line":   lines[0] + v.Journal[1] + "\n" + lines[2],
		"empty line":     lines[0] + "\n" + lines[1],
		"zeros amid":     lines[0] + "\x00\x00\n" + lines[1],
		"too long":       lines[0] + strings.Repeat("x", maxJournalLine+1) + "\n",
		"contact edited": strings.Replace(text, `"contact":"02`, `"contact":"05`, 1),
		"cut amid":       lines[0] + lines[1][:40] + lines[2],
	} {
		n, err := read(in, bad, JournalHead{})
		if tampered := (*JournalError)(nil); !errors.As(err, &tampered) || tampered.Line != uint64(n+1) {
			t.Errorf("%s: %d lines, %v", name, n, err)
		}
	}
	for i := range len(text) - 1 {
		bad := []byte(text)
		bad[i] ^= 2
		n, err := read(in, string(bad), heads[3])
		if err == nil {
			t.Fatalf("byte %d changed: %d lines", i, n)
		}
	}
	if n, err := read(in, join(0, 1), heads[3]); n != 2 || err == nil {
		t.Errorf("end cut off: %d lines, %v", n, err)
	}
	if _, err := read(in, join(0, 1), JournalHead{}); err != nil {
		t.Errorf("without a head the end cannot be missed: %v", err)
	}
	_, other, _ := writeJournal(t, in, 1)
	wrong := heads[0]
	wrong.MAC[0] ^= 1
	if _, err := read(in, other, wrong); err == nil {
		t.Error("another journal passes for the one remembered")
	}
	stored, err := NewInstallation(m)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := OpenInstallation(m, stored)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := read(stranger, text, JournalHead{}); n != 0 || err == nil {
		t.Errorf("another installation reads %d lines, %v", n, err)
	}
}

func TestJournalNoticesOthers(t *testing.T) {
	_, _, _, in := vectorKeys(t)
	for name, meddle := range map[string]func(path string) error{
		"removed": os.Remove,
		"cut":     func(path string) error { return os.Truncate(path, 10) },
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, nil, 0o600))
		},
	} {
		path, _, heads := writeJournal(t, in, 2)
		j, err := OpenJournal(path, in, heads[1], nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := meddle(path); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if head, err := j.Append(erasure(3)); !errors.Is(err, ErrJournalBroken) || head != heads[1] {
				t.Errorf("%s: %v, %v", name, head, err)
			}
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	path, _, _ := writeJournal(t, in, 1)
	j, err := OpenJournal(path, in, JournalHead{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	huge := erasure(1)
	huge.Indexes = make([][16]byte, 40000)
	if _, err := j.Append(huge); err == nil {
		t.Error("a line that no reader takes was written")
	}
	if _, err := j.Append(erasure(2)); err != nil {
		t.Errorf("after a refused one: %v", err)
	}
}

func FuzzReadJournal(f *testing.F) {
	v, _, _, in := vectorKeys(f)
	genuine := strings.Join(v.Journal, "\n") + "\n"
	f.Add([]byte(genuine))
	f.Add([]byte(genuine[:400]))
	f.Add([]byte(v.Journal[1] + "\n"))
	f.Add([]byte("\x00\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n := 0
		head, err := ReadJournal(bytes.NewReader(text), in, JournalHead{}, func(e Erasure) error {
			n++
			if e.Seq != uint64(n) {
				t.Errorf("line %d has number %d", n, e.Seq)
			}
			return nil
		})
		// Without the key nobody makes a line: what is read is a prefix of ours.
		if head.Seq != uint64(n) || n > 2 || n > 0 && !bytes.HasPrefix(text, []byte(v.Journal[0]+"\n")) {
			t.Errorf("%d lines, head %d, %v", n, head.Seq, err)
		}
	})
}
