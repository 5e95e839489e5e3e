// Package native holds the sources of the workers that drive C++ libraries, and builds them.
package native

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed src
var sources embed.FS

// ErrMissing is returned where a library or the compiler is not here.
var ErrMissing = errors.New("not installed")

// missing is build.sh's exit code for that.
const missing = 77

// Build builds the worker of a library below folder, unless the same sources were built there before with the same
// settings, and returns the program.
func Build(ctx context.Context, folder, name string) (string, error) {
	sum := sha256.New()
	files := map[string][]byte{}
	err := fs.WalkDir(sources, "src", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := sources.ReadFile(file)
		files[e.Name()] = text
		fmt.Fprintf(sum, "%s %d\n%s", e.Name(), len(text), text)
		return err
	})
	if err != nil {
		return "", err
	}
	for _, setting := range []string{"CXX", "CPPFLAGS", "LDFLAGS", "VERSION"} {
		fmt.Fprintf(sum, "%s=%s\n", setting, os.Getenv(setting))
	}
	dir := filepath.Join(folder, hex.EncodeToString(sum.Sum(nil))[:12])
	program := filepath.Join(dir, name+".worker")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			return "", err
		}
	}
	out, err := exec.CommandContext(ctx, "sh", filepath.Join(dir, "build.sh"), name, program+".new").CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == missing {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return "", fmt.Errorf("%w: %s", ErrMissing, lines[len(lines)-1])
	}
	if err != nil {
		return "", fmt.Errorf("build.sh %s: %w: %s", name, err, out)
	}
	return program, os.Rename(program+".new", program)
}
