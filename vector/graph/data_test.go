package graph_test

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/cmd/demo/data"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// collection is rows, queries that are none of them, and the metric.
type collection struct {
	metric  vector.Metric
	dim     int
	rows    []float32
	queries []float32
	raw     []byte // rows, for kernels
	absent  []uint64
}

func newCollection(m vector.Metric, dim int, rows, queries []float32) *collection {
	c := &collection{metric: m, dim: dim, rows: rows, queries: queries}
	c.raw = make([]byte, 0, 4*len(rows))
	for _, x := range rows {
		c.raw = binary.LittleEndian.AppendUint32(c.raw, math.Float32bits(x))
	}
	return c
}

func (c *collection) source() graph.Source {
	v := graph.Vectors{Elements: c.rows, Dimension: c.dim}
	if c.absent == nil {
		return v
	}
	return nullable{v, c.absent}
}

// nullable is a source of which some rows are absent.
type nullable struct {
	graph.Source
	absent []uint64
}

func (n nullable) Absent() []uint64 { return n.absent }

// without leaves the rows out for which absent returns true. What stands in
// their place is near all queries, but not finite.
func (c *collection) without(absent func(row int) bool) *collection {
	nan := float32(math.NaN())
	c.absent = make([]uint64, (c.n()+63)/64)
	for i := range c.n() {
		if absent(i) {
			c.absent[i/64] |= 1 << (i % 64)
			c.rows[i*c.dim] = nan
			binary.LittleEndian.PutUint32(c.raw[4*i*c.dim:], math.Float32bits(nan))
		}
	}
	return c
}

func (c *collection) has(row int) bool {
	return c.absent == nil || c.absent[row/64]>>(row%64)&1 == 0
}

// cut drops all rows from n on.
func (c *collection) cut(n int) {
	n = min(n, c.n())
	c.rows = c.rows[:n*c.dim]
	if c.absent != nil {
		c.absent = c.absent[:(n+63)/64]
	}
}

func (c *collection) n() int { return len(c.rows) / c.dim }

// vectors returns the number of rows that have one.
func (c *collection) vectors() int {
	n := 0
	for i := range c.n() {
		if c.has(i) {
			n++
		}
	}
	return n
}

func (c *collection) query(i int) []float32 { return c.queries[i*c.dim : (i+1)*c.dim] }
func (c *collection) count() int            { return len(c.queries) / c.dim }

// exact returns the callback that scores rows against q.
func (c *collection) exact(t testing.TB, q []float32) func([]uint32, []float32) error {
	prepared := c.prepared(t, q)
	return func(rows []uint32, out []float32) error {
		prepared.Gather(c.raw, rows, out)
		return nil
	}
}

func (c *collection) prepared(t testing.TB, q []float32) *vector.Query {
	raw := make([]byte, 0, 4*len(q))
	for _, x := range q {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	prepared, err := vector.NewQuery(c.metric, vector.Float32, c.dim, raw)
	require.NoError(t, err)
	return prepared
}

// truth returns the k best rows that allowed, if not nil, lets pass.
func (c *collection) truth(t testing.TB, q []float32, k int, allowed func(uint32) bool) []vector.Hit {
	scores := make([]float32, c.n())
	c.prepared(t, q).Scan(c.raw, c.n(), scores)
	top := vector.NewTopK(c.metric, k)
	for i, s := range scores {
		if c.has(i) && (allowed == nil || allowed(uint32(i))) {
			top.Push(s, uint32(i))
		}
	}
	return top.Sorted()
}

// recall searches for all queries and returns the share of the true k that
// was found, ties tolerated, and the mean of the stats.
func (c *collection) recall(t testing.TB, ix *graph.Index, k int, o graph.SearchOptions, allowed func(uint32) bool) (float64, graph.Stats) {
	found, all := 0, 0
	var sum graph.Stats
	for i := range c.count() {
		q := c.query(i)
		o.Exact = c.exact(t, q)
		hits, stats, err := ix.Search(nil, q, k, &o)
		require.NoError(t, err)
		truth := c.truth(t, q, k, allowed)
		require.Len(t, hits, len(truth))
		last := truth[len(truth)-1].Score
		for j, h := range hits {
			require.True(t, c.has(int(h.Row)), "row %d", h.Row)
			if allowed != nil {
				require.True(t, allowed(h.Row), "row %d", h.Row)
			}
			if j > 0 {
				require.False(t, c.metric.Better(h.Score, hits[j-1].Score), "not in order")
			}
			if !c.metric.Better(last, h.Score) {
				found++
			}
		}
		all += len(truth)
		sum.Hops += stats.Hops
		sum.Distances += stats.Distances
		sum.Exact += stats.Exact
	}
	n := c.count()
	return float64(found) / float64(all), graph.Stats{Hops: sum.Hops / n, Distances: sum.Distances / n, Exact: sum.Exact / n}
}

// size returns how much of something a test uses: long, or short in the short
// run, which looks for races and not at recall.
func size(long, short int) int {
	if testing.Short() {
		return short
	}
	return long
}

var words = sync.OnceValues(data.Load)

// wordRows splits the demo's words into n rows and 300 queries that are none
// of them.
func wordRows(t testing.TB, m vector.Metric, n int) *collection {
	w, err := words()
	require.NoError(t, err)
	const queries = 300
	rows := make([]float32, 0, n*w.Dim)
	held := make([]float32, 0, queries*w.Dim)
	for i := range w.Text {
		switch {
		case i%61 == 7 && len(held) < queries*w.Dim:
			held = append(held, w.Vector(i)...)
		case len(rows) < n*w.Dim:
			rows = append(rows, w.Vector(i)...)
		}
	}
	return newCollection(m, w.Dim, rows, held)
}

// clustered makes rows around few centers, some of them twice, with
// dimensions that spread differently.
func clustered(seed uint64, m vector.Metric, n, dim int) *collection {
	r := rand.New(rand.NewPCG(seed, 5))
	const centers, queries = 12, 20
	center := make([]float32, centers*dim)
	for i := range center {
		center[i] = float32(r.NormFloat64() * 3)
	}
	row := func() []float32 {
		c := r.IntN(centers)
		v := make([]float32, dim)
		for j := range v {
			v[j] = center[c*dim+j] + float32(r.NormFloat64()/(1+float64(j)/8))
		}
		return v
	}
	var rows, held []float32
	for i := range n {
		if i > 0 && i%10 == 0 {
			at := r.IntN(i)
			rows = append(rows, rows[at*dim:(at+1)*dim]...)
			continue
		}
		rows = append(rows, row()...)
	}
	for range queries {
		held = append(held, row()...)
	}
	return newCollection(m, dim, rows, held)
}

// noise makes rows without structure, of norms that differ.
func noise(seed uint64, m vector.Metric, n, dim int) *collection {
	r := rand.New(rand.NewPCG(seed, 6))
	row := func() []float32 {
		v, norm := make([]float32, dim), 1+r.Float64()
		for j := range v {
			v[j] = float32(norm * r.NormFloat64())
		}
		return v
	}
	var rows, held []float32
	for range n {
		rows = append(rows, row()...)
	}
	for range 20 {
		held = append(held, row()...)
	}
	return newCollection(m, dim, rows, held)
}

func build(t testing.TB, c *collection, o graph.Options) *graph.Index {
	ix, err := graph.Build(context.Background(), c.source(), c.metric, o)
	require.NoError(t, err)
	require.Equal(t, c.n(), ix.Rows())
	require.Equal(t, c.vectors(), ix.Vectors())
	if !ix.Flat() {
		require.Equal(t, c.vectors(), ix.Reachable())
	}
	return ix
}

// sameIndex requires that two indexes hold the same.
func sameIndex(t testing.TB, a, b *graph.Index) {
	require.Equal(t, a.Rows(), b.Rows())
	require.Equal(t, a.Vectors(), b.Vectors())
	require.Equal(t, a.AbsentRows(), b.AbsentRows())
	require.Equal(t, a.Flat(), b.Flat())
	require.Equal(t, a.Entries(), b.Entries())
	for r := range uint32(a.Rows()) {
		if a.IsAbsent(r) {
			continue
		}
		require.Equal(t, a.Codes(r), b.Codes(r), "row %d", r)
		if !a.Flat() {
			require.Equal(t, a.Neighbours(r), b.Neighbours(r), "row %d", r)
		}
	}
}
