package hosted

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/selkiedb/selkie/bench/harness/bandwidth"
	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// scan is the index that has no graph: a search reads the codes of all rows and scores the best by their vectors. Its one verb of its own,
// scan, reads the same bytes by a plain sum in turns with that:
//
//	scan  count    seconds of that many searches, sum_s of as many sums, bytes that each reads, found of the true neighbours
type scan struct {
	set   *dataset.Set
	rows  []float32
	index *graph.Index
	file  []byte // what index lies in: hardly more than the codes
}

func (s *scan) version() string { return "vector/graph, codes alone; " + bandwidth.Name() }

func (s *scan) load(_ context.Context, set *dataset.Set, _ worker.Args, _ func(done, of int)) (worker.Args, error) {
	var err error
	s.set = set
	s.rows, err = set.All()
	return nil, err
}

func (s *scan) build(ctx context.Context, _ worker.Args, _ func(done, of int)) (worker.Args, error) {
	built, err := graph.Build(ctx, graph.Vectors{Elements: s.rows, Dimension: s.set.Dim}, s.set.Metric, graph.Options{FlatBytes: 1 << 40})
	if err != nil {
		return nil, err
	}
	id := graph.Identity{Segment: 1, Token: 1}
	memory, err := hugeBytes(int(built.Size()))
	if err != nil {
		return nil, err
	}
	w := bytes.NewBuffer(memory[:0])
	if err := built.Save(w, id); err != nil {
		return nil, err
	}
	if s.file = w.Bytes(); &s.file[0] != &memory[0] {
		return nil, fmt.Errorf("an index of %d bytes was written as %d", built.Size(), len(s.file))
	}
	s.index, err = graph.Open(s.file, id)
	return worker.Args{}, err
}

func (s *scan) searcher(context.Context, int, worker.Args) (func(q []float32, out []int32) error, error) {
	return nil, worker.ErrUnsupported
}

func (s *scan) close() error { return nil }

func (s *scan) operate(_ context.Context, verb string, args worker.Args, _ func(done, of int)) (worker.Args, error) {
	if verb != "scan" || s.index == nil {
		return nil, worker.ErrUnsupported
	}
	n, err := numbers(args, "count")
	if err != nil {
		return nil, err
	}
	const k = 10
	raw := bytesOf(s.rows)
	var searching, summing time.Duration
	var hits []vector.Hit
	answers := make([]int32, 0, n["count"]*k)
	total := uint64(0)
	for i := range n["count"] {
		q := s.set.Query(i % s.set.Meta.Queries)
		begin := machine.CPUTime()
		query, err := vector.NewQuery(s.set.Metric, vector.Float32, s.set.Dim, bytesOf(q))
		if err != nil {
			return nil, err
		}
		hits, _, err = s.index.Search(hits[:0], q, k, &graph.SearchOptions{Exact: func(rows []uint32, out []float32) error {
			query.Gather(raw, rows, out)
			return nil
		}})
		if err != nil {
			return nil, err
		}
		searching += machine.CPUTime() - begin
		for _, h := range hits {
			answers = append(answers, int32(h.Row))
		}
		begin = machine.CPUTime()
		total += bandwidth.Sum(s.file)
		summing += machine.CPUTime() - begin
	}
	recall, err := s.set.Recall(answers, 0, n["count"], k, nil)
	if err != nil {
		return nil, err
	}
	out := worker.Args{"sum": fmt.Sprint(total)}
	out.Set("seconds", searching.Seconds())
	out.Set("sum_s", summing.Seconds())
	out.Set("bytes", float64(len(s.file)))
	out.Set("rows", float64(s.set.Rows))
	out.Set("recall", recall)
	return out, nil
}
