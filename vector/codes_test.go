package vector_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
)

var codeKinds = []vector.CodeKind{vector.Code8, vector.Code4}

// codeBlock packs n rows of dim codes and returns them and their codes.
func codeBlock(k vector.CodeKind, n, dim int, code func() uint8) (rows []byte, codes [][]uint8) {
	stride := k.Stride(dim)
	rows = make([]byte, n*stride)
	for i := range n {
		c := make([]uint8, dim)
		for j := range c {
			c[j] = code()
		}
		k.Pack(rows[i*stride:], c)
		codes = append(codes, c)
	}
	return rows, codes
}

func checkCodes(t *testing.T, k vector.CodeKind, q []int8, rows []byte, codes [][]uint8) {
	t.Helper()
	n := len(codes)
	want := make([]int32, n)
	for i, c := range codes {
		for j, x := range q {
			want[i] += int32(x) * int32(c[j])
		}
	}
	idx := make([]uint32, 0, 2*n)
	for i := range 2 * n {
		idx = append(idx, uint32((i*5+3)%n))
	}
	for _, class := range vector.Classes() {
		query := vector.NewCodeQueryClass(class, k, q)
		out := make([]int32, n+1)
		out[n] = 42
		query.Scan(rows, n, out)
		if !slices.Equal(want, out[:n]) || out[n] != 42 {
			t.Fatalf("%s dim %d: got %v, want %v", class, len(q), out, want)
		}
		for count := range idx {
			got := make([]int32, count+1)
			got[count] = 42
			query.Gather(rows, idx[:count], got)
			for i, row := range idx[:count] {
				if got[i] != want[row] || got[count] != 42 {
					t.Fatalf("%s dim %d row %d: Gather %d, Scan %d", class, len(q), row, got[i], want[row])
				}
			}
		}
	}
}

func TestCodesAgainstOracle(t *testing.T) {
	for _, k := range codeKinds {
		t.Run(fmt.Sprint(k.Max()), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(10, uint64(k)))
			for dim := 1; dim <= 2100; dim++ {
				if dim > 300 && testing.Short() && dim%7 != 0 {
					continue
				}
				rows, codes := codeBlock(k, 9, dim, func() uint8 { return uint8(r.Uint32()) & k.Max() })
				q := make([]int8, dim)
				for i := range q {
					q[i] = int8(r.Uint32())
					if dim%2 == 0 { // small ones have kernels of their own
						q[i] = int8(r.IntN(129) - 64)
					}
				}
				checkCodes(t, k, q, rows, codes)
			}
		})
	}
}

// TestCodesExtremes: sums that would saturate 16 bits, and the largest there
// are.
func TestCodesExtremes(t *testing.T) {
	for _, k := range codeKinds {
		for _, dim := range []int{1, 64, 65, 128, 1000, vector.MaxDim} {
			for _, x := range []int8{-128, -65, -64, 64, 65, 127} {
				rows, codes := codeBlock(k, 3, dim, k.Max)
				q := make([]int8, dim)
				for i := range q {
					q[i] = x
				}
				checkCodes(t, k, q, rows, codes)
			}
		}
	}
}

func TestCodeQueryReset(t *testing.T) {
	c := vector.NewCodeQuery(vector.Code8, []int8{1, 2, 3})
	c.Reset(vector.Code4, []int8{1})
	row := make([]byte, 64)
	vector.Code4.Pack(row, []uint8{7})
	row[1], row[2] = 0xff, 0xff // padding meets zeros of the query
	out := make([]int32, 1)
	c.Scan(row, 1, out)
	require.Equal(t, int32(7), out[0])
	q := make([]int8, 100)
	require.Zero(t, testing.AllocsPerRun(10, func() { c.Reset(vector.Code4, q[:50]) }))
}

func TestCodesOutOfBounds(t *testing.T) {
	for _, class := range vector.Classes() {
		for _, k := range codeKinds {
			c := vector.NewCodeQueryClass(class, k, make([]int8, 100))
			rows, out := make([]byte, 10*k.Stride(100), 20*k.Stride(100)), make([]int32, 64)
			require.Panics(t, func() { c.Scan(rows[:len(rows):len(rows)], 11, out) })
			require.Panics(t, func() { c.Gather(rows, []uint32{10}, out) })
			require.Panics(t, func() { c.Gather(rows, []uint32{0, 1, 2, 3, 4, 5, 6, 7, math.MaxUint32}, out) })
			require.Panics(t, func() { c.Gather(nil, []uint32{0}, out) })
			require.Panics(t, func() { c.Gather(rows, []uint32{0, 1}, out[:1:1]) })
			c.Gather(rows, []uint32{9, 9, 9}, out)
			c.Gather(nil, nil, nil)
		}
	}
}

func BenchmarkCodes(b *testing.B) {
	r := rand.New(rand.NewPCG(11, 11))
	for _, class := range vector.Classes() {
		for _, test := range []struct {
			name  string
			k     vector.CodeKind
			limit int
		}{{"8bit", vector.Code8, 128}, {"8bit-small", vector.Code8, 64}, {"4bit", vector.Code4, 128}} {
			for _, dim := range []int{100, 768, 1536} {
				n := min(2048, 256<<10/test.k.Stride(dim))
				rows, _ := codeBlock(test.k, n, dim, func() uint8 { return uint8(r.Uint32()) & test.k.Max() })
				q := make([]int8, dim)
				for i := range q {
					q[i] = int8(r.IntN(2*test.limit) - test.limit)
				}
				query := vector.NewCodeQueryClass(class, test.k, q)
				idx, out := make([]uint32, n), make([]int32, n)
				for i, p := range r.Perm(n) {
					idx[i] = uint32(p)
				}
				b.Run(fmt.Sprintf("%s/%s/scan/%d", class, test.name, dim), func(b *testing.B) {
					for b.Loop() {
						query.Scan(rows, n, out)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
				})
				b.Run(fmt.Sprintf("%s/%s/gather/%d", class, test.name, dim), func(b *testing.B) {
					for b.Loop() {
						query.Gather(rows, idx, out)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
				})
			}
		}
	}
}
