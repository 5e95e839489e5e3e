package column

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Every half converts to a float and back to itself, and the float half-way to its neighbour rounds to the even one.
func TestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		h := uint16(h)
		f := fromFloat16(h)
		switch exp, mant := h>>10&0x1f, h&0x3ff; {
		case exp == 31 && mant != 0:
			require.True(t, f != f)
			require.Equal(t, uint16(0x7e00), toFloat16(f)&0x7fff)
			continue
		case exp == 31:
			require.True(t, math.IsInf(float64(f), 0))
		default:
			want := float64(mant)
			if exp > 0 {
				want = math.Ldexp(1024+want, int(exp)-1)
			}
			require.Equal(t, math.Ldexp(want, -24), math.Abs(float64(f)))
		}
		require.Equal(t, h, toFloat16(f))
		require.Equal(t, h>>15 == 1, math.Signbit(float64(f)))

		next := fromFloat16(h + 1)
		if h&0x7fff == 0x7bff {
			next = float32(math.Copysign(65536, float64(f))) // where the next half would lie
		}
		if h&0x7fff < 0x7c00 {
			even := h + h&1
			middle := float32((float64(f) + float64(next)) / 2)
			require.Equal(t, even, toFloat16(middle), "%x", h)
			require.Equal(t, h, toFloat16(math.Nextafter32(middle, f)), "%x", h)
			require.Equal(t, h+1, toFloat16(math.Nextafter32(middle, next)), "%x", h)
		}
	}
	require.Equal(t, uint16(0x7c00), toFloat16(math.MaxFloat32))
	require.Equal(t, uint16(0x8000), toFloat16(-math.SmallestNonzeroFloat32))
}

func TestBFloat16(t *testing.T) {
	for h := range 1 << 16 {
		h := uint16(h)
		f := fromBFloat16(h)
		if f != f {
			back := fromBFloat16(toBFloat16(f))
			require.True(t, back != back)
			continue
		}
		require.Equal(t, h, toBFloat16(f))
		if h&0x7fff < 0x7f80 {
			bits := uint32(h) << 16
			require.Equal(t, h+h&1, toBFloat16(math.Float32frombits(bits|0x8000)))
			require.Equal(t, h, toBFloat16(math.Float32frombits(bits|0x7fff)))
			require.Equal(t, h+1, toBFloat16(math.Float32frombits(bits|0x8001)))
		}
	}
	require.Equal(t, uint16(0x7f80), toBFloat16(math.MaxFloat32))
}

// The word-wise test agrees with looking at each number, wherever the bad one lies.
func TestFirstNonFinite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom([]exponent{exp64, exp32, exp16, expB16}).Draw(t, "exponent")
		n := rapid.IntRange(0, 70).Draw(t, "numbers")
		words := rapid.SliceOfN(rapid.Uint64(), n, n).Draw(t, "bits")
		bad := rapid.IntRange(0, 3).Draw(t, "bad")
		b := make([]byte, 0, 8*n)
		want := -1
		for i, w := range words {
			if i%7 != 0 || bad == 0 {
				w &^= e.one // so that most are finite
			}
			raw := binary.LittleEndian.AppendUint64(nil, w)[:e.width]
			b = append(b, raw...)
			var x float64
			switch e {
			case exp64:
				x = math.Float64frombits(w)
			case exp32:
				x = float64(math.Float32frombits(uint32(w)))
			case exp16:
				x = float64(fromFloat16(uint16(w)))
			case expB16:
				x = float64(fromBFloat16(uint16(w)))
			}
			if want < 0 && (math.IsNaN(x) || math.IsInf(x, 0)) {
				want = i
			}
		}
		require.Equal(t, want, e.firstNonFinite(b))
	})
	for _, e := range []exponent{exp64, exp32, exp16, expB16} {
		for n := range 40 {
			for bad := range n {
				b := make([]byte, n*e.width)
				mask := binary.LittleEndian.AppendUint64(nil, e.mask)
				copy(b[bad*e.width:(bad+1)*e.width], mask)
				require.Equal(t, bad, e.firstNonFinite(b))
				for i := range b {
					if i/e.width != bad {
						b[i] = 0xff &^ mask[i%e.width]
					}
				}
				require.Equal(t, bad, e.firstNonFinite(b))
			}
		}
	}
}

func BenchmarkFirstNonFinite(b *testing.B) {
	raw := bytesOf(make([]float32, 100_000))
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if exp32.firstNonFinite(raw) >= 0 {
			b.Fatal("found")
		}
	}
}
