package vector_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
)

func TestMetric(t *testing.T) {
	for m, name := range map[vector.Metric]string{
		vector.L2: "L2", vector.IP: "IP", vector.Cosine: "COSINE", vector.Hamming: "HAMMING", vector.Jaccard: "JACCARD", vector.BM25: "BM25",
	} {
		require.Equal(t, name, m.String())
		got, err := vector.ParseMetric(name)
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
	got, err := vector.ParseMetric("cosine")
	require.NoError(t, err)
	require.Equal(t, vector.Cosine, got)
	for _, bad := range []string{"", "INVALID", "l3", "BM26"} {
		_, err := vector.ParseMetric(bad)
		require.ErrorIs(t, err, vector.ErrInvalid)
	}
	require.True(t, vector.IP.Better(2, 1) && vector.Cosine.Better(2, 1) && vector.L2.Better(1, 2))
	require.False(t, vector.L2.Better(1, 1) || vector.IP.Better(1, 1))
}

func TestRowBytes(t *testing.T) {
	for e, want := range map[vector.Element]int{
		vector.Float32: 64, vector.Float16: 32, vector.BFloat16: 32, vector.Int8: 16, vector.Binary: 2, vector.Sparse: 0,
	} {
		require.Equal(t, want, e.RowBytes(16), e)
	}
}

func TestHasNonFinite(t *testing.T) {
	bad := map[vector.Element][][]byte{
		vector.Float32: {
			vector.AppendFloat32(nil, []float32{float32(math.NaN())}),
			vector.AppendFloat32(nil, []float32{float32(math.Inf(1))}),
			vector.AppendFloat32(nil, []float32{float32(math.Inf(-1))}),
		},
		vector.Float16:  {{0x00, 0x7c}, {0x00, 0xfc}, {0x01, 0x7c}, {0xff, 0xff}},
		vector.BFloat16: {{0x80, 0x7f}, {0x80, 0xff}, {0x81, 0x7f}, {0xff, 0xff}},
		vector.Sparse:   {{1, 2, 3, 4, 0, 0, 0x80, 0x7f}, {1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff}},
	}
	// The largest finite element: one below the bad ones, and all bits of an
	// index set, which must not matter.
	good := map[vector.Element][]byte{
		vector.Float32:  {0xff, 0xff, 0x7f, 0xff},
		vector.Float16:  {0xff, 0xfb},
		vector.BFloat16: {0x7f, 0xff},
		vector.Sparse:   {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff},
	}
	for e, elements := range bad {
		for n := range 40 {
			raw := []byte{}
			for range n {
				raw = append(raw, good[e]...)
			}
			require.Equal(t, -1, vector.HasNonFinite(e, raw))
			for i := range n {
				for _, element := range elements {
					broken := append([]byte{}, raw...)
					copy(broken[i*len(element):], element)
					require.Equal(t, i, vector.HasNonFinite(e, broken), "%v element %d of %d: % x", e, i, n, element)
					if i+1 < n { // only the first counts
						copy(broken[(i+1)*len(element):], element)
						require.Equal(t, i, vector.HasNonFinite(e, broken))
					}
				}
			}
		}
	}
	require.Equal(t, -1, vector.HasNonFinite(vector.Int8, []byte{0xff, 0xff}))
	require.Equal(t, -1, vector.HasNonFinite(vector.Binary, []byte{0xff, 0xff}))
}

func pairs(list ...any) []byte {
	var raw []byte
	for i := 0; i < len(list); i += 2 {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(list[i].(int)))
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(list[i+1].(float64))))
	}
	return raw
}

func TestCheckSparse(t *testing.T) {
	for name, raw := range map[string][]byte{
		"empty":      nil,
		"one":        pairs(0, 1.0),
		"ascending":  pairs(0, 1.0, 1, -2.0, 7, 0.0),
		"last index": pairs(math.MaxUint32-1, 1.0),
	} {
		require.NoError(t, vector.CheckSparse(raw), name)
	}
	for name, raw := range map[string][]byte{
		"ragged":     pairs(0, 1.0)[:7],
		"repeated":   pairs(3, 1.0, 3, 1.0),
		"descending": pairs(3, 1.0, 2, 1.0),
		"zero twice": pairs(0, 1.0, 0, 1.0),
		"reserved":   pairs(math.MaxUint32, 1.0),
		"nan":        pairs(1, math.NaN()),
		"inf":        pairs(1, 1.0, 2, math.Inf(-1)),
	} {
		require.ErrorIs(t, vector.CheckSparse(raw), vector.ErrInvalid, name)
	}
}

// FuzzCheckSparse: what passes has the promised form and can be searched with
// itself; what fails breaks some promise.
func FuzzCheckSparse(f *testing.F) {
	f.Add(pairs(0, 1.0, 5, 2.0))
	f.Add(pairs(5, 1.0, 5, 2.0))
	f.Add(pairs(math.MaxUint32, 1.0))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, raw []byte) {
		ok := len(raw)%8 == 0
		last, sum := -1, 0.0
		for i := 0; ok && i < len(raw); i += 8 {
			index := int(binary.LittleEndian.Uint32(raw[i:]))
			value := float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[i+4:])))
			ok = index > last && index < math.MaxUint32 && !math.IsNaN(value) && !math.IsInf(value, 0)
			last = index
			sum += value * value
		}
		err := vector.CheckSparse(raw)
		if ok != (err == nil) {
			t.Fatalf("well-formed %v, got %v", ok, err)
		}
		if err != nil {
			return
		}
		q, err := vector.NewQuery(vector.IP, vector.Sparse, 0, raw)
		require.NoError(t, err)
		out := make([]float32, 1)
		q.ScanSparse([]uint32{0, uint32(len(raw))}, raw, out)
		require.Equal(t, float32(min(math.MaxFloat32, sum)), out[0])
	})
}

func TestNorm(t *testing.T) {
	v := []float32{3, 4, 0}
	require.Equal(t, 5.0, vector.Norm(vector.Float32, vector.AppendFloat32(nil, v)))
	require.Equal(t, 5.0, vector.Norm(vector.Float16, vector.AppendFloat16(nil, v)))
	require.Equal(t, 5.0, vector.Norm(vector.BFloat16, vector.AppendBFloat16(nil, v)))
	require.Equal(t, 5.0, vector.Norm(vector.Int8, []byte{3, 0xfc}))
	require.Equal(t, 2.0, vector.Norm(vector.Binary, []byte{0x81, 0x18}))
	require.Equal(t, 5.0, vector.Norm(vector.Sparse, pairs(9, 3.0, 10, -4.0)))
	tiny := []float32{math.SmallestNonzeroFloat32, 0}
	require.True(t, vector.Normalize(tiny))
	require.Equal(t, []float32{1, 0}, tiny)
	require.False(t, vector.Normalize([]float32{0, 0}))
}

func BenchmarkHasNonFinite(b *testing.B) {
	raw := make([]byte, 1<<20)
	for _, e := range []vector.Element{vector.Float32, vector.Float16} {
		b.Run(e.String(), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				vector.HasNonFinite(e, raw)
			}
		})
	}
}
