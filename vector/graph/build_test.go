package graph_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

var metrics = []vector.Metric{vector.L2, vector.IP, vector.Cosine}

func TestRecallOfDefaults(t *testing.T) {
	if testing.Short() {
		t.Skip("recall is the same in every run: the long one measures it, the short one looks for races")
	}
	for _, m := range metrics {
		for _, bits := range []int{8, 4} {
			t.Run(fmt.Sprintf("%v, %d bits", m, bits), func(t *testing.T) {
				c := wordRows(t, m, 19_000)
				ix := build(t, c, graph.Options{Bits: bits})
				require.False(t, ix.Flat())
				require.Equal(t, bits, ix.Bits())
				recall, stats := c.recall(t, ix, 10, graph.SearchOptions{}, nil)
				t.Logf("k 10: recall %.4f, %+v", recall, stats)
				require.GreaterOrEqual(t, recall, .95)
				recall, stats = c.recall(t, ix, 100, graph.SearchOptions{}, nil)
				t.Logf("k 100: recall %.4f, %+v", recall, stats)
				require.GreaterOrEqual(t, recall, .95)
				recall, stats = c.recall(t, ix, 10, graph.SearchOptions{Ef: 400, Refine: 100}, nil)
				t.Logf("ef 400: recall %.4f, %+v", recall, stats)
				require.GreaterOrEqual(t, recall, .99)
			})
		}
	}
}

// TestRowsFindThemselves asks for rows of the index: the entry of the search is
// far from most of them.
func TestRowsFindThemselves(t *testing.T) {
	c := wordRows(t, vector.L2, size(8000, 1500))
	ix := build(t, c, graph.Options{FlatBytes: -1})
	c.queries = c.rows[:size(500, 100)*c.dim]
	recall, _ := c.recall(t, ix, 1, graph.SearchOptions{}, nil)
	require.GreaterOrEqual(t, recall, .99)
}

func TestFlatIndexIsExact(t *testing.T) {
	for _, m := range metrics {
		n := size(5000, 2000)
		c := wordRows(t, m, n)
		ix := build(t, c, graph.Options{})
		require.True(t, ix.Flat())
		recall, stats := c.recall(t, ix, 10, graph.SearchOptions{Refine: 60}, nil)
		require.GreaterOrEqual(t, recall, .999)
		require.Equal(t, graph.Stats{Distances: n, Exact: 60}, stats)
		ix = build(t, c, graph.Options{Bits: 4})
		require.True(t, ix.Flat())
		require.Equal(t, 4, ix.Bits())
		recall, _ = c.recall(t, ix, 10, graph.SearchOptions{}, nil)
		t.Logf("%v, 4 bits: recall %.4f", m, recall)
		require.GreaterOrEqual(t, recall, .99)
	}
}

func TestBuildDoesNotDependOnWorkersOrMemory(t *testing.T) {
	c := wordRows(t, vector.Cosine, size(5000, 500))
	o := graph.Options{Workers: 1, Seed: 5, FlatBytes: -1, LeafRows: 300}
	one := build(t, c, o)
	o.Workers = 3
	sameIndex(t, one, build(t, c, o))

	// Longer lists, so that they are what the memory goes into.
	o.Workers, o.Candidates = 1, 300
	one = build(t, c, o)
	unbounded, err := o.Memory(c.n(), c.dim)
	require.NoError(t, err)
	for o.MemoryBudget = unbounded; ; o.MemoryBudget -= unbounded / 100 {
		if passes, err := o.Passes(c.n(), c.dim); passes > 3 {
			break
		} else {
			require.NoError(t, err)
		}
	}
	sameIndex(t, one, build(t, c, o))

	o.MemoryBudget, o.Seed = 0, 6
	other := build(t, c, o)
	require.NotEqual(t, one.Entries(), other.Entries())
}

func TestBudgetTooSmall(t *testing.T) {
	c := wordRows(t, vector.L2, size(10_000, 1500))
	_, err := graph.Build(context.Background(), c.source(), c.metric, graph.Options{FlatBytes: -1, MemoryBudget: 1 << 20})
	require.ErrorIs(t, err, graph.ErrMemory)
	var needs, budget int64
	var rows int
	_, scanErr := fmt.Sscanf(err.Error(), graph.ErrMemory.Error()+": a graph of %d rows needs %d bytes to build, the budget is %d", &rows, &needs, &budget)
	require.NoError(t, scanErr, err)
	require.Equal(t, int64(1<<20), budget)
	build(t, c, graph.Options{FlatBytes: -1, MemoryBudget: needs})
}

// TestOddData builds graphs where little is to be told apart.
func TestOddData(t *testing.T) {
	fill := func(n, dim int, value func(i, j int) float32) []float32 {
		v := make([]float32, n*dim)
		for i := range v {
			v[i] = value(i/dim, i%dim)
		}
		return v
	}
	same := func(i, j int) float32 { return float32(j) - 3 }
	cases := []struct {
		name string
		n    int
		dim  int
		data func(i, j int) float32
	}{
		{"none", 0, 8, same},
		{"one row", 1, 8, same},
		{"two rows", 2, 8, func(i, j int) float32 { return float32(i + j) }},
		{"three rows", 3, 8, func(i, j int) float32 { return float32(i + j) }},
		{"all equal", 3000, 8, same},
		{"all zero", 2500, 5, func(int, int) float32 { return 0 }},
		{"half equal", 4000, 20, func(i, j int) float32 {
			if i%2 == 0 {
				return same(i, j)
			}
			return float32((i*7919+j*104729)%1000) - 500
		}},
		{"few values", 5000, 3, func(i, j int) float32 { return float32(i * (j + 1) % 7) }},
		{"many zero", 2000, 30, func(i, j int) float32 {
			if i%3 > 0 || (i+j)%4 > 0 {
				return 0
			}
			return float32((i*31+j*17)%100) - 50
		}},
		{"one dimension", 3000, 1, func(i, _ int) float32 { return float32(i*7919%3001) - 1000 }},
		{"far outlier", 2000, 16, func(i, j int) float32 {
			if i == 77 {
				return 1e30
			}
			return float32((i*7919+j*104729)%1000) - 500
		}},
		{"huge", 1500, 17, func(i, j int) float32 { return (float32((i*7919+j*104729)%1000) - 500) * 6e35 }},
		{"tiny", 1500, 33, func(i, j int) float32 { return (float32((i*7919+j*104729)%1000) - 500) * 1e-42 }},
		{"63 dimensions", 600, 63, func(i, j int) float32 { return float32((i*7919+j*104729)%1000) - 500 }},
		{"65 dimensions", 600, 65, func(i, j int) float32 { return float32((i*7919+j*104729)%1000) - 500 }},
		{"most dimensions", size(150, 12), 32768, func(i, j int) float32 { return float32((i*7919+j*104729)%1000) - 500 }},
	}
	for _, tc := range cases {
		if tc.n > 300 {
			tc.n = size(tc.n, 300)
		}
		for _, m := range metrics {
			t.Run(tc.name+"/"+m.String(), func(t *testing.T) {
				rows := fill(tc.n, tc.dim, tc.data)
				c := newCollection(m, tc.dim, rows, nil)
				for _, bits := range []int{8, 4} {
					ix := build(t, c, graph.Options{FlatBytes: -1, Bits: bits, LeafRows: 256, Degree: 16, Candidates: 32, Entries: 32})
					require.Equal(t, tc.n <= 2, ix.Flat())
					for i := range min(tc.n, 7) {
						q := rows[i*tc.dim : (i+1)*tc.dim]
						for _, k := range []int{1, 10, 60} {
							hits, _, err := ix.Search(nil, q, k, &graph.SearchOptions{Exact: c.exact(t, q)})
							require.NoError(t, err)
							require.Len(t, hits, min(k, tc.n))
							seen := map[uint32]bool{}
							for _, h := range hits {
								require.False(t, seen[h.Row])
								seen[h.Row] = true
							}
							_, _, err = ix.Search(nil, q, k, nil)
							require.NoError(t, err)
						}
					}
				}
			})
		}
	}
}

func TestOddDataRecall(t *testing.T) {
	if testing.Short() {
		t.Skip("recall is the same in every run: the long one measures it, the short one looks for races")
	}
	for _, m := range metrics {
		for _, dim := range []int{2, 17, 100} {
			c := clustered(uint64(dim), m, 6000, dim)
			for _, bits := range []int{8, 4} {
				ix := build(t, c, graph.Options{FlatBytes: -1, Bits: bits})
				recall, stats := c.recall(t, ix, 10, graph.SearchOptions{}, nil)
				t.Logf("%v of %d dimensions, %d bits: recall %.4f, %+v", m, dim, bits, recall, stats)
				require.GreaterOrEqual(t, recall, .95, "%v of %d dimensions, %d bits", m, dim, bits)
			}
		}
	}
}

func TestInvalidInput(t *testing.T) {
	ctx := context.Background()
	c := wordRows(t, vector.L2, 100)
	for _, o := range []graph.Options{
		{Bits: 5},
		{Degree: 1},
		{Degree: 1000},
		{Candidates: -1},
		{Alpha: .5},
		{LeafRows: 3},
		{FanOut: [2]int{-1, 0}},
		{Entries: -4},
		{Workers: -1},
		{MemoryBudget: -1},
	} {
		_, err := graph.Build(ctx, c.source(), vector.L2, o)
		require.ErrorIs(t, err, graph.ErrInvalid, "%+v", o)
	}
	_, err := graph.Build(ctx, c.source(), vector.Hamming, graph.Options{})
	require.ErrorIs(t, err, graph.ErrInvalid)
	_, err = graph.Build(ctx, graph.Vectors{Dimension: 40_000}, vector.L2, graph.Options{})
	require.ErrorIs(t, err, graph.ErrInvalid)

	ix := build(t, c, graph.Options{})
	nan := make([]float32, c.dim)
	nan[3] /= nan[3]
	for _, bad := range []func() error{
		func() error { _, _, err := ix.Search(nil, make([]float32, 3), 5, nil); return err },
		func() error { _, _, err := ix.Search(nil, nan, 5, nil); return err },
		func() error { _, _, err := ix.Search(nil, c.query(0), 0, nil); return err },
		func() error { _, _, err := ix.Search(nil, c.query(0), 1, &graph.SearchOptions{Ef: -1}); return err },
	} {
		require.ErrorIs(t, bad(), graph.ErrInvalid)
	}
}

// failing is a source whose reads end with an error after some rows.
type failing struct {
	graph.Source
	left int
	fail func() error
}

func (f *failing) Read(lo, hi int, dst []float32) error {
	if f.left -= hi - lo; f.left < 0 {
		if err := f.fail(); err != nil {
			return err
		}
	}
	return f.Source.Read(lo, hi, dst)
}

func TestBuildEndsEarly(t *testing.T) {
	n := size(7000, 900)
	c := wordRows(t, vector.L2, n)
	broken := errors.New("broken disk")
	for _, after := range []int{0, n / 70, n * 5 / 7, n * 11 / 7} {
		_, err := graph.Build(context.Background(), &failing{c.source(), after, func() error { return broken }}, c.metric, graph.Options{FlatBytes: -1})
		require.ErrorIs(t, err, broken)
		ctx, cancel := context.WithCancel(context.Background())
		_, err = graph.Build(ctx, &failing{c.source(), after, func() error { cancel(); return nil }}, c.metric, graph.Options{FlatBytes: -1, Workers: 2, LeafRows: 300})
		require.ErrorIs(t, err, context.Canceled)
		cancel()
	}
	// Later steps look at the context as well.
	for polls := 1; ; polls += size(150, 40) {
		ctx := &counting{Context: context.Background(), left: polls}
		_, err := graph.Build(ctx, c.source(), c.metric, graph.Options{FlatBytes: -1, Workers: 1, LeafRows: 300})
		if err == nil {
			require.Greater(t, polls, 40)
			break
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
}

func TestProgress(t *testing.T) {
	c := wordRows(t, vector.L2, size(5000, 900))
	for _, tc := range []struct {
		name string
		make func(o graph.Options) (*graph.Index, error)
	}{
		{"graph", func(o graph.Options) (*graph.Index, error) {
			return graph.Build(context.Background(), c.source(), c.metric, o)
		}},
		{"flat", func(o graph.Options) (*graph.Index, error) {
			o.FlatBytes = 1 << 30
			return graph.Build(context.Background(), c.source(), c.metric, o)
		}},
		{"merge", func(o graph.Options) (*graph.Index, error) {
			parts := divide(t, c, 1, []float64{.7, .3}, 0, graph.Options{FlatBytes: -1})
			return graph.Merge(context.Background(), parts, c.source(), c.metric, o)
		}},
	} {
		calls, last := 0, 0
		_, err := tc.make(graph.Options{FlatBytes: -1, LeafRows: 100, Workers: 2, Progress: func(done, total int) {
			require.Equal(t, c.n(), total)
			require.Greater(t, done, last)
			last = done
			calls++
		}})
		require.NoError(t, err)
		require.Equal(t, c.n(), last, tc.name)
		require.LessOrEqual(t, calls, 201, tc.name)
		if tc.name != "flat" {
			require.Greater(t, calls, 10, tc.name)
		}
	}
}

// counting is a context that ends when it was asked a number of times.
type counting struct {
	context.Context
	left int
}

func (c *counting) Err() error {
	if c.left--; c.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}
