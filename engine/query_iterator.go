package engine

import (
	"context"
	"io"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// QueryIterator gives the entities that a filter lets through in batches, in the order of their primary keys, as of the moment it was made. It holds a
// batch of keys for each segment, a bit an entity for the filter, and a snapshot, until Close. It is not safe for concurrent use.
type QueryIterator struct {
	s     *partition.Snapshot
	walk  *partition.RowWalk
	plan  *query.SelectPlan
	batch int
	left  int
	err   error // that ended it; io.EOF at the end
}

// QueryIterator begins an iteration, batch entities at a time, 1 to 16,384; 0 stands for DefaultBatch. It goes to the end, or as far as the request's Limit.
// Iterate does the same for a loop. Close must be called.
func (p *Partition) QueryIterator(ctx context.Context, req *query.Select, batch int) (*QueryIterator, error) {
	it, err := p.c.queryIterator(ctx, req, batch, []*Partition{p}, p.selected(req))
	return it, wrap("query", err)
}

// QueryIterator iterates over the whole collection, or the partitions that the request names; see Partition.QueryIterator.
func (c *Collection) QueryIterator(ctx context.Context, req *query.Select, batch int) (*QueryIterator, error) {
	parts, err := c.selected(req)
	it, err := c.queryIterator(ctx, req, batch, parts, err)
	return it, wrap("query", err)
}

func (c *Collection) queryIterator(ctx context.Context, req *query.Select, batch int, parts []*Partition, err error) (*QueryIterator, error) {
	if err != nil {
		return nil, err
	}
	if batch, err = batchSize(batch); err != nil {
		return nil, err
	}
	plan, s, m, err := c.match(ctx, req, parts)
	if err != nil {
		return nil, err
	}
	it := &QueryIterator{s: s, plan: plan, batch: batch, left: plan.Limit}
	if it.left == 0 {
		it.left = int(^uint(0) >> 1)
	}
	if err = unordered(plan); err == nil {
		it.walk, err = s.Rows(ctx, m, c.Schema().PrimaryKey())
	}
	if err == nil {
		_, err = it.walk.Skip(ctx, plan.Offset)
	}
	if err != nil {
		s.Release()
		return nil, err
	}
	return it, nil
}

// unordered refuses an order for an iteration, which has its own.
func unordered(plan *query.SelectPlan) error {
	if len(plan.Orders) > 0 {
		return schema.Invalid(plan.Orders[0].Field.Name, nil, "an iteration is in the order of the primary keys; Query takes others")
	}
	return nil
}

// Next returns the next batch, or io.EOF when there are no more entities, or after Close. Another error ends the iterator, and is returned from then on.
func (it *QueryIterator) Next(ctx context.Context) (*column.Rows, error) {
	if it.err == nil && (it.s == nil || it.left == 0) {
		it.err = io.EOF
	}
	if it.err != nil {
		return nil, it.err
	}
	cols, err := it.walk.Next(ctx, it.plan.Output, min(it.batch, it.left))
	if err != nil {
		it.err = wrap("query", err)
		return nil, it.err
	}
	if cols == nil {
		it.err = io.EOF
		return nil, io.EOF
	}
	rows := column.NewRows(cols...)
	it.left -= rows.Len()
	return rows, nil
}

// Close gives the snapshot back. It may be called more than once.
func (it *QueryIterator) Close() {
	if it.s != nil {
		it.s.Release()
		it.s, it.walk = nil, nil
	}
}
