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
	// and the better. In a graph it is also the mean number of rows whose
	// neighbours it looks at: half as many for easy queries, up to twice as many
	// for hard ones. 0 means Index.DefaultEf, and more where the codes do not tell
	// that many apart.
	Ef int
	// Refine is the number of candidates that get exact scores. 0 means a
	// quarter of Ef, with 4-bit codes half of it, but 2k at least, though no more
	// than an Ef that is given, and more where the estimates turn out to be so rough
	// that it takes more. It is never less than k.
	Refine int
	// Dead marks rows that are not to be found, Allowed those that may be: bit
	// r%64 of word r/64 stands for row r. Rows beyond the end of Dead are alive,
	// beyond the end of Allowed not allowed; a nil Allowed allows all.
	Dead, Allowed []uint64
	// Matches is the number of rows that have a vector and may be found; 0: the
	// search counts them. It chooses the way by it.
	Matches int
	// Plan is for measurements: how to go about Dead and Allowed. A search that
	// cannot find k rows so scans those that match.
	Plan Plan
}

// manyWords is the number of rows for which DefaultEf is known best.
const manyWords = 340_000

// DefaultEf returns the number of candidates that a search for k of n rows
// keeps unless told: it aims at a recall of .95 and more, measured from 1,000
// rows to 4 million.
func DefaultEf(n, k int) int {
	growth := 0.4
	if n > manyWords {
		growth = 0.25
	}
	ef := 96 * math.Pow(float64(n)/manyWords, growth)
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
	w.stats, w.partial = Stats{}, false
	w.use(ix, q)
	ef := o.Ef
	if ef == 0 {
		ef = ix.DefaultEf(ix.n, k)
	}
	refine := o.Refine
	if refine == 0 {
		refine = max(2*k, ef*2/ix.bits)
		if o.Ef != 0 {
			refine = min(refine, o.Ef) // no more candidates than were asked for
		}
	}
	refine = min(max(refine, k), ix.n)
	ef = min(max(ef, refine), ix.n)
	for widest := min(ef*widenMost, ix.n); ; ef = min(ef*widenBy, widest) {
		found := w.find(ix, k, ef, refine, o)
		n, more, err := w.score(ix, found, refine, k, o)
		if err != nil {
			return dst, w.stats, err
		}
		if !more || o.Ef != 0 || ef == widest || len(found) < ef && !w.partial {
			return w.rank(ix, dst, found[:n], k), w.stats, nil
		}
	}
}

// Where the codes do not tell the candidates apart a search with defaults keeps
// widenBy times as many, and again, up to widenMost times what it began with.
const (
	widenBy   = 4
	widenMost = 16
)

// find returns the keys of near labels, sorted: ef of them, or those there are.
func (w *walker) find(ix *Index, k, ef, refine int, o *SearchOptions) []uint64 {
	switch {
	case o.Dead != nil || o.Allowed != nil:
		return w.filtered(ix, k, ef, refine, o)
	case ix.Flat():
		w.stats.Plan = PlanCodes
		return w.scan(ix, ef)
	}
	w.stats.Plan = PlanWalk
	n := w.walk(ix, w.look(ix, k, ef))
	if n < k {
		// Rows the walk does not lead to: see connect.
		return w.scan(ix, refine)
	}
	return w.pool[:n]
}

func (ix *Index) check(q []float32, k int, o *SearchOptions) error {
	if len(q) != ix.dim {
		return fmt.Errorf("%w: query of %d elements, want %d", ErrInvalid, len(q), ix.dim)
	}
	if k < 1 || o.Ef < 0 || o.Refine < 0 {
		return fmt.Errorf("%w: k %d, ef %d, refine %d", ErrInvalid, k, o.Ef, o.Refine)
	}
	if i := vector.HasNonFinite(vector.Float32, bytesOf(q)); i >= 0 {
		return fmt.Errorf("%w: query element %d is not finite", ErrInvalid, i)
	}
	return nil
}

// score leaves in w.rows and w.scores the first of the found rows and their
// scores, and returns how many. By exact scores that is refine; unless the
// caller chose that number, it is more if rows beyond it may be among the k
// best, judged by how far the estimates of the first were off. more reports that
// even the last of found may.
func (w *walker) score(ix *Index, found []uint64, refine, k int, o *SearchOptions) (n int, more bool, err error) {
	n = min(refine, len(found))
	w.rows = w.rows[:0]
	for _, key := range found {
		w.rows = append(w.rows, ix.rowOf(keyLabel(key)))
	}
	w.scores = slices.Grow(w.scores[:0], len(found))[:len(found)]
	if o.Exact == nil {
		for i, key := range found[:n] {
			w.scores[i] = w.prepared.estimate(ix.metric, key)
		}
		return n, false, nil
	}
	exact := func(lo, hi int) error {
		if lo == hi {
			return nil
		}
		w.stats.Exact += hi - lo
		if err := o.Exact(w.rows[lo:hi], w.scores[lo:hi]); err != nil {
			return fmt.Errorf("score %d rows: %w", hi-lo, err)
		}
		return nil
	}
	if err := exact(0, n); err != nil {
		return n, false, err
	}
	if o.Refine != 0 || n == len(found) && len(found) < refine {
		return n, false, nil
	}
	limit := w.doubtful(ix, found[:n], k)
	reach := n
	for reach < len(found) && float64(vector.KeyDistance(found[reach])) < limit {
		reach++
	}
	return reach, reach == len(found) && float64(vector.KeyDistance(found[reach-1])) < limit, exact(n, reach)
}

// doubtful returns the distance by codes up to which a row may be among the k
// best of those that found, whose exact scores are known, are the first.
func (w *walker) doubtful(ix *Index, found []uint64, k int) float64 {
	if len(found) < max(k, 4) {
		return math.Inf(-1)
	}
	// What scores would be as distances by codes, and how far those are off.
	p := &w.prepared
	w.exact = w.exact[:0]
	squares := 0.0
	for i, key := range found {
		d := (float64(w.scores[i]) - p.offset) / p.slope
		e := d - float64(vector.KeyDistance(key))
		squares += e * e
		w.exact = append(w.exact, d)
	}
	slices.Sort(w.exact)
	return w.exact[k-1] + doubt*math.Sqrt(squares/float64(len(found)))
}

// doubt is by how many standard deviations an estimate may be off.
const doubt = 3

// rank appends the k best of the rows scored to dst.
func (w *walker) rank(ix *Index, dst []vector.Hit, found []uint64, k int) []vector.Hit {
	rows, scores := w.rows[:len(found)], w.scores[:len(found)]
	best := w.best[:0]
	if len(found) > manyHits {
		for i, row := range rows {
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
		return append(dst, best[:min(k, len(best))]...)
	}
	for i, row := range rows {
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
	return append(dst, best...)
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
