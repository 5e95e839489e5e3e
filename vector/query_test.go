package vector_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
)

// denseKinds are the combinations every class has kernels for.
var denseKinds = []struct {
	m vector.Metric
	e vector.Element
}{
	{vector.L2, vector.Float32},
	{vector.IP, vector.Float32},
	{vector.Cosine, vector.Float32},
	{vector.L2, vector.Float16},
	{vector.IP, vector.Float16},
	{vector.Cosine, vector.Float16},
	{vector.L2, vector.BFloat16},
	{vector.IP, vector.BFloat16},
	{vector.Cosine, vector.BFloat16},
	{vector.L2, vector.Int8},
	{vector.IP, vector.Int8},
	{vector.Cosine, vector.Int8},
	{vector.Hamming, vector.Binary},
	{vector.Jaccard, vector.Binary},
}

// randomRow appends one row. Its elements span scale's order of magnitude.
func randomRow(r *rand.Rand, dst []byte, e vector.Element, dim int, scale float64) []byte {
	if e == vector.Int8 || e == vector.Binary {
		for range e.RowBytes(dim) {
			dst = append(dst, byte(r.Uint32()))
		}
		return dst
	}
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(r.NormFloat64() * scale)
	}
	switch e {
	case vector.Float16:
		return vector.AppendFloat16(dst, v)
	case vector.BFloat16:
		return vector.AppendBFloat16(dst, v)
	}
	return vector.AppendFloat32(dst, v)
}

// oracle scores a pair in float64 and returns how far a float32 kernel may be
// off: (d/4+8) rounding errors of the sum of magnitudes.
func oracle(m vector.Metric, e vector.Element, dim int, q, row []byte) (score, tolerance float64) {
	if e == vector.Binary {
		and, or, xor := 0, 0, 0
		for i := range q {
			and += bits.OnesCount8(q[i] & row[i])
			or += bits.OnesCount8(q[i] | row[i])
			xor += bits.OnesCount8(q[i] ^ row[i])
		}
		if m == vector.Hamming {
			return float64(xor), 0
		}
		if or == 0 {
			return 0, 0
		}
		return 1 - float64(and)/float64(or), 0x1p-24
	}
	a := vector.AppendDecoded(nil, e, q)
	b := vector.AppendDecoded(nil, e, row)
	var dot, aa, bb, l2, abs float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot += x * y
		abs += math.Abs(x * y)
		aa += x * x
		bb += y * y
		l2 += (x - y) * (x - y)
	}
	u := 0x1p-24
	// What gradual underflow loses: half the least subnormal an operation.
	under := float64(dim) * 0x1p-149
	errors := float64(dim)/4 + 8
	if e == vector.Int8 {
		errors = 1
	}
	switch m {
	case vector.L2:
		return l2, errors*u*l2 + under
	case vector.IP:
		return dot, errors*u*abs + under
	}
	if aa == 0 || bb == 0 {
		return 0, 0
	}
	n := math.Sqrt(aa) * math.Sqrt(bb)
	// Products of subnormal elements vanish beside a norm of 2^-30 or more.
	return dot / n, (errors+4)*u*(abs/n+math.Abs(dot)/n) + 0x1p-110
}

func testDims() []int {
	var dims []int
	for d := 1; d <= 130; d++ {
		dims = append(dims, d)
	}
	return append(dims, 200, 255, 256, 257, 768, 1000, 1536, 2047)
}

func TestScanAgainstOracle(t *testing.T) {
	const n = 19 // two blocks of eight and a remainder
	for _, class := range vector.Classes() {
		for _, kind := range denseKinds {
			t.Run(fmt.Sprintf("%s/%v/%v", class, kind.e, kind.m), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(1, uint64(kind.m)<<8|uint64(kind.e)))
				for _, dim := range testDims() {
					if kind.e == vector.Binary {
						dim *= 8
					}
					raw := randomRow(r, nil, kind.e, dim, 1)
					q, err := vector.NewQueryClass(class, kind.m, kind.e, dim, raw)
					require.NoError(t, err)
					stride := kind.e.RowBytes(dim)
					// Every start modulo 8, and nothing behind the last row.
					for shift := range 8 {
						if (testing.Short() || dim > 200) && shift != dim%8 {
							continue
						}
						rows := make([]byte, shift, shift+n*stride)
						for range n - 1 {
							rows = randomRow(r, rows, kind.e, dim, 1)
						}
						rows = append(rows, raw...)[shift:] // the query itself
						checkRows(t, q, kind.m, kind.e, dim, raw, rows, n)
					}
				}
			})
		}
	}
}

// checkRows compares Scan with the oracle and Gather with Scan.
func checkRows(t *testing.T, q *vector.Query, m vector.Metric, e vector.Element, dim int, raw, rows []byte, n int) {
	t.Helper()
	stride := e.RowBytes(dim)
	out := make([]float32, n+1)
	out[n] = 42
	q.Scan(rows, n, out)
	require.Equal(t, float32(42), out[n], "wrote past the end")
	for i := range n {
		row := rows[i*stride : (i+1)*stride]
		want, tolerance := oracle(m, e, dim, raw, row)
		want = max(-math.MaxFloat32, min(math.MaxFloat32, want))
		if d := math.Abs(float64(out[i]) - want); !(d <= tolerance) {
			t.Fatalf("dim %d row %d: got %v, want %v ± %g, off by %g", dim, i, out[i], want, tolerance, d)
		}
		if string(row) == string(raw) {
			switch {
			case m == vector.Cosine && vector.Norm(e, raw) > 0:
				require.Equal(t, float32(1), out[i], "similarity to itself, dim %d", dim)
			case m != vector.IP:
				if m != vector.Cosine {
					require.Zero(t, out[i])
				}
			}
		}
	}
	// Lists of every length up to n, in an order of their own.
	for count := range n + 1 {
		idx := make([]uint32, count)
		for i := range idx {
			idx[i] = uint32((i*7 + count) % n)
		}
		got := make([]float32, count+1)
		got[count] = 42
		q.Gather(rows, idx, got)
		require.Equal(t, float32(42), got[count], "wrote past the end")
		for i, row := range idx {
			if math.Float32bits(got[i]) != math.Float32bits(out[row]) {
				t.Fatalf("dim %d row %d: Gather %v, Scan %v", dim, row, got[i], out[row])
			}
		}
		if count > 0 {
			q.Scan(rows[(n-count)*stride:], count, got)
			for i := range count {
				if math.Float32bits(got[i]) != math.Float32bits(out[n-count+i]) {
					t.Fatalf("dim %d: row %d scores %v in one block, %v in another", dim, n-count+i, got[i], out[n-count+i])
				}
			}
		}
	}
}

// TestExtremes: subnormals, the largest numbers, sums that overflow float32
// to infinity or to NaN, zero vectors.
func TestExtremes(t *testing.T) {
	values := []float32{
		0, float32(math.Copysign(0, -1)), 1, -1, math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32,
		0x1p-126, 0x1.8p-130, math.MaxFloat32, -math.MaxFloat32, 1e20, -1e20, 1e-20, -1e-20, 3e-39, 1e-30,
	}
	half := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0x1p-24, -0x1p-24, 0x1p-14, 65504, -65504, 0x1.8p-16}
	for _, class := range vector.Classes() {
		for _, kind := range denseKinds {
			if kind.e == vector.Int8 || kind.e == vector.Binary {
				continue
			}
			t.Run(fmt.Sprintf("%s/%v/%v", class, kind.e, kind.m), func(t *testing.T) {
				r := rand.New(rand.NewPCG(2, uint64(kind.m)<<8|uint64(kind.e)))
				pick := func(dst []byte, dim int, all []float32) []byte {
					v := make([]float32, dim)
					// Few distinct magnitudes a row, so that small ones are
					// not always drowned.
					few := []float32{all[r.IntN(len(all))], all[r.IntN(len(all))]}
					for i := range v {
						v[i] = few[r.IntN(2)]
					}
					switch kind.e {
					case vector.Float16:
						return vector.AppendFloat16(dst, v)
					case vector.BFloat16:
						for i := range v {
							if math.Abs(float64(v[i])) > 3e38 {
								v[i] /= 2 // the largest would round to infinity
							}
						}
						return vector.AppendBFloat16(dst, v)
					}
					return vector.AppendFloat32(dst, v)
				}
				all := values
				if kind.e == vector.Float16 {
					all = half
				}
				for range 300 {
					dim := 1 + r.IntN(100)
					raw := pick(nil, dim, all)
					q, err := vector.NewQueryClass(class, kind.m, kind.e, dim, raw)
					require.NoError(t, err)
					var rows []byte
					const n = 11
					for range n - 1 {
						rows = pick(rows, dim, all)
					}
					rows = append(rows, raw...)
					checkRows(t, q, kind.m, kind.e, dim, raw, rows, n)
				}
			})
		}
	}
}

func TestInt8Extremes(t *testing.T) {
	for _, class := range vector.Classes() {
		for _, m := range []vector.Metric{vector.L2, vector.IP, vector.Cosine} {
			for _, dim := range []int{1, 15, 16, 17, 63, 64, 65, 100, 1000, vector.MaxDim} {
				for _, pair := range [][2]int8{{-128, -128}, {-128, 127}, {127, 127}, {127, -128}, {0, 127}, {-128, 0}, {0, 0}, {1, -1}} {
					raw, row := make([]byte, dim), make([]byte, dim)
					for i := range raw {
						raw[i], row[i] = byte(pair[0]), byte(pair[1])
					}
					q, err := vector.NewQueryClass(class, m, vector.Int8, dim, raw)
					require.NoError(t, err)
					checkRows(t, q, m, vector.Int8, dim, raw, row, 1)
				}
			}
		}
	}
}

func TestBinaryExtremes(t *testing.T) {
	for _, class := range vector.Classes() {
		for _, m := range []vector.Metric{vector.Hamming, vector.Jaccard} {
			for _, n := range []int{1, 7, 8, 9, 63, 64, 65, 4096, vector.MaxBinaryDim / 8} {
				for _, pair := range [][2]byte{{0, 0}, {0, 255}, {255, 0}, {255, 255}, {1, 128}} {
					raw, row := make([]byte, n), make([]byte, n)
					for i := range raw {
						raw[i], row[i] = pair[0], pair[1]
					}
					q, err := vector.NewQueryClass(class, m, vector.Binary, 8*n, raw)
					require.NoError(t, err)
					checkRows(t, q, m, vector.Binary, 8*n, raw, row, 1)
				}
			}
		}
	}
}

func sparseRow(r *rand.Rand, dst []byte, nnz, spread int) []byte {
	index := uint32(0)
	for range nnz {
		index += 1 + uint32(r.IntN(spread))
		dst = binary.LittleEndian.AppendUint32(dst, index)
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(r.NormFloat64())))
	}
	return dst
}

func TestScanSparse(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		nnz := r.IntN(20)
		if r.IntN(10) == 0 {
			nnz = 2000 // crowded tables
		}
		raw := sparseRow(r, nil, nnz, 4)
		q, err := vector.NewQuery(vector.IP, vector.Sparse, 0, raw)
		require.NoError(t, err)
		require.Equal(t, len(raw), len(q.Pairs()))
		require.Equal(t, raw, append(raw[:0:0], q.Pairs()...))
		var data []byte
		offs := []uint32{0}
		for range 10 {
			data = sparseRow(r, data, r.IntN(30), 3)
			offs = append(offs, uint32(len(data)))
		}
		out := make([]float32, 10)
		q.ScanSparse(offs, data, out)
		weights := map[uint32]float64{}
		for i := 0; i < len(raw); i += 8 {
			weights[binary.LittleEndian.Uint32(raw[i:])] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[i+4:])))
		}
		for i := range out {
			want := 0.0
			row := data[offs[i]:offs[i+1]]
			for j := 0; j < len(row); j += 8 {
				want += weights[binary.LittleEndian.Uint32(row[j:])] * float64(math.Float32frombits(binary.LittleEndian.Uint32(row[j+4:])))
			}
			require.Equal(t, float32(want), out[i])
		}
		idx := []uint32{9, 0, 4, 4}
		got := make([]float32, 4)
		q.GatherSparse(offs, data, idx, got)
		for i, row := range idx {
			require.Equal(t, out[row], got[i])
		}
	}
}

func TestSparseClampsOverflow(t *testing.T) {
	raw := binary.LittleEndian.AppendUint32([]byte{1, 0, 0, 0}, math.Float32bits(-math.MaxFloat32))
	q, err := vector.NewQuery(vector.IP, vector.Sparse, 0, raw)
	require.NoError(t, err)
	out := make([]float32, 1)
	q.ScanSparse([]uint32{0, 8}, raw, out)
	require.Equal(t, float32(math.MaxFloat32), out[0])
}

func TestNewQueryRefuses(t *testing.T) {
	nan := vector.AppendFloat32(nil, []float32{1, float32(math.NaN())})
	inf := vector.AppendFloat16(nil, []float32{1, float32(math.Inf(-1))})
	for name, test := range map[string]struct {
		m   vector.Metric
		e   vector.Element
		dim int
		raw []byte
	}{
		"short":           {vector.L2, vector.Float32, 2, make([]byte, 7)},
		"long":            {vector.L2, vector.Float32, 2, make([]byte, 9)},
		"nan":             {vector.L2, vector.Float32, 2, nan},
		"inf":             {vector.IP, vector.Float16, 2, inf},
		"no metric":       {vector.MetricInvalid, vector.Float32, 1, make([]byte, 4)},
		"metric of bits":  {vector.Hamming, vector.Float32, 1, make([]byte, 4)},
		"dense on bits":   {vector.L2, vector.Binary, 8, make([]byte, 1)},
		"ragged bits":     {vector.Hamming, vector.Binary, 12, make([]byte, 2)},
		"no kind":         {vector.L2, vector.ElementInvalid, 1, make([]byte, 4)},
		"no dimension":    {vector.L2, vector.Int8, 0, nil},
		"negative":        {vector.L2, vector.Int8, -1, nil},
		"too large":       {vector.L2, vector.Int8, vector.MaxDim + 1, make([]byte, vector.MaxDim+1)},
		"sparse by L2":    {vector.L2, vector.Sparse, 0, nil},
		"sparse unsorted": {vector.IP, vector.Sparse, 0, make([]byte, 16)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := vector.NewQuery(test.m, test.e, test.dim, test.raw)
			require.ErrorIs(t, err, vector.ErrInvalid)
		})
	}
}

// TestGatherAt: rows that lie anywhere, over each other and at the very end too, score as by themselves.
func TestGatherAt(t *testing.T) {
	for _, class := range vector.Classes() {
		for _, kind := range denseKinds {
			t.Run(fmt.Sprintf("%s/%v/%v", class, kind.e, kind.m), func(t *testing.T) {
				r := rand.New(rand.NewPCG(10, uint64(kind.m)<<8|uint64(kind.e)))
				for _, dim := range []int{1, 7, 15, 16, 17, 32, 100, 384} {
					if kind.e == vector.Binary {
						dim *= 8
					}
					stride := kind.e.RowBytes(dim)
					q, err := vector.NewQueryClass(class, kind.m, kind.e, dim, randomRow(r, nil, kind.e, dim, 1))
					require.NoError(t, err)
					for _, n := range []int{1, 2, 7, 8, 9, 40} {
						block, offs := make([]byte, 3), make([]uint32, 0, n)
						for range n {
							offs = append(offs, uint32(len(block)))
							block = randomRow(r, block, kind.e, dim, 1)
							if r.IntN(2) == 0 {
								block = append(block, make([]byte, r.IntN(9))...)
							}
						}
						block = block[: offs[n-1]+uint32(stride) : offs[n-1]+uint32(stride)]
						r.Shuffle(n, func(i, j int) { offs[i], offs[j] = offs[j], offs[i] })
						offs = append(offs, offs[0])
						out, one := make([]float32, n+1), make([]float32, 1)
						q.GatherAt(block, offs, out)
						for i, at := range offs {
							q.Scan(block[at:], 1, one)
							require.Equal(t, one[0], out[i])
						}
						require.Panics(t, func() { q.GatherAt(block, append(offs, uint32(len(block)-stride+1)), make([]float32, 99)) })
						require.Panics(t, func() { q.GatherAt(block[:len(block)-1], offs, make([]float32, 99)) })
						require.Panics(t, func() { q.GatherAt(block, append(offs, math.MaxUint32), make([]float32, 99)) })
						require.Panics(t, func() { q.GatherAt(block, offs, make([]float32, n)) })
					}
					require.Panics(t, func() { q.GatherAt(make([]byte, stride-1, 2*stride), []uint32{0}, make([]float32, 1)) })
					q.GatherAt(nil, nil, nil)
				}
			})
		}
	}
}

// A row whose sums overflow is scored anew where it lies.
func TestGatherAtOverflow(t *testing.T) {
	big := make([]float32, 32)
	for i := range big {
		big[i] = math.MaxFloat32
	}
	for _, class := range vector.Classes() {
		q, err := vector.NewQueryClass(class, vector.Cosine, vector.Float32, 32, vector.AppendFloat32(nil, big))
		require.NoError(t, err)
		out := make([]float32, 2)
		q.GatherAt(vector.AppendFloat32([]byte{1, 2, 3}, big), []uint32{3, 3}, out)
		require.Equal(t, []float32{1, 1}, out)
	}
}

// The elements of a query, as indexes want them.
func TestAppendFloats(t *testing.T) {
	floats := []float32{3, -4, 0.5}
	for _, m := range []vector.Metric{vector.L2, vector.IP, vector.Cosine} {
		q, err := vector.NewQuery(m, vector.Float32, 3, vector.AppendFloat32(nil, floats))
		require.NoError(t, err)
		got := q.AppendFloats([]float32{9})
		require.EqualValues(t, 9, got[0])
		for i, x := range got[1:] {
			require.Equal(t, floats[i]*got[1]/floats[0], x, "all by one factor")
		}
		q, err = vector.NewQuery(m, vector.Int8, 3, []byte{3, 0xfc, 0x80})
		require.NoError(t, err)
		require.Equal(t, []float32{3, -4, -128}, q.AppendFloats(nil))
	}
	q, err := vector.NewQuery(vector.Hamming, vector.Binary, 8, []byte{7})
	require.NoError(t, err)
	require.Empty(t, q.AppendFloats(nil))
	require.Empty(t, q.Pairs())
}

// TestOutOfBounds: a mistaken caller must meet a panic, not foreign memory.
func TestOutOfBounds(t *testing.T) {
	for _, class := range vector.Classes() {
		for _, kind := range denseKinds {
			dim, n := 32, 10
			if kind.e == vector.Binary {
				dim *= 8
			}
			stride := kind.e.RowBytes(dim)
			q, err := vector.NewQueryClass(class, kind.m, kind.e, dim, make([]byte, stride))
			require.NoError(t, err)
			rows := make([]byte, n*stride, (n+10)*stride)
			out := make([]float32, 64)
			require.Panics(t, func() { q.Scan(rows[:len(rows):len(rows)], n+1, out) })
			require.Panics(t, func() { q.Scan(rows, n, out[:n-1:n-1]) })
			require.Panics(t, func() { q.Gather(rows, []uint32{1, uint32(n)}, out) }, "a row in the spare capacity")
			require.Panics(t, func() { q.Gather(rows, []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, math.MaxUint32}, out) })
			require.Panics(t, func() { q.Gather(rows[:len(rows)-1], []uint32{uint32(n - 1)}, out) })
			require.Panics(t, func() { q.Gather(nil, []uint32{0}, out) })
			require.Panics(t, func() { q.Gather(rows, []uint32{1, 2}, out[:1:1]) })
			q.Gather(rows, []uint32{uint32(n - 1)}, out)
			q.Scan(nil, 0, nil)
			q.Gather(nil, nil, nil)
		}
	}
}
