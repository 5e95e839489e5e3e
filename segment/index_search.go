package segment

import (
	"context"
	"errors"
	"time"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// IndexSearch are the choices of one search of an index. Ef and Refine are as in graph.SearchOptions.
type IndexSearch struct {
	K          int
	Ef, Refine int
	Total      int // rows of all segments that are searched for the same query, this one's included; 0: this one's
	Plan       graph.Plan
	Matches    int      // about how many rows Allowed allows; 0: it is not known
	Allowed    []uint64 // rows that may be found, bit r%64 of word r/64 for row r; nil: all
}

// IndexStats count what a search of an index did.
type IndexStats struct {
	Hops      int // rows whose neighbours were visited
	Distances int // distances by codes
	Exact     int // exact scores
	Plan      graph.Plan
	Certain   bool // no row was left out on an estimate
}

// SearchIndex appends the K live rows nearest to q by the index of the field and the query's metric, best first, equal scores by row offset.
// ok is false, and nothing is appended, if the segment has none, or has just lost it because its mapped file could not be read. Scores are
// those that q gives the vectors themselves. Errors are ctx's, those of reading vectors, and graph.ErrInvalid for choices out of range.
func (v *SealedView) SearchIndex(ctx context.Context, f *schema.Field, q *vector.Query, o IndexSearch, dst []vector.Hit) (hits []vector.Hit, stats IndexStats, ok bool, err error) {
	a := v.s.indexes.choose(f, q)
	if a == nil {
		a = v.s.early(ctx, f, q)
	}
	if a == nil {
		return dst, IndexStats{}, false, nil
	}
	defer a.release()
	if now := time.Now().Unix(); a.used.Load() != now {
		a.used.Store(now)
	}
	if err := ctx.Err(); err != nil {
		return dst, IndexStats{}, true, err
	}
	if dead := int(v.dead.Count()); dead > 0 && o.Allowed == nil {
		o.Matches = int(v.Rows()) - dead
	}
	hits, stats, err = a.ix.search(ctx, q, o, v.dead.denseWords(), dst)
	if err != nil && isIndexFault(err) {
		v.s.indexes.lose(a)
		return dst, stats, false, nil
	}
	return hits, stats, true, err
}

func isIndexFault(err error) bool {
	var fault *indexFault
	return errors.As(err, &fault)
}

// lose takes away an index that cannot be used any more.
func (x *segmentIndexes) lose(a *attachedIndex) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.find(a.spec.ID) == a {
		x.swap(a.spec.ID, nil)
	}
}

// choose returns the best index that fits, and a use of it.
func (x *segmentIndexes) choose(f *schema.Field, q *vector.Query) *attachedIndex {
	for {
		var best *attachedIndex
		for _, a := range x.all() {
			if a.spec.fits(f, q) && (best == nil || a.state > best.state || a.state == best.state && a.spec.ID > best.spec.ID) {
				best = a
			}
		}
		if best == nil || best.acquire() {
			return best
		}
	}
}
