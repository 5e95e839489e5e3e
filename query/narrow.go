package query

import (
	"math"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// rangeBounds are the scores that a range search is told to stay within.
type rangeBounds struct {
	radius, filter       float32
	hasRadius, hasFilter bool
}

// grouping is what a search is told of groups.
type grouping struct {
	field string
	size  int
}

// Limits of what a search may ask for beside its hits, those of Milvus.
const (
	MaxDecimals  = 6
	MaxGroupHits = 10 * MaxLimit // (limit + offset) × hits in a group
)

// Radius makes the search one of a range: it finds only what is nearer than score, the far end of the range. For distances (L2, HAMMING, JACCARD)
// these are scores less than it, for similarities (IP, COSINE, BM25) greater ones. Limit still holds.
func (s *Search) Radius(score float32) *Search {
	s.bounds.radius, s.bounds.hasRadius = score, true
	return s
}

// RangeFilter is the near end of a range: nothing is found that is nearer than score, but what has it is. It needs a Radius.
func (s *Search) RangeFilter(score float32) *Search {
	s.bounds.filter, s.bounds.hasFilter = score, true
	return s
}

// GroupBy makes groups of the entities with the same value of a scalar field, an integer, Bool or VarChar; null is a value too. Limit and Offset
// then count groups, in the order of their best hits, and the hits of a group follow one another. Each group has the best of its hits, as
// many as GroupSize says. The field comes with each hit.
func (s *Search) GroupBy(field string) *Search {
	s.group.field = field
	return s
}

// GroupSize is the most hits in a group: 1 if it is not called. A group has fewer only if no more entities belong to it, so what Milvus calls
// strict_group_size holds always. (Limit + Offset) × GroupSize is at most 163,840.
func (s *Search) GroupSize(n int) *Search {
	s.group.size = n
	return s
}

// RoundDecimal rounds scores to n digits after the point, 0 to 6. The order of the hits is that of the exact scores.
func (s *Search) RoundDecimal(n int) *Search {
	s.decimals = n + 1
	return s
}

// Range is the scores that may be found.
type Range struct {
	Metric vector.Metric
	Far    float32 // nothing that has it or is farther
	Near   float32 // nothing nearer; the best score there is, if no end was given
}

// Grouping is how hits are put into groups.
type Grouping struct {
	Field *schema.Field
	Size  int
}

// In reports whether a score lies in the range; nil holds all.
func (r *Range) In(score float32) bool {
	return r == nil || r.Metric.Better(score, r.Far) && !r.Metric.Better(score, r.Near)
}

// Beyond reports whether a score, and with it every worse one, lies past the far end.
func (r *Range) Beyond(score float32) bool { return r != nil && !r.Metric.Better(score, r.Far) }

// HasNear reports whether there may be scores that are too good.
func (r *Range) HasNear() bool { return r != nil && !math.IsInf(float64(r.Near), 0) }

// Round rounds a score to digits after the point: floor(score·10^digits + 0.5) / 10^digits, as Milvus does. Less than 0 digits leave it alone.
func Round(score float32, digits int) float32 {
	if digits < 0 {
		return score
	}
	p := math.Pow10(digits)
	return float32(math.Floor(float64(score)*p+0.5) / p)
}

// checkExtras resolves range, groups and digits. REQUIRES: p has field, metric, limit and offset.
func (s *Search) checkExtras(sch *schema.Schema, p *Plan) error {
	if b := s.bounds; b.hasRadius || b.hasFilter {
		if !b.hasRadius {
			return schema.Invalid(s.field, b.filter, "range_filter needs a radius")
		}
		r := &Range{Metric: p.Metric, Far: b.radius, Near: float32(math.Inf(-1))}
		side := "less"
		if p.Metric.Descending() {
			r.Near, side = float32(math.Inf(1)), "greater"
		}
		if b.hasFilter {
			r.Near = b.filter
		}
		if math.IsNaN(float64(r.Far)) || math.IsNaN(float64(r.Near)) {
			return schema.Invalid(s.field, nil, "radius and range_filter must be numbers")
		}
		if b.hasFilter && !p.Metric.Better(r.Near, r.Far) {
			return schema.Invalid(s.field, b.filter, "range_filter must be %s than radius %v with metric %v", side, b.radius, p.Metric)
		}
		p.Range = r
	}
	p.Decimals = s.decimals - 1
	if p.Decimals < -1 || p.Decimals > MaxDecimals {
		return schema.Invalid(s.field, p.Decimals, "digits to round scores to must be in [0, %d]", MaxDecimals)
	}
	return s.checkGroup(sch, p)
}

func (s *Search) checkGroup(sch *schema.Schema, p *Plan) error {
	if s.group.field == "" {
		if s.group.size != 0 {
			return schema.Invalid(s.field, s.group.size, "a group size needs a field to group by")
		}
		return nil
	}
	f, ok := sch.Field(s.group.field)
	switch {
	case !ok:
		return schema.Invalid(s.group.field, nil, "no such field to group by in collection %q", sch.Name)
	case !f.Type.IsInt() && f.Type != schema.TypeBool && f.Type != schema.TypeVarChar:
		return schema.Invalid(f.Name, f.Type, "hits are grouped by an integer, Bool or VarChar field")
	case p.Range != nil:
		return schema.Invalid(f.Name, nil, "a range search does not group")
	}
	g := &Grouping{Field: f, Size: max(s.group.size, 1)}
	if s.group.size < 0 || g.Size > MaxGroupHits/(p.Limit+p.Offset) {
		return schema.Invalid(f.Name, s.group.size, "group size must be in [1, %d]: with limit + offset groups, %d hits at most", MaxGroupHits/(p.Limit+p.Offset), MaxGroupHits)
	}
	p.Group = g
	return nil
}

// CheckIterator is Check for a search that goes on from batch to batch: of one vector, without offset and groups, and with any limit.
func (s *Search) CheckIterator(sch *schema.Schema, metrics map[string]vector.Metric) (*Plan, error) {
	switch {
	case len(s.vectors) != 1:
		return nil, schema.Invalid(s.field, len(s.vectors), "an iterator takes one query vector")
	case s.offset != 0:
		return nil, schema.Invalid(s.field, s.offset, "an iterator takes no offset")
	case s.group.field != "":
		return nil, schema.Invalid(s.group.field, nil, "an iterator does not group")
	case s.limit < 1:
		return nil, schema.Invalid(s.field, s.limit, "limit must be at least 1")
	}
	all := *s
	all.limit = min(s.limit, MaxLimit)
	p, err := all.Check(sch, metrics)
	if err != nil {
		return nil, err
	}
	p.Limit = s.limit
	return p, nil
}
