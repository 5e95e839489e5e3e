package engine

import (
	"context"
	"fmt"
	"iter"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// Query returns the entities that a filter lets through, in the order of their primary keys or of the fields that the request names, at most query.MaxLimit
// of them: for more, and for results that are larger than memory, use Iterate or QueryIterator. By primary keys, see Get.
func (p *Partition) Query(ctx context.Context, req *query.Select) (*column.Rows, error) {
	return p.c.query(ctx, req, []*Partition{p}, p.selected(req))
}

// Query returns the entities of the whole collection, or of the partitions that the request names; see Partition.Query.
func (c *Collection) Query(ctx context.Context, req *query.Select) (*column.Rows, error) {
	parts, err := c.selected(req)
	return c.query(ctx, req, parts, err)
}

// Iterate goes through the entities that a filter lets through, in the order of their primary keys, as of the moment the loop begins. An error
// ends the loop as its last pair. Breaking out releases the snapshot.
func (p *Partition) Iterate(ctx context.Context, req *query.Select) iter.Seq2[column.Row, error] {
	return func(yield func(column.Row, error) bool) {
		p.c.iterateWhere(ctx, req, []*Partition{p}, p.selected(req), yield)
	}
}

// Iterate goes through the entities of the whole collection, or of the partitions that the request names; see Partition.Iterate.
func (c *Collection) Iterate(ctx context.Context, req *query.Select) iter.Seq2[column.Row, error] {
	return func(yield func(column.Row, error) bool) {
		parts, err := c.selected(req)
		c.iterateWhere(ctx, req, parts, err, yield)
	}
}

// CountWhere is the number of entities that a filter lets through, growing ones included. Limit and offset do not count.
func (p *Partition) CountWhere(ctx context.Context, req *query.Select) (int64, error) {
	return p.c.countWhere(ctx, req, []*Partition{p}, p.selected(req))
}

// CountWhere counts in the whole collection, or in the partitions that the request names; see Partition.CountWhere.
func (c *Collection) CountWhere(ctx context.Context, req *query.Select) (int64, error) {
	parts, err := c.selected(req)
	return c.countWhere(ctx, req, parts, err)
}

// DeleteWhere deletes the entities that a filter lets through, all of them or none: they are found in a snapshot, and then deleted by their
// primary keys in one call of Delete. A filter that is empty or always true is refused: to delete everything, say query.All(). So are more
// entities than one call may name, see Options.BatchBytes. Where a key may have several rows, all of them go.
func (p *Partition) DeleteWhere(ctx context.Context, req *query.Select) (WriteResult, error) {
	keys, err := p.c.keysWhere(ctx, req, []*Partition{p}, p.selected(req))
	if err != nil || keys.Len() == 0 {
		return WriteResult{}, wrap("delete", err)
	}
	return p.Delete(ctx, keys)
}

// DeleteWhere deletes from the whole collection; see Partition.DeleteWhere. Partitions cannot be named: delete from each of them.
func (c *Collection) DeleteWhere(ctx context.Context, req *query.Select) (WriteResult, error) {
	parts, err := c.selected(req)
	if err == nil && len(parts) > 0 {
		err = schema.Invalid("", req.PartitionNames(), "a delete from a collection names no partitions")
	}
	keys, err := c.keysWhere(ctx, req, nil, err)
	if err != nil || keys.Len() == 0 {
		return WriteResult{}, wrap("delete", err)
	}
	return c.Delete(ctx, keys)
}

func (p *Partition) selected(req *query.Select) error {
	if err := p.usable(); err != nil {
		return err
	}
	if req == nil {
		return schema.Invalid("", nil, "no selection given")
	}
	if len(req.PartitionNames()) > 0 {
		return schema.Invalid("", req.PartitionNames(), "a selection from one partition names no others: select from the collection")
	}
	return nil
}

func (c *Collection) selected(req *query.Select) ([]*Partition, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	if req == nil {
		return nil, schema.Invalid("", nil, "no selection given")
	}
	return c.some(req.PartitionNames())
}

// match takes a snapshot and finds the rows of a selection in it. The caller releases the snapshot.
func (c *Collection) match(ctx context.Context, req *query.Select, parts []*Partition) (*query.SelectPlan, *partition.Snapshot, *partition.Matches, error) {
	plan, err := req.Check(c.Schema())
	if err != nil {
		return nil, nil, nil, err
	}
	defer timed(plan.Explain)()
	s, err := c.acquire(parts)
	if err != nil {
		return nil, nil, nil, err
	}
	release, err := c.e.queryRoom(ctx, s.SearchBytes(0, 0, plan.Filter != nil))
	if err != nil {
		s.Release()
		return nil, nil, nil, err
	}
	m, err := s.Match(ctx, plan.Filter, plan.Explain)
	release()
	if err != nil {
		s.Release()
		return nil, nil, nil, err
	}
	return plan, s, m, nil
}

func (c *Collection) query(ctx context.Context, req *query.Select, parts []*Partition, err error) (*column.Rows, error) {
	if err != nil {
		return nil, wrap("query", err)
	}
	rows, err := c.tryQuery(ctx, req, parts)
	return rows, wrap("query", err)
}

func (c *Collection) tryQuery(ctx context.Context, req *query.Select, parts []*Partition) (*column.Rows, error) {
	plan, s, m, err := c.match(ctx, req, parts)
	if err != nil {
		return nil, err
	}
	defer s.Release()
	defer timed(plan.Explain)()
	if plan.Limit > query.MaxLimit || plan.Offset > query.MaxLimit-max(plan.Limit, 1) {
		return nil, schema.Invalid("", plan.Limit, "limit and offset of a query must be at most %d together: iterate", query.MaxLimit)
	}
	limit := plan.Limit
	if limit == 0 {
		limit = query.MaxLimit - plan.Offset
	}
	if len(plan.Orders) > 0 {
		refs, err := s.Order(ctx, m, c.Schema().PrimaryKey(), plan.Orders, plan.Offset+limit)
		if err != nil {
			return nil, err
		}
		cols, err := s.Fetch(ctx, plan.Output, refs[min(plan.Offset, len(refs)):])
		return column.NewRows(cols...), err
	}
	builders := make([]*column.Builder, len(plan.Output))
	for i, f := range plan.Output {
		builders[i] = column.NewBuilder(f.Width(), f.IsNullable)
	}
	skip := plan.Offset
	err = s.Iterate(ctx, m, c.Schema().PrimaryKey(), plan.Output, func(cols []*column.Column) (bool, error) {
		n := cols[0].Len()
		lo := min(skip, n)
		skip -= lo
		hi := min(n, lo+limit)
		limit -= hi - lo
		for i, col := range cols {
			builders[i].AppendData(col.Data(), lo, hi)
		}
		return limit > 0, nil
	})
	if err != nil {
		return nil, err
	}
	cols := make([]*column.Column, len(plan.Output))
	for i, f := range plan.Output {
		cols[i] = column.FromData(f, builders[i].Data())
	}
	return column.NewRows(cols...), nil
}

func (c *Collection) iterateWhere(ctx context.Context, req *query.Select, parts []*Partition, err error, yield func(column.Row, error) bool) {
	if err != nil {
		yield(column.Row{}, wrap("iterate", err))
		return
	}
	plan, s, m, err := c.match(ctx, req, parts)
	if err != nil {
		yield(column.Row{}, wrap("iterate", err))
		return
	}
	defer s.Release()
	if err := unordered(plan); err != nil {
		yield(column.Row{}, wrap("iterate", err))
		return
	}
	skip, left, broken := plan.Offset, plan.Limit, false
	err = s.Iterate(ctx, m, c.Schema().PrimaryKey(), plan.Output, func(cols []*column.Column) (bool, error) {
		rows := column.NewRows(cols...)
		lo := min(skip, rows.Len())
		skip -= lo
		for i := lo; i < rows.Len(); i++ {
			if !yield(rows.At(i), nil) {
				broken = true
				return false, nil
			}
			if left--; left == 0 {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil && !broken {
		yield(column.Row{}, wrap("iterate", err))
	}
}

func (c *Collection) countWhere(ctx context.Context, req *query.Select, parts []*Partition, err error) (int64, error) {
	if err != nil {
		return 0, wrap("count", err)
	}
	_, s, m, err := c.match(ctx, req, parts)
	if err != nil {
		return 0, wrap("count", err)
	}
	defer s.Release()
	return m.Count(), nil
}

// keysWhere finds the keys to delete.
func (c *Collection) keysWhere(ctx context.Context, req *query.Select, parts []*Partition, err error) (column.Keys, error) {
	if err != nil {
		return column.Keys{}, err
	}
	plan, s, m, err := c.match(ctx, req, parts)
	if err != nil {
		return column.Keys{}, err
	}
	defer s.Release()
	if plan.Filter.AlwaysTrue() && !plan.All {
		return column.Keys{}, schema.Invalid("", plan.Filter.String(), "the filter of a delete lets every entity through: if that is meant, delete query.All()")
	}
	if plan.Limit > 0 || plan.Offset > 0 || len(plan.Orders) > 0 {
		return column.Keys{}, schema.Invalid("", plan.Limit, "a delete takes neither limit nor offset nor order")
	}
	most := int(c.e.opts.BatchBytes / 8)
	keys, more, err := m.Keys(ctx, c.Schema().PrimaryKey(), most)
	if err == nil && more {
		err = &schema.FieldError{
			Row: schema.NoRow, Value: plan.Filter.String(), Err: schema.ErrTooLarge,
			Reason: fmt.Sprintf("more than %d entities to delete in one call", most),
		}
	}
	return keys, err
}
