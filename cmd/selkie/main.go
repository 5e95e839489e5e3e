// Command selkie looks after stores from the command line:
//
//	selkie check DIR            read every byte of a store and compare all that it says twice
//	selkie repair DIR NEW       make a new store of everything that can still be read of a damaged one
//	selkie inspect DIR          what is in a store: collections, partitions, segments, indexes, the log
//
// check and inspect change nothing, and nobody may have the store open for writing meanwhile. -json prints the report as one JSON
// object. The exit status is 0 if all is well, 1 if something is damaged or lost, 2 if the command could not be carried out.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/selkiedb/selkie/engine"
)

const (
	allWell = iota
	damaged
	failed
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const usage = `usage:
  selkie check   [-json] [-samples N] DIR
  selkie repair  [-json] [-copy] DIR NEW
  selkie inspect [-json] [-segments] [-log] DIR
`

func run(ctx context.Context, args []string, out, diag io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(diag, usage)
		return failed
	}
	commands := map[string]func(*command) (int, error){"check": check, "repair": repair, "inspect": inspect}
	fn, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(diag, "selkie: %q is no command\n%s", args[0], usage)
		return failed
	}
	c := &command{ctx: ctx, out: out, diag: diag, flags: flag.NewFlagSet("selkie "+args[0], flag.ContinueOnError), args: args[1:]}
	c.flags.SetOutput(diag)
	c.json = c.flags.Bool("json", false, "print the report as JSON")
	code, err := fn(c)
	if errors.Is(err, flag.ErrHelp) {
		return allWell
	}
	if err != nil {
		fmt.Fprintln(diag, "selkie:", err)
		return failed
	}
	return code
}

type command struct {
	ctx       context.Context
	out, diag io.Writer
	flags     *flag.FlagSet
	args      []string
	json      *bool
}

// parse reads flags and wants n directories.
func (c *command) parse(n int) ([]string, error) {
	if err := c.flags.Parse(c.args); err != nil {
		return nil, err
	}
	if c.flags.NArg() != n {
		return nil, fmt.Errorf("%d directories given, %d wanted\n%s", c.flags.NArg(), n, usage)
	}
	return c.flags.Args(), nil
}

// progress draws a bar where there is somebody to see it.
func (c *command) progress(what string) (step func(done, total int64), end func()) {
	f, ok := c.diag.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions64(1, progressbar.OptionSetWriter(f), progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true),
		progressbar.OptionClearOnFinish())
	return func(done, total int64) {
		bar.ChangeMax64(max(total, 1))
		_ = bar.Set64(done) // a bar that cannot be drawn is no reason to stop
	}, func() { _ = bar.Finish() }
}

// print writes the report as text or as JSON.
func (c *command) print(report fmt.Stringer) error {
	if !*c.json {
		_, err := io.WriteString(c.out, report.String())
		return err
	}
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	return e.Encode(report)
}

func check(c *command) (int, error) {
	samples := c.flags.Int("samples", 0, "entities searched for by their own vectors, of each index; 0: 32, -1: none")
	dirs, err := c.parse(1)
	if err != nil {
		return failed, err
	}
	step, end := c.progress("check")
	r, err := engine.Check(c.ctx, dirs[0], &engine.CheckOptions{Samples: *samples, Progress: step})
	end()
	if err != nil {
		return failed, err
	}
	if !r.OK() {
		return damaged, c.print(r)
	}
	return allWell, c.print(r)
}

func repair(c *command) (int, error) {
	whole := c.flags.Bool("copy", false, "copy intact segments instead of making hard links")
	dirs, err := c.parse(2)
	if err != nil {
		return failed, err
	}
	step, end := c.progress("repair")
	r, err := engine.Repair(c.ctx, dirs[0], dirs[1], &engine.RepairOptions{Copy: *whole, Progress: step})
	end()
	if err != nil {
		return failed, err
	}
	if !r.OK() {
		return damaged, c.print(r)
	}
	return allWell, c.print(r)
}
