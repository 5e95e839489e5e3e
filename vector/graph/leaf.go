package graph

import (
	"math"
	"runtime"
	"sync"

	"github.com/selkiedb/selkie/vector"
)

// leafWorker scores rows against a group loaded into memory of its own, where
// they lie in a row. It belongs to one worker.
type leafWorker struct {
	rowScorer
	codes  []byte // the group's codes
	rows   []uint32
	square []int32
	sum    []int32
	dots   []int32
	keys   []uint64
	merged []uint64
}

// selectPiece is the number of scores after which the limit is tightened.
const selectPiece = 128

func newLeafWorker(maxRows, stride int) *leafWorker {
	return &leafWorker{
		codes:  alignedBytes(maxRows * stride),
		square: make([]int32, maxRows),
		sum:    make([]int32, maxRows),
		dots:   make([]int32, maxRows),
		keys:   make([]uint64, maxRows+vector.SelectSlack),
		merged: make([]uint64, max(maxRows, maxList+maxTwins)),
	}
}

// maxList is the longest list of candidates a row may have.
const maxList = 512

// load makes rows the group.
func (w *leafWorker) load(c *codedRows, rows []uint32) {
	w.rows = rows
	for i, r := range rows {
		copy(w.codes[i*c.stride:(i+1)*c.stride], c.at(r))
		w.square[i], w.sum[i] = c.square[r], c.sum[r]
	}
}

// scorePlace computes the dots of the group's rows from place lo on with the
// row at place i.
func (w *leafWorker) scorePlace(c *codedRows, i, lo int) []int32 {
	w.resetCode(w.codes[i*c.stride : (i+1)*c.stride])
	w.bias = w.square[i] + 256*w.sum[i]
	return w.scan(c, lo)
}

// score does so with row a, which need not be of the group.
func (w *leafWorker) score(c *codedRows, a uint32, lo int) []int32 {
	w.reset(c, a)
	return w.scan(c, lo)
}

func (w *leafWorker) scan(c *codedRows, lo int) []int32 {
	dots := w.dots[:len(w.rows)-lo]
	w.query.Scan(w.codes[lo*c.stride:], len(dots), dots)
	return dots
}

// nearest finds the places in the group of the rows nearest to a, as many as
// places holds, nearest first.
func (w *leafWorker) nearest(c *codedRows, a uint32, places []uint16) {
	dots := w.score(c, a, 0)
	best := w.merged[:0]
	limit := int32(math.MaxInt32)
	for lo := 0; lo < len(dots); lo += selectPiece {
		hi := min(lo+selectPiece, len(dots))
		n := vector.SelectBelow(dots[lo:hi], w.square[lo:hi], 1, ordinals[lo:hi], limit, w.keys)
		for _, key := range w.keys[:n] {
			if len(best) == len(places) {
				if key >= best[len(best)-1] {
					continue
				}
				best = best[:len(best)-1]
			}
			i := len(best)
			best = append(best, key)
			for ; i > 0 && best[i-1] > key; i-- {
				best[i] = best[i-1]
			}
			best[i] = key
		}
		if len(best) == len(places) {
			limit = vector.KeyDistance(best[len(best)-1])
		}
	}
	for i, key := range best {
		places[i] = uint16(key)
	}
}

// candidates are the nearest rows found so far for each row of a range: a list
// of at most k keys a row, sorted, without the row itself. Which leaf came
// first does not matter: a list holds the least keys of all that were added.
type candidates struct {
	lo, hi int // the range
	k      int
	memory *region
	keys   []uint64 // (hi-lo) × k
	sizes  []uint16
	// locks guard the lists, row r by r modulo their number. A leaf's worker
	// holds one at a time.
	locks [256]sync.Mutex
}

// farther is beyond half of what any square[b] - 2·dot can be (see wideDim).
const farther = 1 << 29

// maxTwins bounds how many rows of the same code a list holds, so that many
// duplicates do not hide all other neighbours. They are its first.
const maxTwins = 4

func newCandidates(rows, k int) *candidates {
	memory := newRegion(rows*(8*k+2), 2)
	return &candidates{k: k, memory: memory, keys: carveOut[uint64](memory, rows*k), sizes: carveOut[uint16](memory, rows)}
}

// start empties the lists and gives them to the rows lo to hi-1.
func (c *candidates) start(lo, hi int) {
	c.lo, c.hi = lo, hi
	clear(c.sizes)
}

// list returns the keys of row.
func (c *candidates) list(row int) []uint64 {
	at := row - c.lo
	return c.keys[at*c.k:][:c.sizes[at]]
}

// addLeaf offers each of the group's rows that is in the range all others.
// from and to are the places of the first in the range and after the last.
func (c *candidates) addLeaf(w *leafWorker, rows *codedRows, from, to int) {
	for i := from; i < to; i++ {
		a := w.rows[i]
		dots := w.scorePlace(rows, i, 0)
		dots[i] = -farther // a row is not its own neighbour
		lock := &c.locks[int(a)%len(c.locks)]
		lock.Lock()
		c.add(w, a, dots)
		lock.Unlock()
		if i%pieceRows == 0 {
			runtime.Gosched() // see each
		}
	}
}

// add merges the group's rows into the list of a.
func (c *candidates) add(w *leafWorker, a uint32, dots []int32) {
	at := int(a) - c.lo
	list := c.keys[at*c.k : (at+1)*c.k]
	size := int(c.sizes[at])
	limit := int32(2 * farther)
	if size == c.k {
		// A key equal to the last may still be less by its row.
		limit = vector.KeyDistance(list[size-1]) - w.bias + 1
	}
	n := vector.SelectBelow(dots, w.square[:len(dots)], 1, w.rows, limit, w.keys)
	found := w.keys[:0]
	bias := uint64(uint32(w.bias)) << 32
	twins := 0
	for _, key := range w.keys[:n] {
		key += bias
		if vector.KeyDistance(key) == 0 {
			if twins++; twins > maxTwins {
				continue
			}
		}
		found = append(found, key)
	}
	if len(found) == 0 {
		return
	}
	if len(found) > c.k {
		smallest(found, c.k)
		found = found[:c.k]
	}
	sortKeys(found)
	c.sizes[at] = uint16(c.merge(w, list, size, found))
}

// merge merges found into list, of which size keys are in use, and returns how
// many are then.
func (c *candidates) merge(w *leafWorker, list []uint64, size int, found []uint64) int {
	n := mergeKeys(list[:size], found, w.merged[:c.k+maxTwins])
	merged := w.merged[:n]
	if n > maxTwins && vector.KeyDistance(merged[maxTwins]) == 0 {
		twins := maxTwins
		for twins < n && vector.KeyDistance(merged[twins]) == 0 {
			twins++
		}
		n = maxTwins + copy(merged[maxTwins:], merged[twins:])
	}
	return copy(list, merged[:min(n, c.k)])
}
