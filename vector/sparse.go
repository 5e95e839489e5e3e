package vector

import (
	"encoding/binary"
	"math"
)

// sparsePair is the size of one (uint32 index, float32 value) pair.
const sparsePair = 8

// sparseQuery is a decoded sparse vector.
type sparseQuery struct {
	index []uint32
	value []float64
}

func newSparseQuery(raw []byte) sparseQuery {
	n := len(raw) / sparsePair
	s := sparseQuery{index: make([]uint32, n), value: make([]float64, n)}
	for i := range n {
		s.index[i] = binary.LittleEndian.Uint32(raw[sparsePair*i:])
		s.value[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[sparsePair*i+4:])))
	}
	return s
}

// dot returns the inner product with one row by merging the two ascending
// lists. Products of float32 are exact in float64 and are summed there, by
// ascending index, so no sum overflows.
func (s *sparseQuery) dot(row []byte) float32 {
	sum, i := 0.0, 0
	for len(row) >= sparsePair && i < len(s.index) {
		index := binary.LittleEndian.Uint32(row)
		for s.index[i] < index {
			if i++; i == len(s.index) {
				return clamp(sum)
			}
		}
		if s.index[i] == index {
			// The product is exact, so fusing would not change the bits.
			sum += s.value[i] * float64(math.Float32frombits(binary.LittleEndian.Uint32(row[4:])))
			i++
		}
		row = row[sparsePair:]
	}
	return clamp(sum)
}
