//go:build !windows

package hosted

import (
	"context"
	"time"

	"github.com/coder/hnsw"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/vector"
)

func newCoderHNSW(string) subject { return &coderHNSW{} }

// coderHNSW is coder/hnsw, in memory.
type coderHNSW struct {
	set   *dataset.Set
	graph *hnsw.Graph[int32]
}

func (c *coderHNSW) version() string { return moduleVersion("github.com/coder/hnsw") }

func (c *coderHNSW) load(_ context.Context, set *dataset.Set, _ worker.Args, _ func(done, of int)) (worker.Args, error) {
	c.set = set
	return nil, nil
}

func (c *coderHNSW) build(ctx context.Context, args worker.Args, progress func(done, of int)) (worker.Args, error) {
	c.graph = hnsw.NewGraph[int32]()
	if c.set.Metric == vector.L2 {
		c.graph.Distance = hnsw.EuclideanDistance
	}
	var err error
	if c.graph.M, err = args.Int("M", 16); err != nil {
		return nil, err
	}
	if c.graph.EfSearch, err = args.Int("efConstruction", 200); err != nil { // it builds with what it searches with
		return nil, err
	}
	begin, spent := time.Now(), machine.CPUTime()
	err = eachRow(ctx, c.set, progress, func(i int, row []float32) error {
		c.graph.Add(hnsw.MakeNode(int32(i), row))
		return nil
	})
	out := worker.Args{}
	out.Set("build_s", time.Since(begin).Seconds())
	out.Set("cpu_seconds", (machine.CPUTime() - spent).Seconds())
	return out, err
}

func (c *coderHNSW) searcher(_ context.Context, k int, args worker.Args) (func(q []float32, out []int32) error, error) {
	var err error
	if c.graph.EfSearch, err = args.Int("ef", 20); err != nil {
		return nil, err
	}
	return func(q []float32, out []int32) error {
		for i, n := range c.graph.Search(q, k) {
			out[i] = n.Key
		}
		return nil
	}, nil
}

func (c *coderHNSW) close() error { return nil }
