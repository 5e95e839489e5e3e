package graph_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// TestReach counts the rows whose neighbours searches look at: ef on average,
// or so, more for some queries and less for others, within the bounds.
func TestReach(t *testing.T) {
	for _, m := range []vector.Metric{vector.L2, vector.Cosine} {
		for _, bits := range []int{8, 4} {
			c := wordRows(t, m, size(12_000, 5000))
			ix := build(t, c, graph.Options{FlatBytes: -1, Bits: bits})
			require.Positive(t, ix.Reach())
			for _, ef := range []int{24, 64, 150} {
				sum, least, most := 0, ix.Rows(), 0
				for i := range c.count() {
					hits, stats, err := ix.Search(nil, c.query(i), 10, &graph.SearchOptions{Ef: ef, Exact: c.exact(t, c.query(i))})
					require.NoError(t, err)
					require.Len(t, hits, 10)
					sum += stats.Hops
					least, most = min(least, stats.Hops), max(most, stats.Hops)
				}
				mean := float64(sum) / float64(c.count())
				require.InDelta(t, ef, mean, .5*float64(ef), "%v, %d bits: mean of hops", m, bits)
				require.GreaterOrEqual(t, least, ef/2)
				require.LessOrEqual(t, most, 2*ef+ef/4) // some of the pool's 2·ef are displaced later
				require.Less(t, float64(least), .8*mean)
				require.Greater(t, float64(most), 1.3*mean)
			}
		}
	}
}

// TestReachFindsMore compares a search that looks as far as a query asks for
// with one that looks equally far for all.
func TestReachFindsMore(t *testing.T) {
	c := wordRows(t, vector.Cosine, size(12_000, 5000))
	ix := build(t, c, graph.Options{FlatBytes: -1})
	o := graph.SearchOptions{Ef: 40}
	recall, stats := c.recall(t, ix, 10, o, nil)
	reach := ix.SetReach(0)
	fixed, before := c.recall(t, ix, 10, o, nil)
	require.Zero(t, ix.SetReach(reach))
	require.Greater(t, recall, fixed)
	require.Less(t, float64(stats.Distances), 1.1*float64(before.Distances))
}

// TestLeastEf finds k rows by the least work there is.
func TestLeastEf(t *testing.T) {
	c := wordRows(t, vector.L2, size(12_000, 5000))
	ix := build(t, c, graph.Options{FlatBytes: -1})
	last := 0
	for _, ef := range []int{10, 12, 15, 18, 20, 30} {
		_, stats := c.recall(t, ix, 10, graph.SearchOptions{Ef: ef}, nil)
		require.Greater(t, stats.Hops, last, "ef %d", ef)
		last = stats.Hops
	}
}

// TestNoReach looks at indexes for which it is not measured.
func TestNoReach(t *testing.T) {
	require.Zero(t, build(t, wordRows(t, vector.IP, 3000), graph.Options{FlatBytes: -1}).Reach())
	require.Zero(t, build(t, wordRows(t, vector.L2, 400), graph.Options{FlatBytes: -1}).Reach())
	alike := newCollection(vector.L2, 8, make([]float32, 8*3000), make([]float32, 8))
	require.Zero(t, build(t, alike, graph.Options{FlatBytes: -1}).Reach())
}
