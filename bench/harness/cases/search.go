package cases

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/result"
	"github.com/selkiedb/selkie/bench/harness/system"
	"github.com/selkiedb/selkie/bench/harness/worker"
)

// recalls are those for which a parameter is looked for, and which the report tells of.
var recalls = []float64{.90, .95, .99}

// runSearch sweeps the search parameter of each system, on one core.
func runSearch(ctx context.Context, b *Bench) error {
	return b.sweepSets(ctx, "search", nil)
}

// runSegments does so over several segments.
func runSegments(ctx context.Context, b *Bench) error {
	counts := []int{1, 4, 16, 64}
	if b.Quick {
		counts = []int{1, 4}
	}
	var variants []result.Params
	for _, n := range counts {
		variants = append(variants, result.Params{"segments": strconv.Itoa(n)})
	}
	return b.sweepSelkie(ctx, "segments", variants)
}

// runDeleted searches after 30 % of the rows were deleted, and without that.
func runDeleted(ctx context.Context, b *Bench) error {
	return b.sweepSelkie(ctx, "deleted", []result.Params{{"deleted": "0"}, {"deleted": "30"}})
}

// sweepSelkie sweeps the search parameter of variants of Selkie's own.
func (b *Bench) sweepSelkie(ctx context.Context, name string, variants []result.Params) error {
	own := *b
	own.Systems = nil
	for _, s := range b.Systems {
		if s.Name == "selkie" {
			s.Variants = func(*dataset.Meta) []result.Params { return variants }
			own.Systems = append(own.Systems, s)
		}
	}
	return own.sweepSets(ctx, name, nil)
}

func (b *Bench) sweepSets(ctx context.Context, name string, more result.Params) error {
	for _, set := range b.Sets {
		if err := b.sweep(ctx, name, set, more); err != nil {
			return fmt.Errorf("%s: %w", set.Name, err)
		}
	}
	return nil
}

// setting is a contender with one list of search parameters, and what was measured of it.
type setting struct {
	*contender
	search  result.Params
	chosen  float64 // recall on the first half
	queries int     // of the second half that a round asks, so that slow systems don't take all day
	speed   float64 // on the first half
	repeat  int     // how often, so that quick ones are measured for long enough
	recall  float64
	qps     []float64
	micros  []float32
}

func (b *Bench) sweep(ctx context.Context, name string, set *dataset.Set, more result.Params) error {
	var failed failure
	var all []*contender
	defer func() {
		for _, c := range all {
			b.stop(c)
		}
	}()
	var settings []*setting
	for _, s := range b.Systems {
		for _, params := range s.Variants(&set.Meta) {
			c, err := b.ready(ctx, s, params.With(more), set, b.Env.Core)
			if err == nil {
				all = append(all, c)
				var mine []*setting
				mine, err = b.settings(ctx, c, set)
				settings = append(settings, mine...)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				b.skip(s.Name, err)
				failed.note(err)
				if errors.Is(err, system.ErrMissing) {
					break // its other variants are missing, too
				}
			}
		}
	}
	if len(settings) == 0 {
		return errors.Join(failed.err, errNone)
	}
	err := b.askRounds(ctx, settings, set)
	for _, s := range settings {
		if len(s.qps) == 0 {
			continue
		}
		if err := b.Emit(b.searchRecord(name, s, set)); err != nil {
			return err
		}
	}
	return errors.Join(err, failed.err)
}

// ready starts a system, loads the set and makes the index, and makes the record of that.
func (b *Bench) ready(ctx context.Context, s system.System, params result.Params, set *dataset.Set, core int) (*contender, error) {
	c, err := b.start(ctx, s, params, core)
	if err != nil {
		return nil, err
	}
	_, err = b.load(c, set, nil)
	if err == nil {
		var r result.Record
		var built bool
		threads := 1
		if core < 0 { // a system that builds on all cores does so
			threads = runtime.NumCPU()
		}
		if r, built, err = b.build(c, set, threads); built {
			err = b.Emit(r)
		}
	}
	if err != nil {
		b.stop(c)
		return nil, err
	}
	return c, nil
}

// build has a worker make its index. built is false where there is nothing to make, or it was kept from another run.
func (b *Bench) build(c *contender, set *dataset.Set, threads int) (r result.Record, built bool, err error) {
	b.Show.Work(c.title()+": index", set.Rows)
	args := setArgs(set, c.params, result.Params{"threads": strconv.Itoa(threads)})
	if b.Keep && c.Kind == system.Native {
		args["keep"] = filepath.Join(b.Env.Cache, "native", fmt.Sprintf("%s-%.12s-%x.index", c.Name, set.SHA256, c.params.String()))
	}
	answer, err := c.proc.Call("build", args, b.Show.Done)
	if err != nil {
		return r, false, err
	}
	seconds, ok := b.seconds(answer, "build_s")
	if threads > 1 { // processor time is no gain of theirs
		seconds, ok = answer.Float("build_s")
	}
	if !ok {
		return r, false, nil
	}
	r = b.record("build", c, set)
	if threads > 1 {
		delete(r.Params, "clock")
	}
	r.Threads = threads
	r.SetMain(result.Build, []float64{seconds})
	r.Rate = result.Num(float64(set.Rows) / seconds)
	r.Disk = figure(answer, "disk_mb")
	if x, ok := answer.Float("peak_per_index"); ok {
		r.Params["peak_per_index"] = result.Digits(x, 3)
	}
	b.memory(c, &r)
	b.Show.Line("%s: %s: index in %s s", set.Name, c.title(), result.Digits(seconds, 3))
	return r, true, nil
}

// settings measures on the first half of the queries which recall each search parameter reaches, looks for those that
// reach the recalls, and finds out how many queries a round can ask.
func (b *Bench) settings(ctx context.Context, c *contender, set *dataset.Set) ([]*setting, error) {
	half := set.Meta.Queries / 2
	candidates := c.Searches(&set.Meta, c.params)
	if b.Quick && len(candidates) > 6 {
		candidates = candidates[:6]
	}
	b.Show.Work(c.title()+": recall", len(candidates))
	defer b.weigh(c) // an interrupt ends workers before records are made
	var all []*setting
	measure := func(search result.Params) (float64, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		// A few queries tell how long all would take; one half of them is enough.
		few := min(half, 10)
		took, err := b.ask(c, set, search, 0, few, 1, 1)
		if err != nil {
			return 0, err
		}
		n := b.affordable(took/float64(few), half)
		whole, err := b.ask(c, set, search, 0, n, 1, 1)
		if err != nil {
			return 0, err
		}
		recall, err := b.recall(c, set, 0, n)
		s := &setting{contender: c, search: search, chosen: recall, queries: b.affordable(took/float64(few), set.Meta.Queries-half)}
		s.speed = float64(n) / whole
		s.repeat = min(max(int(b.Seconds/4/(whole/float64(n)*float64(s.queries))), 1), 50)
		all = append(all, s)
		return recall, err
	}
	for i, search := range candidates {
		recall, err := measure(search)
		if err != nil {
			return nil, err
		}
		b.Show.Done(i+1, len(candidates))
		if c.Effort != "" && recall > .9995 {
			break // more effort finds nothing more
		}
	}
	if c.Effort == "" || b.Quick {
		return undominated(all), nil
	}
	for _, want := range recalls {
		if err := b.lookFor(want, c, &all, measure); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// undominated leaves out settings that another one clearly beats on the first half of the queries, in recall and in
// speed: grids of two parameters are full of them.
func undominated(all []*setting) []*setting {
	const clearly = 1.15
	return slices.DeleteFunc(slices.Clone(all), func(s *setting) bool {
		return slices.ContainsFunc(all, func(o *setting) bool { return o.chosen >= s.chosen && o.speed > clearly*s.speed })
	})
}

// lookFor halves the interval of efforts around the one that just reaches a recall on the first half of the queries.
func (b *Bench) lookFor(want float64, c *contender, all *[]*setting, measure func(result.Params) (float64, error)) error {
	effort := func(s *setting) int {
		n, err := strconv.Atoi(s.search[c.Effort])
		if err != nil {
			return 0
		}
		return n
	}
	lo, hi := 0, 0
	for _, s := range *all {
		if e := effort(s); s.chosen < want {
			lo = max(lo, e)
		} else if hi == 0 || e < hi {
			hi = e
		}
	}
	if lo == 0 || hi == 0 || hi < lo {
		return nil
	}
	for hi-lo > max(lo/16, 1) {
		mid := (lo + hi) / 2
		recall, err := measure(result.Params{c.Effort: strconv.Itoa(mid)})
		if err != nil {
			return err
		}
		if recall < want {
			lo = mid
		} else {
			hi = mid
		}
	}
	return nil
}

// affordable is how many of n queries can be asked in the time of one measurement.
func (b *Bench) affordable(seconds float64, n int) int {
	if seconds <= 0 {
		return n
	}
	return min(n, max(int(b.Seconds/seconds), min(n, 20)))
}

// ask has a worker answer queries, some times over, and returns the seconds of once.
func (b *Bench) ask(c *contender, set *dataset.Set, search result.Params, from, to, threads, repeat int) (float64, error) {
	args := setArgs(set, search, result.Params{
		"k": strconv.Itoa(b.K), "from": strconv.Itoa(from), "to": strconv.Itoa(to), "threads": strconv.Itoa(threads), "repeat": strconv.Itoa(repeat), "out": b.out(),
	})
	answer, err := c.proc.Call("search", args, nil)
	if err != nil {
		return 0, err
	}
	seconds, ok := b.seconds(answer, "seconds")
	if !ok || threads > 1 {
		seconds, ok = answer.Float("seconds")
	}
	if !ok {
		return 0, fmt.Errorf("%s: no time in the answer", c.Name)
	}
	return seconds / float64(repeat), nil
}

// recall looks at the answers to the last ask.
func (b *Bench) recall(c *contender, set *dataset.Set, from, to int) (float64, error) {
	var alive func(int32) bool
	if text := c.params["deleted"]; text != "" {
		percent, err := strconv.Atoi(text)
		if err != nil {
			return 0, err
		}
		alive = func(row int32) bool { return !dataset.Deleted(row, percent) }
	}
	rows, err := answers(b.out())
	if err != nil {
		return 0, err
	}
	if len(rows) != (to-from)*b.K {
		return 0, fmt.Errorf("%d answers to %d queries", len(rows), to-from)
	}
	return set.Recall(rows, from, to, b.K, alive)
}

// askRounds asks the second half of the queries, in rounds over all settings; one before them warms up.
func (b *Bench) askRounds(ctx context.Context, settings []*setting, set *dataset.Set) error {
	half := set.Meta.Queries / 2
	rounds := b.rounds(5)
	b.Show.Work("rounds of "+set.Name, (rounds+1)*len(settings))
	for round := range rounds + 1 {
		for i, s := range settings {
			if err := ctx.Err(); err != nil {
				return err
			}
			took, err := b.ask(s.contender, set, s.search, half, half+s.queries, 1, s.repeat)
			if err != nil {
				return err
			}
			b.Show.Done(round*len(settings)+i+1, (rounds+1)*len(settings))
			if round == 0 {
				if s.recall, err = b.recall(s.contender, set, half, half+s.queries); err != nil {
					return err
				}
				continue
			}
			times, err := micros(b.out())
			if err != nil {
				return err
			}
			s.qps = append(s.qps, float64(s.queries)/took)
			s.micros = append(s.micros, times...)
		}
	}
	return nil
}

func (b *Bench) searchRecord(name string, s *setting, set *dataset.Set) result.Record {
	r := b.record(name, s.contender, set)
	r.K = b.K
	r.Params = s.params.With(s.search, result.Params{result.ChosenRecall: result.Digits(s.chosen, 5)})
	r.Recall = result.Num(s.recall)
	r.SetMain(result.QPS, s.qps)
	r.SetLatencies(s.micros)
	b.memory(s.contender, &r)
	return r
}

// runBuild makes each index on one core and on all, each time in a new process.
func runBuild(ctx context.Context, b *Bench) error {
	var failed failure
	made := 0
	for _, set := range b.Sets {
		for _, s := range b.Systems {
			for _, params := range s.Variants(&set.Meta) {
				for _, threads := range slices.Compact([]int{1, runtime.NumCPU()}) {
					err := b.buildRounds(ctx, s, params, set, threads)
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
		}
	}
	if made == 0 {
		failed.note(errNone)
	}
	return failed.err
}

// errNoIndex is returned for a system that makes none.
var errNoIndex = fmt.Errorf("%w: it makes no index", worker.ErrUnsupported)

func (b *Bench) buildRounds(ctx context.Context, s system.System, params result.Params, set *dataset.Set, threads int) error {
	own := *b
	own.Keep = false
	core := b.Env.Core
	if threads > 1 {
		core = -1
	}
	var seconds []float64
	var last result.Record
	for range b.rounds(3) {
		c, err := own.start(ctx, s, params, core)
		if err != nil {
			return err
		}
		_, err = own.load(c, set, result.Params{"threads": strconv.Itoa(threads)})
		built := false
		if err == nil {
			last, built, err = own.build(c, set, threads)
		}
		own.stop(c)
		if err != nil {
			return err
		}
		if !built {
			return fmt.Errorf("%s: %w", s.Name, errNoIndex)
		}
		seconds = append(seconds, float64(last.Build))
		if ctx.Err() != nil {
			break
		}
	}
	last.SetMain(result.Build, seconds)
	last.Rate = result.Num(float64(set.Rows)) / last.Build
	return b.Emit(last)
}

// runConcurrent asks with several threads, on all cores, at the effort that reaches .95 on the first half.
func runConcurrent(ctx context.Context, b *Bench) error {
	var failed failure
	made := 0
	for _, set := range b.Sets {
		for _, s := range b.Systems {
			for _, params := range s.Variants(&set.Meta) {
				err := b.concurrent(ctx, s, params, set)
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
	}
	if made == 0 {
		failed.note(errNone)
	}
	return failed.err
}

func (b *Bench) concurrent(ctx context.Context, s system.System, params result.Params, set *dataset.Set) error {
	c, err := b.ready(ctx, s, params, set, -1)
	if err != nil {
		return err
	}
	defer b.stop(c)
	all, err := b.settings(ctx, c, set)
	if err != nil {
		return err
	}
	// The quickest of those that reach it; the most precise one where none does.
	best := all[0]
	for _, s := range all {
		if good := s.chosen >= .95; good && (best.chosen < .95 || s.queries > best.queries) || best.chosen < .95 && s.chosen > best.chosen {
			best = s
		}
	}
	half := set.Meta.Queries / 2
	threads := []int{1, 2, 4}
	measured := map[int]*setting{}
	for _, t := range threads {
		measured[t] = &setting{contender: c, search: best.search, chosen: best.chosen, queries: best.queries, repeat: best.repeat}
	}
	b.Show.Work(c.title()+": threads", b.rounds(5)*len(threads))
	for round := range b.rounds(5) {
		for i, t := range threads {
			if err := ctx.Err(); err != nil {
				return err
			}
			m := measured[t]
			took, err := b.ask(c, set, m.search, half, half+m.queries, t, m.repeat)
			if err != nil {
				return err
			}
			if m.recall, err = b.recall(c, set, half, half+m.queries); err != nil {
				return err
			}
			times, err := micros(b.out())
			if err != nil {
				return err
			}
			m.qps, m.micros = append(m.qps, float64(m.queries)/took), append(m.micros, times...)
			b.Show.Done(round*len(threads)+i+1, b.rounds(5)*len(threads))
		}
	}
	for _, t := range threads {
		r := b.searchRecord("concurrent", measured[t], set)
		r.Threads = t
		if err := b.Emit(r); err != nil {
			return err
		}
	}
	return nil
}
