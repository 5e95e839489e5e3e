package partition

import (
	"context"
	"math/bits"
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// Group is the best hits among the entities with one value of a field.
type Group struct {
	Hits []Hit
	key  groupKey
}

// groupKey is a value of the field that groups are made by.
type groupKey struct {
	value string
	null  bool
}

func groupKeyOf(d column.Data, i int) groupKey {
	if d.IsNull(i) {
		return groupKey{null: true}
	}
	return groupKey{value: string(d.Value(i))}
}

// groupStart is the number of hits that the first look for groups asks for, at least.
const groupStart = 64

// SearchGroups finds the n.K best groups for one query, in the order of their best hits, and the best of each.
//
// It searches again and again, each time for rows not yet seen: what it finds comes in the order of the scores, so the first n.K values are the
// groups. When most of what comes is of no use, the rows that can be of none are taken out: those of full groups and, once all groups are known, of others.
func (s *Snapshot) SearchGroups(ctx context.Context, n Nearest, by query.Grouping) ([]Group, error) {
	own, err := s.ownMatches(ctx, n)
	if err != nil {
		return nil, err
	}
	g := groups{want: n.K, size: by.Size, byKey: map[groupKey]*Group{}}
	n.Matches, n.K = own, min(max(groupStart, n.K*by.Size), query.MaxLimit)
	for {
		found, err := s.Search(ctx, n)
		if err != nil {
			return nil, err
		}
		hits := found[0]
		values, err := s.Fetch(ctx, []*schema.Field{by.Field}, Refs(hits))
		if err != nil {
			return nil, err
		}
		useless := 0
		for i, h := range hits {
			if !g.add(values[0], i, h) {
				useless++
			}
		}
		if len(hits) < n.K || g.full == g.want {
			return g.sorted(n), nil
		}
		own.Remove(hits)
		if 2*useless > len(hits) {
			if err := s.keepGroups(ctx, own, by.Field, &g); err != nil {
				return nil, err
			}
		}
		n.K = min(2*n.K, query.MaxLimit)
	}
}

// ownMatches finds what a search may find, to be changed.
func (s *Snapshot) ownMatches(ctx context.Context, n Nearest) (*Matches, error) {
	var m *Matches
	if n.Filter != nil && !n.Filter.AlwaysTrue() {
		var err error
		if m, err = s.Match(ctx, n.Filter, n.Explain); err != nil {
			return nil, err
		}
	}
	return s.Own(m), nil
}

// groups are the groups found so far.
type groups struct {
	want, size int
	byKey      map[groupKey]*Group
	order      []*Group
	full       int // groups that have all the hits they may have
}

// add puts a hit into its group, if there is room.
func (g *groups) add(values *column.Column, i int, h Hit) bool {
	key := groupKeyOf(values.Data(), i)
	to := g.byKey[key]
	if to == nil {
		if len(g.order) == g.want {
			return false
		}
		to = &Group{key: key}
		g.byKey[key] = to
		g.order = append(g.order, to)
	}
	if len(to.Hits) == g.size {
		return false
	}
	if to.Hits = append(to.Hits, h); len(to.Hits) == g.size {
		g.full++
	}
	return true
}

// open reports whether a row with a value may still be of use.
func (g *groups) open(key groupKey) bool {
	if to := g.byKey[key]; to != nil {
		return len(to.Hits) < g.size
	}
	return len(g.order) < g.want
}

// sorted puts hits and groups in order, which an index gives only nearly.
func (g *groups) sorted(n Nearest) []Group {
	compare := func(a, b Hit) int {
		switch {
		case n.Metric.Better(a.Score, b.Score):
			return -1
		case n.Metric.Better(b.Score, a.Score):
			return 1
		}
		return a.Key.Compare(b.Key)
	}
	out := make([]Group, len(g.order))
	for i, x := range g.order {
		slices.SortStableFunc(x.Hits, compare)
		out[i] = *x
	}
	slices.SortStableFunc(out, func(a, b Group) int { return compare(a.Hits[0], b.Hits[0]) })
	return out
}

// keepGroups takes the rows of groups that are not open out of m.
func (s *Snapshot) keepGroups(ctx context.Context, m *Matches, f *schema.Field, g *groups) error {
	for i, v := range s.views {
		set := m.sets[i]
		if set.Count == 0 {
			continue
		}
		err := v.Scan(ctx, f, 0, v.Rows(), func(first uint32, d column.Data) error {
			for j := range d.Rows {
				row := first + uint32(j)
				if set.Has(row) && !g.open(groupKeyOf(d, j)) {
					set.Words[row/64] &^= 1 << (row % 64)
				}
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
		set.Count = 0
		for _, w := range set.Words {
			set.Count += bits.OnesCount64(w)
		}
	}
	return nil
}
