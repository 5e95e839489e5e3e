package inverted

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// term is what a build knows of one index that vectors use.
type term struct {
	index    uint32
	postings uint32 // counted in the first pass, the next to fill in the second
	chunks   uint32 // likewise
	window   uint32 // of the last row seen
	// high and low are the greatest value and the greatest of the negated
	// values, not below 0.
	high, low float32
}

// noWindow is no number of a window.
const noWindow = math.MaxUint32

// terms is a set of terms with a hash table over it, open addressed. Positions
// in list are what its slots hold, plus one.
type terms struct {
	list  []term
	slots []uint32
	shift int
}

// hashFactor is 2^32 divided by the golden ratio (Knuth, vol. 3, 6.4).
const hashFactor = 0x9e3779b1

// find returns the position of an index in the list, or -1.
func (t *terms) find(index uint32) int {
	if len(t.slots) == 0 {
		return -1
	}
	for at := index * hashFactor >> t.shift; ; at = (at + 1) & uint32(len(t.slots)-1) {
		p := int(t.slots[at]) - 1
		if p < 0 || t.list[p].index == index {
			return p
		}
	}
}

// add appends an index that is not there yet and returns its position.
func (t *terms) add(index uint32) int {
	t.list = append(t.list, term{index: index, window: noWindow})
	if 2*len(t.list) > len(t.slots) {
		t.rehash()
	} else {
		t.place(len(t.list) - 1)
	}
	return len(t.list) - 1
}

// rehash makes a table of at least twice as many slots as terms, of one size
// for all that it may hold until it grows.
func (t *terms) rehash() {
	size := max(64, 1<<bits.Len(uint(2*len(t.list)-1)))
	t.slots = make([]uint32, size)
	t.shift = 32 - bits.Len(uint(size-1))
	for p := range t.list {
		t.place(p)
	}
}

func (t *terms) place(p int) {
	at := t.list[p].index * hashFactor >> t.shift
	for t.slots[at] != 0 {
		at = (at + 1) & uint32(len(t.slots)-1)
	}
	t.slots[at] = uint32(p + 1)
}

// sort puts the list in the order of indices.
func (t *terms) sort() {
	slices.SortFunc(t.list, func(a, b term) int { return cmp.Compare(a.index, b.index) })
	clear(t.slots)
	for p := range t.list {
		t.place(p)
	}
}
