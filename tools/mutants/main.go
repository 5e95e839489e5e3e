// Command mutants breaks the store on purpose, one break at a time, and tells which tests notice. Nothing is written to the source: each break is
// an overlay of the build.
//
//	cd tools && go run ./mutants              all of them
//	cd tools && go run ./mutants -run fsync   those with that in their name
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	root := flag.String("C", "..", "folder of the store's module")
	only := flag.String("run", "", "only breaks whose name matches this")
	limit := flag.Duration("timeout", 10*time.Minute, "for the tests of one break")
	flag.Parse()
	survived, err := exercise(*root, regexp.MustCompile(*only), *limit)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if survived > 0 {
		fmt.Fprintf(os.Stderr, "%d breaks went unnoticed\n", survived)
		os.Exit(1)
	}
}

// exercise tries the mutants and prints a table of them.
func exercise(root string, only *regexp.Regexp, limit time.Duration) (survived int, err error) {
	root, err = filepath.Abs(root)
	if err != nil {
		return 0, err
	}
	tmp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	fmt.Println("| break | noticed by |\n|---|---|")
	for i, m := range mutants {
		if !only.MatchString(m.name) {
			continue
		}
		by, err := m.try(root, filepath.Join(tmp, fmt.Sprint(i)), limit)
		if err != nil {
			return survived, fmt.Errorf("%s: %w", m.name, err)
		}
		if len(by) == 0 {
			survived++
			by = []string{"**nobody**"}
		}
		fmt.Printf("| %s (`%s`) | %s |\n", m.name, m.file, strings.Join(by, ", "))
	}
	return survived, nil
}

// broken gives the file's text with the break in it.
func (m mutant) broken(root string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(raw), m.old); n != 1 {
		return "", fmt.Errorf("%s holds %q %d times, once expected", m.file, m.old, n)
	}
	return strings.Replace(string(raw), m.old, m.new, 1), nil
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)

// try runs the tests with the break, and returns those that failed.
func (m mutant) try(root, dir string, limit time.Duration) ([]string, error) {
	text, err := m.broken(root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file, overlay := filepath.Join(dir, "file.go"), filepath.Join(dir, "overlay.json")
	raw, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): file}})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(overlay, raw, 0o644); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-failfast", "-vet=off", "-timeout", limit.String(), "-overlay", overlay, "-run", m.run, m.pkg)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	switch names := failed.FindAllStringSubmatch(string(out), -1); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == nil:
		return nil, nil
	case strings.Contains(string(out), "[build failed]"), strings.Contains(string(out), "[setup failed]"):
		return nil, fmt.Errorf("%w\n%s", err, out)
	case len(names) > 0:
		var by []string
		for _, n := range names {
			by = append(by, "`"+n[1]+"`")
		}
		slices.Sort(by)
		return slices.Compact(by), nil
	default: // a panic, or a test that hangs
		text := strings.SplitN(strings.TrimSpace(string(out)), "\n", 2)[0]
		return []string{text}, nil
	}
}
