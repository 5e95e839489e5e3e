package vector_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
)

// float16Value reads the definition of binary16, in float64.
func float16Value(h uint16) float64 {
	sign := 1.0
	if h&0x8000 != 0 {
		sign = -1
	}
	exponent, fraction := int(h>>10&31), float64(h&0x3ff)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

func TestFloat16Widen(t *testing.T) {
	for h := range 1 << 16 {
		got, want := vector.Float16ToFloat32(uint16(h)), float16Value(uint16(h))
		if math.IsNaN(want) {
			require.True(t, math.IsNaN(float64(got)))
			continue
		}
		require.Equal(t, math.Float64bits(want), math.Float64bits(float64(got)), "%#04x", h)
		require.Equal(t, uint16(h), vector.Float32ToFloat16(got), "%#04x there and back", h)
	}
}

func TestBFloat16Widen(t *testing.T) {
	for h := range 1 << 16 {
		got := vector.BFloat16ToFloat32(uint16(h))
		require.Equal(t, uint32(h)<<16, math.Float32bits(got))
		if !math.IsNaN(float64(got)) {
			require.Equal(t, uint16(h), vector.Float32ToBFloat16(got))
		}
	}
}

// TestNarrowTies walks the halfway points between all neighbours.
func TestNarrowTies(t *testing.T) {
	for h := range uint16(0x7bff) {
		low, high := vector.Float16ToFloat32(h), vector.Float16ToFloat32(h+1)
		half := low + (high-low)/2
		require.Equal(t, h+h&1, vector.Float32ToFloat16(half), "%g", half)
		require.Equal(t, h, vector.Float32ToFloat16(math.Nextafter32(half, 0)))
		require.Equal(t, h+1, vector.Float32ToFloat16(math.Nextafter32(half, math.MaxFloat32)))
		require.Equal(t, 0x8000|(h+h&1), vector.Float32ToFloat16(-half))
	}
	require.Equal(t, uint16(0x7bff), vector.Float32ToFloat16(math.Nextafter32(65520, 0)))
	require.Equal(t, uint16(0x7c00), vector.Float32ToFloat16(65520))
	require.Equal(t, uint16(0xfc00), vector.Float32ToFloat16(float32(math.Inf(-1))))
	require.Zero(t, vector.Float32ToFloat16(0x1p-25))
	require.Equal(t, uint16(1), vector.Float32ToFloat16(math.Nextafter32(0x1p-25, 1)))
	for h := range uint16(0x7f7f) {
		half := math.Float32frombits(uint32(h)<<16 | 0x8000)
		require.Equal(t, h+h&1, vector.Float32ToBFloat16(half))
		require.Equal(t, h, vector.Float32ToBFloat16(math.Nextafter32(half, 0)))
		require.Equal(t, h+1, vector.Float32ToBFloat16(math.Nextafter32(half, math.MaxFloat32)))
	}
	require.Equal(t, uint16(0x7f80), vector.Float32ToBFloat16(math.MaxFloat32))
}

// FuzzNarrow: the result is the nearest of all, and of two nearest the even.
func FuzzNarrow(f *testing.F) {
	for _, bits := range []uint32{0, 1, 0x38800000, 0x387fffff, 0x33000000, 0x33000001, 0x477fefff, 0x477ff000, 0x7f7fffff, 0x7f800001} {
		f.Add(bits)
	}
	f.Fuzz(func(t *testing.T, bits uint32) {
		x := math.Float32frombits(bits)
		check := func(got uint16, widen func(uint16) float32, overflow float64) {
			back := float64(widen(got))
			if math.IsNaN(float64(x)) {
				require.True(t, math.IsNaN(back))
				return
			}
			require.Equal(t, bits>>31, uint32(got>>15), "sign")
			if math.Abs(float64(x)) >= overflow {
				require.True(t, math.IsInf(back, 0))
				return
			}
			require.False(t, math.IsInf(back, 0))
			distance := math.Abs(back - float64(x))
			for _, neighbour := range []uint16{got - 1, got + 1} {
				other := float64(widen(neighbour))
				if math.IsInf(other, 0) || math.IsNaN(other) || (neighbour^got)&0x8000 != 0 {
					continue
				}
				d := math.Abs(other - float64(x))
				if d < distance || d == distance && got&1 != 0 {
					t.Fatalf("%g became %g, %g is nearer or even", x, back, other)
				}
			}
		}
		check(vector.Float32ToFloat16(x), vector.Float16ToFloat32, 65520)
		check(vector.Float32ToBFloat16(x), vector.BFloat16ToFloat32, 0x1.ffp127)
	})
}
