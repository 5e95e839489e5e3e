package hosted

import (
	"context"
	"fmt"
	"time"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// filtered is a store whose rows have attributes to filter by.
type filtered struct {
	set  *dataset.Set
	a    *dataset.Attributes
	rows []float32
	eng  *engine.Engine
	part *engine.Partition
}

func (f *filtered) close() error {
	if f == nil {
		return nil
	}
	return f.eng.Close()
}

// withAttributes makes the store, sealed and indexed, if it is not that of the set.
func (s *selkie) withAttributes(ctx context.Context) (*filtered, error) {
	if s.filtered != nil && s.filtered.set == s.set {
		return s.filtered, nil
	}
	if err := s.filtered.close(); err != nil {
		return nil, err
	}
	s.filtered = nil
	f := &filtered{set: s.set}
	var err error
	if f.rows, err = s.set.All(); err != nil {
		return nil, err
	}
	if f.a, err = s.set.Attributes(); err != nil {
		return nil, err
	}
	s.stores++
	o := &engine.Options{SegmentBytes: -1, MaxSegmentAge: -1, MaxSegmentIdle: -1, GrowingBytes: -1, Sync: engine.SyncNone, CompactBytes: -1}
	if f.eng, err = engine.Open(fmt.Sprintf("%s/filtered-%d", s.store, s.stores), o); err != nil {
		return nil, err
	}
	if err := f.fill(ctx); err != nil {
		f.eng.Close()
		return nil, err
	}
	s.filtered = f
	return f, nil
}

func (f *filtered) fill(ctx context.Context) error {
	dim := f.set.Dim
	coll, err := f.eng.CreateCollection(ctx, schema.New("rows").With(
		schema.Int64("id").PrimaryKey(), schema.Int64("even"), schema.Int64("along"), schema.FloatVector("vector", dim)))
	if err != nil {
		return err
	}
	if f.part, err = coll.Partition(engine.DefaultPartition); err != nil {
		return err
	}
	const batch = 10_000
	ids := make([]int64, batch)
	for lo := 0; lo < f.set.Rows; lo += batch {
		hi := min(lo+batch, f.set.Rows)
		for i := range hi - lo {
			ids[i] = int64(lo + i)
		}
		if _, err := f.part.Insert(ctx, column.Int64("id", ids[:hi-lo]), column.Int64("even", f.a.Even[lo:hi]), column.Int64("along", f.a.Along[lo:hi]),
			column.FloatVectorFlat("vector", dim, f.rows[lo*dim:hi*dim])); err != nil {
			return err
		}
	}
	if _, err := f.part.Flush(ctx); err != nil {
		return err
	}
	if err := coll.CreateIndex(ctx, schema.Index{Field: "vector", Metric: f.set.Metric.String()}); err != nil {
		return err
	}
	return coll.WaitIndexed(ctx)
}

// filter searches a sealed, indexed store by filters of a kind that let a share of the rows through, each query with one of its own.
// recall is that among the rows that the filters let through; fewest the smallest number of hits.
func (s *selkie) filter(ctx context.Context, args worker.Args) (worker.Args, error) {
	n, err := numbers(args, "count")
	if err != nil {
		return nil, err
	}
	share, ok := args.Float("percent")
	if !ok || share <= 0 || share > 100 {
		return nil, fmt.Errorf("percent=%q", args["percent"])
	}
	f, err := s.withAttributes(ctx)
	if err != nil {
		return nil, err
	}
	const k = 10
	half := f.set.Meta.Queries / 2
	count := min(n["count"], half)
	ranges := make([]dataset.Range, count)
	for i := range ranges {
		if ranges[i], err = f.a.Filter(args["kind"], share/100, f.set.Query(half+i)); err != nil {
			return nil, err
		}
	}
	micros := make([]float32, count)
	all := make([][]engine.Hit, count)
	begin := time.Now()
	for i := range micros {
		each := time.Now()
		request := query.Nearest("vector", f.set.Query(half+i)).Metric(f.set.Metric).Limit(k).Filter(ranges[i].String())
		if all[i], err = f.part.Search(ctx, request); err != nil {
			return nil, err
		}
		micros[i] = float32(time.Since(each).Nanoseconds()) / 1000
	}
	out := worker.Args{}
	out.Set("seconds", time.Since(begin).Seconds())
	out.Set("rows", float64(count))
	found, wanted, fewest := 0, 0, k
	for i, hits := range all {
		good, want, err := f.judge(f.set.Query(half+i), ranges[i], k, hits)
		if err != nil {
			return nil, err
		}
		found, wanted, fewest = found+good, wanted+want, min(fewest, len(hits))
		if len(hits) != want {
			return nil, fmt.Errorf("query %d: %d hits where the filter %q lets %d through", half+i, len(hits), ranges[i], want)
		}
	}
	out.Set("recall", float64(found)/float64(wanted))
	return out, writeAnswers(args["out"], nil, micros)
}

// judge counts the hits that are among the k best rows of a range, ties tolerated, and those there could be.
func (f *filtered) judge(q []float32, r dataset.Range, k int, hits []engine.Hit) (good, want int, err error) {
	prepared, err := vector.NewQuery(f.set.Metric, vector.Float32, f.set.Dim, bytesOf(q))
	if err != nil {
		return 0, 0, err
	}
	scores := make([]float32, f.set.Rows)
	prepared.Scan(bytesOf(f.rows), f.set.Rows, scores)
	outside := make([]uint64, (f.set.Rows+63)/64)
	for row := range scores {
		if !f.a.Holds(r, row) {
			outside[row/64] |= 1 << (row % 64)
		}
	}
	top := vector.NewTopK(f.set.Metric, k)
	top.PushBlock(scores, 0, outside)
	best := top.Sorted()
	if len(best) == 0 {
		return 0, 0, nil
	}
	for _, h := range hits {
		if !f.a.Holds(r, int(h.Key.Int)) {
			return 0, 0, fmt.Errorf("row %d does not match %q", h.Key.Int, r)
		}
		if !f.set.Metric.Better(best[len(best)-1].Score, h.Score) {
			good++
		}
	}
	return good, len(best), nil
}
