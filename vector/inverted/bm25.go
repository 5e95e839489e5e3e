package inverted

import (
	"fmt"
	"math"

	"github.com/selkiedb/selkie/vector"
)

// SearchBM25 appends to dst the k rows with the greatest BM25 score for q, (term, weight) pairs with positive weights, best first, equal scores by row
// offset: exactly the hits, to the bit of their scores, that vector.NewBM25Query's ScanSparse and a vector.TopK give. Rows that share no term with q are not
// found. Values of the index are occurrences, whole and positive.
//
// It reads all postings of the query's terms, window by window, but for windows in which no row can become a hit. The first search sums up the length of
// each row, and keeps it: 4 bytes a row.
func (ix *Index) SearchBM25(dst []vector.Hit, q []byte, p vector.BM25Params, k int, o *SearchOptions) ([]vector.Hit, Stats, error) {
	if o == nil {
		o = &SearchOptions{}
	}
	if k < 1 {
		return dst, Stats{}, fmt.Errorf("%w: k %d", ErrInvalid, k)
	}
	if err := vector.CheckSparse(q); err != nil {
		return dst, Stats{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	lengths := ix.rowLengths()
	s, _ := ix.searchers.Get().(*searcher)
	if s == nil {
		s = newSearcher()
	}
	s.use(ix, q, min(k, ix.rows), o)
	for w := range ix.windows() {
		s.windowBM25(uint32(w), p, lengths)
	}
	dst = s.top.AppendSorted(dst)
	stats := s.stats
	s.ix, s.options = nil, SearchOptions{}
	ix.searchers.Put(s)
	return dst, stats, nil
}

// rowLengths returns the sum of each row's values.
func (ix *Index) rowLengths() []float32 {
	if l := ix.lengths.Load(); l != nil {
		return *l
	}
	ix.making.Lock()
	defer ix.making.Unlock() // also where a read of a mapped index panics
	if l := ix.lengths.Load(); l != nil {
		return *l
	}
	lengths := make([]float32, ix.rows)
	for c, head := range ix.heads {
		base := head >> weightBits * windowRows
		for i := ix.starts[c]; i < ix.starts[c+1]; i++ {
			lengths[base+uint32(ix.locals[i])] += ix.values[i]
		}
	}
	ix.lengths.Store(&lengths)
	return lengths
}

// windowBM25 scores the rows of a window.
func (s *searcher) windowBM25(w uint32, p vector.BM25Params, lengths []float32) {
	postings, _ := s.enter(w)
	most := 0.0 // f/(f+norm) is below 1
	for _, i := range s.active {
		most += s.lists[i].value * (p.K1 + 1)
	}
	worst, full := s.top.Threshold()
	if len(s.active) == 0 || full && most < float64(worst) || s.mark(w) == 0 {
		s.stats.Skipped++
		return
	}
	base := int(w) * windowRows
	n := min(windowRows, s.ix.rows-base)
	mine := lengths[base : base+n]
	for _, i := range s.active {
		l := &s.lists[i]
		values := s.ix.values[l.lo:l.hi]
		for j, r := range s.ix.locals[l.lo:l.hi] {
			s.sums[r%windowRows] += p.Part(l.value, float64(values[j]), p.Norm(float64(mine[r])))
		}
	}
	s.stats.Postings += postings
	if postings < n/sparseWindow {
		s.pushTouched(w * windowRows)
		return
	}
	scores := s.scores[:n]
	no := float32(math.NaN()) // enters no list
	for i := range scores {
		scores[i] = no
		if sum := s.sums[i]; sum > 0 && s.live[i/64]>>(i%64)&1 != 0 {
			scores[i] = clamp(sum)
			s.stats.Exact++
		}
	}
	clear(s.sums[:])
	s.top.PushBlock(scores, w*windowRows, nil)
}

// sparseWindow is the share of a window's rows up to which those that have a posting are looked at one by one: looking at all takes about as long.
const sparseWindow = 4

// pushTouched offers the rows that have a sum, and clears the sums.
func (s *searcher) pushTouched(first uint32) {
	for _, i := range s.active {
		l := &s.lists[i]
		for _, r := range s.ix.locals[l.lo:l.hi] {
			at := int(r) % windowRows
			sum := s.sums[at]
			s.sums[at] = 0
			if sum > 0 && s.live[at/64]>>(at%64)&1 != 0 {
				s.top.Push(clamp(sum), first+uint32(at))
				s.stats.Exact++
			}
		}
	}
}
