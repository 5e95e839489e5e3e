package engine

import (
	"context"
	"io"
	"iter"
	"math"

	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// DefaultBatch is the number of entities that an iterator gives at a time if its caller names none.
const DefaultBatch = 1000

// SearchIterator gives the entities nearest to a vector in batches, as of the moment it was made, each once: the best first, then the next best, on and on.
// Where segments are searched by an index, the order of batches is as near to that of the scores as the index's recall. It keeps a bit for each
// entity, and a snapshot, until Close. It is not safe for concurrent use.
type SearchIterator struct {
	c     *Collection
	s     *partition.Snapshot
	plan  *query.Plan
	walk  *partition.SearchWalk
	batch int
	left  int
	err   error // that ended it
}

// SearchIterator begins an iteration over the entities nearest to one vector, batch of them at a time, 1 to 16,384; 0 stands for DefaultBatch. The
// request's Limit, if it is called, is the most entities in all, of which there may be any number; it takes no Offset and no groups. Close must be called.
func (p *Partition) SearchIterator(ctx context.Context, req *query.Search, batch int) (*SearchIterator, error) {
	return p.c.searchIterator(ctx, req, batch, []*Partition{p}, p.searched(req))
}

// SearchIterator iterates over the whole collection, or the partitions that the request names; see Partition.SearchIterator.
func (c *Collection) SearchIterator(ctx context.Context, req *query.Search, batch int) (*SearchIterator, error) {
	parts, err := c.searched(req)
	return c.searchIterator(ctx, req, batch, parts, err)
}

func (c *Collection) searchIterator(ctx context.Context, req *query.Search, batch int, parts []*Partition, err error) (*SearchIterator, error) {
	if err != nil {
		return nil, wrap("search", err)
	}
	it, err := c.trySearchIterator(ctx, req, batch, parts)
	return it, wrap("search", err)
}

func (c *Collection) trySearchIterator(ctx context.Context, req *query.Search, batch int, parts []*Partition) (*SearchIterator, error) {
	if req == nil {
		return nil, schema.Invalid("", nil, "no search given")
	}
	batch, err := batchSize(batch)
	if err != nil {
		return nil, err
	}
	plan, err := req.CheckIterator(c.Schema(), c.fieldMetrics())
	if err != nil {
		return nil, err
	}
	s, err := c.acquireFor(parts, plan)
	if err != nil {
		return nil, err
	}
	it := &SearchIterator{c: c, s: s, plan: plan, batch: batch, left: plan.Limit}
	if plan.Unlimited {
		it.left = math.MaxInt
	}
	n := c.nearest(plan, parts)
	n.K = min(batch, it.left)
	if n, err = s.Prepare(ctx, n); err == nil {
		it.walk, err = s.Walk(ctx, n)
	}
	if err != nil {
		s.Release()
		return nil, err
	}
	c.e.counters.searches.Add(1)
	return it, nil
}

// batchSize checks the number of entities that an iterator is to give at a time.
func batchSize(n int) (int, error) {
	if n == 0 {
		return DefaultBatch, nil
	}
	if n < 0 || n > query.MaxLimit {
		return 0, schema.Invalid("", n, "batch of an iterator must be in [1, %d]", query.MaxLimit)
	}
	return n, nil
}

// Next returns the next batch, or io.EOF when there are no more entities, or after Close. Another error ends the iterator, and is returned from then on.
func (it *SearchIterator) Next(ctx context.Context) ([]Hit, error) {
	if it.s == nil || it.left == 0 {
		return nil, io.EOF
	}
	if it.err != nil {
		return nil, it.err
	}
	found, err := it.walk.Next(ctx, min(it.batch, it.left))
	if err != nil {
		it.err = wrap("search", err)
		return nil, it.err
	}
	if len(found) == 0 {
		it.left = 0
		return nil, io.EOF
	}
	hits, err := it.c.hits(ctx, it.s, it.plan.Output, it.plan.Decimals, found)
	if err != nil {
		it.err = wrap("search", err)
		return nil, it.err
	}
	it.left -= len(hits)
	return hits, nil
}

// All goes through what is left, hit by hit. An error ends the loop as its last pair. It does not close the iterator.
func (it *SearchIterator) All(ctx context.Context) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		for {
			hits, err := it.Next(ctx)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Hit{}, err)
				return
			}
			for _, h := range hits {
				if !yield(h, nil) {
					return
				}
			}
		}
	}
}

// Close gives the snapshot back. It may be called more than once.
func (it *SearchIterator) Close() {
	if it.s != nil {
		it.s.Release()
		it.s, it.walk = nil, nil
	}
}
