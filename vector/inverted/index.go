package inverted

import (
	"encoding/binary"
	"math"
	"sort"
	"sync"
	"sync/atomic"
)

const (
	// A window is the rows that are scored at a time: its accumulators stay in
	// the first or second cache, and a row's place in it fits into 16 bits.
	windowBits = 14
	windowRows = 1 << windowBits
	// Weights have 8 bits; a head is a window's number above a weight.
	weightBits = 8
	maxWeight  = 1<<weightBits - 1
)

// Index finds the rows with the greatest inner product with a query. It is
// immutable and safe for concurrent use.
type Index struct {
	shape
	// Of the term p: its index, ascending; its greatest value and its greatest
	// negated one at 2p and 2p+1, not below 0; its chunks lists[p] to
	// lists[p+1]-1.
	terms []uint32
	peaks []float32
	lists []uint32
	// Of the chunk c, a term's postings in one window, in ascending order of
	// windows: window<<8 | greatest weight; its postings starts[c] to
	// starts[c+1]-1.
	heads  []uint32
	starts []uint32
	// Of each posting, by rows ascending within a chunk: the row in its window;
	// what it adds to a bound (see weightOf); the value itself.
	locals  []uint16
	weights []byte
	values  []float32

	present []uint64 // a bit for each row that is not absent

	searchers sync.Pool // of *searcher

	making  sync.Mutex                // of lengths
	lengths atomic.Pointer[[]float32] // of each row: the sum of its values; made by the first search that wants them
}

// Rows returns the number of rows, absent ones included.
func (ix *Index) Rows() int { return ix.rows }

// Terms returns the number of distinct indices with a value other than 0.
func (ix *Index) Terms() int { return ix.shape.terms }

// Postings returns the number of values other than 0.
func (ix *Index) Postings() int { return ix.postings }

// Bytes returns the size of what the index holds in memory.
func (ix *Index) Bytes() int {
	_, lengths, _ := ix.layout()
	n := 0
	for _, l := range lengths {
		n += int(l)
	}
	if l := ix.lengths.Load(); l != nil {
		n += 4 * len(*l)
	}
	return n
}

// find returns the position of a term, or -1.
func (ix *Index) find(index uint32) int {
	p := sort.Search(len(ix.terms), func(i int) bool { return ix.terms[i] >= index })
	if p == len(ix.terms) || ix.terms[p] != index {
		return -1
	}
	return p
}

// weightOf returns the weight of a value in a list whose greatest magnitude is
// peak: peak·weight/255 is not less than the value's, but for the rounding of
// the division, 2 parts in 2^53, which scaleOf makes up for.
func weightOf(value, peak float32) byte {
	w := math.Ceil(math.Abs(float64(value)) * maxWeight / float64(peak))
	return byte(min(w, maxWeight))
}

// pair decodes the first pair of a sparse vector.
func pair(raw []byte) (index uint32, value float32) {
	return binary.LittleEndian.Uint32(raw), math.Float32frombits(binary.LittleEndian.Uint32(raw[4:]))
}
