package inverted_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/inverted"
)

// benchRows returns rows like text; SELKIE_ROWS says how many, 100,000 unless
// set.
func benchRows(b *testing.B) *collection {
	n := 100_000
	if s := os.Getenv("SELKIE_ROWS"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(b, err, "SELKIE_ROWS")
	}
	return text(1, n, 200)
}

// BenchmarkSearch prints queries a second of one goroutine, and what a query
// cost, for several k and shares of rows that a filter allows.
func BenchmarkSearch(b *testing.B) {
	c := benchRows(b)
	ix := build(b, c)
	r := rand.New(rand.NewPCG(2, 2))
	for _, tc := range []struct {
		k     int
		share float64
	}{{1, 1}, {10, 1}, {100, 1}, {1000, 1}, {10, .5}, {10, .1}, {10, .01}, {10, .001}} {
		var o inverted.SearchOptions
		if tc.share < 1 {
			o.Allowed = bitset(r, c.Rows(), tc.share)
		}
		b.Run(fmt.Sprintf("k=%d/allowed=%v", tc.k, tc.share), func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]vector.Hit, 0, tc.k)
			n := 0
			var sum inverted.Stats
			for b.Loop() {
				_, stats, err := ix.Search(dst, c.queries[n%len(c.queries)], tc.k, &o)
				if err != nil {
					b.Fatal(err)
				}
				n++
				sum.Postings += stats.Postings
				sum.Probes += stats.Probes
				sum.Exact += stats.Exact
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "queries/s")
			b.ReportMetric(float64(sum.Postings)/float64(n), "postings/query")
			b.ReportMetric(float64(sum.Probes)/float64(n), "probes/query")
			b.ReportMetric(float64(sum.Exact)/float64(n), "exact/query")
		})
	}
}

// BenchmarkScan is the exact scan that a search competes with.
func BenchmarkScan(b *testing.B) {
	c := benchRows(b)
	scores := make([]float32, c.Rows())
	top := vector.NewTopK(vector.IP, 10)
	n := 0
	for b.Loop() {
		q, err := vector.NewQuery(vector.IP, vector.Sparse, 0, c.queries[n%len(c.queries)])
		require.NoError(b, err)
		top.Reset(vector.IP, 10, nil)
		q.ScanSparse(c.Offs, c.Data, scores)
		top.PushBlock(scores, 0, nil)
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "queries/s")
}

func BenchmarkBuild(b *testing.B) {
	c := benchRows(b)
	for b.Loop() {
		build(b, c)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*c.Rows()), "µs/row")
}

// BenchmarkOpen checks a whole file in memory.
func BenchmarkOpen(b *testing.B) {
	file := save(b, build(b, benchRows(b)))
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		_, err := inverted.Open(file, identity)
		require.NoError(b, err)
	}
}
