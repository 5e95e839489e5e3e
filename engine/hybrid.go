package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// HybridSearch finds entities by several searches at once, all as of one instant, and orders them by one score made of theirs; equal scores in the order
// of their primary keys.
func (p *Partition) HybridSearch(ctx context.Context, req *query.Hybrid) ([]Hit, error) {
	err := p.usable()
	if err == nil && req != nil && len(req.PartitionNames()) > 0 {
		err = schema.Invalid("", req.PartitionNames(), "a search of one partition names no others: search the collection")
	}
	return p.c.hybrid(ctx, req, []*Partition{p}, err)
}

// HybridSearch searches the whole collection, or the partitions that the request names; see Partition.HybridSearch.
func (c *Collection) HybridSearch(ctx context.Context, req *query.Hybrid) ([]Hit, error) {
	var parts []*Partition
	err := c.usable()
	if err == nil && req != nil {
		parts, err = c.some(req.PartitionNames())
	}
	return c.hybrid(ctx, req, parts, err)
}

func (c *Collection) hybrid(ctx context.Context, req *query.Hybrid, parts []*Partition, err error) ([]Hit, error) {
	if err == nil && req == nil {
		err = schema.Invalid("", nil, "no search given")
	}
	if err != nil {
		return nil, wrap("hybrid search", err)
	}
	hits, err := c.tryHybrid(ctx, req, parts)
	return hits, wrap("hybrid search", err)
}

func (c *Collection) tryHybrid(ctx context.Context, req *query.Hybrid, parts []*Partition) ([]Hit, error) {
	plan, err := req.Check(c.Schema(), c.fieldMetrics())
	if err != nil {
		return nil, err
	}
	s, err := c.acquireFor(parts, plan.Searches...)
	if err != nil {
		return nil, err
	}
	defer s.Release()
	f := fused{at: map[segment.RowRef]int{}}
	for i, sub := range plan.Searches {
		n, err := s.Prepare(ctx, c.nearest(sub, parts))
		if err != nil {
			return nil, err
		}
		found, err := s.Search(ctx, n)
		if err != nil {
			return nil, err
		}
		f.add(plan, i, found[0])
	}
	c.e.counters.searches.Add(1)
	if err := f.rerank(ctx, s, plan); err != nil {
		return nil, err
	}
	hits := f.sorted(plan.Ascending())
	hits = hits[min(plan.Offset, len(hits)):]
	return c.hits(ctx, s, plan.Output, plan.Decimals, hits[:min(plan.Limit, len(hits))])
}

// fused is the entities that the searches of a hybrid one found, each once.
type fused struct {
	at     map[segment.RowRef]int
	hits   []partition.Hit
	scores []float64
}

// add takes in the list of search i.
func (f *fused) add(plan *query.HybridPlan, i int, list []partition.Hit) {
	for rank, h := range list {
		part := plan.Part(i, rank+1, h.Score)
		at, ok := f.at[h.Ref()]
		if !ok {
			f.at[h.Ref()] = len(f.hits)
			f.hits, f.scores = append(f.hits, h), append(f.scores, part)
			continue
		}
		if plan.Fusion == query.FuseMax {
			f.scores[at] = max(f.scores[at], part)
		} else {
			f.scores[at] += part
		}
	}
}

// rerank multiplies the scores with decays and boosts.
func (f *fused) rerank(ctx context.Context, s *partition.Snapshot, plan *query.HybridPlan) error {
	for _, d := range plan.Decays {
		cols, err := s.Fetch(ctx, []*schema.Field{d.Field}, partition.Refs(f.hits))
		if err != nil {
			return err
		}
		values := column.NewRows(cols...)
		for i := range f.scores {
			row := values.At(i)
			v := row.Float64(d.Field.Name)
			if d.Field.Type.IsInt() {
				v = float64(row.Int64(d.Field.Name))
			}
			f.scores[i] *= d.Factor(v)
		}
	}
	for _, b := range plan.Boosts {
		m, err := s.Match(ctx, b.Filter, nil)
		if err != nil {
			return err
		}
		for i, h := range f.hits {
			if m.Has(h.Ref()) {
				f.scores[i] *= b.Weight
			}
		}
	}
	return nil
}

// sorted gives the hits with their scores, best first.
func (f *fused) sorted(ascending bool) []partition.Hit {
	order := make([]int, len(f.hits))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		c := cmp.Compare(float32(f.scores[b]), float32(f.scores[a])) // as they are given: sums of the same parts may differ in their last bits
		if ascending {
			c = -c
		}
		return cmp.Or(c, f.hits[a].Key.Compare(f.hits[b].Key))
	})
	out := make([]partition.Hit, len(order))
	for i, at := range order {
		out[i] = f.hits[at]
		out[i].Score = float32(f.scores[at])
	}
	return out
}
