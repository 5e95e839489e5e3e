package partition

import (
	"context"

	"github.com/selkiedb/selkie/query"
)

// SearchWalk finds the rows nearest to one query in batches, each row once, best first: exactly so where segments are scanned, and as nearly as
// their indexes find them elsewhere. It remembers which rows it gave as a bit a row. It is not safe for concurrent use.
type SearchWalk struct {
	s     *Snapshot
	n     Nearest
	own   *Matches
	next  []Hit
	ended bool
}

// Walk begins a walk; n.K is the number of rows that are wanted at a time. The snapshot must be held until the walk is done.
func (s *Snapshot) Walk(ctx context.Context, n Nearest) (*SearchWalk, error) {
	own, err := s.ownMatches(ctx, n)
	if err != nil {
		return nil, err
	}
	n.Matches = own
	return &SearchWalk{s: s, n: n, own: own}, nil
}

// Next returns up to k rows; fewer only at the end. Each search finds twice as many rows as the one before, so that many batches cost few searches.
func (w *SearchWalk) Next(ctx context.Context, k int) ([]Hit, error) {
	for len(w.next) < k && !w.ended {
		found, err := w.s.Search(ctx, w.n)
		if err != nil {
			return nil, err
		}
		w.next = append(w.next, found[0]...)
		w.own.Remove(found[0])
		w.ended = len(found[0]) < w.n.K
		w.n.K = min(2*w.n.K, query.MaxLimit)
	}
	k = min(k, len(w.next))
	hits := w.next[:k:k]
	if w.next = w.next[k:]; len(w.next) == 0 {
		w.next = nil
	}
	return hits, nil
}
