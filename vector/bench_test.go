package vector_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
)

// BenchmarkScan and BenchmarkGather print ns/row for each class that this
// processor has. The rows of one call fit the second-level cache.
func BenchmarkScan(b *testing.B) { benchmarkRows(b, false) }

func BenchmarkGather(b *testing.B) { benchmarkRows(b, true) }

func benchmarkRows(b *testing.B, gather bool) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, class := range vector.Classes() {
		for _, kind := range denseKinds {
			for _, dim := range []int{100, 768, 1536} {
				if kind.e == vector.Binary {
					dim = dim / 8 * 8 // whole bytes
				}
				stride := kind.e.RowBytes(dim)
				n := min(1024, 512<<10/stride)
				var rows []byte
				for range n {
					rows = randomRow(r, rows, kind.e, dim, 1)
				}
				q, err := vector.NewQueryClass(class, kind.m, kind.e, dim, randomRow(r, nil, kind.e, dim, 1))
				require.NoError(b, err)
				idx := make([]uint32, n)
				for i, p := range r.Perm(n) {
					idx[i] = uint32(p)
				}
				out := make([]float32, n)
				b.Run(fmt.Sprintf("%s/%v/%v/%d", class, kind.e, kind.m, dim), func(b *testing.B) {
					for b.Loop() {
						if gather {
							q.Gather(rows, idx, out)
						} else {
							q.Scan(rows, n, out)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
				})
			}
		}
	}
}

// BenchmarkScanSparse: queries of 30 pairs against rows of 120, out of 30,000
// indices, as learned sparse encoders make them.
func BenchmarkScanSparse(b *testing.B) {
	r := rand.New(rand.NewPCG(13, 13))
	q, err := vector.NewQuery(vector.IP, vector.Sparse, 0, sparseRow(r, nil, 30, 2000))
	require.NoError(b, err)
	const n = 1000
	var data []byte
	offs := []uint32{0}
	for range n {
		data = sparseRow(r, data, 120, 500)
		offs = append(offs, uint32(len(data)))
	}
	out := make([]float32, n)
	for b.Loop() {
		q.ScanSparse(offs, data, out)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
}
