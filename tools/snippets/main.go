// Command snippets keeps the documents true: it compiles the Go blocks of a
// module's documents, runs those that ask for it, and runs the shell commands
// of its README.md.
//
//	snippets [-C dir] [-elsewhere regexp] [-limit 5m]
//
// It reads the *.md files of the module's root and all below docs/:
//
//	```go         compiled. A block with a package clause is a program or package of
//	              its own. The others of a document make one function, each
//	              block in a scope inside the one before it, so that a later
//	              block sees what an earlier one declared. Imports are added
//	              where a block has none; ctx, eng, coll and part are declared
//	              where a block uses them without saying so. Blocks with
//	              functions go to the top level.
//	```go run     a program of its own, compiled and run in an empty folder.
//	```console    in README.md: each line that begins with "$ " is run by bash in
//	```sh         the module's root. Any other line is output, and not compared.
//
// Whatever is not to be held to this is fenced as ```text. Nothing is written
// to the module: the go command sees the blocks through an overlay.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	dir := flag.String("C", ".", "the module's `folder`")
	elsewhere := flag.String("elsewhere", "^$", "leave out commands that match this `regexp`: they are run elsewhere")
	limit := flag.Duration("limit", 5*time.Minute, "time for one command or program")
	flag.Parse()
	leaveOut, err := regexp.Compile(*elsewhere)
	if err != nil {
		fmt.Fprintln(os.Stderr, "snippets: -elsewhere:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	failures, err := checkModule(ctx, os.Stdout, *dir, leaveOut, *limit)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "snippets:", err)
		os.Exit(2)
	}
	if failures > 0 {
		os.Exit(1)
	}
}

// checkModule returns how many blocks, documents and commands are wrong. It
// tells about each on w.
func checkModule(ctx context.Context, w io.Writer, dir string, elsewhere *regexp.Regexp, limit time.Duration) (int, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return 0, err
	}
	documents, err := findDocuments(root)
	if err != nil {
		return 0, err
	}
	var (
		units    []unit
		run      []command
		compiled int
		failures int
	)
	fail := func(format string, args ...any) {
		failures++
		fmt.Fprintf(w, format+"\n", args...)
	}
	known, err := knownPackages(ctx, root)
	if err != nil {
		return 0, err
	}
	for _, name := range documents {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return 0, err
		}
		blocks, err := findBlocks(name, string(text))
		if err != nil {
			fail("%v", err)
			continue
		}
		these, errs := wrap(slug(name), blocks, known)
		for _, err := range errs {
			fail("%v", err)
		}
		units = append(units, these...)
		for _, b := range blocks {
			if b.lang == "go" {
				compiled++
			}
		}
		if name == "README.md" {
			run = append(run, findCommands(blocks)...)
		}
	}
	b, err := newBuilder(root, units, limit)
	if err != nil {
		return 0, err
	}
	defer b.close()
	ran, commands := 0, 0
	for _, u := range units {
		if out, err := b.build(ctx, u); err != nil {
			fail("%s does not compile: %v\n%s", u.from, err, out)
			continue
		}
		if !u.run {
			continue
		}
		ran++
		if out, err := b.run(ctx, u); err != nil {
			fail("%s does not run: %v\n%s", u.from, err, out)
		}
	}
	for _, c := range run {
		start := time.Now()
		fmt.Fprintf(w, "%s: $ %s\n", c.from, c.line)
		if elsewhere.MatchString(c.line) {
			fmt.Fprintln(w, "  left out: it is run elsewhere")
			continue
		}
		commands++
		if out, err := c.run(ctx, root, limit); err != nil {
			fail("%s: $ %s: %v\n%s", c.from, c.line, err, out)
		} else {
			fmt.Fprintf(w, "  ok, %.1f s\n", time.Since(start).Seconds())
		}
	}
	fmt.Fprintf(w, "%d documents, %d Go blocks compiled, %d run, %d commands run, %d wrong\n",
		len(documents), compiled, ran, commands, failures)
	return failures, nil
}

// findDocuments returns slash paths from root, in order.
func findDocuments(root string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") {
			names = append(names, path)
		}
		return err
	})
	for i, path := range names {
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return nil, err
		}
		names[i] = filepath.ToSlash(rel)
	}
	slices.Sort(names)
	return names, err
}

// slug makes a package folder's name of a document's.
func slug(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
}
