package graph

import (
	"math"
	"slices"

	"github.com/selkiedb/selkie/vector"
)

// walker walks a graph towards a query by the distances of codes. It holds the
// scratch memory of one search; it belongs to one goroutine at a time.
type walker struct {
	query    vector.CodeQuery
	signed   []int8
	prepared preparedQuery
	// How distances come about: term - dot<<shift, with term = square·weight,
	// or none when weight is 0.
	weight float32
	shift  uint
	// Or, where scale is not 0, -(dot+bias)·scale·norm: see preparedQuery.
	bias, scale float32

	// visited has a bit for each label scored so far; touched lists them, so
	// that the bits can be cleared.
	visited []uint64
	touched []uint32

	dots []int32
	keys []uint64
	// pool holds the nearest labels seen, sorted by distance: packed keys with
	// the label moved up by one bit; the lowest bit marks those expanded.
	pool []uint64

	horizon horizon // of the walk

	stats Stats

	results []uint64 // of filtered walks: rows that may be returned
	partial bool     // there may be more that match than a filtered walk has found
	rows    []uint32 // candidates for the exact scores
	scores  []float32
	exact   []float64
	best    []vector.Hit
}

// Stats counts what a search did.
type Stats struct {
	Hops      int // rows whose neighbours were visited
	Distances int // distances computed by codes, those of entries included
	Exact     int // exact scores asked for
	Plan      Plan
}

// expanded marks a key of the pool; keyLabel is a key's label.
const expanded = 1

func keyLabel(key uint64) uint32 { return uint32(key) >> 1 }

// poolKey makes a key of the pool from what vector.SelectBelow writes.
func poolKey(key uint64) uint64 { return key + key&math.MaxUint32 }

const (
	seeds    = 8   // entries a walk starts at
	seedsIP  = 16  // by inner product, where the nearest entries may all be of one side
	scanRows = 512 // rows scored by one call when codes are scanned
)

// newWalker returns a walker for ix.
func (ix *Index) newWalker() *walker {
	w := &walker{
		visited: make([]uint64, (ix.n+63)/64),
		touched: make([]uint32, 0, 4096),
		signed:  make([]int8, ix.stride),
	}
	w.reserve(scanRows)
	return w
}

// reserve makes room for n scores at a time.
func (w *walker) reserve(n int) {
	if len(w.dots) < n {
		w.dots = make([]int32, n)
		w.keys = make([]uint64, n+vector.SelectSlack)
	}
}

// use makes q the query.
func (w *walker) use(ix *Index, q []float32) {
	ix.prepare(&w.prepared, q, ix.maxSquare, ix.maxNorm)
	w.query.Reset(ix.kind(), w.prepared.signed)
	w.horizon = horizon{}
	w.weight, w.shift = w.prepared.weight, 0
	w.bias, w.scale = w.prepared.bias, w.prepared.scale
}

// useCode makes a row's code the query. Distances are then those of codes,
// less a constant. REQUIRES: 8-bit codes.
func (w *walker) useCode(ix *Index, code []byte) {
	w.horizon = horizon{}
	signCodes(w.signed, code)
	w.query.Reset(vector.Code8, w.signed)
	w.weight, w.shift, w.scale = 1, 1, 0
}

// below scores the labels listed and leaves in w.keys those nearer than
// limit, as many as it returns.
func (w *walker) below(ix *Index, labels []uint32, limit int32) int {
	if len(labels) > len(w.dots) {
		w.reserve(2 * len(labels))
	}
	dots := w.dots[:len(labels)]
	w.query.Gather(ix.codes, labels, dots)
	w.stats.Distances += len(labels)
	return w.choose(dots, ix.terms(), labels, limit)
}

// terms are what a distance takes from the row besides the dot.
type terms struct {
	square []int32
	norm   []float32
}

func (c *codedRows) terms() terms { return terms{c.square, c.norm} }

// part returns the terms of the labels from lo to hi-1.
func (t terms) part(lo, hi int) terms {
	if t.square != nil {
		t.square = t.square[lo:hi]
	}
	if t.norm != nil {
		t.norm = t.norm[lo:hi]
	}
	return t
}

// choose leaves in w.keys the labels nearer than limit, given their dots and
// all labels' terms.
func (w *walker) choose(dots []int32, t terms, labels []uint32, limit int32) int {
	switch {
	case w.scale != 0:
		return vector.SelectScaled(dots, t.norm, w.bias, w.scale, labels, limit, w.keys)
	case w.weight == 0:
		return vector.SelectBelow(dots, nil, w.shift, labels, limit, w.keys)
	}
	return vector.SelectWeighted(dots, t.square, w.weight, w.shift, labels, limit, w.keys)
}

// start empties the pool and puts the nearest entries into it. It returns
// their number.
func (w *walker) start(ix *Index, size int) int {
	if cap(w.pool) < size+1 {
		w.pool = make([]uint64, size+1)
	}
	w.pool = w.pool[:size]
	w.forget()
	first := seeds
	if ix.metric == vector.IP {
		first = seedsIP
	}
	n := 0
	for lo := 0; lo < len(ix.entries); lo += scanRows {
		hi := min(lo+scanRows, len(ix.entries))
		dots := w.dots[:hi-lo]
		w.query.Scan(ix.entryCodes[lo*ix.stride:], hi-lo, dots)
		m := w.choose(dots, ix.terms(), ix.entries[lo:hi], math.MaxInt32)
		n, _ = vector.InsertKeys(w.pool, n, min(first, size), w.keys[:m])
	}
	w.stats.Distances += len(ix.entries)
	for _, key := range w.pool[:n] {
		l := keyLabel(key)
		w.visited[l>>6] |= 1 << (l & 63)
		w.touched = append(w.touched, l)
	}
	return n
}

// forget clears the bits of all labels visited.
func (w *walker) forget() {
	if len(w.touched) > len(w.visited)/8 {
		clear(w.visited)
	} else {
		for _, l := range w.touched {
			w.visited[l>>6] = 0
		}
	}
	w.touched = w.touched[:0]
}

// fresh appends the neighbours of a label that were not visited before to
// touched, and marks them.
func (w *walker) fresh(ix *Index, label uint32) {
	row := ix.row(label)
	at := len(w.touched)
	w.touched = slices.Grow(w.touched, len(row)+vector.VisitSlack)
	m := vector.Visit(row, w.visited, w.touched[at:at+len(row)+vector.VisitSlack])
	w.touched = w.touched[:at+m]
}

// insert puts key into the sorted pool[:n], of which limit places may be used,
// and returns the number then in use and the key's place, or limit if it found
// none.
func insert(pool []uint64, n, limit int, key uint64) (int, int) {
	if n == limit && key >= pool[n-1] {
		return n, limit
	}
	lo := vector.CountBelow(pool[:n], key)
	if n < limit {
		n++
	}
	copy(pool[lo+1:n], pool[lo:n-1])
	pool[lo] = key
	return n, lo
}

// walk fills the pool with the nearest size labels that a best-first walk
// comes to, and returns their number.
func (w *walker) walk(ix *Index, size int) int {
	n := w.start(ix, size)
	return w.goOn(ix, n)
}

// goOn walks from the first n labels of the pool.
func (w *walker) goOn(ix *Index, n int) int {
	pool, size := w.pool, len(w.pool)
	// Two labels at a time are worth more, by longer lists to score, than the few
	// distances they waste, unless rows are long.
	hops, wide := 0, 2
	if ix.stride > wideStride {
		wide = 1
	}
	farAhead := ix.n*ix.stride > prefetchBytes
	for c := 0; c < n; {
		if pool[c]&expanded != 0 {
			c++
			continue
		}
		sight := w.horizon.sight(pool[:n])
		if hops >= w.horizon.least && vector.KeyDistance(pool[c]) > sight {
			break
		}
		at := len(w.touched)
		j, taken := c, 0
		for ; j < n && taken < wide; j++ {
			if pool[j]&expanded == 0 {
				pool[j] |= expanded
				w.fresh(ix, keyLabel(pool[j]))
				taken++
			}
		}
		hops += taken
		// The next are likely to be expanded soon.
		for ahead := 0; j < n && j < c+16 && ahead < wide; j++ {
			if pool[j]&expanded == 0 {
				vector.Prefetch(ix.row(keyLabel(pool[j])))
				ahead++
			}
		}
		labels := w.touched[at:]
		if len(labels) == 0 {
			c++
			continue
		}
		if farAhead {
			vector.PrefetchRows(ix.codes, ix.stride, labels)
		}
		limit := int32(math.MaxInt32)
		if n == size {
			limit = vector.KeyDistance(pool[n-1])
		}
		if keep := w.horizon.keep; n > keep && sight < limit {
			limit = max(sight, vector.KeyDistance(pool[keep]))
		}
		m := w.below(ix, labels, limit)
		var lowest int
		n, lowest = vector.InsertKeys(pool, n, size, w.keys[:m])
		c = min(c+1, lowest)
	}
	w.stats.Hops += hops
	return n
}

// wideStride is the length of rows up to which two labels are expanded at a time.
const wideStride = 256

// prefetchBytes is the size of codes from which asking for them ahead pays.
const prefetchBytes = 8 << 20

// ordinals holds 0, 1, 2, …: the places of rows that are scanned.
var ordinals = func() (p [max(scanRows, maxLeaders)]uint32) {
	for i := range p {
		p[i] = uint32(i)
	}
	return p
}()
