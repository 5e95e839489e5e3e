package inverted

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/selkiedb/selkie/vector"
)

// SearchOptions are the choices of one search. The zero value is a good one.
type SearchOptions struct {
	// Dead marks rows that are not to be found, Allowed those that may be: bit
	// r%64 of word r/64 stands for row r. Rows beyond the end of Dead are alive,
	// beyond the end of Allowed not allowed; a nil Allowed allows all.
	Dead, Allowed []uint64
}

// Stats says what a search cost.
type Stats struct {
	Postings int // read in a row, to bound or to score
	Probes   int // looked up, to bound or to score one row
	Exact    int // rows that got their exact score
	Skipped  int // windows that were not looked at
}

// maxPairs is the greatest number of pairs of a query: that of vector.NewQuery.
const maxPairs = 1 << 22

// Search appends to dst the k rows with the greatest inner product with q, best
// first, equal scores by row offset: exactly the hits, to the bit of their
// scores, that vector.Query.ScanSparse and a vector.TopK give of all rows that
// are present and may be found. Rows that share no index with q score 0, as
// they do there. Fewer than k come only where fewer may be found.
//
// q is a sparse vector in the sense of vector.CheckSparse. Search is safe for
// concurrent use, and allocates nothing once as many searches as run side by
// side have been made, provided that dst has room. The error wraps ErrInvalid.
func (ix *Index) Search(dst []vector.Hit, q []byte, k int, o *SearchOptions) ([]vector.Hit, Stats, error) {
	if o == nil {
		o = &SearchOptions{}
	}
	if k < 1 {
		return dst, Stats{}, fmt.Errorf("%w: k %d", ErrInvalid, k)
	}
	if err := vector.CheckSparse(q); err != nil {
		return dst, Stats{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if n := len(q) / pairBytes; n > maxPairs {
		return dst, Stats{}, fmt.Errorf("%w: query of %d pairs, want at most %d", ErrInvalid, n, maxPairs)
	}
	s, _ := ix.searchers.Get().(*searcher)
	if s == nil {
		s = newSearcher()
	}
	s.use(ix, q, min(k, ix.rows), o)
	for w := range ix.windows() {
		s.window(uint32(w))
	}
	dst = s.top.AppendSorted(dst)
	stats := s.stats
	s.ix, s.options = nil, SearchOptions{}
	// Not where a read of a mapped index panics: what should be zero is not.
	ix.searchers.Put(s)
	return dst, stats, nil
}

// list is one term of a query, and where the search is in its postings.
type list struct {
	value       float64 // the query's
	reach       float64 // at most what a row gets here
	scale       uint32  // of weights, to bounds: see boundOf
	chunk, last uint32  // chunks of this window and later
	// In the present window: the postings, and the greatest bound.
	lo, hi, bound uint32
}

// searcher is the scratch space of a search, about 400 KB.
type searcher struct {
	ix      *Index
	options SearchOptions
	stats   Stats
	k       int
	top     vector.TopK
	lists   []list  // in ascending order of terms, that of exact sums
	bounded bool    // there are bounds
	unit    float64 // the score that a bound of 1 stands for; 0 if none is positive

	// Of the present window.
	active []uint32 // the lists that have postings, ascending
	order  []uint32 // the same, those to put off first
	live   [windowRows / 64]uint64
	bounds [windowRows]uint16  // zero between windows; at a multiple of 8 bytes, as live is
	sums   [windowRows]float64 // zero between windows
	scores [windowRows]float32
	guess  vector.TopK  // of bounds, see begin
	hits   []vector.Hit // what it holds
	rows   []uint16     // candidates
	exact  []float64    // their sums
}

func newSearcher() *searcher {
	return &searcher{rows: make([]uint16, 0, windowRows), exact: make([]float64, windowRows)}
}

// Bounds are sums of integers that stay below limit, which keeps a bit free
// for comparing four at a time. Each may have been rounded up by a little more
// than 1, so with more than maxBounded terms there are none.
const (
	limit      = 1 << 15
	maxBounded = 1 << 12
)

// use prepares s for a query.
func (s *searcher) use(ix *Index, q []byte, k int, o *SearchOptions) {
	s.ix, s.options, s.stats = ix, *o, Stats{}
	s.k = k
	s.top.Reset(vector.IP, k, nil)
	s.lists = s.lists[:0]
	sum := 0.0
	for ; len(q) >= pairBytes; q = q[pairBytes:] {
		index, value := pair(q)
		p := ix.find(index)
		if p < 0 || value == 0 {
			continue
		}
		l := list{value: float64(value), chunk: ix.lists[p], last: ix.lists[p+1]}
		// A list without a value of the query's sign raises no score.
		if high, low := ix.peaks[2*p], ix.peaks[2*p+1]; value > 0 && high > 0 || value < 0 && low > 0 {
			l.reach = math.Abs(l.value) * float64(max(high, low))
		}
		sum += l.reach
		s.lists = append(s.lists, l)
	}
	s.bounded = len(s.lists) <= maxBounded
	s.unit = 0
	if s.bounded && sum > 0 {
		s.unit = sum / float64(limit-1-2*len(s.lists))
		for i := range s.lists {
			l := &s.lists[i]
			l.scale = uint32(math.Ceil(l.reach / s.unit * (1 << 16) / maxWeight * (1 + 1e-12)))
		}
	}
}

// boundOf turns a weight into a bound: an integer not less than what the value
// adds to the score, in units. The scale has 16 bits behind the point.
func boundOf(scale uint32, weight byte) uint32 { return (scale*uint32(weight) + 1<<16 - 1) >> 16 }

// threshold returns the bound that a row needs in order to be a hit, if it lies
// behind all rows offered so far: 0 as long as it needs none, that is, until k
// rows have been found and the last of them has a score of 0 or more. Where
// scores are equal the row offered first is kept, so one of a score of 0 is
// replaced by a row with a positive product only, whose bound is 1 or more.
//
// A score is a sum in float64, whose partial sums are no greater than those of
// the positive products alone, rounded to float32: so it exceeds the true sum
// of the positive products by little more than 2^-24 of it. The rounding of
// smaller numbers than float32's normal ones is coarser; they count as 0.
func (s *searcher) threshold() uint32 {
	const least = 0x1p-126
	worst, full := s.top.Threshold()
	switch {
	case !full || worst < 0 || !s.bounded:
		return 0
	case worst < least:
		return 1
	}
	return uint32(max(1, min(limit, float64(worst)*(1-0x1p-22)/s.unit)))
}

// probeCost is the number of postings read in a row that take the time of one
// that is looked up.
const probeCost = 16

// many reports that it takes longer to look up rows in all lists of a window
// than to read those lists.
func (s *searcher) many(rows, postings int) bool {
	return rows*len(s.active)*probeCost > postings
}

// putOff is one over the share of the threshold that lists put off may make up.
// With all of it fewer postings are read, but each of the many rows in any
// other list is a candidate.
const putOff = 2

// window searches one window, in the cheapest way:
//
//  1. Not at all, when the bounds of its lists do not add up to the threshold.
//  2. If few rows may be found: by looking up those.
//  3. Without a threshold, which is so in the first window at least: by adding
//     up the bounds of all lists, which gives a threshold. See begin.
//  4. Where no bounds would give one: by adding up the products of all lists.
//  5. Else by MAXSCORE: see prune.
func (s *searcher) window(w uint32) {
	live := s.mark(w)
	if live == 0 {
		s.stats.Skipped++
		return
	}
	postings, most := s.enter(w)
	threshold := s.threshold()
	switch {
	case threshold > most:
		s.stats.Skipped++
	case !s.many(live, postings):
		s.rows = s.rows[:0]
		for i, word := range s.live {
			for ; word != 0; word &= word - 1 {
				s.rows = append(s.rows, uint16(i*64+bits.TrailingZeros64(word)))
			}
		}
		s.rank(w, postings)
	case threshold == 0 && (s.unit == 0 || live < s.k):
		s.all(w, postings)
	case threshold == 0:
		s.begin(w, postings)
	default:
		s.prune(w, postings, threshold)
	}
}

// mark sets live to the rows of a window that may be found, and returns how
// many they are.
func (s *searcher) mark(w uint32) int {
	live := s.live[:]
	part := func(set []uint64) []uint64 { return set[min(len(set), int(w)*len(live)):] }
	clear(live[copy(live, part(s.ix.present)):])
	dead := part(s.options.Dead)
	for i := range min(len(live), len(dead)) {
		live[i] &^= dead[i]
	}
	if s.options.Allowed != nil {
		allowed := part(s.options.Allowed)
		clear(live[min(len(live), len(allowed)):])
		for i := range min(len(live), len(allowed)) {
			live[i] &= allowed[i]
		}
	}
	n := 0
	for _, word := range live {
		n += bits.OnesCount64(word)
	}
	return n
}

// enter moves all lists to a window. It returns the number of their postings
// there, and the sum of their greatest bounds.
func (s *searcher) enter(w uint32) (postings int, most uint32) {
	heads := s.ix.heads
	s.active = s.active[:0]
	for i := range s.lists {
		l := &s.lists[i]
		for l.chunk < l.last && heads[l.chunk]>>weightBits < w {
			l.chunk++
		}
		if l.chunk == l.last || heads[l.chunk]>>weightBits != w {
			continue
		}
		l.lo, l.hi = s.ix.starts[l.chunk], s.ix.starts[l.chunk+1]
		l.bound = boundOf(l.scale, byte(heads[l.chunk]))
		s.active = append(s.active, uint32(i))
		postings += int(l.hi - l.lo)
		most += l.bound
	}
	return postings, most
}

// all scores every row of a window exactly and offers the live ones.
func (s *searcher) all(w uint32, postings int) {
	s.addAll(postings)
	n := min(windowRows, s.ix.rows-int(w)*windowRows)
	s.stats.Exact += n
	scores := s.scores[:n]
	for i := range scores {
		scores[i] = clamp(s.sums[i])
	}
	clear(s.sums[:])
	for i, word := range s.live[:(n+63)/64] {
		if word == math.MaxUint64 {
			continue
		}
		for j := range scores[i*64 : min(n, i*64+64)] {
			if word>>j&1 == 0 {
				scores[i*64+j] = float32(math.NaN()) // enters no list
			}
		}
	}
	s.top.PushBlock(scores, w*windowRows, nil)
}

// addAll adds up the products of all postings in the window.
func (s *searcher) addAll(postings int) {
	for _, i := range s.active {
		l := &s.lists[i]
		addProducts(&s.sums, s.ix.locals[l.lo:l.hi], s.ix.values[l.lo:l.hi], l.value)
	}
	s.stats.Postings += postings
}

// begin searches a window while there is no threshold, by making one: the k
// rows with the greatest bounds are scored first, then those whose bounds reach
// what the k-th of them scores. If it is not positive, all others are scored.
func (s *searcher) begin(w uint32, postings int) {
	for _, i := range s.active {
		if l := &s.lists[i]; l.bound > 0 {
			s.add(l)
		}
	}
	s.guess.Reset(vector.IP, s.k, nil)
	best(&s.guess, &s.bounds, &s.live)
	s.hits = s.guess.AppendSorted(s.hits[:0])
	s.rows = s.rows[:0]
	for _, h := range s.hits {
		s.rows = append(s.rows, uint16(h.Row))
		s.live[h.Row/64] &^= 1 << (h.Row % 64) // is not to be offered twice
	}
	s.rank(w, postings)
	if worst, full := s.top.Threshold(); !full || worst <= 0 {
		clear(s.bounds[:])
		s.all(w, postings)
		return
	}
	s.rows = collect(s.rows[:0], &s.bounds, &s.live, s.threshold())
	clear(s.bounds[:])
	s.rank(w, postings)
}

// prune finds the rows of a window whose bounds reach the threshold, by
// MAXSCORE (Turtle and Flood, Query evaluation: strategies and optimizations,
// 1995), and scores those:
//
//  1. Lists are put off, long ones of small bounds first, as long as their
//     greatest bounds together stay below a share of the threshold: a row that
//     is in none of the others cannot reach it.
//  2. The bounds of the others are added up for all rows.
//  3. Rows that could reach the threshold if they had the greatest bounds in
//     all lists put off are candidates.
//  4. The lists put off are gone through, and the candidates dwindle: see
//     refine. Many candidates are not looked up; the bounds are completed.
//  5. Those left are scored exactly.
func (s *searcher) prune(w uint32, postings int, threshold uint32) {
	s.order = append(s.order[:0], s.active...)
	s.sort(s.order, func(a, b *list) bool {
		return uint64(a.hi-a.lo)*uint64(b.bound) > uint64(b.hi-b.lo)*uint64(a.bound)
	})
	off, rest, left := 0, uint32(0), 0
	for i, at := range s.order {
		l := &s.lists[at]
		if (rest+l.bound)*putOff <= threshold {
			rest += l.bound
			left += int(l.hi - l.lo)
			s.order[i], s.order[off] = s.order[off], at
			off++
			continue
		}
		s.add(l)
	}
	s.rows = collect(s.rows[:0], &s.bounds, &s.live, threshold-rest)
	if len(s.rows)*probeCost > left {
		for _, at := range s.order[:off] {
			s.add(&s.lists[at])
		}
		s.rows = collect(s.rows[:0], &s.bounds, &s.live, threshold)
	} else {
		s.refine(s.order[:off], rest, threshold)
	}
	clear(s.bounds[:])
	s.rank(w, postings)
}

// refine adds the bounds of lists to the candidates, greatest bound first, and
// drops those that cannot reach the threshold any more. rest is the sum of the
// lists' greatest bounds.
func (s *searcher) refine(off []uint32, rest, threshold uint32) {
	s.sort(off, func(a, b *list) bool { return a.bound > b.bound })
	for _, at := range off {
		l := &s.lists[at]
		if len(s.rows) == 0 || l.bound == 0 {
			return
		}
		if len(s.rows)*probeCost > int(l.hi-l.lo) {
			s.add(l)
		} else {
			s.look(l)
		}
		rest -= l.bound
		kept := s.rows[:0]
		for _, r := range s.rows {
			if uint32(s.bounds[r%windowRows])+rest >= threshold {
				kept = append(kept, r)
			}
		}
		s.rows = kept
	}
}

// sort puts lists in an order, by insertion: they are few, and nearly in it.
func (s *searcher) sort(order []uint32, before func(a, b *list) bool) {
	for i := 1; i < len(order); i++ {
		at := order[i]
		j := i
		for ; j > 0 && before(&s.lists[at], &s.lists[order[j-1]]); j-- {
			order[j] = order[j-1]
		}
		order[j] = at
	}
}

// add adds the bounds of a list to all rows.
func (s *searcher) add(l *list) {
	addBounds(&s.bounds, s.ix.locals[l.lo:l.hi], s.ix.weights[l.lo:l.hi], l.scale)
	s.stats.Postings += int(l.hi - l.lo)
}

// look adds the bounds of a list to the candidates.
func (s *searcher) look(l *list) {
	locals, weights := s.ix.locals[l.lo:l.hi], s.ix.weights[l.lo:l.hi]
	for _, r := range s.rows {
		if at := seek(locals, r); at < len(locals) && locals[at] == r {
			s.bounds[r%windowRows] += uint16(boundOf(l.scale, weights[at]))
		}
	}
	s.stats.Probes += len(s.rows)
}

// rank scores the candidates exactly and offers them. The products of a row
// are added in ascending order of terms, as vector.Query.ScanSparse does.
func (s *searcher) rank(w uint32, postings int) {
	if len(s.rows) == 0 {
		return
	}
	exact := s.exact[:len(s.rows)]
	if s.many(len(s.rows), postings) {
		s.addAll(postings)
		for i, r := range s.rows {
			exact[i] = s.sums[r%windowRows]
		}
		clear(s.sums[:])
	} else {
		clear(exact)
		for _, at := range s.active {
			l := &s.lists[at]
			locals, values := s.ix.locals[l.lo:l.hi], s.ix.values[l.lo:l.hi]
			for i, r := range s.rows {
				if at := seek(locals, r); at < len(locals) && locals[at] == r {
					exact[i] += l.value * float64(values[at])
				}
			}
		}
		s.stats.Probes += len(s.rows) * len(s.active)
	}
	s.stats.Exact += len(s.rows)
	for i, r := range s.rows {
		s.top.Push(clamp(exact[i]), w*windowRows+uint32(r))
	}
}
