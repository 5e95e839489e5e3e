package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os/exec"
	"path"
	"strings"
)

// identify returns the identifiers of f that something in f, or the language,
// declares. Imported packages are not looked into.
func identify(fset *token.FileSet, f *ast.File) map[*ast.Ident]bool {
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	check := types.Config{
		Importer: noImporter{},
		Error:    func(error) {}, // what is undeclared is an error here, and the answer
	}
	_, _ = check.Check(f.Name.Name, fset, []*ast.File{f}, info)
	declared := map[*ast.Ident]bool{f.Name: true}
	for id := range info.Defs {
		declared[id] = true
	}
	for id := range info.Uses {
		declared[id] = true
	}
	return declared
}

type noImporter struct{}

func (noImporter) Import(string) (*types.Package, error) {
	return nil, errors.New("packages are not read here")
}

// knownPackages maps names to import paths: the module's packages that a user
// sees, and the standard library's, of which the ones with the shorter path win
// ("rand" is math/rand).
func knownPackages(ctx context.Context, root string) (map[string]string, error) {
	known := map[string]string{}
	for _, pattern := range []string{"std", "./..."} {
		list := exec.CommandContext(ctx, "go", "list", "-e", "-f", "{{.Name}} {{.ImportPath}}", pattern)
		list.Dir = root
		var stderr bytes.Buffer
		list.Stderr = &stderr
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list %s: %w\n%s", pattern, err, stderr.String())
		}
		found := map[string]string{}
		for line := range strings.Lines(string(out)) {
			name, importPath, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok || name == "main" || hidden(importPath) {
				continue
			}
			if old := found[name]; old == "" || len(importPath) < len(old) {
				found[name] = importPath
			}
		}
		for name, importPath := range found {
			known[name] = importPath // the module's own over the library's
		}
	}
	return known, nil
}

func hidden(importPath string) bool {
	slashed := "/" + importPath + "/"
	return strings.Contains(slashed, "/internal/") || strings.Contains(slashed, "/vendor/") || path.Base(importPath) == "."
}
