package index

import (
	"bytes"
	"math"
	"math/bits"
	"slices"
	"sort"

	"github.com/selkiedb/selkie/filter"
)

// Identity ties an index to the segment that it was built for.
type Identity struct{ Segment, Token uint64 }

// Index is an index of one field of a segment.
type Index struct {
	rows  int
	lossy bool // numbers were left out that no float is
	texts bool // values are strings, not keys
	multi bool // a row may hold several values: the elements of an array

	keys     []uint64 // ascending, of values that are no strings
	offs     []uint32 // of strings: where each begins in bytes, and the end
	bytes    []byte
	starts   []uint32 // by value: where its rows begin in postings, and the end
	postings []uint32 // row offsets, ascending within a value
	steps    []uint64 // stepCount bitmaps, unless multi: the rows of the first i+1 of stepCount+1 parts of postings
	present  []uint64 // the rows that are not null
	full     bool     // all are
}

// stepCount is the number of bitmaps of an index whose rows hold one value each.
const stepCount = 31

func (ix *Index) words() int  { return (ix.rows + 63) / 64 }
func (ix *Index) values() int { return len(ix.starts) - 1 }

// Rows is the number of rows of the segment.
func (ix *Index) Rows() int { return ix.rows }

// Values is the number of different values.
func (ix *Index) Values() int { return ix.values() }

// Bytes is the memory that the index takes.
func (ix *Index) Bytes() int64 {
	return int64(8*(len(ix.keys)+len(ix.steps)+len(ix.present)) + 4*(len(ix.offs)+len(ix.starts)+len(ix.postings)) + len(ix.bytes))
}

// Equal reports whether two indexes say the same of the same rows.
func (ix *Index) Equal(o *Index) bool {
	return ix.rows == o.rows && ix.lossy == o.lossy && ix.texts == o.texts && ix.multi == o.multi && slices.Equal(ix.keys, o.keys) &&
		slices.Equal(ix.offs, o.offs) && bytes.Equal(ix.bytes, o.bytes) && slices.Equal(ix.starts, o.starts) &&
		slices.Equal(ix.postings, o.postings) && slices.Equal(ix.steps, o.steps) && slices.Equal(ix.present, o.present)
}

func (ix *Index) text(value int) []byte { return ix.bytes[ix.offs[value]:ix.offs[value+1]] }

// Present returns the bits of the rows that are not null; nil where none is, as in a dynamic field. They must not be changed.
func (ix *Index) Present() []uint64 {
	if ix.full {
		return nil
	}
	return ix.present
}

// count finds out whether a row is null.
func (ix *Index) count() {
	n := 0
	for _, w := range ix.present {
		n += bits.OnesCount64(w)
	}
	ix.full = n == ix.rows
}

// fitShare: a term that has to look at more values than one for so many rows is left to the values themselves.
const fitShare = 4

// Answer sets the bits of the rows for which the term is true, in words that it makes. ok is false where evaluating it is as good.
func (ix *Index) Answer(t *filter.Term) (yes []uint64, ok bool) {
	yes = make([]uint64, ix.words())
	switch {
	case t.Null:
		for i := range yes {
			yes[i] = ^ix.present[i]
		}
		ix.cut(yes)
		return yes, true
	case ix.lossy:
		return nil, false
	case len(t.Texts) > 0 && !ix.texts || len(t.Ranges) > 0 && ix.texts:
		return nil, false
	case t.Fits != nil:
		if ok := ix.fits(t, yes); !ok {
			return nil, false
		}
	case t.All:
		ix.all(t, yes)
	default:
		for i := range len(t.Ranges) + len(t.Texts) {
			lo, hi := ix.find(t, i)
			ix.between(lo, hi, yes)
		}
	}
	if t.Not {
		others := make([]uint64, len(yes))
		ix.between(0, ix.values(), others)
		for i := range yes {
			yes[i] = others[i] &^ yes[i]
		}
	}
	return yes, true
}

// cut clears the bits beyond the last row.
func (ix *Index) cut(words []uint64) {
	if ix.rows%64 != 0 {
		words[len(words)-1] &= 1<<(ix.rows%64) - 1
	}
}

// find returns the values [lo, hi) that lie in a range of the term.
func (ix *Index) find(t *filter.Term, i int) (lo, hi int) {
	n := ix.values()
	if !ix.texts {
		r := t.Ranges[i]
		lo = sort.Search(n, func(v int) bool { return ix.keys[v] >= r.Lo })
		hi = sort.Search(n, func(v int) bool { return ix.keys[v] > r.Hi })
		return lo, max(lo, hi)
	}
	r := t.Texts[i]
	hi = n
	above := func(text string, open bool) int { // the first value that is not below text, or that is above it
		want := []byte(text)
		return sort.Search(n, func(v int) bool {
			c := bytes.Compare(ix.text(v), want)
			return c > 0 || c == 0 && !open
		})
	}
	if r.HasLo {
		lo = above(r.Lo, r.LoOpen)
	}
	if r.HasHi {
		hi = above(r.Hi, !r.HiOpen)
	}
	return lo, max(lo, hi)
}

// fits tries each value in the ranges, once for all rows that hold it.
func (ix *Index) fits(t *filter.Term, yes []uint64) bool {
	for i := range t.Texts {
		lo, hi := ix.find(t, i)
		if hi-lo > ix.rows/fitShare {
			return false
		}
		for v := lo; v < hi; v++ {
			if t.Fits(ix.text(v)) {
				ix.between(v, v+1, yes)
			}
		}
	}
	return true
}

// all leaves the rows that hold a value of each range.
func (ix *Index) all(t *filter.Term, yes []uint64) {
	copy(yes, ix.present)
	one := make([]uint64, len(yes))
	for i := range len(t.Ranges) + len(t.Texts) {
		clear(one)
		lo, hi := ix.find(t, i)
		ix.between(lo, hi, one)
		for w := range yes {
			yes[w] &= one[w]
		}
	}
}

// between sets the bits of the rows that hold the values [lo, hi).
func (ix *Index) between(lo, hi int, yes []uint64) {
	a, b := int(ix.starts[lo]), int(ix.starts[hi])
	if len(ix.steps) == 0 || b-a <= len(ix.postings)/stepCount {
		set(yes, ix.postings[a:b])
		return
	}
	// The nearest bitmaps, and the rows between them and what is asked for.
	from, to := ix.nearest(a), ix.nearest(b)
	n := ix.words()
	part := make([]uint64, n)
	if to > 0 {
		copy(part, ix.steps[(to-1)*n:to*n])
	}
	if from > 0 {
		for i, w := range ix.steps[(from-1)*n : from*n] {
			part[i] &^= w
		}
	}
	ix.move(part, ix.at(from), a, false)
	ix.move(part, ix.at(to), b, true)
	for i, w := range part {
		yes[i] |= w
	}
}

// at is where in postings the part ends that step i is of; step 0 is of nothing, stepCount+1 of all.
func (ix *Index) at(i int) int {
	return int(uint64(len(ix.postings)) * uint64(i) / (stepCount + 1))
}

// nearest returns the step, 0 to stepCount, that ends nearest to a place in postings.
func (ix *Index) nearest(place int) int {
	step := float64(len(ix.postings)) / (stepCount + 1)
	return min(int(math.Round(float64(place)/step)), stepCount)
}

// move has words, which begin (or, for end, end) at a place of postings, do so at another.
func (ix *Index) move(words []uint64, from, to int, end bool) {
	switch {
	case from < to && end || from > to && !end:
		set(words, ix.postings[min(from, to):max(from, to)])
	default:
		for _, row := range ix.postings[min(from, to):max(from, to)] {
			words[row/64] &^= 1 << (row % 64)
		}
	}
}

func set(words []uint64, rows []uint32) {
	for _, row := range rows {
		words[row/64] |= 1 << (row % 64)
	}
}
