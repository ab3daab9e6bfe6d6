// Command links checks that every relative link of the documentation leads to
// a file of the repository, and that every test it names exists. It follows no
// link into the network.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence  = regexp.MustCompile("(?s)```.*?```")
	named  = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	exists = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w+)\(`)
)

func main() {
	problems, err := check(".")
	if err != nil {
		problems = append(problems, err.Error())
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, "links:", p)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

// check reads all Markdown files below root and gives the links that lead
// nowhere and the tests that nobody wrote.
func check(root string) (problems []string, err error) {
	tests := map[string]bool{}
	type mention struct{ path, test string }
	var mentions []mention
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (e.Name() == "node_modules" || e.Name() == "testdata" || e.Name() == ".git") {
			return fs.SkipDir
		}
		page := filepath.Ext(path) == ".md"
		if e.IsDir() || !page && !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !page {
			for _, m := range exists.FindAllSubmatch(text, -1) {
				tests[string(m[1])] = true
			}
			return nil
		}
		for _, t := range named.FindAllString(string(text), -1) {
			mentions = append(mentions, mention{path, t})
		}
		lost, err := lostLinks(path, text)
		problems = append(problems, lost...)
		return err
	})
	for _, m := range mentions {
		if !tests[m.test] {
			problems = append(problems, m.path+": there is no test "+m.test)
		}
	}
	return problems, err
}

// lostLinks gives the links of one page that lead nowhere.
func lostLinks(path string, text []byte) (problems []string, err error) {
	for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target == "" || strings.Contains(target, ":") || strings.HasPrefix(target, "/") {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), target)); errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, path+": "+m[1]+" leads nowhere")
		} else if err != nil {
			return problems, err
		}
	}
	return problems, nil
}
