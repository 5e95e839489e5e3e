package data

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func sample() *Words {
	return &Words{
		Text:    []string{"sea", "land", "ça"},
		Dim:     2,
		Vectors: []float32{0.5, -1.25, 0, 65504, -0x1p-24, 3},
	}
}

func encoded(t testing.TB) []byte {
	b, err := sample().AppendBinary(nil)
	require.NoError(t, err)
	return b
}

func TestRoundTrip(t *testing.T) {
	got, err := decode(encoded(t))
	require.NoError(t, err)
	require.Equal(t, sample(), got)

	empty := &Words{Dim: 3, Vectors: []float32{}}
	b, err := empty.AppendBinary(nil)
	require.NoError(t, err)
	got, err = decode(b)
	require.NoError(t, err)
	require.Equal(t, empty, got)

	after, err := sample().AppendBinary([]byte("before"))
	require.NoError(t, err)
	require.Equal(t, append([]byte("before"), encoded(t)...), after)
}

func TestRefusesToWrite(t *testing.T) {
	for name, w := range map[string]*Words{
		"too few values": {Text: []string{"a"}, Dim: 2, Vectors: []float32{1}},
		"line break":     {Text: []string{"a\nb"}, Dim: 1, Vectors: []float32{1}},
		"too large":      {Text: []string{"a"}, Dim: 1, Vectors: []float32{65536}},
		"no number":      {Text: []string{"a"}, Dim: 1, Vectors: []float32{float32(math.NaN())}},
	} {
		_, err := w.AppendBinary(nil)
		require.Error(t, err, name)
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	b := encoded(t)
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			_, err := decode(b)
			require.Error(t, err, "byte %d, bit %d", i, bit)
			b[i] ^= 1 << bit
		}
	}
}

func TestEveryCutIsFound(t *testing.T) {
	b := encoded(t)
	for n := range b {
		_, err := decode(b[:n])
		require.Error(t, err, "%d bytes", n)
	}
}

// A header that lies under a good checksum is refused, too.
func TestHeaderThatLies(t *testing.T) {
	for name, offset := range map[string]int{"version": 8, "count": 12, "dim": 16, "text size": 20} {
		for _, v := range []uint32{0, 1, 4, 1 << 16, math.MaxUint32} {
			b := encoded(t)
			if binary.LittleEndian.Uint32(b[offset:]) == v {
				continue
			}
			binary.LittleEndian.PutUint32(b[offset:], v)
			seal(b)
			_, err := decode(b)
			require.Error(t, err, "%s %d", name, v)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encoded(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerSize+footerSize {
			return
		}
		copy(b, magic)
		binary.LittleEndian.PutUint32(b[8:], version)
		seal(b)
		w, err := decode(b)
		if err != nil {
			return
		}
		require.Len(t, w.Vectors, len(w.Text)*w.Dim)
	})
}

func seal(b []byte) {
	n := len(b) - footerSize
	binary.LittleEndian.PutUint32(b[n:], crc32.Checksum(b[:n], castagnoli))
}

// Every finite half is its own image, and what lies between two of them goes
// to the nearer one.
func TestHalf(t *testing.T) {
	const infinity = 0x7c00
	for h := range uint16(infinity) {
		x := fromHalfBits(h)
		require.Equal(t, h, halfBits(x))
		require.Equal(t, h|0x8000, halfBits(-x)|0x8000)
		if h == infinity-1 {
			require.Equal(t, float32(65504), x)
			break
		}
		step := fromHalfBits(h+1) - x
		require.Positive(t, step)
		require.Equal(t, h, halfBits(x+step*0.49))
		require.Equal(t, h+1, halfBits(x+step*0.51))
	}
	// Against the definition: 5 bits of exponent, 10 of mantissa.
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		e, m := 1+r.IntN(30), r.IntN(1024)
		want := math.Ldexp(1+float64(m)/1024, e-15)
		require.Equal(t, float32(want), fromHalfBits(uint16(e<<10|m)))
	}
}
