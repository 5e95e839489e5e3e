package archtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/selkiedb/selkie"

// file is one Go file outside the tests.
type file struct {
	dir  string // slash path of its package's folder from the module's root, "" for the root
	name string
	ast  *ast.File
	fset *token.FileSet
}

// parse reads a file from memory. name is its slash path from the module's root.
func parse(name string, source []byte) (file, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	dir, base := path.Split(name)
	return file{strings.TrimSuffix(dir, "/"), base, tree, fset}, err
}

// readModule returns the module's files, as `go list` knows them. Files that
// the build leaves out here because of their platform are among them.
func readModule(t *testing.T) []file {
	cmd := exec.Command("go", "list", "-e", "-json=Dir,GoFiles,CgoFiles,IgnoredGoFiles", "./...")
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go list: %s", stderr.String())
	root, err := filepath.Abs(cmd.Dir)
	require.NoError(t, err)
	root, err = filepath.EvalSymlinks(root)
	require.NoError(t, err)

	var files []file
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir                               string
			GoFiles, CgoFiles, IgnoredGoFiles []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return files
		} else {
			require.NoError(t, err)
		}
		dir, err := filepath.EvalSymlinks(p.Dir)
		require.NoError(t, err)
		rel, err := filepath.Rel(root, dir)
		require.NoError(t, err)
		for _, names := range [][]string{p.GoFiles, p.CgoFiles, p.IgnoredGoFiles} {
			for _, name := range names {
				if strings.HasSuffix(name, "_test.go") {
					continue
				}
				source, err := os.ReadFile(filepath.Join(dir, name))
				require.NoError(t, err)
				f, err := parse(path.Join(filepath.ToSlash(rel), name), source)
				require.NoError(t, err)
				files = append(files, f)
			}
		}
	}
}

// layer is the folder of the table in rules_test.go that f belongs to.
func (f file) layer() string { return layerOf(f.dir) }

func layerOf(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// isCommand tells whether f is part of a program. A program that a library's
// folder holds for go generate is one, too.
func (f file) isCommand() bool {
	return f.layer() == "cmd" || f.layer() == "bench" || f.ast.Name.Name == "main"
}

// isTestCode tells whether f's package exists for tests only.
func (f file) isTestCode() bool { return isTestDir(f.dir) }

func isTestDir(dir string) bool { return strings.HasSuffix(dir, "test") }

func (f file) isLibrary() bool { return !f.isCommand() && !f.isTestCode() }

// imports calls visit with each import path of f.
func (f file) imports(visit func(at token.Pos, path string)) {
	for _, i := range f.ast.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue // the parser has refused it before
		}
		visit(i.Pos(), p)
	}
}

// ours returns the folder of an import path of this module.
func ours(importPath string) (dir string, ok bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// within tells whether an import path is root or below it.
func within(importPath, root string) bool {
	return importPath == root || strings.HasPrefix(importPath, root+"/")
}
