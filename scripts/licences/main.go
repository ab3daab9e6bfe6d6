// Command licences checks that we may link every module we link: it reads the
// licence files of all modules below our programs, and below our tests, and
// fails on any that is not on the list.
//
// It is a reader of texts, not a lawyer: a text that it does not recognise is a
// failure, to be judged by a person and added to classify.go. Start with run.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// allowed are the licences of what users get.
var allowed = []string{"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "Unlicense", "CC0-1.0", "Zlib", "public-domain"}

// allowedInTests are those of what only our tests link.
var allowedInTests = append(slices.Clone(allowed), "MPL-2.0")

// systems are those we build for: their modules differ.
var systems = []string{"linux", "darwin", "windows"}

func main() {
	list := flag.Bool("list", false, "print every module with its licence")
	flag.Parse()
	if err := run(os.Stdout, *list); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

// A module is one module we link.
type module struct {
	Path, Version, Dir string
	Main               bool
}

func run(w io.Writer, list bool) error {
	shipped := map[string]module{}
	for _, system := range systems {
		if err := linked(shipped, system, "./cmd/..."); err != nil {
			return err
		}
	}
	all := map[string]module{}
	if err := linked(all, "linux", "-test", "./..."); err != nil {
		return err
	}
	for path, m := range shipped {
		all[path] = m
	}
	var problems []error
	paths := make([]string, 0, len(all))
	for path := range all {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		m := all[path]
		found, err := licences(m.Dir)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s@%s: %w", m.Path, m.Version, err))
			continue
		}
		may, where := allowedInTests, "tests"
		if _, ok := shipped[path]; ok {
			may, where = allowed, "program"
		}
		for _, l := range found {
			if !slices.Contains(may, l) {
				problems = append(problems, fmt.Errorf("%s@%s: %s is not allowed in the %s", m.Path, m.Version, l, where))
			}
		}
		if list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.Path, m.Version, strings.Join(found, " and "), where)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	fmt.Fprintf(w, "licences: %d modules in the program, %d more in tests: all allowed\n", len(shipped), len(all)-len(shipped))
	return nil
}

// linked adds the modules below some packages.
func linked(into map[string]module, system string, args ...string) error {
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=Module"}, args...)...)
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list: %w: %s", err, problem.String())
	}
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var p struct{ Module *module }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("go list: %w", err)
		}
		if m := p.Module; m != nil && !m.Main && !ours(m.Path) { // the standard library has none
			into[m.Path] = *m
		}
	}
}

// ours reports whether a module is of this repository.
func ours(path string) bool { return strings.HasPrefix(path, "github.com/parley-messaging/parley/") }

// licences names the licences of the texts in a module's folder. Every text
// that is called a licence must be known.
func licences(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		if e.IsDir() || !isLicence(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		names := classify(string(text))
		if len(names) == 0 {
			return nil, fmt.Errorf("%s holds no licence we know", e.Name())
		}
		for _, n := range names {
			if !slices.Contains(found, n) {
				found = append(found, n)
			}
		}
	}
	if len(found) == 0 {
		return nil, errors.New("has no licence file")
	}
	return found, nil
}

// isLicence reports whether a file is called a licence of code: that of a logo
// is none, because pictures are not linked.
func isLicence(name string) bool {
	base := strings.ToUpper(name)
	if strings.Contains(base, "LOGO") {
		return false
	}
	for _, word := range []string{"LICENSE", "LICENCE", "COPYING", "UNLICENSE"} {
		if strings.HasPrefix(base, word) || strings.HasSuffix(base, "-"+word) {
			return !strings.HasSuffix(base, ".GO")
		}
	}
	return false
}
