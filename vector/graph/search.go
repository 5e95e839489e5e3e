package graph

import (
	"fmt"
	"math"
	"slices"

	"github.com/selkiedb/selkie/vector"
)

// SearchOptions are the choices of one search. The zero value is a good one,
// but for Exact.
type SearchOptions struct {
	// Exact writes the scores of rows, by the index's metric and the search's
	// query, into out: the vectors themselves are the caller's. Without it hits
	// come in the order, and with estimates, of the codes. It must not keep its
	// arguments.
	Exact func(rows []uint32, out []float32) error
	// Ef is the number of candidates a search keeps: the greater, the slower
	// and the better. 0 means DefaultEf.
	Ef int
	// Refine is the number of candidates that get exact scores; 0 means a
	// quarter of Ef, with 4-bit codes half of it, but 2k at least. It is never
	// less than k.
	Refine int
	// Dead marks rows that are not to be found, Allowed those that may be: bit
	// r%64 of word r/64 stands for row r. Rows beyond the end of Dead are alive,
	// beyond the end of Allowed not allowed; a nil Allowed allows all.
	Dead, Allowed []uint64
}

// DefaultEf returns the number of candidates that a search for k of n rows
// keeps unless told: it aims at a recall of .95 and more.
func DefaultEf(n, k int) int {
	ef := 96 * math.Pow(float64(n)/340_000, 0.4)
	ef = max(ef, 48) * math.Sqrt(max(1, float64(k)/10))
	return max(int(ef), 2*k)
}

// DefaultEf returns DefaultEf(n, k), and more than thrice that where rows of IP differ in
// length, which makes them harder to walk among. n may be the number of rows of
// several indexes that are searched together.
func (ix *Index) DefaultEf(n, k int) int {
	ef := DefaultEf(n, k)
	if ix.uneven {
		ef = ef * 10 / 3
	}
	return ef
}

// Search appends to dst the k rows nearest to q, best first, equal scores by
// row offset; fewer only where fewer may be found. It is safe for concurrent
// use, and allocates nothing once as many searches as run side by side have
// been made, provided that dst has room.
//
// The error wraps ErrInvalid, or is that of Exact.
func (ix *Index) Search(dst []vector.Hit, q []float32, k int, o *SearchOptions) ([]vector.Hit, Stats, error) {
	if o == nil {
		o = &SearchOptions{}
	}
	if err := ix.check(q, k, o); err != nil {
		return dst, Stats{}, err
	}
	if k = min(k, ix.n); k == 0 {
		return dst, Stats{}, nil
	}
	w, _ := ix.walkers.Get().(*walker)
	if w == nil {
		w = ix.newWalker()
	}
	defer ix.walkers.Put(w)
	w.stats = Stats{}
	w.use(ix, q)
	ef := o.Ef
	if ef == 0 {
		ef = ix.DefaultEf(ix.n, k)
	}
	refine := o.Refine
	if refine == 0 {
		refine = max(2*k, ef*2/ix.bits)
	}
	refine = min(max(refine, k), ix.n)
	ef = min(max(ef, refine), ix.n)

	var found []uint64
	switch {
	case o.Dead != nil || o.Allowed != nil:
		found = w.filtered(ix, k, ef, refine, o)
	case ix.Flat():
		found = w.scan(ix, refine)
	default:
		n := w.walk(ix, ef)
		found = w.pool[:n]
		if n < k {
			// Rows the walk does not lead to: see connect.
			found = w.scan(ix, refine)
		}
	}
	dst, err := w.rank(ix, dst, found[:min(refine, len(found))], k, o)
	return dst, w.stats, err
}

func (ix *Index) check(q []float32, k int, o *SearchOptions) error {
	if len(q) != ix.dim {
		return fmt.Errorf("%w: query of %d elements, want %d", ErrInvalid, len(q), ix.dim)
	}
	if k < 1 || o.Ef < 0 || o.Refine < 0 {
		return fmt.Errorf("%w: k %d, ef %d, refine %d", ErrInvalid, k, o.Ef, o.Refine)
	}
	for i, x := range q {
		if x-x != 0 {
			return fmt.Errorf("%w: query element %d is not finite", ErrInvalid, i)
		}
	}
	return nil
}

// rank appends the k best of the found keys to dst, by exact scores if there
// are any.
func (w *walker) rank(ix *Index, dst []vector.Hit, found []uint64, k int, o *SearchOptions) ([]vector.Hit, error) {
	w.rows = w.rows[:0]
	for _, key := range found {
		w.rows = append(w.rows, ix.rowOf(keyLabel(key)))
	}
	if cap(w.scores) < len(found) {
		w.scores = make([]float32, len(found))
	}
	scores := w.scores[:len(found)]
	if o.Exact == nil {
		for i, key := range found {
			scores[i] = w.prepared.estimate(ix.metric, key)
		}
	} else if len(found) > 0 {
		if err := o.Exact(w.rows, scores); err != nil {
			return dst, fmt.Errorf("score %d rows: %w", len(w.rows), err)
		}
		w.stats.Exact += len(found)
	}
	best := w.best[:0]
	if len(found) > manyHits {
		for i, row := range w.rows {
			best = append(best, vector.Hit{Row: row, Score: scores[i]})
		}
		slices.SortFunc(best, func(a, b vector.Hit) int {
			switch {
			case before(ix.metric, a, b):
				return -1
			case before(ix.metric, b, a):
				return 1
			}
			return 0
		})
		w.best = best
		return append(dst, best[:min(k, len(best))]...), nil
	}
	for i, row := range w.rows {
		h := vector.Hit{Row: row, Score: scores[i]}
		if len(best) == k {
			if !before(ix.metric, h, best[k-1]) {
				continue
			}
			best = best[:k-1]
		}
		at := len(best)
		best = append(best, h)
		for ; at > 0 && before(ix.metric, h, best[at-1]); at-- {
			best[at] = best[at-1]
		}
		best[at] = h
	}
	w.best = best
	return append(dst, best...), nil
}

// manyHits is the number of candidates from which they are sorted as a whole.
const manyHits = 256

// before reports whether hit a ranks before b.
func before(m vector.Metric, a, b vector.Hit) bool {
	if a.Score != b.Score {
		return m.Better(a.Score, b.Score)
	}
	return a.Row < b.Row
}

// estimate returns the score that a key of the pool stands for.
func (p *preparedQuery) estimate(m vector.Metric, key uint64) float32 {
	s := p.offset + p.slope*float64(vector.KeyDistance(key))
	switch m {
	case vector.L2:
		s = max(s, 0)
	case vector.Cosine:
		s = min(max(s, -1), 1)
	}
	return float32(min(max(s, -math.MaxFloat32), math.MaxFloat32))
}

// scan fills the pool with the size nearest of all labels.
func (w *walker) scan(ix *Index, size int) []uint64 {
	w.empty(size)
	n := 0
	for lo := 0; lo < ix.n; lo += scanRows {
		hi := min(lo+scanRows, ix.n)
		dots := w.dots[:hi-lo]
		w.query.Scan(ix.codes[lo*ix.stride:], hi-lo, dots)
		n = w.keep(dots, ix.terms().part(lo, hi), ordinals[:hi-lo], uint32(lo), n)
	}
	w.stats.Distances += ix.n
	return w.pool[:n]
}

// empty makes room for size keys in the pool.
func (w *walker) empty(size int) {
	if cap(w.pool) < size+1 {
		w.pool = make([]uint64, size+1)
	}
	w.pool = w.pool[:size]
}

// keep offers scored labels, each base more than listed, to the pool, in
// pieces so that the limit tightens. It returns the number of keys kept.
func (w *walker) keep(dots []int32, t terms, labels []uint32, base uint32, n int) int {
	pool := w.pool
	for lo := 0; lo < len(dots); lo += selectPiece {
		hi := min(lo+selectPiece, len(dots))
		limit := int32(math.MaxInt32)
		if n == len(pool) {
			limit = vector.KeyDistance(pool[n-1])
		}
		m := w.choose(dots[lo:hi], t, labels[lo:hi], limit)
		for _, key := range w.keys[:m] {
			n, _ = insert(pool, n, len(pool), poolKey(key+uint64(base)))
		}
	}
	return n
}
