package partition

import (
	"time"

	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/segment"
)

// explainAll begins a receipt as if every row matched.
func (s *Snapshot) explainAll(r *query.Receipt) {
	*r = query.Receipt{Segments: make([]query.SegmentWork, len(s.views))}
	for i, v := range s.views {
		state := segment.StateGrowing
		if _, sealed := v.(*segment.SealedView); sealed {
			state = segment.StateSealed
		}
		r.Segments[i] = query.SegmentWork{
			Segment: uint64(v.ID()), State: state.String(), Rows: int64(v.Rows()), Matched: int64(v.Rows()), Matching: "all", Exact: true,
		}
	}
}

// explainMatch notes how a filter was evaluated in a segment.
func explainMatch(w *query.SegmentWork, set *segment.RowSet, by segment.Matching, took time.Duration) {
	if set != nil {
		w.Matched = int64(set.Count)
	}
	w.Matching, w.Indexes, w.Compared, w.MatchIn = by.Way, by.Indexes, by.Compared, took
}

// now is the time, if somebody asks.
func (w *search) now() (t time.Time) {
	if w.Explain != nil {
		t = time.Now()
	}
	return t
}

// note adds what was done for some query vectors in a segment.
func (w *search) note(view uint32, begin time.Time, plan string, stats segment.IndexStats, queries int) {
	if w.Explain == nil {
		return
	}
	if w.Parallel > 1 {
		w.mu.Lock()
		defer w.mu.Unlock()
	}
	s := &w.Explain.Segments[view]
	if s.Plans == nil {
		s.Plans = map[string]int{}
	}
	s.Plans[plan] += queries
	s.Visited += int64(stats.Hops)
	s.Scored += int64(stats.Distances)
	s.Refined += int64(stats.Exact)
	s.Exact = s.Exact && stats.Certain
	s.FoundIn += time.Since(begin)
}
