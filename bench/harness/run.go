package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/selkiedb/selkie/bench/harness/cases"
	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/native"
	"github.com/selkiedb/selkie/bench/harness/node"
	"github.com/selkiedb/selkie/bench/harness/result"
	"github.com/selkiedb/selkie/bench/harness/system"
)

func list(_ context.Context, args []string) error {
	f := newFlags("list [flags]")
	cache := cacheFlag(f)
	if _, err := parse(f, args); err != nil {
		return err
	}
	fmt.Println("cases:")
	for _, c := range cases.All() {
		fmt.Printf("  %-14s %s\n", c.Name, c.What)
	}
	fmt.Println("\ndata sets:")
	for _, k := range dataset.Known {
		fmt.Printf("  %-14s %s\n", k.Name, k.What)
	}
	fmt.Println("  NAME           of your own files: prepare -name NAME -base FILE [-queries FILE] -metric COSINE|L2|IP")
	fmt.Println("\nprepared in", *cache+":")
	for _, name := range dataset.Cache(*cache).Names() {
		if s, err := dataset.Cache(*cache).Open(name); err == nil {
			fmt.Printf("  %-14s %d rows × %d, %s, SHA-256 %.12s…\n", name, s.Rows, s.Dim, s.Meta.Metric, s.SHA256)
			s.Close()
		}
	}
	fmt.Println("\nsystems:")
	for _, s := range system.All() {
		note := ""
		switch {
		case s.Rival && s.Extra:
			note = " (a rival, only when named)"
		case s.Rival:
			note = " (a rival)"
		case s.Extra:
			note = " (only when named)"
		}
		fmt.Printf("  %-14s %s%s\n", s.Name, s.What, note)
	}
	return nil
}

func prepare(ctx context.Context, args []string) error {
	f := newFlags("prepare [flags] [SET…]")
	cache := cacheFlag(f)
	var o dataset.Options
	f.StringVar(&o.From, "from", "", "the `file` (glove100) or folder (fashion) that the package would bring")
	f.StringVar(&o.Base, "base", "", "`file` of rows of your own: fvecs, bvecs, ivecs, npy, jsonl, parquet")
	f.StringVar(&o.Queries, "queries", "", "`file` of queries; held-out rows without it")
	f.StringVar(&o.Metric, "metric", "COSINE", "of your own rows")
	name := f.String("name", "", "of your own rows")
	rivals := f.Bool("rivals", false, "install the rivals' npm packages, build the C++ workers")
	again := f.Bool("again", false, "make sets that are there already")
	names, err := parse(f, args)
	if err != nil {
		return err
	}
	screen := newScreen(os.Stderr)
	defer screen.close()
	if *rivals {
		return prepareRivals(ctx, *cache, screen)
	}
	switch {
	case o.Base != "" && (*name == "" || len(names) > 0):
		return errors.New("-base needs -name, and no other sets")
	case o.Base != "":
		names = []string{*name}
	case len(names) == 0:
		names = []string{"glove100", "fashion"}
	}
	o.Log = screen.Line
	o.Progress = func(work string, done, of int) { screen.Work(work, of); screen.Done(done, of) }
	sets := dataset.Cache(*cache)
	for _, n := range names {
		if *again {
			if err := os.RemoveAll(sets.Dir(n)); err != nil {
				return err
			}
		}
		s, err := sets.Prepare(ctx, n, o)
		if err != nil {
			return err
		}
		screen.Line("%s is in %s", n, s.Dir)
		s.Close()
	}
	return nil
}

func prepareRivals(ctx context.Context, cache string, screen *screen) error {
	failed := false
	tell := func(name string, err error) {
		if err != nil {
			failed = true
			screen.Line("%s: %v", name, err)
			return
		}
		screen.Line("%s is there", name)
	}
	for _, s := range system.All() {
		if s.Kind == system.Native {
			_, err := native.Build(ctx, filepath.Join(cache, "native"), s.Name)
			tell(s.Name, err)
		}
	}
	tell("npm packages", node.Install(ctx, filepath.Join(cache, "node")))
	if failed {
		return errTold
	}
	return nil
}

// runFlags are what `run` may be told.
type runFlags struct {
	cache, sets, systems, rivals, variant, out, temp string
	foreign                                          foreignList
	json, quick, full, keep, cpu                     bool
	k, rounds, core                                  int
	seconds                                          float64
}

type foreignList []string

func (l *foreignList) String() string     { return strings.Join(*l, " ") }
func (l *foreignList) Set(s string) error { *l = append(*l, s); return nil }

func run(ctx context.Context, args []string) error {
	f := newFlags("run [flags] CASE…")
	var o runFlags
	cache := cacheFlag(f)
	f.StringVar(&o.sets, "dataset", "", "data `sets`, separated by commas (default glove100; with -quick made-30k-d32)")
	f.StringVar(&o.systems, "systems", "selkie,plain-file", "`systems` that are no rivals, separated by commas; none")
	f.StringVar(&o.rivals, "rivals", "none", "`rivals`, separated by commas; all")
	f.StringVar(&o.variant, "variant", "", "of the rivals' variants, only those whose parameters match this `regexp`, as in 'M=16|IVF'")
	f.Var(&o.foreign, "foreign", "another rival, as `NAME=COMMAND` whose program speaks the protocol of package worker")
	f.StringVar(&o.out, "o", "", "`file` to write records to (default: a new one in the cache)")
	f.StringVar(&o.temp, "temp", "", "`folder` on the disk to be measured (default: in the cache)")
	f.BoolVar(&o.json, "json", false, "write each record to standard output too, one JSON object a line")
	f.BoolVar(&o.quick, "quick", false, "small data and few rounds: to see that everything works, not to measure")
	f.BoolVar(&o.full, "full", false, "the large sizes, too")
	f.BoolVar(&o.keep, "keep", false, "keep hnswlib's and faiss's indexes for the next run, which then tells no build time of theirs")
	f.BoolVar(&o.cpu, "cpu", false, "count processor time instead of the time that passes, in builds and searches on one core: for a machine that others use, too; times of single queries stay those that pass")
	f.IntVar(&o.k, "k", 10, "neighbours to search for")
	f.IntVar(&o.rounds, "rounds", 0, "rounds of each measurement (default: 5, of long ones 3; with -quick 2)")
	f.IntVar(&o.core, "core", -2, "bind workers to this core (default: the last one); -1 binds them to none")
	f.Float64Var(&o.seconds, "seconds", 2, "that one measurement of a search may last: slow systems are asked fewer queries")
	names, err := parse(f, args)
	if err != nil {
		return err
	}
	o.cache = *cache
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	if o.core == -2 && machine.CanPin {
		o.core = runtime.NumCPU() - 1
	}
	screen := newScreen(os.Stderr)
	defer screen.close()
	b, closeAll, err := newBench(ctx, &o, screen)
	if err != nil {
		return err
	}
	defer closeAll()
	return runCases(ctx, b, chosen, &o, screen)
}

func choose(names []string) ([]cases.Case, error) {
	all := cases.All()
	if slices.Equal(names, []string{"all"}) {
		return all, nil
	}
	var chosen []cases.Case
	for _, n := range names {
		at := slices.IndexFunc(all, func(c cases.Case) bool { return c.Name == n })
		if at < 0 {
			return nil, fmt.Errorf("no case %q; `list` shows those there are", n)
		}
		chosen = append(chosen, all[at])
	}
	if len(chosen) == 0 {
		return nil, errors.New("which case? `list` shows those there are; all")
	}
	return chosen, nil
}

// newBench opens the data and the folders. What it returns closes them.
func newBench(ctx context.Context, o *runFlags, screen *screen) (b *cases.Bench, closeAll func(), err error) {
	systems, err := chooseSystems(o)
	if err != nil {
		return nil, nil, err
	}
	if o.sets == "" {
		if o.sets = "glove100"; o.quick {
			o.sets = "made-30k-d32"
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	parent := o.temp
	if parent == "" {
		parent = filepath.Join(o.cache, "temp")
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, nil, err
	}
	temp, err := os.MkdirTemp(parent, "run-")
	if err != nil {
		return nil, nil, err
	}
	log, err := os.Create(filepath.Join(o.cache, "workers.log"))
	if err != nil {
		return nil, nil, err
	}
	b = &cases.Bench{
		Env:     system.Env{Cache: o.cache, Self: self, Core: o.core, Log: log},
		Systems: systems, K: o.k, Rounds: o.rounds, Quick: o.quick, Full: o.full, Seconds: o.seconds, Keep: o.keep, CPU: o.cpu,
		Temp: temp, Commit: machine.Commit(root()), Show: screen,
	}
	if o.quick {
		b.Seconds = min(b.Seconds, .1)
	}
	closeAll = func() {
		for _, s := range b.Sets {
			s.Close()
		}
		log.Close()
		if info, err := os.Stat(log.Name()); err == nil && info.Size() > 0 {
			screen.Line("what the systems printed is in %s", log.Name())
		}
		os.RemoveAll(temp)
	}
	sets := dataset.Cache(o.cache)
	for _, n := range strings.Split(o.sets, ",") {
		var s *dataset.Set
		if strings.HasPrefix(n, "made-") && o.quick { // nothing has to be fetched
			s, err = sets.Prepare(ctx, n, dataset.Options{})
		} else {
			s, err = sets.Open(n)
		}
		if err == nil {
			b.Sets = append(b.Sets, s)
			err = s.Verify()
		}
		if err != nil {
			closeAll()
			return nil, nil, err
		}
	}
	return b, closeAll, nil
}

func chooseSystems(o *runFlags) ([]system.System, error) {
	all := system.All()
	systems, err := system.Select(all, o.systems)
	if err != nil {
		return nil, err
	}
	rivals, err := system.Select(all, o.rivals)
	if err != nil {
		return nil, err
	}
	for i := range rivals {
		if err := rivals[i].Only(o.variant); err != nil {
			return nil, fmt.Errorf("-variant: %w", err)
		}
	}
	systems = append(systems, rivals...)
	for _, text := range o.foreign {
		s, err := system.ParseForeign(text)
		if err != nil {
			return nil, err
		}
		systems = append(systems, s)
	}
	if len(systems) == 0 {
		return nil, errors.New("no systems")
	}
	return systems, nil
}

// runCases runs each case and keeps its records as they come. A case that fails says why, and the others go on.
func runCases(ctx context.Context, b *cases.Bench, chosen []cases.Case, o *runFlags, screen *screen) (err error) {
	name := o.out
	if name == "" {
		folder := resultsFolder(o.cache)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		name = filepath.Join(folder, time.Now().UTC().Format("2006-01-02T15-04-05")+".jsonl")
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	to := io.Writer(file)
	if o.json {
		to = io.MultiWriter(file, os.Stdout)
	}
	kept := 0
	b.Emit = func(r result.Record) error {
		kept++
		return result.Write(to, r)
	}
	screen.Line("load average %s; records go to %s", machine.Load(), name)
	failed := 0
	all := b.Systems
	for _, c := range chosen {
		if ctx.Err() != nil {
			break
		}
		b.Systems = slices.DeleteFunc(slices.Clone(all), func(s system.System) bool {
			return c.Stores && !s.Stores || !c.Stores && s.Searches == nil
		})
		screen.Line("== %s: %s", c.Name, c.What)
		if err := c.Run(ctx, b); err != nil && ctx.Err() == nil {
			failed++
			screen.Line("FAILED: case %s: %v", c.Name, err)
		}
	}
	screen.Line("%d records in %s", kept, name)
	switch {
	case ctx.Err() != nil:
		screen.Line("interrupted: what was finished is kept")
		return errTold
	case failed > 0:
		return errTold
	}
	return nil
}

func resultsFolder(cache string) string { return filepath.Join(cache, "results") }
