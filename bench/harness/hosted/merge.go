package hosted

import (
	"context"
	"fmt"
	"time"

	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// merge makes a store of two indexed segments, share percent of the rows in the first, and has them compacted into one. Then it drops the
// index and builds it anew. compact_s is the processor time of the compaction, of which merging the graphs is a part; seconds that of the
// build; found and rebuilt_found the true neighbours that searches found, of queries × k.
func (s *selkie) merge(ctx context.Context, args worker.Args) (out worker.Args, err error) {
	n, err := numbers(args, "share", "ef")
	if err != nil {
		return nil, err
	}
	o := &engine.Options{
		SegmentBytes: -1, MaxSegmentAge: -1, MaxSegmentIdle: -1, GrowingBytes: -1, Sync: engine.SyncNone, CompactBytes: -1, CompactIdle: -1, CompactShare: 1,
	}
	s.stores++
	eng, coll, part, err := s.open(ctx, fmt.Sprintf("merged-%d", s.stores), s.set.Dim, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined(err, eng.Close()) }()
	lo := 0
	for _, hi := range []int{s.set.Rows * n["share"] / 100, s.set.Rows} {
		if err := insertRange(ctx, part, s.set, nil, lo, hi, 10_000, func(int, int) {}); err != nil {
			return nil, err
		}
		if _, err := part.Flush(ctx); err != nil {
			return nil, err
		}
		lo = hi
	}
	index := schema.Index{Name: "vector", Field: "vector", Metric: s.set.Metric.String()}
	if err := coll.CreateIndex(ctx, index); err != nil {
		return nil, err
	}
	if err := coll.WaitIndexed(ctx); err != nil {
		return nil, err
	}
	out = worker.Args{}
	begin, spent := time.Now(), machine.CPUTime()
	if err := part.Compact(ctx); err != nil {
		return nil, err
	}
	if err := coll.WaitIndexed(ctx); err != nil {
		return nil, err
	}
	out.Set("compact_s", (machine.CPUTime() - spent).Seconds())
	out.Set("compact_passed_s", time.Since(begin).Seconds())
	if st, m := part.Stats(), eng.Metrics(); st.Segments != 1 || m.IndexMerges != 1 {
		return nil, fmt.Errorf("%d segments and %d merged indexes after the compaction, not 1 and 1", st.Segments, m.IndexMerges)
	}
	merged, err := s.recallOf(ctx, part, n["ef"])
	if err != nil {
		return nil, err
	}
	out.Set("merged_recall", merged)
	if err := coll.DropIndex(ctx, index.Name); err != nil {
		return nil, err
	}
	begin, spent = time.Now(), machine.CPUTime()
	if err := coll.CreateIndex(ctx, index); err != nil {
		return nil, err
	}
	if err := coll.WaitIndexed(ctx); err != nil {
		return nil, err
	}
	out.Set("rebuild_s", (machine.CPUTime() - spent).Seconds())
	out.Set("rebuild_passed_s", time.Since(begin).Seconds())
	rebuilt, err := s.recallOf(ctx, part, n["ef"])
	if err != nil {
		return nil, err
	}
	out.Set("rebuilt_recall", rebuilt)
	out.Set("rows", float64(s.set.Rows))
	compact, _ := out.Float("compact_s")
	rebuild, _ := out.Float("rebuild_s")
	out.Set("seconds", compact)
	out.Set("of_rebuild", compact/rebuild)
	return out, writeAnswers(args["out"], nil, nil)
}

// recallOf asks all queries of the set for 10 neighbours.
func (s *selkie) recallOf(ctx context.Context, part *engine.Partition, ef int) (float64, error) {
	const k = 10
	answers := make([]int32, s.set.Meta.Queries*k)
	for i := range answers {
		answers[i] = -1
	}
	for i := range s.set.Meta.Queries {
		hits, err := part.Search(ctx, query.Nearest("vector", s.set.Query(i)).Metric(s.set.Metric).Limit(k).Ef(ef))
		if err != nil {
			return 0, err
		}
		for j, h := range hits {
			answers[i*k+j] = int32(h.Key.Int)
		}
	}
	return s.set.Recall(answers, 0, s.set.Meta.Queries, k, nil)
}
