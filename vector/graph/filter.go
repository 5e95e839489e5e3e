package graph

import (
	"math"
	"math/bits"

	"github.com/selkiedb/selkie/vector"
)

// A filtered search takes one of three ways. Few matching rows are scanned: that
// costs a distance each. Of many, a walk comes by enough: see filteredWalk. Where
// that turns out to be the dearer way, the matches are scanned after all.

// scanEach: rows that match are scanned, without a look at what lies around the
// query, when there are at most so many for each candidate of the search. A
// variable so that tests can force a walk.
var scanEach = 110

// maxRoute bounds the pool of a filtered walk.
const maxRoute = 1 << 14

// allows reports whether a row may be returned.
func (o *SearchOptions) allows(row uint32) bool {
	if i := int(row >> 6); i < len(o.Dead) && o.Dead[i]>>(row&63)&1 != 0 {
		return false
	}
	if o.Allowed == nil {
		return true
	}
	i := int(row >> 6)
	return i < len(o.Allowed) && o.Allowed[i]>>(row&63)&1 != 0
}

// word returns the bits of the rows i*64 to i*64+63 that have a vector and may
// be returned.
func (o *SearchOptions) word(i int, ix *Index) uint64 {
	word := ^uint64(0)
	if o.Allowed != nil {
		word = 0
		if i < len(o.Allowed) {
			word = o.Allowed[i]
		}
	}
	if i < len(o.Dead) {
		word &^= o.Dead[i]
	}
	if ix.absent != nil {
		word &^= ix.absent[i]
	}
	if left := ix.rows - i*64; left < 64 {
		word &= 1<<left - 1
	}
	return word
}

// count returns the number of rows that have a vector and may be returned.
func (ix *Index) count(o *SearchOptions) (n int) {
	if o.Dead == nil && ix.absent == nil && len(o.Allowed) == (ix.rows+63)/64 {
		for _, word := range o.Allowed[:len(o.Allowed)-1] {
			n += bits.OnesCount64(word)
		}
		return n + bits.OnesCount64(o.word(len(o.Allowed)-1, ix))
	}
	for i := range (ix.rows + 63) / 64 {
		n += bits.OnesCount64(o.word(i, ix))
	}
	return n
}

// filtered returns the keys of near labels that o allows: about ef of them, and
// k if there are as many.
func (w *walker) filtered(ix *Index, k, ef, refine int, o *SearchOptions) []uint64 {
	matches := o.Matches
	if matches == 0 {
		matches = ix.count(o)
	}
	switch {
	case ix.Flat() || o.Plan == PlanScan || o.Plan == PlanAuto && matches <= scanEach*ef || matches <= k:
	case o.Plan == PlanInside:
		route := int(min(4*float64(ef)*float64(ix.n)/float64(matches), maxRoute))
		if n := w.walkFiltered(ix, ef, max(route, ef), o); n >= k {
			w.stats.Plan = PlanInside
			return w.results[:n]
		}
	default:
		if found := w.filteredWalk(ix, matches, k, ef, refine, o); found != nil {
			w.stats.Plan = PlanPost
			return found
		}
	}
	w.stats.Plan = PlanScan
	return w.scanMatches(ix, ef, o)
}

// scanMatches fills the pool with the size nearest of the labels of all rows
// that o allows.
func (w *walker) scanMatches(ix *Index, size int, o *SearchOptions) []uint64 {
	w.empty(size)
	w.forget()
	n := 0
	labels := w.touched[:0]
	flush := func() {
		dots := w.dots[:len(labels)]
		w.query.Gather(ix.codes, labels, dots)
		w.stats.Distances += len(labels)
		n = w.keep(dots, ix.terms(), labels, 0, n)
		labels = labels[:0]
	}
	for i := range (ix.rows + 63) / 64 {
		if i < len(o.Allowed) && o.Allowed[i] == 0 {
			continue
		}
		for word := o.word(i, ix); word != 0; word &= word - 1 {
			labels = append(labels, ix.labelOf(uint32(i*64+bits.TrailingZeros64(word))))
		}
		if len(labels) > scanRows-64 {
			flush()
		}
	}
	flush()
	return w.pool[:n]
}

// walkFiltered is walk with two pools: labels are expanded from one of size
// route, and those that o allows are kept in results, at most size. It returns
// the number of results.
func (w *walker) walkFiltered(ix *Index, size, route int, o *SearchOptions) int {
	if cap(w.results) < size+1 {
		w.results = make([]uint64, size+1)
	}
	w.results = w.results[:size]
	results, kept := w.results, 0
	n := w.start(ix, route)
	pool := w.pool
	for _, key := range pool[:n] {
		if o.allows(ix.rowOf(keyLabel(key))) {
			kept, _ = insert(results, kept, size, key)
		}
	}
	for c := 0; c < n; {
		if pool[c]&expanded != 0 {
			c++
			continue
		}
		if kept == size && pool[c] > results[size-1] {
			break
		}
		at := len(w.touched)
		for j, taken := c, 0; j < n && taken < 2; j++ {
			if pool[j]&expanded == 0 {
				pool[j] |= expanded
				w.fresh(ix, keyLabel(pool[j]))
				w.stats.Hops++
				taken++
			}
		}
		labels := w.touched[at:]
		if len(labels) == 0 {
			c++
			continue
		}
		limit := int32(math.MaxInt32)
		if kept == size {
			limit = vector.KeyDistance(results[size-1])
		}
		m := w.below(ix, labels, limit)
		lowest := c + 1
		for _, key := range w.keys[:m] {
			key = poolKey(key)
			var place int
			n, place = insert(pool, n, route, key)
			lowest = min(lowest, place)
			if o.allows(ix.rowOf(keyLabel(key))) {
				kept, _ = insert(results, kept, size, key)
			}
		}
		c = lowest
	}
	return kept
}
