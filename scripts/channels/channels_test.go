package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The committed page says what the code does.
func TestPage(t *testing.T) {
	committed, err := os.ReadFile(filepath.Join("..", "..", "docs", "channels.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page(types()), string(committed)); diff != "" {
		t.Errorf("docs/channels.md is old; run: go run ./scripts/channels > docs/channels.md\n%s", diff)
	}
}

// The page has every channel the program has, in its order.
func TestEveryChannel(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "..", "app", "channels.go"))
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)channels = \[\]channel\.Type\{([^}]*)\}`).FindSubmatch(source)
	if list == nil {
		t.Fatal("app/channels.go has no list")
	}
	var want []string
	for _, name := range strings.Split(string(list[1]), ",") {
		if name = strings.TrimSpace(name); name != "" {
			want = append(want, strings.TrimSuffix(name, ".Type"))
		}
	}
	var got []string
	for _, c := range types() {
		got = append(got, string(c.Channel))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
