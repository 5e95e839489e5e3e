package partition

import (
	"math"
	"math/bits"
	"slices"

	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/vector"
)

// narrow leaves those of an index's hits that lie in a range. ok is false if rows that are too good took the places of k: which others there
// are is then not known.
func narrow(hits []vector.Hit, r *query.Range, k int) (in []vector.Hit, ok bool) {
	if r == nil {
		return hits, true
	}
	full := len(hits) >= k && !r.Beyond(hits[len(hits)-1].Score)
	n := len(hits)
	in = slices.DeleteFunc(hits, func(h vector.Hit) bool { return !r.In(h.Score) })
	return in, !full || len(in) == n
}

// leaveOutside makes the scores outside a range NaN, which enter no list.
func leaveOutside(scores []float32, r *query.Range) {
	if r == nil {
		return
	}
	for i, s := range scores {
		if !r.In(s) {
			scores[i] = float32(math.NaN())
		}
	}
}

// Own returns matches that may be changed: all that m holds, or all rows of the snapshot if m is nil. It takes a bit a row.
func (s *Snapshot) Own(m *Matches) *Matches {
	own := &Matches{s: s, sets: make([]*segment.RowSet, len(s.views))}
	for i, v := range s.views {
		n := v.Rows()
		set := &segment.RowSet{Words: make([]uint64, (n+63)/64), Count: int(n)}
		if m != nil && m.sets[i] != nil {
			copy(set.Words, m.sets[i].Words)
			set.Count = m.sets[i].Count
		} else {
			for w := range set.Words {
				set.Words[w] = ^uint64(0)
			}
			if n%64 != 0 {
				set.Words[n/64] = 1<<(n%64) - 1
			}
		}
		own.sets[i] = set
	}
	return own
}

// Remove takes hits out. REQUIRES: m came from Own, and no search uses it.
func (m *Matches) Remove(hits []Hit) {
	for _, h := range hits {
		set := m.sets[h.ref.View]
		if word, bit := &set.Words[h.ref.Row/64], uint64(1)<<(h.ref.Row%64); *word&bit != 0 {
			*word &^= bit
			set.Count--
		}
	}
}

// Intersect leaves the rows that are in both. REQUIRES: m came from Own, both are of one snapshot.
func (m *Matches) Intersect(o *Matches) {
	for i, set := range m.sets {
		if o.sets[i] == nil {
			continue
		}
		set.Count = 0
		for w := range set.Words {
			set.Words[w] &= o.sets[i].Words[w]
			set.Count += bits.OnesCount64(set.Words[w])
		}
	}
}

// Has reports whether a row matches. REQUIRES: it is a row of the snapshot.
func (m *Matches) Has(r segment.RowRef) bool { return m.sets[r.View].Has(r.Row) }

// Ref is the hit's place in the snapshot that was searched.
func (h Hit) Ref() segment.RowRef { return h.ref }
