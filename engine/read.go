package engine

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// Hit is an entity that a search found.
type Hit struct {
	Key   column.Key
	Score float32    // the metric's own number: L2 squared, IP, COSINE in [-1, 1], HAMMING in bits, JACCARD as a distance
	Row   column.Row // the output fields
}

// Search finds the entities nearest to one vector, best first; equal scores in the order of their primary keys. It looks at every
// live entity, growing or sealed, as of one instant.
func (p *Partition) Search(ctx context.Context, req *query.Search) ([]Hit, error) {
	return p.c.searchOne(ctx, req, []*Partition{p}, p.searched(req))
}

// SearchMany is Search for several vectors, with a list of hits for each, all as of one instant.
func (p *Partition) SearchMany(ctx context.Context, req *query.Search) ([][]Hit, error) {
	return p.c.searchMany(ctx, req, []*Partition{p}, p.searched(req))
}

func (p *Partition) searched(req *query.Search) error {
	if err := p.usable(); err != nil {
		return err
	}
	if req != nil && len(req.PartitionNames()) > 0 {
		return schema.Invalid(req.Field(), req.PartitionNames(), "a search of one partition names no others: search the collection")
	}
	return nil
}

// Search finds the entities nearest to one vector in the whole collection or in the partitions that the request names; see
// Partition.Search.
func (c *Collection) Search(ctx context.Context, req *query.Search) ([]Hit, error) {
	parts, err := c.searched(req)
	return c.searchOne(ctx, req, parts, err)
}

// SearchMany is Search for several vectors, with a list of hits for each, all as of one instant.
func (c *Collection) SearchMany(ctx context.Context, req *query.Search) ([][]Hit, error) {
	parts, err := c.searched(req)
	return c.searchMany(ctx, req, parts, err)
}

func (c *Collection) searched(req *query.Search) ([]*Partition, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	if req == nil {
		return nil, schema.Invalid("", nil, "no search given")
	}
	return c.some(req.PartitionNames())
}

func (c *Collection) searchOne(ctx context.Context, req *query.Search, parts []*Partition, err error) ([]Hit, error) {
	if err == nil && req != nil && req.Vectors() != 1 {
		err = schema.Invalid(req.Field(), req.Vectors(), "Search takes one query vector, SearchMany takes several")
	}
	lists, err := c.searchMany(ctx, req, parts, err)
	if err != nil {
		return nil, err
	}
	return lists[0], nil
}

func (c *Collection) searchMany(ctx context.Context, req *query.Search, parts []*Partition, err error) ([][]Hit, error) {
	if err == nil && req == nil {
		err = schema.Invalid("", nil, "no search given")
	}
	if err != nil {
		return nil, wrap("search", err)
	}
	lists, err := c.search(ctx, req, parts)
	return lists, wrap("search", err)
}

// acquire takes a snapshot of partitions; nil means all that the collection has. One of these that is dropped meanwhile is left out.
func (c *Collection) acquire(parts []*Partition) (*partition.Snapshot, error) {
	if c.fixed != nil {
		if parts != nil {
			return nil, schema.Invalid("", nil, "a snapshot is of the partitions that it was taken of: name none")
		}
		return c.fixed.share()
	}
	if c.frozen != nil {
		return c.frozen.acquire(c, parts)
	}
	for {
		list := parts
		if list == nil {
			list = c.all()
		}
		s, err := partition.Acquire(c.e.env.Clock, inner(list))
		if parts != nil || !errors.Is(err, partition.ErrDropped) {
			return s, err
		}
		if err := c.usable(); err != nil {
			return nil, err
		}
	}
}

func (c *Collection) search(ctx context.Context, req *query.Search, parts []*Partition) ([][]Hit, error) {
	plan, err := req.Check(c.Schema(), c.fieldMetrics())
	if err != nil {
		return nil, err
	}
	defer timed(plan.Explain)()
	s, err := c.acquireFor(parts, plan)
	if err != nil {
		return nil, err
	}
	defer s.Release()
	release, err := c.e.queryRoom(ctx, s.SearchBytes(len(plan.Queries), plan.Limit+plan.Offset, plan.Filter != nil))
	if err != nil {
		return nil, err
	}
	defer release()
	n, err := s.Prepare(ctx, c.nearest(plan, parts))
	if err != nil {
		return nil, err
	}
	if plan.Group != nil {
		return c.searchGroups(ctx, s, plan, n)
	}
	found, err := s.Search(ctx, n)
	if err != nil {
		return nil, err
	}
	c.e.counters.searches.Add(int64(len(found)))
	out := make([][]Hit, len(found))
	for i, hits := range found {
		if out[i], err = c.hits(ctx, s, plan.Output, plan.Decimals, hits[min(plan.Offset, len(hits)):]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// acquireFor is acquire for a search: one of texts counts terms in the whole collection.
func (c *Collection) acquireFor(parts []*Partition, plans ...*query.Plan) (*partition.Snapshot, error) {
	for _, plan := range plans {
		if plan.Text != nil {
			return c.acquire(nil)
		}
	}
	return c.acquire(parts)
}

// nearest is what a checked search of partitions, nil for all, asks of a snapshot.
func (c *Collection) nearest(plan *query.Plan, parts []*Partition) partition.Nearest {
	var within []*partition.Partition
	if parts != nil && plan.Text != nil { // else the snapshot has no others
		within = inner(parts)
	}
	return partition.Nearest{
		Text: plan.Text, Within: within,
		Field: plan.Field, Key: c.Schema().PrimaryKey(), Metric: plan.Metric, K: plan.Limit + plan.Offset, Queries: plan.Queries,
		Ef: plan.Ef, RefineK: plan.RefineK, Exact: plan.Exact, Parallel: plan.Parallel, Filter: plan.Filter, Range: plan.Range,
		Explain: plan.Explain,
	}
}

// hits gives the rows that were found as the caller gets them.
func (c *Collection) hits(ctx context.Context, s *partition.Snapshot, output []*schema.Field, decimals int, found []partition.Hit) ([]Hit, error) {
	rows, err := c.output(ctx, s, output, found)
	if err != nil {
		return nil, err
	}
	out := make([]Hit, len(found))
	for i, h := range found {
		out[i] = Hit{Key: h.Key, Score: query.Round(h.Score, decimals), Row: rows.At(i)}
	}
	return out, nil
}

// searchGroups is search for a plan that groups: the hits of a group follow one another.
func (c *Collection) searchGroups(ctx context.Context, s *partition.Snapshot, plan *query.Plan, all partition.Nearest) ([][]Hit, error) {
	out := make([][]Hit, len(plan.Queries))
	for i := range out {
		n := all
		n.Queries = all.Queries[i : i+1]
		groups, err := s.SearchGroups(ctx, n, *plan.Group)
		if err != nil {
			return nil, err
		}
		var found []partition.Hit
		for _, g := range groups[min(plan.Offset, len(groups)):] {
			found = append(found, g.Hits...)
		}
		if out[i], err = c.hits(ctx, s, plan.Output, plan.Decimals, found); err != nil {
			return nil, err
		}
	}
	c.e.counters.searches.Add(int64(len(out)))
	return out, nil
}

// timed gives a receipt, if there is one, the time until what it returns is called, besides what it has.
func timed(r *query.Receipt) func() {
	if r == nil {
		return func() {}
	}
	begin := time.Now()
	return func() { r.Duration += time.Since(begin) }
}

// output reads the fields of hits. The primary key, which comes first and often alone, is known.
func (c *Collection) output(ctx context.Context, s *partition.Snapshot, fields []*schema.Field, hits []partition.Hit) (*column.Rows, error) {
	var keys column.Keys
	if fields[0].Type == schema.TypeVarChar {
		strs := make([]string, len(hits))
		for i, h := range hits {
			strs[i] = h.Key.Str
		}
		keys = column.StringKeys(strs...)
	} else {
		keys.Ints = make([]int64, len(hits))
		for i, h := range hits {
			keys.Ints[i] = h.Key.Int
		}
	}
	cols := []*column.Column{column.FromData(fields[0], keys.Data())}
	if len(fields) > 1 {
		rest, err := s.Fetch(ctx, fields[1:], partition.Refs(hits))
		if err != nil {
			return nil, err
		}
		cols = append(cols, rest...)
	}
	return column.NewRows(cols...), nil
}

// Get returns the entities with the given primary keys, in the order of the keys' values; those that are not there are left out. "*"
// outputs all fields; the primary key always comes.
func (p *Partition) Get(ctx context.Context, keys column.Keys, output ...string) (*column.Rows, error) {
	return p.c.get(ctx, keys, output, []*Partition{p}, p.usable())
}

// Get returns the entities with the given primary keys from all partitions; see Partition.Get.
func (c *Collection) Get(ctx context.Context, keys column.Keys, output ...string) (*column.Rows, error) {
	return c.get(ctx, keys, output, nil, c.usable())
}

func (c *Collection) get(ctx context.Context, keys column.Keys, output []string, parts []*Partition, err error) (*column.Rows, error) {
	if err == nil {
		err = c.checkKeys(keys)
	}
	if err != nil {
		return nil, wrap("get", err)
	}
	rows, err := c.tryGet(ctx, keys, output, parts)
	return rows, wrap("get", err)
}

func (c *Collection) tryGet(ctx context.Context, keys column.Keys, output []string, parts []*Partition) (*column.Rows, error) {
	fields, err := query.OutputFields(c.Schema(), output)
	if err != nil {
		return nil, err
	}
	s, err := c.acquire(parts)
	if err != nil {
		return nil, err
	}
	defer s.Release()
	refs, err := s.Find(ctx, keys)
	if err != nil {
		return nil, err
	}
	cols, err := s.Fetch(ctx, fields, refs)
	if err != nil {
		return nil, err
	}
	return column.NewRows(cols...), nil
}

// All iterates over every entity in the order of the primary keys, as of the moment the loop begins. An error ends the loop as
// its last pair. Breaking out releases the snapshot.
func (p *Partition) All(ctx context.Context, output ...string) iter.Seq2[column.Row, error] {
	return func(yield func(column.Row, error) bool) {
		p.c.iterate(ctx, output, []*Partition{p}, p.usable(), yield)
	}
}

// All iterates over every entity of all partitions; see Partition.All.
func (c *Collection) All(ctx context.Context, output ...string) iter.Seq2[column.Row, error] {
	return func(yield func(column.Row, error) bool) {
		c.iterate(ctx, output, nil, c.usable(), yield)
	}
}

func (c *Collection) iterate(ctx context.Context, output []string, parts []*Partition, err error, yield func(column.Row, error) bool) {
	fields, ferr := query.OutputFields(c.Schema(), output)
	if err == nil {
		err = ferr
	}
	var s *partition.Snapshot
	if err == nil {
		s, err = c.acquire(parts)
	}
	if err != nil {
		yield(column.Row{}, wrap("iterate", err))
		return
	}
	defer s.Release()
	broken := false
	err = s.Iterate(ctx, nil, c.Schema().PrimaryKey(), fields, func(cols []*column.Column) (bool, error) {
		rows := column.NewRows(cols...)
		for i := range rows.Len() {
			if !yield(rows.At(i), nil) {
				broken = true
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil && !broken {
		yield(column.Row{}, wrap("iterate", err))
	}
}

func (e *Engine) count(ctx context.Context, c *Collection, parts []*Partition) (int64, error) {
	if err := c.usable(); err != nil {
		return 0, wrap("count", err)
	}
	if err := ctx.Err(); err != nil {
		return 0, wrap("count", err)
	}
	s, err := c.acquire(parts)
	if err != nil {
		return 0, wrap("count", err)
	}
	defer s.Release()
	return s.Count(), nil
}
