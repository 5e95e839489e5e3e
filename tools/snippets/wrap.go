package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// unit is a package to build.
type unit struct {
	folder string // its name among the units
	from   string // where in the documents it stands
	source string // its one file
	run    bool
}

// given are the names that a block may use without declaring them: the cast of
// the whole documentation.
var given = map[string]string{
	"ctx":  "context.Context",
	"eng":  "*engine.Engine",
	"coll": "*engine.Collection",
	"part": "*engine.Partition",
}

// wrap makes packages of a document's Go blocks. known maps the name of a
// package to its import path.
func wrap(folder string, blocks []block, known map[string]string) (units []unit, errs []error) {
	var flow composition // the blocks without a package clause, one after another
	for _, b := range blocks {
		if b.lang != "go" {
			continue
		}
		u := unit{folder: fmt.Sprintf("%s_%d", folder, b.line), from: b.from(), run: b.mark == "run"}
		var err error
		switch {
		case hasPackageClause(b.text):
			u.source = fmt.Sprintf("//line %s:%d\n%s", b.document, b.line, b.text)
			units = append(units, u)
		case u.run:
			program := composition{program: true}
			if err = program.add(b); err == nil {
				u.source = program.source(known)
				units = append(units, u)
			}
		default:
			err = flow.add(b)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if flow.first != "" {
		units = append(units, unit{folder: folder, from: flow.first, source: flow.source(known)})
	}
	return units, errs
}

func hasPackageClause(text string) bool {
	_, err := parser.ParseFile(token.NewFileSet(), "", text, parser.PackageClauseOnly)
	return err == nil
}

// composition is a package that grows by one block after another.
type composition struct {
	program bool   // its function is run by a main
	first   string // where its first block stands
	imports strings.Builder
	top     strings.Builder // declarations
	body    strings.Builder // statements, one scope open for each block
	depth   int             // scopes open at the end of body
}

func (c *composition) add(b block) error {
	if c.first == "" {
		c.first = b.from()
	}
	imports, text := cutImports(b.text)
	c.imports.WriteString(imports)
	line := b.line + strings.Count(b.text, "\n") - strings.Count(text, "\n")
	text = fmt.Sprintf("//line %s:%d\n%s", b.document, line, text)

	statements, err := parse("package p\nfunc _() {\n" + text + "\n}")
	if err == nil && len(statements.Decls) == 1 {
		list := statements.Decls[0].(*ast.FuncDecl).Body.List
		fmt.Fprintf(&c.body, "{\n%s\n%s", text, useAll(list))
		c.depth++
		return nil
	}
	_, errDeclared := parse("package p\n" + text)
	if errDeclared == nil {
		c.top.WriteString(text + "\n")
		return nil
	}
	// Most blocks hold statements, so theirs is the error to tell, but for
	// blocks with functions.
	if strings.Contains(text, "\nfunc ") || err == nil {
		err = errDeclared
	}
	return err
}

func parse(source string) (*ast.File, error) {
	return parser.ParseFile(token.NewFileSet(), "", source, 0)
}

// cutImports parts a block's import declarations from the rest.
func cutImports(text string) (imports, rest string) {
	const clause = "package p;"
	fset := token.NewFileSet()
	// An error means that what follows the imports is no file: that's for the
	// caller to find.
	f, _ := parser.ParseFile(fset, "", clause+text, parser.ImportsOnly)
	if f == nil || len(f.Decls) == 0 {
		return "", text
	}
	end := fset.Position(f.Decls[len(f.Decls)-1].End()).Offset - len(clause)
	return text[:end] + "\n", text[end:]
}

// useAll returns statements that use each variable that list declares in its
// own scope: a document may name a result and leave it at that.
func useAll(list []ast.Stmt) string {
	var out strings.Builder
	use := func(id ast.Expr) {
		if id, ok := id.(*ast.Ident); ok && id.Name != "_" {
			fmt.Fprintf(&out, "_ = %s\n", id.Name)
		}
	}
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				for _, id := range s.Lhs {
					use(id)
				}
			}
		case *ast.DeclStmt:
			d := s.Decl.(*ast.GenDecl)
			for _, spec := range d.Specs {
				if spec, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
					for _, id := range spec.Names {
						use(id)
					}
				}
			}
		}
	}
	return out.String()
}

// source returns the package's one file.
func (c *composition) source(known map[string]string) string {
	name, main, parameters := "snippet", "", []string(nil)
	if c.program {
		name = "main"
		main = "func main() {\nif err := snippet(context.Background()); err != nil {\npanic(err)\n}\n}\n"
		parameters = []string{"ctx context.Context"}
	}
	file := func(imports string) string {
		return fmt.Sprintf("package %s\n%s%s%s%sfunc snippet(%s) error {\n%sreturn nil\n%s}\n",
			name, imports, c.imports.String(), c.top.String(), main,
			strings.Join(parameters, ", "), c.body.String(), strings.Repeat("}", c.depth))
	}
	imports := ""
	missing := undeclared(file(""))
	for _, id := range missing {
		if kind, ok := given[id]; ok && !c.program {
			parameters = append(parameters, id+" "+kind)
		}
	}
	// Once more: the parameters' types need their packages, too.
	for _, id := range undeclared(file("")) {
		if path, ok := known[id]; ok {
			imports += fmt.Sprintf("import %s %q\n", id, path)
		}
	}
	return file(imports)
}

// undeclared returns the names that a file uses and does not declare, in order.
func undeclared(source string) []string {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "", source, 0)
	if err != nil {
		return nil // the compiler will tell
	}
	declared := identify(fset, f)
	member := map[*ast.Ident]bool{} // names that belong to what stands before them
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			member[n.Sel] = true
		case *ast.CompositeLit:
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					if id, ok := kv.Key.(*ast.Ident); ok {
						member[id] = true
					}
				}
			}
		}
		return true
	})
	var names []string
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !declared[id] && !member[id] {
			names = append(names, id.Name)
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names)
}
