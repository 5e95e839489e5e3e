package hosted

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/internal/force"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector/graph"
)

// selkie is the engine, by what a user can call.
type selkie struct {
	store string
	exact bool // searches compare every row

	set  *dataset.Set
	eng  *engine.Engine
	coll *engine.Collection
	part *engine.Partition

	filtered *filtered       // see withAttributes
	texts    *texts          // see withTexts
	fields   *dataset.Fields // nil without fields to filter by

	stores int // numbers the folders of stores that operations make
}

func (s *selkie) version() string { return "engine" }

// policy reads a sync policy's name.
func policy(name string) (engine.SyncPolicy, error) {
	for _, p := range []engine.SyncPolicy{engine.SyncAlways, engine.SyncInterval, engine.SyncNone} {
		if p.String() == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%w: durability %q", worker.ErrUnsupported, name)
}

// open opens a store in a folder below the worker's, with a collection for rows of a dimension; it is made if it is not
// there.
func (s *selkie) open(ctx context.Context, folder string, dim int, o *engine.Options) (*engine.Engine, *engine.Collection, *engine.Partition, error) {
	eng, err := engine.Open(filepath.Join(s.store, folder), o)
	if err != nil {
		return nil, nil, nil, err
	}
	coll, part, err := s.collection(ctx, eng, dim)
	if err != nil {
		eng.Close()
		return nil, nil, nil, err
	}
	return eng, coll, part, nil
}

func (s *selkie) collection(ctx context.Context, eng *engine.Engine, dim int) (*engine.Collection, *engine.Partition, error) {
	const name = "rows"
	coll, err := eng.Collection(name)
	if err != nil {
		fields := []*schema.Field{schema.Int64("id").PrimaryKey(), schema.FloatVector("vector", dim)}
		if s.fields != nil {
			fields = append(fields, schema.Int64("number"), schema.Int64("place"))
		}
		coll, err = eng.CreateCollection(ctx, schema.New(name).With(fields...))
	}
	if err != nil {
		return nil, nil, err
	}
	part, err := coll.Partition(engine.DefaultPartition)
	return coll, part, err
}

// load inserts the whole set, into as many sealed segments as args say: each gets its turn of every so many rows.
func (s *selkie) load(ctx context.Context, set *dataset.Set, args worker.Args, progress func(done, of int)) (worker.Args, error) {
	segments, err := args.Int("segments", 1)
	if err != nil {
		return nil, err
	}
	if err := s.close(); err != nil {
		return nil, err
	}
	s.stores++
	s.set, s.fields = set, nil
	if args["fields"] != "" {
		if s.fields, err = set.Fields(); err != nil {
			return nil, err
		}
	}
	// Segments stay as they are made: no compaction merges them, or rewrites one whose rows were deleted.
	o := &engine.Options{SegmentBytes: -1, MaxSegmentAge: -1, MaxSegmentIdle: -1, GrowingBytes: -1, Sync: engine.SyncNone, CompactBytes: -1, CompactIdle: -1}
	if s.eng, s.coll, s.part, err = s.open(ctx, fmt.Sprintf("loaded-%d", s.stores), set.Dim, o); err != nil {
		return nil, err
	}
	begin := time.Now()
	var flushing time.Duration
	for i := range segments {
		insert := func() error { return insertDealt(ctx, s.part, set, i, segments, progress) }
		if s.fields != nil {
			insert = func() error {
				return insertRange(ctx, s.part, set, s.fields, i*set.Rows/segments, (i+1)*set.Rows/segments, 10_000, progress)
			}
		}
		if err := insert(); err != nil {
			return nil, err
		}
		flush := time.Now()
		if _, err := s.part.Flush(ctx); err != nil {
			return nil, err
		}
		flushing += time.Since(flush)
	}
	out := worker.Args{}
	out.Set("load_s", time.Since(begin).Seconds())
	out.Set("flush_s", flushing.Seconds())
	return out, nil
}

// insertDealt inserts those rows of the set whose number leaves a rest when divided by a count.
func insertDealt(ctx context.Context, part *engine.Partition, set *dataset.Set, rest, count int, progress func(done, of int)) error {
	const piece = 10_000
	rows := make([]float32, piece*set.Dim)
	var ids []int64
	for lo := 0; lo < set.Rows; lo += piece {
		n := min(piece, set.Rows-lo)
		if err := set.Read(lo, lo+n, rows[:n*set.Dim]); err != nil {
			return err
		}
		ids = ids[:0]
		for i := range n {
			if (lo+i)%count == rest {
				copy(rows[len(ids)*set.Dim:], rows[i*set.Dim:(i+1)*set.Dim])
				ids = append(ids, int64(lo+i))
			}
		}
		if len(ids) == 0 {
			continue
		}
		if _, err := part.Insert(ctx, column.Int64("id", ids), column.FloatVectorFlat("vector", set.Dim, rows[:len(ids)*set.Dim])); err != nil {
			return err
		}
		progress(lo+n, set.Rows)
	}
	return nil
}

// insertRange inserts rows of the set, whose numbers are their keys, with the fields if there are any.
func insertRange(ctx context.Context, part *engine.Partition, set *dataset.Set, fields *dataset.Fields, lo, hi, batch int, progress func(done, of int)) error {
	rows := make([]float32, batch*set.Dim)
	ids := make([]int64, batch)
	for ; lo < hi; lo += batch {
		n := min(batch, hi-lo)
		if err := set.Read(lo, lo+n, rows[:n*set.Dim]); err != nil {
			return err
		}
		for i := range n {
			ids[i] = int64(lo + i)
		}
		columns := []*column.Column{column.Int64("id", ids[:n]), column.FloatVectorFlat("vector", set.Dim, rows[:n*set.Dim])}
		if fields != nil {
			columns = append(columns, column.Int64("number", fields.Number[lo:lo+n]), column.Int64("place", fields.Place[lo:lo+n]))
		}
		if _, err := part.Insert(ctx, columns...); err != nil {
			return err
		}
		progress(lo+n, set.Rows)
	}
	return nil
}

func (s *selkie) build(ctx context.Context, args worker.Args, _ func(done, of int)) (worker.Args, error) {
	out := worker.Args{}
	if !s.exact {
		before := resident()
		begin, spent := time.Now(), machine.CPUTime()
		if err := s.coll.CreateIndex(ctx, schema.Index{Field: "vector", Metric: s.set.Metric.String()}); err != nil {
			return nil, err
		}
		if kind := args["scalar"]; kind != "" {
			for _, field := range []string{"number", "place"} {
				if err := s.coll.CreateIndex(ctx, schema.Index{Field: field, Kind: schema.IndexKind(kind)}); err != nil {
					return nil, err
				}
			}
		}
		if err := s.coll.WaitIndexed(ctx); err != nil {
			return nil, err
		}
		out.Set("build_s", time.Since(begin).Seconds())
		out.Set("cpu_seconds", (machine.CPUTime() - spent).Seconds())
		before.peak(out, float64(s.part.Stats().IndexBytes))
	}
	if err := s.deleteShare(ctx, args); err != nil {
		return nil, err
	}
	out.Set("disk_mb", float64(machine.DiskBytes(s.eng.Dir()))/(1<<20))
	return out, nil
}

// deleteShare deletes a percentage of the rows, if args say so.
func (s *selkie) deleteShare(ctx context.Context, args worker.Args) error {
	percent, err := args.Int("deleted", 0)
	if err != nil || percent == 0 {
		return err
	}
	var ids []int64
	for row := range int32(s.set.Rows) {
		if dataset.Deleted(row, percent) {
			ids = append(ids, int64(row))
		}
	}
	for len(ids) > 0 {
		n := min(len(ids), 10_000)
		if _, err := s.part.Delete(ctx, column.IntKeys(ids[:n]...)); err != nil {
			return err
		}
		ids = ids[n:]
	}
	_, err = s.part.Flush(ctx)
	return err
}

func (s *selkie) searcher(ctx context.Context, k int, args worker.Args) (func(q []float32, out []int32) error, error) {
	ef, err := args.Int("ef", 0)
	if err != nil {
		return nil, err
	}
	return func(q []float32, out []int32) error {
		request := query.Nearest("vector", q).Metric(s.set.Metric).Limit(k)
		switch {
		case s.exact:
			request.Exact()
		case ef > 0:
			request.Ef(max(ef, k))
		}
		hits, err := s.part.Search(ctx, request)
		if err != nil {
			return err
		}
		for i, h := range hits {
			out[i] = int32(h.Key.Int)
		}
		return nil
	}, nil
}

// plans are those that a filtered search can be forced to.
var plans = map[string]graph.Plan{
	"": graph.PlanAuto, "auto": graph.PlanAuto, "scan": graph.PlanScan, "post": graph.PlanPost, "inside": graph.PlanInside,
}

func (s *selkie) withFilters(ctx context.Context, k int, args worker.Args, filters []string) (func(query int, out []int32) error, error) {
	ef, err := args.Int("ef", 0)
	if err != nil {
		return nil, err
	}
	plan, ok := plans[args["plan"]]
	if !ok {
		return nil, fmt.Errorf("%w: plan %q", worker.ErrUnsupported, args["plan"])
	}
	ctx = force.Plan(ctx, uint8(plan))
	return func(i int, out []int32) error {
		request := query.Nearest("vector", s.set.Query(i)).Metric(s.set.Metric).Limit(k).Filter(filters[i])
		if ef > 0 {
			request.Ef(max(ef, k))
		}
		hits, err := s.part.Search(ctx, request)
		if err != nil {
			return err
		}
		for i := range out {
			out[i] = -1
		}
		for i, h := range hits {
			out[i] = int32(h.Key.Int)
		}
		return nil
	}, nil
}

func (s *selkie) close() error {
	err := joined(s.filtered.close(), s.texts.close())
	s.filtered, s.texts = nil, nil
	if s.eng == nil {
		return err
	}
	err = joined(err, s.eng.Close())
	s.eng, s.coll, s.part = nil, nil, nil
	return err
}
