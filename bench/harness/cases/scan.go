package cases

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/result"
	"github.com/selkiedb/selkie/bench/harness/system"
)

// runScan reads the codes of all rows, with the exact scores of the best, and in turns with that sums up the same bytes as quickly as the
// core can: the share of the memory's speed that a search without a graph reaches. It runs selkie-codes, whichever systems were named.
func runScan(ctx context.Context, b *Bench) error {
	all := system.All()
	at := slices.IndexFunc(all, func(s system.System) bool { return s.Name == "selkie-codes" })
	var failed failure
	for _, set := range b.Sets {
		if err := b.scan(ctx, all[at], set); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			b.skip(set.Name, err)
			failed.note(err)
		}
	}
	return failed.err
}

func (b *Bench) scan(ctx context.Context, s system.System, set *dataset.Set) error {
	c, err := b.start(ctx, s, nil, b.Env.Core)
	if err != nil {
		return err
	}
	defer b.stop(c)
	if _, err := b.load(c, set, nil); err != nil {
		return err
	}
	if _, err := c.proc.Call("build", setArgs(set), b.Show.Done); err != nil {
		return err
	}
	count := 20
	if b.Quick {
		count = 2
	}
	b.Show.Work("scan of "+set.Name, b.rounds(5))
	var speeds, shares []float64
	r := b.record("scan", c, set)
	for round := range b.rounds(5) {
		if err := ctx.Err(); err != nil {
			return err
		}
		answer, err := c.proc.Call("scan", setArgs(set, result.Params{"count": strconv.Itoa(count)}), nil)
		if err != nil {
			return err
		}
		var x [4]float64
		for i, name := range []string{"seconds", "sum_s", "bytes", "recall"} {
			var ok bool
			if x[i], ok = answer.Float(name); !ok {
				return fmt.Errorf("%s: no %s in the answer", c.Name, name)
			}
		}
		searching, summing, bytes, recall := x[0], x[1], x[2], x[3]
		speeds, shares = append(speeds, float64(count)/searching), append(shares, summing/searching)
		gigabytes := bytes * float64(count) / 1e9
		r.Params["scan_gb_per_s"], r.Params["sum_gb_per_s"] = result.Digits(gigabytes/searching, 3), result.Digits(gigabytes/summing, 3)
		r.Params["code_mb"] = result.Digits(bytes/(1<<20), 3)
		r.Recall = result.Num(recall)
		b.Show.Done(round+1, b.rounds(5))
	}
	r.K = 10
	r.Params["share_of_sum"] = result.Digits(result.Summarize(shares).Median, 3)
	r.SetMain(result.QPS, speeds)
	b.memory(c, &r)
	return b.Emit(r)
}

func filterTasks(b *Bench, set *dataset.Set) []task {
	count := 300
	if b.Quick {
		count = 20
	}
	percents := []string{"0.1", "1", "3", "10", "30", "50", "90", "99"}
	if b.Quick {
		percents = []string{"1", "50"}
	}
	var all []task
	for _, kind := range dataset.FilterKinds {
		for _, percent := range percents {
			all = append(all, task{
				verb: "filter", params: result.Params{"kind": kind, "percent": percent},
				hidden: result.Params{"count": strconv.Itoa(min(count, set.Meta.Queries/2))}, figure: result.QPS, k: 10,
			})
		}
	}
	return all
}

func mergeTasks(b *Bench, _ *dataset.Set) []task {
	var all []task
	for _, share := range []string{"50", "90"} {
		all = append(all, task{
			verb: "merge", params: result.Params{"share": share, "ef": "96"}, figure: result.Rate, k: 10,
			told: []string{"compact_s", "rebuild_s", "of_rebuild", "compact_passed_s", "rebuild_passed_s", "merged_recall", "rebuilt_recall"},
		})
	}
	return all
}
