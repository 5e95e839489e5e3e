package graph_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// benchRows returns the demo's words or, if SELKIE_VECTORS names a file of raw
// little-endian float32 rows of SELKIE_DIM elements, those: every 170th row is
// held out as a query, 2,000 at most. SELKIE_METRIC is COSINE unless set.
func benchRows(b *testing.B) *collection {
	path := os.Getenv("SELKIE_VECTORS")
	if path == "" {
		return wordRows(b, vector.Cosine, 19_000)
	}
	dim, err := strconv.Atoi(os.Getenv("SELKIE_DIM"))
	require.NoError(b, err, "SELKIE_DIM")
	metric := vector.Cosine
	if s := os.Getenv("SELKIE_METRIC"); s != "" {
		metric, err = vector.ParseMetric(s)
		require.NoError(b, err)
	}
	raw, err := os.ReadFile(path)
	require.NoError(b, err)
	var rows, queries []float32
	for i := range len(raw) / (4 * dim) {
		to := &rows
		if i%170 == 7 && len(queries) < 2000*dim {
			to = &queries
		}
		for j := range dim {
			*to = append(*to, math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(i*dim+j):])))
		}
	}
	return newCollection(metric, dim, rows, queries)
}

// BenchmarkSearch prints, for k = 10 and some ef, queries a second of one
// goroutine, the recall, and what a query cost. GODEBUG=cpu.avx512f=off has it
// run on the AVX2 kernels, GODEBUG=cpu.avx2=off on plain Go.
func BenchmarkSearch(b *testing.B) {
	c := benchRows(b)
	ix := build(b, c, graph.Options{})
	truth := make([]float32, c.count()) // the score of the tenth
	exact := make([]func([]uint32, []float32) error, c.count())
	for i := range truth {
		truth[i] = c.truth(b, c.query(i), 10, nil)[9].Score
		exact[i] = c.exact(b, c.query(i))
	}
	for _, ef := range []int{0, 32, 64, 80, 96, 128, 256, 320} {
		name := fmt.Sprintf("ef=%d", ef)
		if ef == 0 {
			name = fmt.Sprintf("default=%d", graph.DefaultEf(ix.Rows(), 10))
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]vector.Hit, 0, 10)
			found, n := 0, 0
			var sum graph.Stats
			for b.Loop() {
				q := n % c.count()
				n++
				hits, stats, err := ix.Search(dst, c.query(q), 10, &graph.SearchOptions{Ef: ef, Exact: exact[q]})
				if err != nil {
					b.Fatal(err)
				}
				for _, h := range hits {
					if !c.metric.Better(truth[q], h.Score) {
						found++
					}
				}
				sum.Hops += stats.Hops
				sum.Distances += stats.Distances
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "queries/s")
			b.ReportMetric(float64(found)/float64(10*n), "recall")
			b.ReportMetric(float64(sum.Distances)/float64(n), "distances/query")
			b.ReportMetric(float64(sum.Hops)/float64(n), "hops/query")
		})
	}
}

// BenchmarkFlat searches an index without a graph whose codes are larger than
// the caches, exact scores included, and prints how fast it reads them, beside
// how fast the same bytes are read to count one of them.
func BenchmarkFlat(b *testing.B) {
	const n, dim, stride = 600_000, 100, 128
	r := rand.New(rand.NewPCG(1, 1))
	rows := make([]float32, n*dim)
	for i := range rows {
		rows[i] = r.Float32() - .5
	}
	c := newCollection(vector.Cosine, dim, rows, rows[:8*dim])
	ix, err := graph.Build(context.Background(), c.source(), c.metric, graph.Options{FlatBytes: 1 << 40})
	require.NoError(b, err)
	codes := make([]byte, n*stride)
	for i := range codes {
		codes[i] = byte(r.Uint32())
	}
	exact := c.exact(b, c.query(0))
	dst := make([]vector.Hit, 0, 10)
	var searching, reading time.Duration
	for b.Loop() {
		start := time.Now()
		_, _, err := ix.Search(dst, c.query(0), 10, &graph.SearchOptions{Exact: exact})
		searching += time.Since(start)
		require.NoError(b, err)
		start = time.Now()
		bytes.Count(codes, codes[:1])
		reading += time.Since(start)
	}
	size := float64(b.N*n*stride) / 1e9
	b.ReportMetric(size/searching.Seconds(), "GB/s")
	b.ReportMetric(size/reading.Seconds(), "GB/s-count")
	b.ReportMetric(reading.Seconds()/searching.Seconds(), "share")
}

func BenchmarkBuild(b *testing.B) {
	c := benchRows(b)
	debug.FreeOSMemory()
	before, peak, bytes := resident(), 0, 0
	for b.Loop() {
		ix := build(b, c, graph.Options{Progress: func(int, int) { peak = max(peak, resident()) }})
		bytes = ix.Bytes()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*c.n()), "µs/row")
	b.ReportMetric(float64(peak-before)/float64(bytes), "peak/index")
}

// resident returns the bytes that the process has in memory; 0 where the
// system does not say.
func resident() int {
	var all, pages int
	b, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(b), &all, &pages)
	}
	if err != nil {
		return 0
	}
	return pages * os.Getpagesize()
}

// BenchmarkMerge adds a tenth to nine tenths, and a half to a half.
func BenchmarkMerge(b *testing.B) {
	c := benchRows(b)
	for _, share := range []float64{.9, .5} {
		parts := divide(b, c, 1, []float64{share, 1 - share}, 0, graph.Options{})
		b.Run(fmt.Sprintf("share=%v", share), func(b *testing.B) {
			for b.Loop() {
				_, err := graph.Merge(context.Background(), parts, c.source(), c.metric, graph.Options{})
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*c.n()), "µs/row")
		})
	}
}
