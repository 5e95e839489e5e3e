package graph_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// divide spreads the rows of c over parts by the given shares, the last taking
// the rest, and gives each some rows more that the merge drops. It returns the
// parts with their indexes.
func divide(t testing.TB, c *collection, seed uint64, shares []float64, dropped float64, o graph.Options) []graph.Part {
	r := rand.New(rand.NewPCG(seed, 1))
	rows := make([][]float32, len(shares))
	absent := make([][]uint64, len(shares))
	parts := make([]graph.Part, len(shares))
	add := func(p int, row []float32, to uint32) {
		if at := len(parts[p].Rows); at%64 == 0 {
			absent[p] = append(absent[p], 0)
		}
		if math.IsNaN(float64(row[0])) {
			absent[p][len(parts[p].Rows)/64] |= 1 << (len(parts[p].Rows) % 64)
		}
		rows[p] = append(rows[p], row...)
		parts[p].Rows = append(parts[p].Rows, to)
	}
	for i := range c.n() {
		row := c.rows[i*c.dim : (i+1)*c.dim]
		p, x := 0, r.Float64()
		for ; p < len(shares)-1 && x >= shares[p]; p++ {
			x -= shares[p]
		}
		add(p, row, uint32(i))
		if r.Float64() < dropped {
			other := r.IntN(c.n())
			add(p, c.rows[other*c.dim:(other+1)*c.dim], graph.NoRow)
		}
	}
	for p := range parts {
		part := newCollection(c.metric, c.dim, rows[p], nil)
		part.absent = absent[p]
		parts[p].Index = build(t, part, o)
	}
	return parts
}

func merge(t testing.TB, c *collection, parts []graph.Part, o graph.Options) *graph.Index {
	ix, err := graph.Merge(context.Background(), parts, c.source(), c.metric, o)
	require.NoError(t, err)
	require.Equal(t, c.n(), ix.Rows())
	require.Equal(t, c.vectors(), ix.Vectors())
	require.False(t, ix.Flat())
	require.Equal(t, c.vectors(), ix.Reachable())
	return ix
}

func TestMergeKeepsRecall(t *testing.T) {
	if testing.Short() {
		t.Skip("recall is the same in every run: the long one measures it, the short one looks for races")
	}
	for _, m := range metrics {
		c := wordRows(t, m, 9000)
		whole, _ := c.recall(t, build(t, c, graph.Options{}), 10, graph.SearchOptions{}, nil)
		for _, tc := range []struct {
			name    string
			shares  []float64
			dropped float64
		}{
			{"90 10", []float64{.9, .1}, 0},
			{"50 50", []float64{.5, .5}, 0},
			{"50 30 20", []float64{.5, .3, .2}, .05},
			{"10 90, a fifth gone", []float64{.1, .9}, .25},
			{"one, a fifth gone", []float64{1}, .25},
			{"4 bits", []float64{.6, .3, .1}, .05},
			{"many small", []float64{.1, .1, .1, .1, .1, .1, .1, .1, .1, .1}, 0},
		} {
			if m != vector.L2 && len(tc.shares) != 3 {
				continue
			}
			o := graph.Options{Bits: 8}
			if tc.name == "4 bits" {
				o.Bits = 4
			}
			parts := divide(t, c, 3, tc.shares, tc.dropped, graph.Options{FlatBytes: -1, Bits: o.Bits})
			o.FlatBytes = -1
			recall, stats := c.recall(t, merge(t, c, parts, o), 10, graph.SearchOptions{}, nil)
			t.Logf("%v, %s: recall %.4f, built whole %.4f, %+v", m, tc.name, recall, whole, stats)
			require.GreaterOrEqual(t, recall, whole-.005, tc.name)
		}
	}
}

func TestMergeIsDeterministic(t *testing.T) {
	c := wordRows(t, vector.L2, size(6000, 900))
	o := graph.Options{Workers: 1, FlatBytes: -1, LeafRows: 200}
	parts := divide(t, c, 4, []float64{.6, .3, .1}, .1, o)
	one := merge(t, c, parts, o)
	o.Workers = 3
	sameIndex(t, one, merge(t, c, parts, o))
}

// TestMergeOddData merges what little is to be told apart in.
func TestMergeOddData(t *testing.T) {
	o := graph.Options{FlatBytes: -1, LeafRows: 128, Degree: 12, Candidates: 24, Entries: 16}
	for _, m := range metrics {
		for _, n := range []int{3, 10, size(700, 100)} {
			same := make([]float32, 4*n)
			c := newCollection(m, 4, same, nil)
			for _, share := range []float64{1, .9, .5} {
				ix := merge(t, c, divide(t, c, 5, []float64{share, 1 - share}, .3, o), o)
				hits, _, err := ix.Search(nil, same[:4], n, nil)
				require.NoError(t, err)
				require.Len(t, hits, n)
			}
		}
	}
}

func TestMergeIntoFlat(t *testing.T) {
	c := wordRows(t, vector.L2, 900)
	parts := divide(t, c, 6, []float64{.5, .5}, .1, graph.Options{})
	ix, err := graph.Merge(context.Background(), parts, c.source(), c.metric, graph.Options{})
	require.NoError(t, err)
	require.True(t, ix.Flat())
	recall, _ := c.recall(t, ix, 10, graph.SearchOptions{Refine: 60}, nil)
	require.GreaterOrEqual(t, recall, .999)
}

func TestMergeRefuses(t *testing.T) {
	c := wordRows(t, vector.L2, 300)
	good := divide(t, c, 7, []float64{.5, .5}, 0, graph.Options{})
	try := func(parts []graph.Part, m vector.Metric, o graph.Options) error {
		_, err := graph.Merge(context.Background(), parts, c.source(), m, o)
		return err
	}
	require.NoError(t, try(good, vector.L2, graph.Options{}))
	require.ErrorIs(t, try(good, vector.IP, graph.Options{}), graph.ErrInvalid)
	require.ErrorIs(t, try(good[:1], vector.L2, graph.Options{}), graph.ErrInvalid)
	require.ErrorIs(t, try(append(good[:1:1], good...), vector.L2, graph.Options{}), graph.ErrInvalid)
	require.ErrorIs(t, try([]graph.Part{good[0], {Index: good[1].Index, Rows: good[1].Rows[1:]}}, vector.L2, graph.Options{}), graph.ErrInvalid)
	far := append([]uint32{1 << 20}, good[1].Rows[1:]...)
	require.ErrorIs(t, try([]graph.Part{good[0], {Index: good[1].Index, Rows: far}}, vector.L2, graph.Options{}), graph.ErrInvalid)

	big := wordRows(t, vector.L2, size(9000, 900))
	o := graph.Options{Workers: 1, FlatBytes: -1}
	parts := divide(t, big, 8, []float64{.9, .1}, 0, o)
	_, err := graph.Merge(context.Background(), parts, big.source(), vector.L2, graph.Options{FlatBytes: -1, MemoryBudget: 64 << 10})
	require.ErrorIs(t, err, graph.ErrMemory)
	for polls := 1; ; polls += 5 {
		ctx := &counting{Context: context.Background(), left: polls}
		_, err := graph.Merge(ctx, parts, big.source(), vector.L2, o)
		if err == nil {
			break
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
}
