package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// builder builds units as packages of the module, without a file in it.
type builder struct {
	root    string
	temp    string // the overlay's files and the programs
	overlay string
	limit   time.Duration
}

// place is the folder that the units seem to stand in.
const place = "internal/snippets_of_the_documents"

func newBuilder(root string, units []unit, limit time.Duration) (*builder, error) {
	temp, err := os.MkdirTemp("", "snippets-")
	if err != nil {
		return nil, err
	}
	b := &builder{root: root, temp: temp, overlay: filepath.Join(temp, "overlay.json"), limit: limit}
	replace := map[string]string{}
	for _, u := range units {
		real := filepath.Join(temp, u.folder+".go")
		if err := os.WriteFile(real, []byte(u.source), 0o600); err != nil {
			return nil, err
		}
		replace[filepath.Join(root, filepath.FromSlash(place), u.folder, "snippet.go")] = real
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	return b, os.WriteFile(b.overlay, text, 0o600)
}

func (b *builder) close() { os.RemoveAll(b.temp) }

// build returns the go command's output.
func (b *builder) build(ctx context.Context, u unit) (string, error) {
	target := os.DevNull
	if u.run {
		target = b.program(u)
	}
	c := exec.CommandContext(ctx, "go", "build", "-overlay", b.overlay, "-o", target, "./"+place+"/"+u.folder)
	c.Dir = b.root
	out, err := c.CombinedOutput()
	return string(out), err
}

// run runs a built unit in an empty folder.
func (b *builder) run(ctx context.Context, u unit) (string, error) {
	dir, err := os.MkdirTemp(b.temp, u.folder)
	if err != nil {
		return "", err
	}
	return runLimited(ctx, b.limit, dir, b.program(u))
}

func (b *builder) program(u unit) string { return filepath.Join(b.temp, u.folder+".exe") }

// runLimited runs a program that gets no input and may take no longer than
// limit. It returns what the program printed.
func runLimited(ctx context.Context, limit time.Duration, dir, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("took longer than %v", limit))
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Dir = dir
	c.WaitDelay = time.Second // for a grandchild that holds the output
	out, err := c.CombinedOutput()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return string(out), err
}
