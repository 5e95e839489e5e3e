package filter

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The kernels in assembly, where the processor has what they need, find what the plain ones find: at the ends of the types, for odd numbers of
// rows, and wherever the values lie.
func TestKernels(t *testing.T) {
	if !wide {
		t.Skip("no kernels in assembly for this processor")
	}
	rng := rand.New(rand.NewPCG(31, 32))
	for range 300 {
		rows := rng.IntN(400)
		ends := []int64{math.MinInt64, math.MinInt32, math.MinInt16, math.MinInt8, -1, 0, 1, math.MaxInt8, math.MaxInt16, math.MaxInt32, math.MaxInt64, rng.Int64N(200) - 100}
		lo, hi := ends[rng.IntN(len(ends))], ends[rng.IntN(len(ends))]
		if lo > hi {
			lo, hi = hi, lo
		}
		some := func() int64 {
			if rng.IntN(2) == 0 {
				return ends[rng.IntN(len(ends))]
			}
			return rng.Int64N(300) - 150
		}
		compareInts(t, rows, some, lo, uint64(hi)-uint64(lo), func(x int64) int8 { return int8(x) })
		compareInts(t, rows, some, lo, uint64(hi)-uint64(lo), func(x int64) int16 { return int16(x) })
		compareInts(t, rows, some, lo, uint64(hi)-uint64(lo), func(x int64) int32 { return int32(x) })
		compareInts(t, rows, some, lo, uint64(hi)-uint64(lo), func(x int64) int64 { return x })

		floats := []float64{math.Inf(-1), -math.MaxFloat32, -1, math.Copysign(0, -1), 0, 1e-30, 1, 2.5, math.MaxFloat32, math.Inf(1)}
		a, b := floats[rng.IntN(len(floats))], floats[rng.IntN(len(floats))]
		if a > b {
			a, b = b, a
		}
		r := newFloatRange(a, b, float32(a), float32(b))
		singles, doubles := make([]float32, rows), make([]float64, rows)
		for i := range rows {
			doubles[i] = floats[rng.IntN(len(floats))]
			singles[i] = float32(doubles[i])
		}
		got, want := make([]uint64, (rows+63)/64), make([]uint64, (rows+63)/64)
		r.floatsWithin(got, singles)
		plainly(func() { r.floatsWithin(want, singles) })
		require.Equal(t, want, got, "floats in [%v, %v]", a, b)
		r.doublesWithin(got, doubles)
		plainly(func() { r.doublesWithin(want, doubles) })
		require.Equal(t, want, got, "doubles in [%v, %v]", a, b)
	}
}

func compareInts[T integer](t *testing.T, rows int, some func() int64, lo int64, width uint64, of func(int64) T) {
	v := make([]T, rows)
	for i := range v {
		v[i] = of(some())
	}
	got, want := make([]uint64, (rows+63)/64), make([]uint64, (rows+63)/64)
	intsWithin(got, v, lo, width)
	plainly(func() { intsWithin(want, v, lo, width) })
	require.Equal(t, want, got, "%T of [%d, %d]: %v", v, lo, int64(uint64(lo)+width), v)
}

// plainly calls fn without the kernels in assembly.
func plainly(fn func()) {
	old := wide
	wide = false
	fn()
	wide = old
}
