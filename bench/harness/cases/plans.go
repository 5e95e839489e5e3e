package cases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/result"
	"github.com/selkiedb/selkie/bench/harness/system"
)

// situation is a kind of filter: the share of the rows that it lets through, and what it has to do with the query.
type situation struct {
	percent  float64
	relation dataset.Relation
}

func (s situation) params() result.Params {
	return result.Params{"share": strconv.FormatFloat(s.percent, 'g', -1, 64), "relation": string(s.relation)}
}

// A filter's parameters are chosen on some queries, and measured on as many others.
const filterQueries = 200

// enoughRecall is the recall that a filtered search must reach.
const enoughRecall = .95

// runPlans searches with filters, each of which lies to its query as said. Each system takes part with the search parameter that is quickest at a recall of .95, Selkie also with its
// own choice, and with plans that it is forced to.
func runPlans(ctx context.Context, b *Bench) error {
	for _, set := range b.Sets {
		if err := b.filter(ctx, set); err != nil {
			return fmt.Errorf("%s: %w", set.Name, err)
		}
	}
	return nil
}

// filtering is the case's work on one set.
type filtering struct {
	*Bench
	set     *dataset.Set
	fields  *dataset.Fields
	queries int // to choose by; as many follow that are measured
	truth   map[situation][]int32
	file    map[situation]string // with a filter a line for each query
}

func (b *Bench) filter(ctx context.Context, set *dataset.Set) error {
	f := &filtering{Bench: b, set: set, queries: min(filterQueries, set.Meta.Queries/2), truth: map[situation][]int32{}, file: map[situation]string{}}
	percents := []float64{.1, 1, 10, 50, 90, 99}
	if b.Quick {
		f.queries, percents = min(20, f.queries), []float64{1, 50}
	}
	var all []situation
	for _, r := range []dataset.Relation{dataset.ByChance, dataset.Near, dataset.Distant} {
		for _, p := range percents {
			all = append(all, situation{p, r})
		}
	}
	if err := f.prepare(ctx, all); err != nil {
		return err
	}
	var failed failure
	var contenders []*contender
	defer func() {
		for _, c := range contenders {
			b.stop(c)
		}
	}()
	var settings []*filtered
	for _, s := range b.Systems {
		if !s.Filters {
			continue
		}
		variants := s.Variants(&set.Meta)
		if !s.Rival {
			variants = []result.Params{{}, {"scalar": "AUTOINDEX"}}
		}
		for _, params := range variants {
			c, err := b.ready(ctx, s, params.With(result.Params{"fields": "yes"}), set, b.Env.Core)
			if err == nil {
				contenders = append(contenders, c)
				delete(c.params, "fields")
				var mine []*filtered
				mine, err = f.settings(ctx, c, all)
				settings = append(settings, mine...)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				b.skip(s.Name, err)
				failed.note(err)
				if errors.Is(err, system.ErrMissing) {
					break
				}
			}
		}
	}
	if len(settings) == 0 {
		return errors.Join(failed.err, errNone)
	}
	err := f.rounds(ctx, settings)
	for _, s := range settings {
		if len(s.qps) == 0 {
			continue
		}
		r := b.searchRecord("plans", s.setting, set)
		r.Params = r.Params.With(s.situation.params())
		if err := b.Emit(r); err != nil {
			return err
		}
	}
	return errors.Join(err, failed.err)
}

// prepare writes the filters, and finds what is true under them.
func (f *filtering) prepare(ctx context.Context, all []situation) (err error) {
	if f.fields, err = f.set.Fields(); err != nil {
		return err
	}
	f.Show.Work("truth under filters", len(all))
	for i, s := range all {
		var lines strings.Builder
		for q := range 2 * f.queries {
			fmt.Fprintln(&lines, f.set.NewFilter(f.fields, q, s.relation, s.percent))
		}
		f.file[s] = filepath.Join(f.Temp, fmt.Sprintf("filters-%d", i))
		if err := os.WriteFile(f.file[s], []byte(lines.String()), 0o644); err != nil {
			return err
		}
		f.truth[s], err = f.set.FilteredTruth(ctx, f.fields, 0, 2*f.queries, f.K, func(q int) dataset.Filter {
			return f.set.NewFilter(f.fields, q, s.relation, s.percent)
		})
		if err != nil {
			return err
		}
		f.Show.Done(i+1, len(all))
	}
	return nil
}

// filtered is a setting for one situation.
type filtered struct {
	*setting
	situation situation
}

// settings measures a contender's parameters in each situation, and returns those that take part.
func (f *filtering) settings(ctx context.Context, c *contender, all []situation) ([]*filtered, error) {
	var kept []*filtered
	var candidates []result.Params
	for i, search := range c.Searches(&f.set.Meta, c.params) {
		if i%2 == 1 && (!f.Quick || len(candidates) < 3) {
			candidates = append(candidates, search)
		}
	}
	if c.Rival && !f.Full { // with filters around the query, or away from it, some take minutes
		all = slices.DeleteFunc(slices.Clone(all), func(s situation) bool { return s.relation != dataset.ByChance })
	}
	f.Show.Work(c.title()+": recall under filters", len(all))
	defer f.weigh(c)
	for i, s := range all {
		var best *filtered
		for _, search := range candidates {
			m, err := f.measure(ctx, c, s, search)
			if err != nil {
				return nil, err
			}
			if best == nil || m.chosen >= enoughRecall && (best.chosen < enoughRecall || m.speed > best.speed) || best.chosen < enoughRecall && m.chosen > best.chosen {
				best = m
			}
		}
		kept = append(kept, best)
		if !c.Rival && c.params["scalar"] == "" {
			for _, plan := range []string{"auto", "scan", "post", "inside"} {
				m, err := f.measure(ctx, c, s, result.Params{"plan": plan})
				if err != nil {
					return nil, err
				}
				kept = append(kept, m)
			}
		}
		f.Show.Done(i+1, len(all))
	}
	return kept, nil
}

// measure finds the recall and the speed of a search parameter on the first queries.
func (f *filtering) measure(ctx context.Context, c *contender, s situation, search result.Params) (*filtered, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	few := min(10, f.queries)
	took, err := f.ask(c, s, search, 0, few, 1)
	if err != nil {
		return nil, err
	}
	each := took / float64(few)
	n := f.affordable(each, f.queries)
	if took, err = f.ask(c, s, search, 0, n, 1); err != nil {
		return nil, err
	}
	m := &filtered{&setting{contender: c, search: search, queries: f.affordable(each, f.queries), speed: float64(n) / took}, s}
	m.repeat = min(max(int(f.Seconds/4/(took/float64(n)*float64(m.queries))), 1), 50)
	m.chosen, err = f.recall(c, s, 0, n)
	return m, err
}

func (f *filtering) ask(c *contender, s situation, search result.Params, from, to, repeat int) (float64, error) {
	return f.Bench.ask(c, f.set, search.With(result.Params{"filters": f.file[s]}), from, to, 1, repeat)
}

// recall is the share of the k nearest rows that match which the last answers hold. An answer that does not match, or fewer answers than there
// are rows that match, is an error.
func (f *filtering) recall(c *contender, s situation, from, to int) (float64, error) {
	rows, err := answers(f.out())
	if err != nil {
		return 0, err
	}
	k := f.K
	if len(rows) != (to-from)*k {
		return 0, fmt.Errorf("%d answers to %d queries", len(rows), to-from)
	}
	hits, want := 0, 0
	for q := from; q < to; q++ {
		x := f.set.NewFilter(f.fields, q, s.relation, s.percent)
		seen := map[int32]bool{}
		for _, row := range rows[(q-from)*k : (q-from+1)*k] {
			if row < 0 {
				continue
			}
			if !x.Has(f.fields, row) {
				return 0, fmt.Errorf("%s answers row %d, which %s does not let through", c.Name, row, x)
			}
			seen[row] = true
		}
		matching := 0
		for _, row := range f.truth[s][q*k : (q+1)*k] {
			if row >= 0 {
				matching++
				if seen[row] {
					hits++
				}
			}
		}
		want += matching
		if len(seen) < matching && !c.Rival {
			return 0, fmt.Errorf("%s finds %d of %d rows under %s", c.Name, len(seen), matching, x)
		}
	}
	return float64(hits) / float64(max(want, 1)), nil
}

// rounds measures the settings in turns; one round before them warms up.
func (f *filtering) rounds(ctx context.Context, settings []*filtered) error {
	n := f.Bench.rounds(5)
	f.Show.Work("rounds of "+f.set.Name, (n+1)*len(settings))
	for round := range n + 1 {
		for i, s := range settings {
			if err := ctx.Err(); err != nil {
				return err
			}
			took, err := f.ask(s.contender, s.situation, s.search, f.queries, f.queries+s.queries, s.repeat)
			if err != nil {
				return err
			}
			f.Show.Done(round*len(settings)+i+1, (n+1)*len(settings))
			if round == 0 {
				if s.recall, err = f.recall(s.contender, s.situation, f.queries, f.queries+s.queries); err != nil {
					return err
				}
				continue
			}
			times, err := micros(f.out())
			if err != nil {
				return err
			}
			s.qps, s.micros = append(s.qps, float64(s.queries)/took), append(s.micros, times...)
		}
	}
	return nil
}
