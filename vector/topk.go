package vector

import (
	"math"
	"slices"
)

// Hit is one row and its score.
type Hit struct {
	Row   uint32
	Score float32
}

// TopK keeps the k best of the (score, row) pairs pushed into it: a bounded
// heap with the worst kept pair at its root, O(log k) a push, O(k) memory.
//
// Of pairs with equal scores those whose rows come first in the tie order are
// kept. The tie order is the caller's (a total order of rows, say by their
// primary keys) and is asked only about rows of equal score, so data whose
// scores are all equal costs no more memory than any other.
//
// A row must be pushed at most once. NaN scores are refused. A TopK is not
// safe for concurrent use.
type TopK struct {
	heap []entry
	k    int
	// sign turns scores into keys of which the smallest is the best. It is
	// +1 or -1, so the product is exact.
	sign float32
	// limit is the greatest key that may still enter: the root's once k
	// pairs are held, and never beyond the caller's Bound.
	limit float32
	tie   func(a, b uint32) bool
}

// maxReserve bounds what Reset allocates ahead: up to this k no Push
// allocates; a larger k, which a careless caller may have meant as "all",
// pays as pairs arrive.
const maxReserve = 1 << 16

type entry struct {
	key float32
	row uint32
}

// NewTopK returns an empty TopK for scores of metric m with ties going to the
// smaller row. A k of 0 or less keeps nothing.
func NewTopK(m Metric, k int) *TopK {
	t := &TopK{}
	t.Reset(m, k, nil)
	return t
}

// Reset empties t for another use, keeping its memory. before(a, b) reports
// whether row a precedes row b among rows of equal score; it must be a strict
// total order. Nil puts the smaller row first.
func (t *TopK) Reset(m Metric, k int, before func(a, b uint32) bool) {
	t.k = max(k, 0)
	t.heap = slices.Grow(t.heap[:0], min(t.k, maxReserve))
	t.sign = 1
	if m.Descending() {
		t.sign = -1
	}
	t.limit = float32(math.Inf(1))
	t.tie = before
}

// Bound refuses from now on all scores strictly worse than score; equal ones
// may still enter. It carries the k-th best score of rows searched earlier
// (another segment's) into this search. A looser bound than one already in
// force has no effect.
func (t *TopK) Bound(score float32) {
	if key := score * t.sign; key < t.limit {
		t.limit = key
	}
}

// Len returns the number of pairs held, at most k.
func (t *TopK) Len() int { return len(t.heap) }

// Threshold returns the score that a pair must equal or better to have a
// chance to enter. It is false while any score is welcome. Pairs that equal
// it must still be pushed: the tie order decides.
func (t *TopK) Threshold() (float32, bool) {
	if math.IsInf(float64(t.limit), 1) {
		return 0, false
	}
	return t.limit * t.sign, true
}

// Push offers one pair.
func (t *TopK) Push(score float32, row uint32) {
	// Written so that NaN fails it.
	if key := score * t.sign; key <= t.limit {
		t.push(entry{key, row})
	}
}

// PushBlock offers the rows firstRow, firstRow+1, … with the given scores,
// less those that dead marks. Bit r%64 of dead[r/64] stands for row r itself,
// counted from 0 and not from firstRow, so that one segment-wide bitset serves
// every block; rows beyond its end are alive. It may be nil.
func (t *TopK) PushBlock(scores []float32, firstRow uint32, dead []uint64) {
	sign, limit := t.sign, t.limit
	for i, s := range scores {
		if key := s * sign; key <= limit {
			row := firstRow + uint32(i)
			if w := int(row / 64); w < len(dead) && dead[w]>>(row%64)&1 != 0 {
				continue
			}
			t.push(entry{key, row})
			limit = t.limit
		}
	}
}

// PushList offers the listed rows: scores[i] belongs to rows[i].
//
// REQUIRES: len(scores) == len(rows)
func (t *TopK) PushList(scores []float32, rows []uint32) {
	rows = rows[:len(scores)]
	sign, limit := t.sign, t.limit
	for i, s := range scores {
		if key := s * sign; key <= limit {
			t.push(entry{key, rows[i]})
			limit = t.limit
		}
	}
}

// Sorted returns the pairs held, best first, equal scores in tie order. The
// slice is the caller's; t is unchanged.
func (t *TopK) Sorted() []Hit {
	return t.AppendSorted(make([]Hit, 0, len(t.heap)))
}

// AppendSorted appends to dst what Sorted returns.
func (t *TopK) AppendSorted(dst []Hit) []Hit {
	// Worst first is a valid heap, so t stays usable.
	slices.SortFunc(t.heap, func(a, b entry) int {
		switch {
		case t.worse(a, b):
			return -1
		case t.worse(b, a):
			return 1
		}
		return 0
	})
	for i := len(t.heap) - 1; i >= 0; i-- {
		dst = append(dst, Hit{Row: t.heap[i].row, Score: t.heap[i].key * t.sign})
	}
	return dst
}

// push takes e, whose key is within the limit.
func (t *TopK) push(e entry) {
	if len(t.heap) < t.k {
		t.heap = append(t.heap, e)
		t.up(len(t.heap) - 1)
	} else {
		// The limit may be a Bound and so better than the root, never worse.
		if t.k == 0 || !t.worse(t.heap[0], e) {
			return
		}
		t.heap[0] = e
		t.down()
	}
	if len(t.heap) == t.k {
		t.limit = min(t.limit, t.heap[0].key)
	}
}

// worse reports whether a ranks behind b.
func (t *TopK) worse(a, b entry) bool {
	if a.key != b.key {
		return a.key > b.key
	}
	if t.tie != nil {
		return t.tie(b.row, a.row)
	}
	return b.row < a.row
}

func (t *TopK) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !t.worse(t.heap[i], t.heap[parent]) {
			return
		}
		t.heap[i], t.heap[parent] = t.heap[parent], t.heap[i]
		i = parent
	}
}

func (t *TopK) down() {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(t.heap) {
			return
		}
		if r := child + 1; r < len(t.heap) && t.worse(t.heap[r], t.heap[child]) {
			child = r
		}
		if !t.worse(t.heap[child], t.heap[i]) {
			return
		}
		t.heap[i], t.heap[child] = t.heap[child], t.heap[i]
		i = child
	}
}
