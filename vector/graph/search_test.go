package graph_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

func TestSearchAllocatesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("under the race detector, which the short run is for, pools drop what they are given")
	}
	for _, n := range []int{3000, 10_000} {
		c := wordRows(t, vector.L2, n)
		ix := build(t, c, graph.Options{})
		require.Equal(t, n == 3000, ix.Flat())
		o := &graph.SearchOptions{Exact: c.exact(t, c.query(0))}
		filter := &graph.SearchOptions{Exact: o.Exact, Dead: []uint64{7}}
		dst := make([]vector.Hit, 0, 20)
		for _, o := range []*graph.SearchOptions{o, filter, {}} {
			allocs := testing.AllocsPerRun(200, func() {
				_, _, err := ix.Search(dst[:0], c.query(0), 10, o)
				require.NoError(t, err)
			})
			require.Less(t, allocs, 1.0)
		}
	}
}

func TestConcurrentSearches(t *testing.T) {
	c := wordRows(t, vector.Cosine, size(9000, 1500))
	ix := build(t, c, graph.Options{FlatBytes: -1})
	want := make([][]vector.Hit, c.count())
	for i := range want {
		var err error
		want[i], _, err = ix.Search(nil, c.query(i), 10, &graph.SearchOptions{Exact: c.exact(t, c.query(i))})
		require.NoError(t, err)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := g; i < c.count(); i += 2 {
				hits, _, err := ix.Search(nil, c.query(i), 10, &graph.SearchOptions{Exact: c.exact(t, c.query(i))})
				if err != nil || len(hits) != 10 || hits[0] != want[i][0] || hits[9] != want[i][9] {
					t.Errorf("query %d: %v, %v, want %v", i, hits, err, want[i])
				}
			}
		})
	}
	wg.Wait()
}

// TestFilter compares filtered searches with the exact answer, for filters of
// any selectivity, by chance and by place.
func TestFilter(t *testing.T) {
	c := wordRows(t, vector.Cosine, size(19_000, 2000))
	c.queries = c.queries[:size(25, 8)*c.dim]
	whole := build(t, c, graph.Options{FlatBytes: -1})
	small := wordRows(t, vector.Cosine, size(2000, 500))
	small.queries = c.queries
	flat := build(t, small, graph.Options{})
	r := rand.New(rand.NewPCG(8, 8))
	for _, tc := range []struct {
		c  *collection
		ix *graph.Index
	}{{c, whole}, {small, flat}} {
		n := tc.c.n()
		for _, share := range []float64{0, 1e-4, 1e-3, .01, .2, .9, 1} {
			for _, place := range []bool{false, true} {
				dead, allowed := make([]uint64, (n+63)/64), make([]uint64, (n+63)/64)
				for i := range n {
					if (place && float64(i) < share*float64(n)) || (!place && r.Float64() < share) {
						allowed[i/64] |= 1 << (i % 64)
					}
					if r.IntN(10) == 0 {
						dead[i/64] |= 1 << (i % 64)
					}
				}
				may := func(row uint32) bool {
					return allowed[row/64]>>(row%64)&1 == 1 && dead[row/64]>>(row%64)&1 == 0
				}
				some := false
				for i := range n {
					some = some || may(uint32(i))
				}
				if !some {
					hits, _, err := tc.ix.Search(nil, tc.c.query(0), 10, &graph.SearchOptions{Dead: dead, Allowed: allowed})
					require.NoError(t, err)
					require.Empty(t, hits)
					continue
				}
				// A forced walk must hold to the filter as much as a scan.
				for _, force := range []bool{false, true} {
					o := graph.SearchOptions{Dead: dead, Allowed: allowed}
					if force {
						defer graph.ForceWalk(0)()
					}
					recall, _ := tc.c.recall(t, tc.ix, 10, o, may)
					require.GreaterOrEqual(t, recall, float64(size(94, 90))/100, "share %v", share)
				}
			}
		}
	}
}

func TestDeadRowsAreWalkedThrough(t *testing.T) {
	n := size(19_000, 2000)
	c := wordRows(t, vector.L2, n)
	c.queries = c.queries[:size(40, 8)*c.dim]
	ix := build(t, c, graph.Options{FlatBytes: -1})
	for i := range c.count() {
		// All that lies near the query is dead.
		q := c.query(i)
		dead := make([]uint64, n/64+1)
		gone := map[uint32]bool{}
		for _, h := range c.truth(t, q, 300, nil) {
			dead[h.Row/64] |= 1 << (h.Row % 64)
			gone[h.Row] = true
		}
		defer graph.ForceWalk(0)()
		hits, _, err := ix.Search(nil, q, 10, &graph.SearchOptions{Dead: dead, Exact: c.exact(t, q)})
		require.NoError(t, err)
		require.Len(t, hits, 10)
		for _, h := range hits {
			require.False(t, gone[h.Row])
		}
	}
}

// TestShortBitsets: rows beyond the end of Dead live, beyond Allowed do not.
func TestShortBitsets(t *testing.T) {
	c := wordRows(t, vector.L2, 500)
	ix := build(t, c, graph.Options{FlatBytes: -1})
	hits, _, err := ix.Search(nil, c.query(0), 500, &graph.SearchOptions{Dead: []uint64{^uint64(0)}})
	require.NoError(t, err)
	require.Len(t, hits, 500-64)
	hits, _, err = ix.Search(nil, c.query(0), 500, &graph.SearchOptions{Allowed: []uint64{3}})
	require.NoError(t, err)
	require.Len(t, hits, 2)
	hits, _, err = ix.Search(nil, c.query(0), 500, &graph.SearchOptions{Allowed: []uint64{}})
	require.NoError(t, err)
	require.Empty(t, hits)
}

func TestManyHits(t *testing.T) {
	for i, n := range []int{size(3000, 1200), size(8000, 1200)} {
		c := wordRows(t, vector.Cosine, n)
		c.queries = c.queries[:5*c.dim]
		ix := build(t, c, graph.Options{FlatBytes: -i})
		require.Equal(t, i == 0, ix.Flat())
		for _, k := range []int{128, 300, 2000, n, 2 * n} {
			recall, _ := c.recall(t, ix, k, graph.SearchOptions{}, nil)
			require.GreaterOrEqual(t, recall, .98, "k %d", k)
		}
	}
}

func TestExactFails(t *testing.T) {
	c := wordRows(t, vector.L2, 500)
	ix := build(t, c, graph.Options{})
	broken := errors.New("broken disk")
	dst := []vector.Hit{{Row: 9}}
	hits, _, err := ix.Search(dst, c.query(0), 5, &graph.SearchOptions{Exact: func([]uint32, []float32) error { return broken }})
	require.ErrorIs(t, err, broken)
	require.Equal(t, dst, hits)
}

// TestEstimates: without exact scores hits carry what the codes say of them.
func TestEstimates(t *testing.T) {
	for _, m := range metrics {
		c := wordRows(t, m, size(9000, 800))
		ix := build(t, c, graph.Options{FlatBytes: -1})
		coarse := build(t, c, graph.Options{FlatBytes: -1, Bits: 4})
		for i := range 20 {
			q := c.query(i)
			hits, stats, err := ix.Search(nil, q, 20, nil)
			require.NoError(t, err)
			require.Zero(t, stats.Exact)
			rows, scores := make([]uint32, 20), make([]float32, 20)
			for j, h := range hits {
				rows[j] = h.Row
			}
			require.NoError(t, c.exact(t, q)(rows, scores))
			for j, h := range hits {
				require.InEpsilon(t, scores[j], h.Score, .05, "%v: estimate %v of %v", m, h.Score, scores[j])
			}
			hits, _, err = coarse.Search(nil, q, 20, nil)
			require.NoError(t, err)
			for j, h := range hits {
				rows[j] = h.Row
			}
			require.NoError(t, c.exact(t, q)(rows, scores))
			for j, h := range hits {
				require.InEpsilon(t, scores[j], h.Score, .3, "%v, 4 bits: estimate %v of %v", m, h.Score, scores[j])
			}
		}
	}
}
