// Package node holds the script that drives npm packages, and installs them.
package node

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed driver.mjs package.json
var sources embed.FS

// ErrMissing is returned where node or a package is not here.
var ErrMissing = errors.New("not installed")

// packages is what each system needs.
var packages = map[string][]string{
	"usearch":    {"usearch"},
	"zvec":       {"@zvec/zvec"},
	"lancedb":    {"@lancedb/lancedb"},
	"sqlite-vec": {"sqlite-vec", "better-sqlite3"},
}

// Command is the command of a system's worker. The packages are installed by Install.
func Command(_ context.Context, folder, name, store string) ([]string, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("%w: node is not here", ErrMissing)
	}
	dir, err := unpack(folder)
	if err != nil {
		return nil, err
	}
	for _, p := range packages[name] {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", filepath.FromSlash(p))); err != nil {
			return nil, fmt.Errorf("%w: npm package %s is not here: `prepare -rivals` installs it", ErrMissing, p)
		}
	}
	return []string{node, filepath.Join(dir, "driver.mjs"), name, store}, nil
}

// Install installs all packages with npm.
func Install(ctx context.Context, folder string) error {
	dir, err := unpack(folder)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm install: %w: %s", err, out)
	}
	return nil
}

// unpack writes the script into a folder named by the versions of the packages.
func unpack(folder string) (string, error) {
	list, err := sources.ReadFile("package.json")
	if err != nil {
		return "", err
	}
	script, err := sources.ReadFile("driver.mjs")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(list)
	dir := filepath.Join(folder, hex.EncodeToString(sum[:])[:12])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), list, 0o644); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "driver.mjs"), script, 0o644)
}
