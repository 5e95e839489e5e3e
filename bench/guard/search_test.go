//go:build !race

package guard

import (
	"context"
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/cmd/demo/data"
	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

const (
	k  = 10
	ef = 16 // few, so that recall has room to fall
)

// words are the demo's: every 20th is a query, the others are rows.
type words struct {
	dim           int
	rows, queries []float32
	raw           []byte
	truth         []float32 // by query: the score of its k-th neighbour
}

var loaded = sync.OnceValues(func() (*words, error) {
	all, err := data.Load()
	if err != nil {
		return nil, err
	}
	w := &words{dim: all.Dim}
	for i := range all.Text {
		v := slices.Clone(all.Vector(i))
		vector.Normalize(v)
		if i%20 == 7 {
			w.queries = append(w.queries, v...)
		} else {
			w.rows = append(w.rows, v...)
		}
	}
	w.raw = bytesOf(w.rows)
	scores := make([]float32, w.n())
	for i := range w.asked() {
		q, err := vector.NewQuery(vector.Cosine, vector.Float32, w.dim, bytesOf(w.query(i)))
		if err != nil {
			return nil, err
		}
		q.Scan(w.raw, w.n(), scores)
		top := vector.NewTopK(vector.Cosine, k)
		top.PushBlock(scores, 0, nil)
		w.truth = append(w.truth, top.Sorted()[k-1].Score)
	}
	return w, nil
})

func (w *words) n() int                { return len(w.rows) / w.dim }
func (w *words) asked() int            { return len(w.queries) / w.dim }
func (w *words) query(i int) []float32 { return w.queries[i*w.dim : (i+1)*w.dim] }

func bytesOf(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

func load(t *testing.T) *words {
	w, err := loaded()
	require.NoError(t, err)
	return w
}

// allocations are those of one call of fn: the fewest of a few runs.
func allocations(fn func()) float64 {
	least := math.Inf(1)
	for range 5 {
		least = min(least, testing.AllocsPerRun(100, fn))
	}
	return least
}

// TestGraph looks at the index alone.
func TestGraph(t *testing.T) {
	w := load(t)
	for _, c := range []struct {
		name    string
		options graph.Options
	}{{"graph", graph.Options{}}, {"graph4", graph.Options{Bits: 4}}} {
		ix, err := graph.Build(context.Background(), graph.Vectors{Elements: w.rows, Dimension: w.dim}, vector.Cosine, c.options)
		require.NoError(t, err)
		require.False(t, ix.Flat(), "the words are too few for a graph")
		name := c.name + "/"
		costs.check(t, name+"bytes-per-row", float64(ix.Size())/float64(w.n()), fewer, 1)
		var sum graph.Stats
		found := 0
		dst := make([]vector.Hit, 0, k)
		search := func(i int) []vector.Hit {
			q, err := vector.NewQuery(vector.Cosine, vector.Float32, w.dim, bytesOf(w.query(i)))
			require.NoError(t, err)
			hits, stats, err := ix.Search(dst, w.query(i), k, &graph.SearchOptions{Ef: ef, Exact: func(rows []uint32, out []float32) error {
				q.Gather(w.raw, rows, out)
				return nil
			}})
			require.NoError(t, err)
			sum.Hops, sum.Distances, sum.Exact = sum.Hops+stats.Hops, sum.Distances+stats.Distances, sum.Exact+stats.Exact
			return hits
		}
		for i := range w.asked() {
			for _, h := range search(i) {
				if h.Score >= w.truth[i] {
					found++
				}
			}
		}
		n := float64(w.asked())
		costs.check(t, name+"recall", float64(found)/(k*n), more, .2)
		costs.check(t, name+"hops-per-query", float64(sum.Hops)/n, fewer, 1)
		costs.check(t, name+"distances-per-query", float64(sum.Distances)/n, fewer, 1)
		costs.check(t, name+"exact-per-query", float64(sum.Exact)/n, fewer, 1)
		q, err := vector.NewQuery(vector.Cosine, vector.Float32, w.dim, bytesOf(w.query(0)))
		require.NoError(t, err)
		o := &graph.SearchOptions{Ef: ef, Exact: func(rows []uint32, out []float32) error { q.Gather(w.raw, rows, out); return nil }}
		one := func() {
			if _, _, err := ix.Search(dst, w.query(0), k, o); err != nil {
				t.Error(err)
			}
		}
		costs.check(t, name+"allocations-per-search", allocations(one), fewer, 0)
		instructions(t, name+"instructions-per-search", one)
	}
}

// TestMerge looks at the graph of two halves.
func TestMerge(t *testing.T) {
	w := load(t)
	var parts []graph.Part
	for lo := range 2 {
		var rows []float32
		var place []uint32
		for i := lo; i < w.n(); i += 2 {
			rows = append(rows, w.rows[i*w.dim:(i+1)*w.dim]...)
			place = append(place, uint32(i))
		}
		ix, err := graph.Build(context.Background(), graph.Vectors{Elements: rows, Dimension: w.dim}, vector.Cosine, graph.Options{FlatBytes: 1})
		require.NoError(t, err)
		parts = append(parts, graph.Part{Index: ix, Rows: place})
	}
	ix, err := graph.Merge(context.Background(), parts, graph.Vectors{Elements: w.rows, Dimension: w.dim}, vector.Cosine, graph.Options{})
	require.NoError(t, err)
	found, distances := 0, 0
	for i := range w.asked() {
		q, err := vector.NewQuery(vector.Cosine, vector.Float32, w.dim, bytesOf(w.query(i)))
		require.NoError(t, err)
		hits, stats, err := ix.Search(nil, w.query(i), k, &graph.SearchOptions{Ef: ef, Exact: func(rows []uint32, out []float32) error {
			q.Gather(w.raw, rows, out)
			return nil
		}})
		require.NoError(t, err)
		distances += stats.Distances
		for _, h := range hits {
			if h.Score >= w.truth[i] {
				found++
			}
		}
	}
	costs.check(t, "merged/recall", float64(found)/float64(k*w.asked()), more, .2)
	costs.check(t, "merged/distances-per-query", float64(distances)/float64(w.asked()), fewer, 1)
}

// TestSearch looks at searches through the engine.
func TestSearch(t *testing.T) {
	w, ctx := load(t), context.Background()
	s := open(t, w)
	request := func(i int) *query.Search {
		return query.Nearest("vector", w.query(i)).Metric(vector.Cosine).Limit(k).Ef(ef)
	}
	ask := func(req *query.Search) func() {
		return func() {
			hits, err := s.part.Search(ctx, req)
			if err != nil || len(hits) != k {
				t.Errorf("%d hits, %v", len(hits), err)
			}
		}
	}
	s.insert(t, 0, 5000, 1000)
	costs.check(t, "search/growing/allocations", allocations(ask(request(0))), fewer, 0)
	for first := 5000; first < w.n(); first += 1000 {
		s.insert(t, first, min(first+1000, w.n()), 1000)
	}
	s.flush(t)
	s.index(t)
	found := 0
	for i := range w.asked() {
		hits, err := s.part.Search(ctx, request(i))
		require.NoError(t, err)
		for _, h := range hits {
			if h.Score >= w.truth[i] {
				found++
			}
		}
	}
	costs.check(t, "search/recall", float64(found)/float64(k*w.asked()), more, .2)
	costs.check(t, "search/indexed/allocations", allocations(ask(request(0))), fewer, 0)
	costs.check(t, "search/indexed/bytes-allocated", allocated(ask(request(0))), fewer, 5)
	costs.check(t, "search/exact/allocations", allocations(ask(request(0).Exact())), fewer, 0)
	costs.check(t, "search/output/allocations", allocations(ask(request(0).Output("vector"))), fewer, 0)
	costs.check(t, "search/filter/allocations", allocations(ask(request(0).Filter("id < 10000"))), fewer, 0)
	instructions(t, "search/indexed/instructions", ask(request(0)))

	key := column.IntKeys(777)
	costs.check(t, "get/allocations", allocations(func() {
		rows, err := s.part.Get(ctx, key, "vector")
		if err != nil || rows.Len() != 1 {
			t.Errorf("get: %v", err)
		}
	}), fewer, 0)
	costs.check(t, "count/allocations", allocations(func() {
		if n, err := s.part.Count(ctx); err != nil || n != int64(w.n()) {
			t.Errorf("%d rows, %v", n, err)
		}
	}), fewer, 0)
	costs.check(t, "iterate/allocations-per-1000-rows", 1000/float64(w.n())*fewest(func() {
		n := 0
		for _, err := range s.part.All(ctx, "vector") {
			if err != nil {
				t.Error(err)
			}
			n++
		}
		if n != w.n() {
			t.Errorf("%d rows", n)
		}
	}), fewer, 5)
}

// fewest are the allocations of one slow call.
func fewest(fn func()) float64 {
	least := math.Inf(1)
	for range 3 {
		least = min(least, testing.AllocsPerRun(1, fn))
	}
	return least
}

// allocated are the bytes that one call takes: the fewest of a few runs.
func allocated(fn func()) float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	fn()
	least := math.Inf(1)
	for range 5 {
		const calls = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range calls {
			fn()
		}
		runtime.ReadMemStats(&after)
		least = min(least, float64(after.TotalAlloc-before.TotalAlloc)/calls)
	}
	return least
}
