// Command harness measures Selkie and other vector stores. From Selkie's own module it is run as `go run ./bench`.
//
//	list                              cases, data sets, systems
//	prepare [SET…]                    make data sets; -rivals installs npm packages and builds C++ workers
//	run CASE…                         measure
//	compare A.jsonl B.jsonl           what changed between two runs
//	report [FILE…]                    Markdown and one HTML page with charts
//
// Each takes -h.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/selkiedb/selkie/bench/harness/hosted"
)

// command is a subcommand. It returns an error that was not told yet.
type command struct {
	name, usage, what string
	run               func(ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"list", "list", "the cases, data sets and systems there are", list},
		{"prepare", "prepare [flags] [SET…]", "make data sets in the cache (default: glove100 fashion)", prepare},
		{"run", "run [flags] CASE…", "measure; flags may follow the cases", run},
		{"compare", "compare A.jsonl B.jsonl", "medians, ratios, noise, and whether they say anything", compare},
		{"report", "report [flags] [FILE…]", "Markdown and an HTML page of charts, of the last run unless files are named", writeReport},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(dispatch(ctx, os.Args[1:]))
}

// errTold is returned where the user was told already.
var errTold = errors.New("told")

func dispatch(ctx context.Context, args []string) int {
	if len(args) == 3 && args[0] == "worker" { // started by this program itself
		if err := hosted.Serve(ctx, args[1], args[2]); err != nil {
			fmt.Fprintln(os.Stderr, args[1]+":", err)
			return 1
		}
		return 0
	}
	for _, c := range commands() {
		if len(args) == 0 || c.name != args[0] {
			continue
		}
		err := c.run(ctx, args[1:])
		switch {
		case errors.Is(err, flag.ErrHelp):
			return 0
		case errors.Is(err, errTold):
			return 1
		case err != nil:
			fmt.Fprintf(os.Stderr, "bench %s: %v\n", c.name, err)
			return 1
		}
		return 0
	}
	fmt.Fprintln(os.Stderr, "usage: go run ./bench COMMAND")
	for _, c := range commands() {
		fmt.Fprintf(os.Stderr, "  %-32s %s\n", c.usage, c.what)
	}
	return 2
}

// newFlags makes a subcommand's flags.
func newFlags(usage string) *flag.FlagSet {
	f := flag.NewFlagSet(usage, flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: go run ./bench %s\n", usage)
		f.PrintDefaults()
	}
	return f
}

// parse parses flags that may stand before, between and after the other arguments, which it returns.
func parse(f *flag.FlagSet, args []string) ([]string, error) {
	var others []string
	for {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, errTold // by f itself
		}
		if f.NArg() == 0 {
			return others, nil
		}
		others = append(others, f.Arg(0))
		args = f.Args()[1:]
	}
}

// cacheFlag is where everything is kept that can be made again.
func cacheFlag(f *flag.FlagSet) *string {
	standard := os.Getenv("SELKIE_BENCH_CACHE")
	if standard == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			standard = filepath.Join(dir, "selkie-bench")
		} else {
			standard = filepath.Join(os.TempDir(), "selkie-bench")
		}
	}
	return f.String("cache", standard, "`folder` of data sets, built rivals and results")
}

// root is the checkout that is measured.
func root() string {
	if dir := os.Getenv("SELKIE_BENCH_ROOT"); dir != "" {
		return dir
	}
	out, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "."
	}
	return strings.TrimSpace(string(out))
}
