package cases

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/result"
	"github.com/selkiedb/selkie/bench/harness/system"
	"github.com/selkiedb/selkie/bench/harness/worker"
)

// task is one request to a store, made in each round.
type task struct {
	verb       string
	params     result.Params // told in the record and to the worker
	hidden     result.Params // told to the worker only
	threads    int
	durability string
	figure     result.Figure
	k          int      // neighbours that are searched for, where the answer tells a recall
	told       []string // of the answer, that the record's parameters tell
	// before is carried out before each request and not measured.
	before func(ctx context.Context, b *Bench, c *contender, set *dataset.Set, args worker.Args) error
}

func storeCases() []Case {
	simple := func(name, what string, rounds int, tasks func(b *Bench, set *dataset.Set) []task) Case {
		return Case{name, what, true, func(ctx context.Context, b *Bench) error {
			return b.perform(ctx, name, rounds, tasks)
		}}
	}
	return []Case{
		simple("ingest", "inserts of 1, 100, 1,000 and 10,000 rows, 1 and 64 writers, each sync policy; beside a bare file", 5, ingestTasks),
		simple("flush", "from a growing segment to a sealed one: 1 row, 100 MB", 5, flushTasks),
		simple("searchable", "from the beginning of an insert to the search that finds its row", 3, searchableTasks),
		{"reopen", "Open and the first search: after a clean close, after kill -9, with an index", true, runReopen},
		simple("get", "one row by its key, growing and sealed", 5, readTasks("get", result.P50)),
		simple("count", "number of live rows, growing and sealed", 5, readTasks("count", result.P50)),
		simple("iterate", "all rows in the order of their keys, growing and sealed", 3, readTasks("iterate", result.Rate)),
		simple("delete", "deletes of 1,000 keys a call, growing and sealed", 3, changeTasks("delete")),
		simple("flush-each", "a flush after every insert of one row", 3, flushEachTasks),
		simple("flush-many", "10,000 inserts of one row, each flushed, beside searches, plain syncs and a store of one flush", 1, flushManyTasks),
		simple("mixed", "searches of an indexed partition, alone and while another goroutine inserts", 3, mixedTasks),
		simple("filter", "searches by filters that let 0.1 to 99 % of the rows through: at random, like the query, unlike it", 3, filterTasks),
		simple("merge", "the index of two segments' rows, made of theirs by a compaction, beside one that is built anew; halves, and nine tenths with one", 3, mergeTasks),
		simple("backup", "a backup to a file and a store restored from it, beside plain writes of as many bytes", 3, backupTasks),
		simple("checkpoint", "a checkpoint while another goroutine inserts", 3, checkpointTasks),
		simple("text", "searches of texts by words (BM25), by vectors, and by both", 3, textTasks),
		simple("upsert", "upserts of 1,000 rows a call, growing and sealed", 3, changeTasks("upsert")),
	}
}

// perform makes the tasks in rounds over all systems, each of which has one process.
func (b *Bench) perform(ctx context.Context, name string, rounds int, tasks func(b *Bench, set *dataset.Set) []task) error {
	var failed failure
	made := 0
	for _, set := range b.Sets {
		n, err := b.performSet(ctx, name, b.rounds(rounds), set, tasks(b, set), &failed)
		if err != nil {
			return err
		}
		made += n
	}
	if made == 0 {
		failed.note(errNone)
	}
	return failed.err
}

// series is what the rounds of one task on one system gave.
type series struct {
	*contender
	task
	values []float64
	micros []float32
	last   worker.Args
	off    bool // it cannot be done there
}

func (b *Bench) performSet(ctx context.Context, name string, rounds int, set *dataset.Set, tasks []task, failed *failure) (made int, err error) {
	var all []*series
	var running []*contender
	defer func() {
		for _, c := range running {
			b.stop(c)
		}
	}()
	for _, s := range b.Systems {
		// A store is not bound to one core: its flushes and syncs run beside its writers.
		c, err := b.start(ctx, s, firstVariant(&s, set), -1)
		if err == nil {
			running = append(running, c)
			_, err = c.proc.Call("load", setArgs(set, result.Params{"only": "queries"}), nil)
		}
		if err != nil {
			b.skip(s.Name, err)
			failed.note(err)
			continue
		}
		for _, t := range tasks {
			all = append(all, &series{contender: c, task: t})
		}
	}
	b.Show.Work(name+" of "+set.Name, rounds*len(all))
	interrupted := error(nil)
rounds:
	for round := range rounds {
		for i, s := range all {
			if interrupted = ctx.Err(); interrupted != nil {
				break rounds
			}
			if s.off {
				continue
			}
			if err := b.once(ctx, s, set); err != nil {
				s.off = true
				if !errors.Is(err, worker.ErrUnsupported) {
					b.skip(s.title()+" "+s.task.params.String(), err)
				}
				failed.note(err)
			}
			b.Show.Done(round*len(all)+i+1, rounds*len(all))
		}
	}
	for _, s := range all {
		if len(s.values) == 0 {
			continue
		}
		if err := b.Emit(b.taskRecord(name, s, set)); err != nil {
			return made, err
		}
		made++
	}
	return made, interrupted
}

// once makes one request and keeps its figure.
func (b *Bench) once(ctx context.Context, s *series, set *dataset.Set) error {
	args := setArgs(set, s.task.params, s.hidden, result.Params{"out": b.out()})
	if s.durability != "" {
		args["sync"] = s.durability
	}
	if s.before != nil {
		if err := s.before(ctx, b, s.contender, set, args); err != nil {
			return err
		}
	}
	answer, err := s.proc.Call(s.verb, args, nil)
	if err != nil {
		return err
	}
	seconds, ok := answer.Float("seconds")
	rows, known := answer.Float("rows")
	if !ok || !known {
		return fmt.Errorf("%s: %s: no time and rows in the answer", s.Name, s.verb)
	}
	times, err := micros(b.out())
	switch {
	case s.verb == "flush" || s.verb == "reopen":
		times = nil
	case err != nil:
		return err
	}
	s.last, s.micros = answer, append(s.micros, times...)
	switch {
	case s.figure == result.Rate || s.figure == result.QPS:
		s.values = append(s.values, rows/seconds)
	case len(times) > 0:
		s.values = append(s.values, result.Quantile(sorted(times), .5))
	default:
		s.values = append(s.values, seconds*1e6)
	}
	return nil
}

func (b *Bench) taskRecord(name string, s *series, set *dataset.Set) result.Record {
	r := b.record(name, s.contender, set)
	r.Params = s.task.params.With(nil)
	r.Threads, r.Durability = max(s.threads, 1), s.durability
	if len(s.micros) > 0 {
		r.SetLatencies(s.micros)
	}
	r.SetMain(s.figure, s.values)
	if rows, ok := s.last.Float("rows"); ok && s.figure == result.P50 && s.verb == "flush" && rows > 1 {
		r.Params["rows"] = strconv.Itoa(int(rows))
	}
	for _, name := range s.told {
		if x, ok := s.last.Float(name); ok {
			r.Params[name] = result.Digits(x, 3)
		}
	}
	r.K, r.Recall = s.task.k, figure(s.last, "recall")
	r.Disk = figure(s.last, "disk_mb")
	b.memory(s.contender, &r)
	return r
}

func ingestTasks(b *Bench, set *dataset.Set) []task {
	var all []task
	for _, size := range []struct{ batch, one, many int }{{1, 1000, 50}, {100, 500, 20}, {1000, 500, 8}, {10_000, 50, 1}} {
		if size.batch > set.Rows/2 {
			continue
		}
		for _, writers := range []int{1, 64} {
			for _, sync := range []string{"always", "interval", "none"} {
				calls := size.one
				if writers > 1 {
					calls = size.many // of each writer
				}
				if b.Quick {
					calls = max(calls/50, 1)
				}
				all = append(all, task{
					verb:   "ingest",
					params: result.Params{"batch": strconv.Itoa(size.batch), "writers": strconv.Itoa(writers)},
					hidden: result.Params{"batches": strconv.Itoa(calls)}, threads: writers, durability: sync, figure: result.Rate,
				})
			}
		}
	}
	return all
}

func flushTasks(b *Bench, set *dataset.Set) []task {
	large := 100_000_000 / (set.Dim*4 + 8) / 10_000 * 10_000
	if b.Quick || large > 100*set.Rows {
		large = min(10_000, set.Rows/2)
	}
	large = max(large, 1)
	var all []task
	for _, rows := range []int{1, large} {
		all = append(all, task{
			verb: "flush", params: result.Params{"rows": strconv.Itoa(rows)},
			figure: result.P50, durability: "always",
		})
	}
	return all
}

func searchableTasks(b *Bench, _ *dataset.Set) []task {
	var all []task
	for _, sync := range []string{"always", "none"} {
		count := 500
		if b.Quick {
			count = 20
		}
		all = append(all, task{
			verb: "searchable", params: result.Params{"rows": "1000"},
			hidden: result.Params{"count": strconv.Itoa(count)}, figure: result.P50, durability: sync,
		})
	}
	return all
}

// stored is how many rows the cases have that read and change a store.
func (b *Bench) stored(set *dataset.Set) int {
	n := 200_000
	if b.Quick {
		n = 3000
	}
	return min(n, set.Rows/1000*1000)
}

// fill makes the worker's store anew before a task.
func fill(_ context.Context, b *Bench, c *contender, set *dataset.Set, args worker.Args) error {
	flush := "0"
	if args["state"] == "sealed" {
		flush = "1"
	}
	_, err := c.proc.Call("fill", setArgs(set, result.Params{"folder": "filled", "flush": flush, "index": args["index"], "rows": args["rows"], "sync": args["sync"]}), nil)
	return err
}

// states are the kinds of segments that a store's rows can be in.
var states = []string{"growing", "sealed"}

func readTasks(verb string, main result.Figure) func(b *Bench, set *dataset.Set) []task {
	return func(b *Bench, set *dataset.Set) []task {
		count := 20_000
		if b.Quick {
			count = 200
		}
		var all []task
		for _, state := range states {
			all = append(all, task{
				verb: verb, params: result.Params{"state": state, "rows": strconv.Itoa(b.stored(set))},
				hidden: result.Params{"count": strconv.Itoa(count)},
				figure: main, before: fill,
			})
		}
		return all
	}
}

func flushEachTasks(b *Bench, _ *dataset.Set) []task {
	counts := []int{10, 100, 500, 2000}
	if b.Quick {
		counts = []int{5, 20}
	}
	var all []task
	for _, count := range counts {
		all = append(all, task{
			verb: "flush-each", params: result.Params{"count": strconv.Itoa(count)}, figure: result.P50, durability: "always",
			told: []string{"segments_after", "search_us_after"},
		})
	}
	return all
}

func flushManyTasks(b *Bench, _ *dataset.Set) []task {
	count := 10_000
	if b.Quick {
		count = 40
	}
	return []task{{
		verb: "flush-many", params: result.Params{"count": strconv.Itoa(count)}, figure: result.P50, durability: "always",
		told: []string{
			"sync_us", "syncs_each", "segments_most", "segments_end", "segments_rest", "p99_quiet_us", "p99_busy_x", "qps_x", "disk_x", "written_x",
		},
	}}
}

func mixedTasks(b *Bench, set *dataset.Set) []task {
	count := 10_000
	if b.Quick {
		count = 100
	}
	var all []task
	for _, writer := range []string{"0", "1"} {
		all = append(all, task{
			verb: "mixed", params: result.Params{"writer": writer, "rows": strconv.Itoa(b.stored(set)), "batch": "100", "state": "sealed"},
			hidden: result.Params{"count": strconv.Itoa(count), "index": "1"}, figure: result.QPS, before: fill, durability: "none",
			told: []string{"inserted"},
		})
	}
	return all
}

func changeTasks(verb string) func(b *Bench, set *dataset.Set) []task {
	return func(b *Bench, set *dataset.Set) []task {
		rows := b.stored(set)
		batch := min(1000, rows/10)
		var all []task
		for _, state := range states {
			for _, sync := range []string{"always", "none"} {
				all = append(all, task{
					verb: verb, params: result.Params{"state": state, "rows": strconv.Itoa(rows), "batch": strconv.Itoa(batch)},
					hidden: result.Params{"batches": strconv.Itoa(min(100, rows/batch/2))},
					figure: result.Rate, durability: sync, before: fill,
				})
			}
		}
		return all
	}
}

// firstVariant is what a store is built with where nothing is searched.
func firstVariant(s *system.System, set *dataset.Set) result.Params {
	for _, params := range s.Variants(&set.Meta) {
		return params
	}
	return nil
}

// sorted is a sorted copy.
func sorted(times []float32) []float32 { return slices.Sorted(slices.Values(times)) }

// runReopen fills a store, closes it or kills its process, and opens it in another process.
func runReopen(ctx context.Context, b *Bench) error {
	var failed failure
	made := 0
	for _, set := range b.Sets {
	systems:
		for _, s := range b.Systems {
			for _, after := range []string{"close", "kill"} {
				for _, state := range []string{"log", "sealed", "indexed"} {
					err := b.reopen(ctx, s, set, result.Params{"after": after, "state": state})
					if ctx.Err() != nil {
						return ctx.Err()
					}
					if err != nil {
						failed.note(err)
						if errors.Is(err, worker.ErrUnsupported) {
							continue systems
						}
						b.skip(s.Name, err)
						continue
					}
					made++
				}
			}
		}
	}
	if made == 0 {
		failed.note(errNone)
	}
	return failed.err
}

// reopen makes two records: of Open, and of the first search after it.
func (b *Bench) reopen(ctx context.Context, s system.System, set *dataset.Set, params result.Params) error {
	rows := set.Rows / 1000 * 1000
	if params["state"] == "log" && !b.Quick {
		bytes := 100_000_000 // of the log
		if b.Full {
			bytes = 1_000_000_000
		}
		rows = bytes / (set.Dim*4 + 8) / 1000 * 1000
	}
	params = params.With(result.Params{"rows": strconv.Itoa(rows)})
	rounds := b.rounds(3)
	b.Show.Work(fmt.Sprintf("%s: reopen %s", s.Name, params), rounds)
	var opens, searches []float64
	var last result.Record
	for round := range rounds {
		c, err := b.start(ctx, s, firstVariant(&s, set), -1)
		if err != nil {
			return err
		}
		answer, err := b.reopenOnce(ctx, c, set, params)
		if err == nil {
			last = b.record("reopen", c, set)
			last.Disk = figure(answer, "disk_mb")
			b.memory(c, &last)
			opened, _ := answer.Float("seconds")
			searched, _ := answer.Float("search_s")
			opens, searches = append(opens, opened*1e6), append(searches, searched*1e6)
		}
		b.stop(c)
		if err != nil {
			return err
		}
		b.Show.Done(round+1, rounds)
	}
	for what, values := range [][]float64{opens, searches} {
		r := last
		r.Params = params.With(result.Params{"what": []string{"open", "first search"}[what]})
		r.K = []int{0, 10}[what]
		r.SetMain(result.P50, values)
		if err := b.Emit(r); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) reopenOnce(ctx context.Context, c *contender, set *dataset.Set, params result.Params) (worker.Args, error) {
	fill := setArgs(set, result.Params{"folder": "filled", "rows": params["rows"], "sync": "none"})
	if params["state"] != "log" {
		fill["flush"] = "1"
	}
	if params["state"] == "indexed" {
		fill["index"] = "1"
	}
	if _, err := c.proc.Call("fill", fill, nil); err != nil {
		return nil, err
	}
	if params["after"] == "kill" {
		if err := c.proc.Kill(); err != nil {
			return nil, err
		}
	} else {
		if _, err := c.proc.Call("finish", nil, nil); err != nil {
			return nil, err
		}
		if err := c.proc.Close(); err != nil {
			return nil, err
		}
	}
	env := b.Env
	env.Core = -1
	proc, err := c.Start(ctx, &env, c.store)
	if err != nil {
		return nil, err
	}
	c.proc = proc
	return proc.Call("reopen", setArgs(set, result.Params{"folder": "filled", "rows": params["rows"]}), nil)
}

func textTasks(b *Bench, set *dataset.Set) []task {
	rows, count := min(100_000, set.Rows), "300"
	if b.Quick {
		rows, count = min(2000, set.Rows), "20"
	}
	all := []task{{verb: "text", params: result.Params{"by": "vector"}}}
	for _, words := range []string{"rare", "mixed", "common"} {
		all = append(all, task{verb: "text", params: result.Params{"by": "text", "words": words}}, task{verb: "text", params: result.Params{"by": "both", "words": words}})
	}
	for i := range all {
		all[i].params["rows"] = strconv.Itoa(rows)
		all[i].hidden, all[i].figure = result.Params{"count": count}, result.P50
	}
	return all
}
