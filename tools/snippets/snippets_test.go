package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// house is a module with the documents' cast.
var house = map[string]string{
	"go.mod": "module example.org/house\n\ngo 1.26\n",
	"engine/engine.go": `package engine

import "context"

type (
	Engine     struct{}
	Collection struct{}
	Partition  struct{}
)

func Open(string) (*Engine, error)                           { return nil, nil }
func (*Partition) Flush(context.Context) (int, error)         { return 0, nil }
`,
	"schema/schema.go": "package schema\n\nfunc New(string) int { return 0 }\n",
}

// checkHouse holds a module of house and documents to the checks.
func checkHouse(t *testing.T, documents map[string]string, limit time.Duration) (failures int, output string) {
	t.Helper()
	root := t.TempDir()
	for _, files := range []map[string]string{house, documents} {
		for name, text := range files {
			path := filepath.Join(root, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := listing(t, root)
	var out strings.Builder
	failures, err := checkModule(t.Context(), &out, root, regexp.MustCompile("^go test"), limit)
	if err != nil {
		t.Fatal(err)
	}
	if after := listing(t, root); after != before {
		t.Errorf("the module has changed from\n%s\nto\n%s", before, after)
	}
	return failures, out.String()
}

func listing(t *testing.T, root string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, "\n")
}

func fence(info string, l ...string) string { return "```" + info + "\n" + lines(l...) + "```\n" }

func TestGoodDocuments(t *testing.T) {
	failures, output := checkHouse(t, map[string]string{
		"README.md": fence("go", `eng, err := engine.Open("data")`) +
			fence("go", "n, err := part.Flush(ctx)", "if err != nil { return err }") + // part is given
			fence("go", "n, err := part.Flush(ctx)", "fmt.Println(eng, w{}.name)") + // eng, w from other blocks
			fence("go", "type w struct{ name string }", "func (w) String() string { return \"\" }") +
			fence("go", "schema := schema.New(\"a\")", "query := struct{ filter int }{filter: 1}", "_ = query.filter") +
			fence("go", "import r \"math/rand/v2\"", "var n, m = r.Int(), rand.Int()") +
			fence("go run", "package main", "import \"os\"", "func main() { os.WriteFile(\"here\", nil, 0o666) }") +
			fence("go run", "if ctx == nil { return errors.New(\"no context\") }") +
			fence("console", "$ echo out", "out", "$ test -f go.mod", "$ go test -no-such-flag"),
		"docs/deep/a.md": fence("go", "package a", "", "func F() {}") + fence("text", "$ false", "no Go"),
		"docs/b.md":      "no blocks; ```go in the text\n" + fence("sh", "$ false # not the README's"),
	}, time.Minute)
	if failures != 0 || !strings.Contains(output, "3 documents, 9 Go blocks compiled, 2 run, 2 commands run, 0 wrong") {
		t.Errorf("%d failures:\n%s", failures, output)
	}
}

func TestBadDocuments(t *testing.T) {
	for name, c := range map[string]struct {
		document, want string
	}{
		"an unknown name":    {fence("go", "a := 1", "part.Seal()"), "README.md:3: part.Seal undefined"},
		"an unknown package": {fence("go", "house.Open()"), "README.md:2: undefined: house"},
		"no Go":              {fence("go", "a := 1", "a := := 2"), "README.md:3: expected"},
		"a function, no Go":  {fence("go", "", "func f() {", "a := := 2", "}"), "README.md:4: expected"},
		"a program":          {fence("go", "package main", "func main() { f() }"), "README.md:3: undefined: f"},
		"a program's exit":   {fence("go run", "package main", "import \"os\"", "func main() { os.Exit(3) }"), "README.md:2 does not run: exit status 3"},
		"statements' error":  {fence("go run", "return errors.New(\"no luck\")"), "no luck"},
		"a command":          {fence("console", "$ echo seen; false | true"), "$ echo seen; false | true: exit status 1\nseen"},
		"no end":             {"```go\n", "README.md:2: the block does not end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failures, output := checkHouse(t, map[string]string{"README.md": c.document}, time.Minute)
			if failures != 1 || !strings.Contains(output, c.want) {
				t.Errorf("%d failures, want 1 with %q:\n%s", failures, c.want, output)
			}
		})
	}
}

func TestSlowCommand(t *testing.T) {
	failures, output := checkHouse(t, map[string]string{"README.md": fence("console", "$ exec sleep 60")}, time.Second)
	if failures != 1 || !strings.Contains(output, "took longer than 1s") {
		t.Errorf("%d failures:\n%s", failures, output)
	}
}
