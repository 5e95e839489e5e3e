package archtest_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

// mayImport is the direction of dependencies: each top folder, and the top
// folders that its packages may import besides itself and internal/. What has
// no line here has no place in the house.
var mayImport = map[string][]string{
	"":          {}, // the module's root: documentation only
	"wal":       {},
	"vector":    {},
	"text":      {},
	"schema":    {"text"},
	"column":    {"schema", "text", "vector"},
	"filter":    {"schema", "column", "text"},
	"query":     {"filter", "schema", "column", "text", "vector"},
	"segment":   {"vector", "filter", "column", "schema"},
	"partition": {"segment", "wal", "vector", "filter", "column", "schema", "query"},
	"engine":    {"partition", "segment", "wal", "vector", "filter", "column", "schema", "query"},
	"cmd":       {"engine", "query", "column", "schema", "vector"},
	"bench":     {"engine", "query", "column", "schema", "vector"},
	"internal":  {},
}

const (
	pebble      = "github.com/cockroachdb/pebble/v2"
	flatbuffers = "github.com/google/flatbuffers"
	roaring     = "github.com/RoaringBitmap/roaring"
)

// violation is a place where a rule is broken.
type violation struct {
	rule string
	at   token.Position
	why  string
}

func (v violation) String() string { return fmt.Sprintf("%s: %s: %s", v.at, v.rule, v.why) }

// check holds files against every rule.
func check(files []file) []violation {
	var found []violation
	report := func(rule string, f file, at token.Pos, format string, args ...any) {
		found = append(found, violation{rule, f.fset.Position(at), fmt.Sprintf(format, args...)})
	}
	tableFile := ""
	for _, f := range files {
		checkDirection(f, report)
		tableFile = checkPebble(f, tableFile, report)
		checkCodecs(f, report)
		checkRoaring(f, report)
		if f.isLibrary() {
			checkExit(f, report)
			checkInit(f, report)
			checkPanic(f, report)
			checkTesting(f, report)
		}
	}
	return found
}

type reporter func(rule string, f file, at token.Pos, format string, args ...any)

func checkDirection(f file, report reporter) {
	allowed, known := mayImport[f.layer()]
	if !known {
		report("direction", f, f.ast.Package, "%s/ has no place in the table of archtest", f.layer())
		return
	}
	f.imports(func(at token.Pos, p string) {
		dir, isOurs := ours(p)
		if !isOurs {
			return
		}
		if to := layerOf(dir); to != f.layer() && to != "internal" && !slices.Contains(allowed, to) {
			report("direction", f, at, "%s/ must not import %s", f.layer(), p)
		}
	})
}

// checkPebble returns the file that owns Pebble's tables, as far as it is
// known: tableFile, or f if it is the first to import them.
func checkPebble(f file, tableFile string, report reporter) string {
	name := path.Join(f.dir, f.name)
	f.imports(func(at token.Pos, p string) {
		if !within(p, pebble) || within(p, pebble+"/vfs") {
			return
		}
		switch {
		case f.dir != "segment":
			report("pebble", f, at, "%s belongs in the table file of segment/", p)
		case tableFile != "" && tableFile != name:
			report("pebble", f, at, "%s belongs in %s, which holds Pebble's other imports", p, tableFile)
		default:
			tableFile = name
		}
	})
	return tableFile
}

func checkCodecs(f file, report reporter) {
	if strings.Contains(f.name, "codec") || isGeneratedFB(f.dir) {
		return
	}
	f.imports(func(at token.Pos, p string) {
		dir, isOurs := ours(p)
		if within(p, flatbuffers) || isOurs && isGeneratedFB(dir) {
			report("flatbuffers", f, at, "%s belongs in a file named *codec*.go", p)
		}
	})
}

// isGeneratedFB tells whether dir is internal/fb of the module or of a package,
// or below it.
func isGeneratedFB(dir string) bool {
	return strings.Contains("/"+dir+"/", "/internal/fb/")
}

func checkRoaring(f file, report reporter) {
	if f.layer() == "segment" && strings.Contains(f.name, "tombstone") ||
		f.layer() == "filter" && strings.Contains(strings.ReplaceAll(f.name, "_", ""), "rowset") {
		return
	}
	f.imports(func(at token.Pos, p string) {
		if within(p, roaring) {
			report("roaring", f, at, "%s belongs in segment/*tombstone*.go or filter/*rowset*.go", p)
		}
	})
}

func checkExit(f file, report reporter) {
	calls(f.ast, func(call *ast.CallExpr) {
		s, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return
		}
		of, _ := s.X.(*ast.Ident)
		onPackage := func(name string) bool { return of != nil && of.Name == name }
		switch s.Sel.Name {
		case "Exit":
			if onPackage("os") || onPackage("syscall") {
				report("exit", f, call.Pos(), "%s.Exit ends the host's process: return an error", of.Name)
			}
		case "Fatal", "Fatalf", "Fatalln": // of package log, and of any logger
			report("exit", f, call.Pos(), "%s ends the host's process: return an error", s.Sel.Name)
		case "Panic", "Panicf", "Panicln":
			if onPackage("log") {
				report("exit", f, call.Pos(), "log.%s: return an error", s.Sel.Name)
			}
		}
	})
}

func checkInit(f file, report reporter) {
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			report("init", f, fn.Pos(), "importing a library must do nothing")
		}
	}
}

// reason is a comment that tells which promise must have been broken for a panic
// to be reached.
var reason = regexp.MustCompile(`\b(REQUIRES|INVARIANT): *\w`)

// checkPanic wants the reason on the panic's line, right above it, or in the
// comment of the function that it stands in.
func checkPanic(f file, report reporter) {
	if ast.IsGenerated(f.ast) {
		return
	}
	reasoned := map[int]bool{} // lines with a reason on them, or right under one
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			if reason.MatchString(c.Text) {
				reasoned[f.fset.Position(c.Pos()).Line] = true
				reasoned[f.fset.Position(group.End()).Line+1] = true
			}
		}
	}
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Doc != nil && reason.MatchString(fn.Doc.Text()) {
			continue
		}
		calls(d, func(call *ast.CallExpr) {
			if fn, ok := call.Fun.(*ast.Ident); ok && fn.Name == "panic" && !reasoned[f.fset.Position(call.Pos()).Line] {
				report("panic", f, call.Pos(), "return an error, or say in a REQUIRES: or INVARIANT: comment "+
					"on the function, above the line or on it, what must be broken to come here")
			}
		})
	}
}

// testOnly are the import paths, with all below them, that belong in tests.
var testOnly = []string{
	"testing",
	"net/http/httptest",
	"github.com/stretchr/testify",
	"github.com/cockroachdb/datadriven",
	"go.uber.org/goleak",
	"pgregory.net/rapid",
}

func checkTesting(f file, report reporter) {
	f.imports(func(at token.Pos, p string) {
		dir, isOurs := ours(p)
		if isOurs && isTestDir(dir) || slices.ContainsFunc(testOnly, func(root string) bool { return within(p, root) }) {
			report("testing", f, at, "%s is for tests", p)
		}
	})
}

func calls(in ast.Node, visit func(*ast.CallExpr)) {
	ast.Inspect(in, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			visit(call)
		}
		return true
	})
}
