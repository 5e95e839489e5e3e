package vector_test

import (
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
)

// TestClassesAgree: integer scores are equal in all classes; float scores are
// equal to the bit in all classes but plain Go, which has no fused
// multiply-add. The dimensions are all there are up to 2100, in turn.
func TestClassesAgree(t *testing.T) {
	classes := vector.Classes()
	for _, kind := range denseKinds {
		t.Run(fmt.Sprintf("%v/%v", kind.e, kind.m), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(8, uint64(kind.m)<<8|uint64(kind.e)))
			const n, spare = 9, 7
			unit := kind.e.RowBytes(8) // a binary row has 8 elements a byte
			step := 1
			if testing.Short() {
				step = 7
			}
			for dim := 1; dim <= 2100; dim += step {
				d := dim
				if kind.e == vector.Binary {
					d *= 8
				}
				stride := unit * d / 8
				raw := randomRow(r, nil, kind.e, d, 1)
				block := make([]byte, dim%spare, n*stride+spare)
				for range n {
					block = randomRow(r, block, kind.e, d, 1)
				}
				rows := block[dim%spare:]
				exact := kind.e == vector.Int8 || kind.e == vector.Binary
				var first []float32
				for i, class := range classes {
					if i == 0 && !exact {
						continue
					}
					q, err := vector.NewQueryClass(class, kind.m, kind.e, d, raw)
					require.NoError(t, err)
					out := make([]float32, n)
					q.Scan(rows, n, out)
					if first == nil {
						first = out
					}
					for j := range out {
						if math.Float32bits(first[j]) != math.Float32bits(out[j]) {
							t.Fatalf("dim %d row %d: %v by %s, %v by others", d, j, out[j], class, first[j])
						}
					}
				}
			}
		})
	}
}

// fusedDot is the float kernels' order of operations in plain words: what the
// classes with vector units must match to the bit.
func fusedDot(a, b []float32) float32 {
	var l [16]float32
	i := 0
	for ; i+16 <= len(a); i += 16 {
		for j := range l {
			l[j] = fma(a[i+j], b[i+j], l[j])
		}
	}
	if rest := len(a) - i; rest > 0 {
		for j := range l {
			if j < 16-rest {
				l[j] = fma(0, 0, l[j])
			} else {
				l[j] = fma(a[len(a)-16+j], b[len(b)-16+j], l[j])
			}
		}
	}
	for j := range 8 {
		l[j] += l[j+8]
	}
	return ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]))
}

// fma is the float32 fused multiply-add: the product is exact in float64, and
// the float64 sum is rounded to odd so that rounding it again is harmless.
func fma(a, b, c float32) float32 {
	p, x := float64(a)*float64(b), float64(c)
	s := p + x
	back := s - x
	lost := (p - back) + (x - (s - back)) // what rounding s lost, exactly
	if lost != 0 && math.Float64bits(s)&1 == 0 {
		if (lost > 0) == (s > 0) {
			s = math.Float64frombits(math.Float64bits(s) + 1)
		} else {
			s = math.Float64frombits(math.Float64bits(s) - 1)
		}
	}
	return float32(s)
}

func TestFusedOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, class := range vector.Classes()[1:] {
		for dim := 16; dim < 200; dim++ {
			raw := randomRow(r, nil, vector.Float32, dim, 1)
			row := randomRow(r, nil, vector.Float32, dim, 1)
			q, err := vector.NewQueryClass(class, vector.IP, vector.Float32, dim, raw)
			require.NoError(t, err)
			out := make([]float32, 1)
			q.Scan(row, 1, out)
			want := fusedDot(vector.AppendDecoded(nil, vector.Float32, raw), vector.AppendDecoded(nil, vector.Float32, row))
			require.Equal(t, math.Float32bits(want), math.Float32bits(out[0]), "%s dim %d", class, dim)
		}
	}
}

// TestSameBitsEverywhere holds the scores of one set of rows to a checksum
// taken once: machines of different kinds must not rank rows differently.
// Plain Go has sums of its own, the same on every platform.
func TestSameBitsEverywhere(t *testing.T) {
	for _, class := range vector.Classes() {
		sum := crc32.NewIEEE()
		state := uint32(1)
		next := func() float32 { // exact arithmetic only
			state = state*1664525 + 1013904223
			return float32(int32(state)>>8) * 0x1p-23
		}
		for _, kind := range denseKinds[:9] {
			for _, dim := range []int{3, 16, 17, 31, 100, 768, 1000} {
				const n = 13
				var rows []byte
				for range n + 1 {
					v := make([]float32, dim)
					for i := range v {
						v[i] = next()
					}
					switch kind.e {
					case vector.Float32:
						rows = vector.AppendFloat32(rows, v)
					case vector.Float16:
						rows = vector.AppendFloat16(rows, v)
					case vector.BFloat16:
						rows = vector.AppendBFloat16(rows, v)
					}
				}
				stride := kind.e.RowBytes(dim)
				q, err := vector.NewQueryClass(class, kind.m, kind.e, dim, rows[:stride])
				require.NoError(t, err)
				out := make([]float32, n)
				q.Scan(rows[stride:], n, out)
				sum.Write(vector.AppendFloat32(nil, out))
			}
		}
		want := uint32(0x98904457)
		if class == "go" {
			want = 0xf6aebb80
		}
		require.Equal(t, fmt.Sprintf("%08x", want), fmt.Sprintf("%08x", sum.Sum32()), class)
	}
}

// FuzzKernels feeds arbitrary bytes to every class: finite elements of all
// magnitudes, any split into rows.
func FuzzKernels(f *testing.F) {
	f.Add([]byte("a few bytes to make rows of, more than one row at least, and some"), uint8(0), uint16(16))
	f.Add(make([]byte, 500), uint8(5), uint16(17))
	f.Fuzz(func(t *testing.T, data []byte, which uint8, d uint16) {
		kind := denseKinds[int(which)%len(denseKinds)]
		dim := int(d)%300 + 1
		if kind.e == vector.Binary {
			dim *= 8
		}
		stride := kind.e.RowBytes(dim)
		n := len(data)/stride - 1
		if n < 1 || n > 50 || vector.HasNonFinite(kind.e, data) >= 0 {
			return
		}
		raw, rows := data[:stride], data[stride:stride*(n+1)]
		for _, class := range vector.Classes() {
			q, err := vector.NewQueryClass(class, kind.m, kind.e, dim, raw)
			require.NoError(t, err)
			checkRows(t, q, kind.m, kind.e, dim, raw, rows, n)
		}
	})
}
