// Command bench measures Selkie beside other vector stores:
//
//	go run ./bench list
//	go run ./bench prepare
//	go run ./bench run search ingest reopen -rivals all
//	go run ./bench report
//
// The harness is the module in bench/harness: its dependencies (a chart library, rivals written in Go) are none of
// Selkie's. This program builds it there and runs it here, so that one command works from Selkie's own module.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = 2
	}
	os.Exit(code)
}

// run builds the harness and runs it in the current folder. Its exit code is the command's.
func run(args []string) (int, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return 0, fmt.Errorf("go env GOMOD: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	if _, err := os.Stat(filepath.Join(root, "bench", "harness", "go.mod")); err != nil {
		return 0, fmt.Errorf("run this inside a checkout of Selkie: %w", err)
	}
	dir, err := os.MkdirTemp("", "selkie-bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "bench")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	build := exec.Command("go", "build", "-C", filepath.Join(root, "bench", "harness"), "-o", binary, ".")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("go build: %w", err)
	}

	// An interrupt reaches the harness by itself, as it belongs to the same terminal. It ends by itself, too, after it
	// has kept what it finished.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	harness := exec.Command(binary, args...)
	harness.Stdin, harness.Stdout, harness.Stderr = os.Stdin, os.Stdout, os.Stderr
	harness.Env = append(os.Environ(), "SELKIE_BENCH_ROOT="+root)
	err = harness.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}
