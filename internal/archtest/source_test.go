package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/parley-messaging/parley/"

// A source is one Go file of the house, parsed.
type source struct {
	name  string // from the root, with slashes
	file  *ast.File
	lines int
}

// test reports whether the file is part of tests only.
func (s *source) test() bool {
	return strings.HasSuffix(s.name, "_test.go") || within(s.name, "store/storetest") || within(s.name, "channel/channeltest") || within(s.name, "internal/pgtest")
}

func (s *source) dir() string { return path.Dir(s.name) }

// imports gives what the file imports of ours, without the module's path.
func (s *source) imports() []string {
	var out []string
	for _, i := range s.file.Imports {
		if p, ok := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), module); ok {
			out = append(out, p)
		}
	}
	return out
}

// uses calls f for every pkg.Name of the file.
func (s *source) uses(f func(pkg, name string, line int)) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok {
				f(x.Name, sel.Sel.Name, files.Position(sel.Pos()).Line)
			}
		}
		return true
	})
}

// within reports whether name is dir or lies below it.
func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

var files = token.NewFileSet()

var load = sync.OnceValues(func() ([]*source, error) {
	root := filepath.Join("..", "..")
	var out []*source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); p != root && (strings.HasPrefix(n, ".") || strings.HasPrefix(n, "_") || n == "testdata" || n == "node_modules" || n == "dist") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(files, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		out = append(out, &source{name: filepath.ToSlash(name), file: f, lines: files.File(f.Pos()).LineCount()})
		return nil
	})
	return out, err
})

func sources(t *testing.T) []*source {
	t.Helper()
	list, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 50 {
		t.Fatalf("only %d Go files found: the walk looks in the wrong place", len(list))
	}
	return list
}

// An exception allows something in one place, with the reason.
type exceptions map[string]string

// find gives the most specific exception for a file.
func (e exceptions) find(name string) (key string, ok bool) {
	for k := range e {
		if within(name, k) && len(k) > len(key) {
			key, ok = k, true
		}
	}
	return key, ok
}

// unused fails for exceptions nobody needs any more.
func (e exceptions) unused(t *testing.T, used map[string]bool) {
	t.Helper()
	for k := range e {
		if !used[k] {
			t.Errorf("%s is excused and does not need it: take the line out", k)
		}
	}
}
