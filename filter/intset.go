package filter

import (
	"math/bits"
	"slices"
)

// intSet is a set of integers, as bits if they lie close together, else as a table with open addressing.
type intSet struct {
	lo     int64
	dense  []uint64 // bit v-lo, with a zero word at the end
	table  []int64
	shift  uint
	mask   uint64
	absent int64 // not in the set; fills what is empty in table
}

// maxDense bounds the bits of a dense set; below it they fit in a near cache.
const maxDense = 1 << 18

func newIntSet(keys []int64) *intSet {
	keys = slices.Clone(keys)
	slices.Sort(keys)
	keys = slices.Compact(keys)
	s := &intSet{}
	if len(keys) == 0 {
		s.dense = make([]uint64, 1)
		return s
	}
	span := uint64(keys[len(keys)-1]) - uint64(keys[0])
	if span < maxDense {
		s.lo = keys[0]
		s.dense = make([]uint64, span/64+2)
		for _, v := range keys {
			at := uint64(v - s.lo)
			s.dense[at/64] |= 1 << (at % 64)
		}
		return s
	}
	size := 16
	for size < 4*len(keys) {
		size *= 2
	}
	// A value that is not in the set stands for an empty place.
	for i := 0; i < len(keys) && keys[i] <= s.absent; i++ {
		if keys[i] == s.absent {
			s.absent++
		}
	}
	s.table = make([]int64, size)
	for i := range s.table {
		s.table[i] = s.absent
	}
	s.mask, s.shift = uint64(size-1), uint(64-bits.TrailingZeros(uint(size)))
	for _, v := range keys {
		at := s.place(v)
		for s.table[at&s.mask] != s.absent {
			at++
		}
		s.table[at&s.mask] = v
	}
	return s
}

// place is where the search for v begins (D. Knuth: The Art of Computer Programming 3, 6.4, multiplicative hashing).
func (s *intSet) place(v int64) uint64 {
	return uint64(v) * 0x9e3779b97f4a7c15 >> (s.shift & 63)
}

func (s *intSet) contains(v int64) bool {
	for at := s.place(v); ; at++ {
		switch s.table[at&s.mask] {
		case s.absent:
			return false
		case v:
			return true
		}
	}
}

func intsIn[T integer](s *intSet, t []uint64, v []T) {
	for w := range t {
		row := v[min(w*64, len(v)):min(w*64+64, len(v))]
		var word uint64
		if s.dense != nil {
			last := uint64(len(s.dense) - 1)
			for j, x := range row {
				at := min(uint64(int64(x)-s.lo), last*64)
				word |= s.dense[at/64] >> (at & 63) & 1 << (j & 63)
			}
		} else {
			for j, x := range row {
				word |= bit(s.contains(int64(x))) << (j & 63)
			}
		}
		t[w] = word
	}
}

func floatsIn[T float](s *intSet, t []uint64, v []T) {
	for w := range t {
		row := v[min(w*64, len(v)):min(w*64+64, len(v))]
		var word uint64
		for j, x := range row {
			word |= bit(s.hasKey(floatKey(float64(x)))) << (j & 63)
		}
		t[w] = word
	}
}

func (s *intSet) hasKey(v int64) bool {
	if s.dense == nil {
		return s.contains(v)
	}
	at := min(uint64(v-s.lo), uint64(len(s.dense)-1)*64)
	return s.dense[at/64]>>(at&63)&1 != 0
}
