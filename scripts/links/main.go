// Command links checks that every relative link of the documentation leads to
// a file of the repository. It follows no link into the network.
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
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence = regexp.MustCompile("(?s)```.*?```")
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
// nowhere.
func check(root string) (problems []string, err error) {
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (e.Name() == "node_modules" || e.Name() == "testdata" || e.Name() == ".git") {
			return fs.SkipDir
		}
		if e.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, ":") || strings.HasPrefix(target, "/") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), target)); errors.Is(err, fs.ErrNotExist) {
				problems = append(problems, path+": "+m[1]+" leads nowhere")
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return problems, err
}
