package cases

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/result"
	"github.com/selkiedb/selkie/bench/harness/system"
)

// cappedModes are the ways a store can lie in memory: the index in memory of its own; all of it mapped from the disk; the same with no more
// memory than a quarter of the vectors' bytes, the system's cache of the files included.
var cappedModes = []string{"index in memory", "mapped", "mapped, capped"}

// leastCap is what a process of this program needs that does nothing yet, with some room.
const leastCap = 48 << 20

// runCapped searches a store that was reopened, from a cold start, in each mode.
func runCapped(ctx context.Context, b *Bench) error {
	var failed failure
	made := 0
	for _, set := range b.Sets {
		for _, s := range b.Systems {
			if s.Name != "selkie" {
				continue
			}
			err := b.capped(ctx, s, set)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				b.skip(s.Name, err)
				failed.note(err)
				continue
			}
			made++
		}
	}
	if made == 0 {
		failed.note(errNone)
	}
	return failed.err
}

func (b *Bench) capped(ctx context.Context, s system.System, set *dataset.Set) error {
	c, err := b.start(ctx, s, result.Params{}, -1)
	if err != nil {
		return err
	}
	defer func() { b.stop(c) }()
	b.Show.Work(s.Name+": a store of "+set.Name, set.Rows)
	if _, err := c.proc.Call("stock", setArgs(set, result.Params{"folder": "filled"}), b.Show.Done); err != nil {
		return err
	}
	own := *b // a search that reads the disk cannot be asked thousands of times
	own.Seconds = min(b.Seconds, 1)
	s.Searches = func(*dataset.Meta, result.Params) []result.Params {
		return []result.Params{{"ef": "64"}, {"ef": "128"}, {"ef": "256"}}
	}
	s.Effort = ""
	for _, mode := range cappedModes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.proc.Close(); err != nil {
			return err
		}
		if err := machine.Evict(c.store); err != nil && !errors.Is(err, machine.ErrNoCap) {
			return err
		}
		if err := own.cappedMode(ctx, s, c, set, mode); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) cappedMode(ctx context.Context, s system.System, c *contender, set *dataset.Set, mode string) error {
	env := b.Env
	limit := int64(set.Rows) * int64(set.Dim) // of four bytes each
	if mode == cappedModes[2] {
		if limit < leastCap {
			b.Show.Line("skipped: %s: a quarter of these vectors is %d MiB, and the process itself needs %d", mode, limit>>20, leastCap>>20)
			return nil
		}
		s.Environ = []string{fmt.Sprintf("GOMEMLIMIT=%d", limit/2)} // the rest is the system's cache of files
	}
	proc, err := s.Start(ctx, &env, c.store)
	if err != nil {
		return err
	}
	c.System, c.proc, c.params = s, proc, result.Params{"mode": mode}
	reopen := result.Params{"folder": "filled", "rows": strconv.Itoa(set.Rows), "mapped": "1", "wait": "1"}
	switch mode {
	case cappedModes[0]:
		reopen["mapped"] = "0"
	case cappedModes[2]:
		release, err := machine.Cap(proc.Pid(), limit)
		if err != nil {
			b.Show.Line("skipped: %s: %v", mode, err)
			return nil
		}
		defer func() {
			if err := errors.Join(proc.Close(), release()); err != nil {
				b.Show.Line("%v", err)
			}
		}()
		c.params["cap_mb"] = result.Digits(float64(limit)/(1<<20), 3)
	}
	if _, err := proc.Call("load", setArgs(set, result.Params{"only": "queries"}), nil); err != nil {
		return err
	}
	answer, err := proc.Call("reopen", setArgs(set, reopen), nil)
	if err != nil {
		return err
	}
	settings, err := b.settings(ctx, c, set)
	if err != nil {
		return err
	}
	if err := b.askRounds(ctx, settings, set); err != nil {
		return err
	}
	for _, x := range settings {
		r := b.searchRecord("capped", x, set)
		r.Disk = figure(answer, "disk_mb")
		if anon := machine.Anonymous(proc.Pid()); anon > 0 {
			r.Params["anonymous_mb"] = result.Digits(float64(anon)/(1<<20), 3)
			r.Params["anonymous_bytes_per_row"] = result.Digits(float64(anon)/float64(set.Rows), 3)
		}
		if err := b.Emit(r); err != nil {
			return err
		}
	}
	return nil
}
