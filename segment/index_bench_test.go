package segment_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/segment/segmenttest"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// clusters are rows around a few hundred centers.
func clusters(rng *rand.Rand, rows, dim int) []float32 {
	centers := make([]float32, 300*dim)
	for i := range centers {
		centers[i] = float32(rng.NormFloat64())
	}
	out := make([]float32, 0, rows*dim)
	for range rows {
		c := rng.IntN(300) * dim
		for j := range dim {
			out = append(out, centers[c+j]+float32(rng.NormFloat64())*.4)
		}
	}
	return out
}

// BenchmarkSearchIndex searches a segment on disk and, in turn with that, the bare graph over vectors that lie in one array. It prints what a
// query of either takes. SELKIE_ROWS are its rows, 50,000 unless set, SELKIE_DIM their elements, 128 unless set.
func BenchmarkSearchIndex(b *testing.B) {
	ctx := context.Background()
	number := func(name string, def int) int {
		if s := os.Getenv(name); s != "" {
			n, err := strconv.Atoi(s)
			require.NoError(b, err, name)
			return n
		}
		return def
	}
	rows, dim := number("SELKIE_ROWS", 50_000), number("SELKIE_DIM", 128)
	rng := rand.New(rand.NewPCG(3, 4))
	all := clusters(rng, rows+1000, dim)
	queries := all[rows*dim:]
	all = all[:rows*dim]
	s := segmenttest.Finish(b, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", dim)))
	ids := make([]int64, rows)
	for i := range ids {
		ids[i] = int64(i)
	}
	batch, err := column.Build(s, []*column.Column{column.Int64("id", ids), column.FloatVectorFlat("v", dim, all)}, column.BuildOptions{MaxBytes: -1})
	require.NoError(b, err)
	x := &indexed{t: b, rng: rng, fs: vfs.Default, tmp: b.TempDir(), in: segmenttest.Input{Schema: s, Batches: []*column.Batch{batch}}}
	x.f, _ = s.Field("v")
	x.cache = segment.NewCache(8 << 20)
	defer x.cache.Close()
	x.Sealed = x.buildIn(b.TempDir(), 7)
	defer x.Unref()
	spec := x.spec(1, vector.L2, graph.Options{})
	start := time.Now()
	x.build(spec)
	b.Logf("built in %v", time.Since(start))
	raw := vector.AppendFloat32(nil, all)
	f, err := os.Open(x.Dir() + "/" + spec.FileName())
	require.NoError(b, err)
	defer f.Close()
	bare := segment.LoadGraph(b, x.Sealed, f, 1)

	qs := make([]*vector.Query, 1000)
	exact := make([]func([]uint32, []float32) error, len(qs))
	floats := make([][]float32, len(qs))
	for i := range qs {
		floats[i] = queries[i*dim:][:dim]
		q, err := vector.NewQuery(vector.L2, vector.Float32, dim, vector.AppendFloat32(nil, floats[i]))
		require.NoError(b, err)
		qs[i] = q
		exact[i] = func(rows []uint32, out []float32) error { q.Gather(raw, rows, out); return nil }
	}
	run := func(b *testing.B, v *segment.SealedView, dead []uint64) {
		b.ReportAllocs()
		dst := make([]vector.Hit, 0, 10)
		var with, without time.Duration
		n, scored := 0, 0
		for b.Loop() {
			i := n % len(qs)
			options := graph.SearchOptions{Exact: exact[i], Dead: dead}
			var hits []vector.Hit
			var stats segment.IndexStats
			for turn := range 2 {
				start := time.Now()
				if (turn+n)%2 == 0 { // neither always goes first
					hits, stats, _, err = v.SearchIndex(ctx, x.f, qs[i], segment.IndexSearch{K: 10}, dst)
					with += time.Since(start)
				} else {
					_, _, err = bare.Search(dst, floats[i], 10, &options)
					without += time.Since(start)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			if len(hits) != 10 {
				b.Fatal(hits)
			}
			scored += stats.Exact
			n++
		}
		b.ReportMetric(float64(with.Nanoseconds())/float64(n), "ns/segment")
		b.ReportMetric(float64(without.Nanoseconds())/float64(n), "ns/bare")
		b.ReportMetric(100*float64(with-without)/float64(without), "overhead-%")
		b.ReportMetric(float64(scored)/float64(n), "exact/query")
		b.ReportMetric(float64((with-without).Nanoseconds())/float64(scored), "ns-more/exact")
	}
	v, _ := x.At(0)
	b.Run("memory", func(b *testing.B) { run(b, v, nil) })
	require.NoError(b, x.LoadIndex(ctx, spec, true))
	b.Run("mapped", func(b *testing.B) { run(b, v, nil) })
	require.NoError(b, x.LoadIndex(ctx, spec, false))
	x.Tombstones().Add([]uint32{1, 30_000 % uint32(rows), uint32(rows) - 1}, 5)
	v, _ = x.At(5)
	b.Run("dead", func(b *testing.B) { run(b, v, v.Dead().Words(nil, 0, v.Rows())) })
}
