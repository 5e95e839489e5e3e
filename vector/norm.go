package vector

import (
	"encoding/binary"
	"math"
)

// Norm returns the Euclidean length of one row, summed in float64: it neither
// overflows nor vanishes for any finite row. For Binary it is the root of the
// number of set bits.
func Norm(e Element, raw []byte) float64 {
	s := 0.0
	switch e {
	case Float32:
		for i := range len(raw) / 4 {
			x := float64(f32at(raw, i))
			s += float64(x * x)
		}
	case Float16:
		for i := range len(raw) / 2 {
			x := float64(Float16ToFloat32(binary.LittleEndian.Uint16(raw[2*i:])))
			s += float64(x * x)
		}
	case BFloat16:
		for i := range len(raw) / 2 {
			x := float64(BFloat16ToFloat32(binary.LittleEndian.Uint16(raw[2*i:])))
			s += float64(x * x)
		}
	case Int8:
		for _, b := range raw {
			x := int64(int8(b))
			s += float64(x * x)
		}
	case Binary:
		s = float64(hamming(raw, make([]byte, len(raw)), 0))
	case Sparse:
		for i := range len(raw) / sparsePair {
			x := float64(f32at(raw, 2*i+1))
			s += float64(x * x)
		}
	}
	return math.Sqrt(s)
}

// Normalize scales v to unit length in place. A zero vector stays as it is,
// and Normalize returns false.
func Normalize(v []float32) bool {
	s := 0.0
	for _, x := range v {
		s += float64(x) * float64(x)
	}
	if s == 0 {
		return false
	}
	inv := 1 / math.Sqrt(s)
	for i, x := range v {
		v[i] = float32(float64(x) * inv)
	}
	return true
}
