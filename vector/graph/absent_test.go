package graph_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// patterns say which rows are absent.
var patterns = map[string]func(row, n int) bool{
	"every third":     func(row, _ int) bool { return row%3 == 1 },
	"all but every 5": func(row, _ int) bool { return row%5 != 2 },
	"the first half":  func(row, n int) bool { return row < n/2 },
	"long runs":       func(row, n int) bool { return row/(n/4)%2 == 0 },
	"one":             func(row, _ int) bool { return row == 77 },
	"none":            func(int, int) bool { return false },
	"all but one":     func(row, _ int) bool { return row != 99 },
}

func TestAbsentRowsAreNotFound(t *testing.T) {
	for name, absent := range patterns {
		for _, o := range []graph.Options{{}, {FlatBytes: -1, LeafRows: 200, Degree: 16, Candidates: 32}} {
			t.Run(name, func(t *testing.T) {
				n := size(2400, 400)
				c := wordRows(t, vector.Cosine, n).without(func(row int) bool { return absent(row, n) })
				c.queries = c.queries[:size(20, 5)*c.dim]
				ix := build(t, c, o)
				for _, k := range []int{1, 10, 2 * n} {
					recall, _ := c.recall(t, ix, k, graph.SearchOptions{Ef: 200}, nil)
					require.GreaterOrEqual(t, recall, .95, "k %d", k)
				}
				// Filters: some rows, with and without a vector, are dead.
				dead := make([]uint64, n/64)
				for i := range dead {
					dead[i] = 0xf0f0f0f0f0f0f0f0
				}
				may := func(row uint32) bool { return int(row/64) >= len(dead) || row%8 < 4 }
				some := false
				for i := range c.n() {
					some = some || c.has(i) && may(uint32(i))
				}
				if !some {
					return
				}
				for _, k := range []int{10, 2 * n} {
					recall, _ := c.recall(t, ix, k, graph.SearchOptions{Ef: 200, Dead: dead}, may)
					require.GreaterOrEqual(t, recall, .95, "k %d", k)
				}
				defer graph.ForceWalk(0)()
				recall, _ := c.recall(t, ix, 10, graph.SearchOptions{Ef: 200, Dead: dead}, may)
				require.GreaterOrEqual(t, recall, .95)
			})
		}
	}
}

func TestAllRowsAbsent(t *testing.T) {
	for _, m := range metrics {
		c := clustered(3, m, 1000, 20).without(func(int) bool { return true })
		ix := build(t, c, graph.Options{FlatBytes: -1})
		require.Zero(t, ix.Vectors())
		for _, o := range []*graph.SearchOptions{nil, {Dead: []uint64{1}}, {Allowed: []uint64{^uint64(0)}}} {
			hits, _, err := ix.Search(nil, c.query(0), 10, o)
			require.NoError(t, err)
			require.Empty(t, hits)
		}
	}
}

// TestAbsentRowsMerge merges parts with absent rows, of which one has none else.
func TestAbsentRowsMerge(t *testing.T) {
	o := graph.Options{FlatBytes: -1, LeafRows: 200}
	for name, absent := range patterns {
		n := size(2400, 400)
		c := wordRows(t, vector.L2, n).without(func(row int) bool { return absent(row, n) })
		c.queries = c.queries[:size(30, 5)*c.dim]
		if c.vectors() < 3 {
			continue
		}
		parts := divide(t, c, 3, []float64{.6, .4}, .1, o)
		ix := merge(t, c, parts, o)
		recall, _ := c.recall(t, ix, 10, graph.SearchOptions{}, nil)
		require.GreaterOrEqual(t, recall, .95, name)
	}

	c := wordRows(t, vector.L2, 900).without(func(row int) bool { return row >= 600 })
	var parts []graph.Part
	for lo := 0; lo < 900; lo += 300 {
		part := newCollection(c.metric, c.dim, c.rows[lo*c.dim:(lo+300)*c.dim], nil)
		if lo == 600 {
			part.without(func(int) bool { return true })
		}
		p := graph.Part{Index: build(t, part, o)}
		for i := range 300 {
			p.Rows = append(p.Rows, uint32(lo+i))
		}
		parts = append(parts, p)
	}
	merge(t, c, parts, o)

	// A part and the source that disagree about a row.
	c.absent[0] |= 1 << 5
	_, err := graph.Merge(context.Background(), parts, c.source(), c.metric, o)
	require.ErrorIs(t, err, graph.ErrInvalid)
	c.absent = nil
	_, err = graph.Merge(context.Background(), parts, c.source(), c.metric, o)
	require.ErrorIs(t, err, graph.ErrInvalid)
}
