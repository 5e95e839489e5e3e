package query

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Receipt says what a request has done: see Search.Explain and Select.Explain.
type Receipt struct {
	Filter   string        // as it was understood; "" if there was none
	Segments []SegmentWork // in no particular order
	Duration time.Duration // of it all, output included
}

// SegmentWork is what a request has done in one segment. Of a search of several vectors the counts are sums.
type SegmentWork struct {
	Segment uint64 // its number; growing and sealed segments have numbers of their own
	State   string // growing (or waiting to be written), sealed
	Rows    int64  // physical rows, deleted ones included
	Matched int64  // of them, those that the filter lets through; all without a filter

	// How the rows that match were found: "all" without a filter, "keys" by the primary keys that the filter names, "kept" from the last time,
	// "index" by scalar indexes alone, "index and values", "values" by comparing, "none" where no row can match.
	Matching string
	Indexes  []string // the scalar indexes that were asked
	Compared int64    // rows whose values were looked at
	MatchIn  time.Duration

	// How the nearest of them were found, and for how many vectors so: "scan of vectors", "graph", "graph, filter after", "graph, filter inside",
	// "scan of codes", "scan of matches", "postings". Empty for a request that is no search, and where nothing matched.
	Plans   map[string]int
	Visited int64 // rows of a graph whose neighbours were looked at
	Scored  int64 // rows scored, by codes or by their vectors
	Refined int64 // of them, rows scored by their vectors
	Exact   bool  // the nearest rows are known to be the nearest: none was left out on an estimate
	FoundIn time.Duration
}

// Matched is the number of rows that the filter lets through in all segments, deleted ones included.
func (r *Receipt) Matched() (n int64) {
	for i := range r.Segments {
		n += r.Segments[i].Matched
	}
	return n
}

// Exact reports whether the answer is exact in every segment.
func (r *Receipt) Exact() bool {
	return !slices.ContainsFunc(r.Segments, func(s SegmentWork) bool { return !s.Exact })
}

// String writes the receipt in lines, one a segment.
func (r *Receipt) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d segments in %v", len(r.Segments), r.Duration.Round(time.Microsecond))
	if r.Filter != "" {
		fmt.Fprintf(&b, ", filter %s", r.Filter)
	}
	for i := range r.Segments {
		s := &r.Segments[i]
		fmt.Fprintf(&b, "\n%s %06d: %d of %d rows match, by %s", s.State, s.Segment, s.Matched, s.Rows, s.Matching)
		if len(s.Indexes) > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(s.Indexes, ", "))
		}
		fmt.Fprintf(&b, ", %d compared, in %v", s.Compared, s.MatchIn.Round(time.Microsecond))
		if len(s.Plans) == 0 {
			continue
		}
		var plans []string
		for p, n := range s.Plans {
			if n > 1 || len(s.Plans) > 1 {
				p = fmt.Sprintf("%s ×%d", p, n)
			}
			plans = append(plans, p)
		}
		slices.Sort(plans)
		word := "approximate"
		if s.Exact {
			word = "exact"
		}
		fmt.Fprintf(&b, "; %s: %d visited, %d scored, %d refined, %s, in %v",
			strings.Join(plans, ", "), s.Visited, s.Scored, s.Refined, word, s.FoundIn.Round(time.Microsecond))
	}
	return b.String()
}

// Explain has the request write what it did into r, each time anew. A request that explains itself must not be used by several goroutines at
// a time.
func (s *Search) Explain(r *Receipt) *Search {
	s.explain = r
	return s
}

// Explain has the request write what it did into r, each time anew. A request that explains itself must not be used by several goroutines at
// a time.
func (s *Select) Explain(r *Receipt) *Select {
	s.explain = r
	return s
}
