package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	text := "[here](a.md) [part](a.md#x) [web](https://example.com) [gone](b.md) ![picture](c.png) TestHere TestGone\n```\n[code](d.md)\n```\n"
	for name, text := range map[string]string{"a.md": text, "a_test.go": "package a\n\nfunc TestHere(t *testing.T) {}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := check(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.md")
	if diff := cmp.Diff([]string{path + ": b.md leads nowhere", path + ": c.png leads nowhere", path + ": there is no test TestGone"}, got); diff != "" {
		t.Error(diff)
	}
}
