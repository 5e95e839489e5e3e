package vector

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// sparsePair is the size of one (uint32 index, float32 value) pair.
const sparsePair = 8

// sparseQuery is a decoded sparse vector: a hash table of its pairs, open
// addressed, behind a bitmap of hashes. Merging the two ascending lists would
// mispredict a branch at many pairs; here nearly every pair of a row finds its
// bit clear, and is done with.
type sparseQuery struct {
	raw    []byte   // a copy of what it was made of
	filter []uint64 // 64 to 128 bits a pair
	index  []uint32 // 4 to 8 slots a pair, noIndex in empty ones
	value  []float64
	shift  int // hashes to bits keep the upper 32-shift of 32 bits
}

// maxSparsePairs bounds the tables of a query: 4 M pairs take 0.5 GB. It is far
// beyond what encoders make, and keeps hashes within 32 bits.
const maxSparsePairs = 1 << 22

// slotBits is how many bits fewer a slot's number has than a filter bit's.
const slotBits = 4

// noIndex is the one index that no row may use.
const noIndex = math.MaxUint32

func newSparseQuery(raw []byte) sparseQuery {
	log := bits.Len(uint(len(raw)/sparsePair)) + 6
	s := sparseQuery{
		raw:    append([]byte(nil), raw...),
		filter: make([]uint64, 1<<(log-6)),
		index:  make([]uint32, 1<<(log-slotBits)),
		value:  make([]float64, 1<<(log-slotBits)),
		shift:  32 - log,
	}
	for i := range s.index {
		s.index[i] = noIndex
	}
	for ; len(raw) >= sparsePair; raw = raw[sparsePair:] {
		index := binary.LittleEndian.Uint32(raw)
		bit := index * hashFactor >> s.shift
		s.filter[bit/64] |= 1 << (bit % 64)
		slot := bit >> slotBits
		for s.index[slot] != noIndex {
			slot = s.next(slot)
		}
		s.index[slot] = index
		s.value[slot] = float64(f32at(raw, 1))
	}
	return s
}

// hashFactor is 2^32 divided by the golden ratio (Knuth, vol. 3, 6.4).
const hashFactor = 0x9e3779b1

func (s *sparseQuery) next(slot uint32) uint32 { return (slot + 1) & uint32(len(s.index)-1) }

// dot returns the inner product with one row. Products of float32 are exact in
// float64 and are summed there, by ascending index, so no sum overflows.
func (s *sparseQuery) dot(row []byte) float32 {
	sum := 0.0
	filter, shift := s.filter, s.shift&31
	for ; len(row) >= sparsePair; row = row[sparsePair:] {
		index := binary.LittleEndian.Uint32(row)
		bit := index * hashFactor >> shift
		if filter[bit/64]>>(bit%64)&1 == 0 {
			continue
		}
		for slot := bit >> slotBits; s.index[slot] != noIndex; slot = s.next(slot) {
			if s.index[slot] == index {
				// The product is exact, so fusing would not change the bits.
				sum += s.value[slot] * float64(f32at(row, 1))
				break
			}
		}
	}
	return clamp(sum)
}
