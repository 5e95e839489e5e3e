package query

import (
	"math"

	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// Limits of a hybrid search, those of Milvus.
const (
	MaxSearches = 1024 // of one hybrid search
	DefaultRRF  = 60
	maxRRF      = 16384
)

// Hybrid asks for the entities that several searches find, in an order made of all their scores. Make it with NewHybrid; it may be used again, but not
// changed while in use.
type Hybrid struct {
	searches   []*Search
	fusion     Fusion
	rrf        float64
	weights    []float64
	decays     []*Decay
	boosts     []boost
	limit      int
	offset     int
	decimals   int // as in Search
	output     []string
	partitions []string
}

// Fusion is how the scores that one entity has in several lists become one.
type Fusion uint8

// The fusions. A score is normalised to [0, 1], greater being better: COSINE s as (1+s)/2, IP as 0.5+atan(s)/π, BM25 as 2·atan(s)/π, distances d as
// 1-2·atan(d)/π.
const (
	// FuseDefault is FuseRRF for several searches, the scores themselves for one, and FuseMax where a decay is given.
	FuseDefault Fusion = iota
	// FuseRRF sums 1/(k + rank) over the lists, rank from 1: reciprocal rank fusion (Cormack, Clarke, Büttcher, 2009).
	FuseRRF
	// FuseWeighted sums the normalised scores, each times its list's weight.
	FuseWeighted
	// FuseWeightedRaw sums the scores themselves, each times its list's weight. Where distances and similarities meet, distances are
	// normalised; where all are distances, smaller sums are better.
	FuseWeightedRaw
	// FuseMax takes the greatest normalised score.
	FuseMax
)

type boost struct {
	expr   string
	values map[string]any
	weight float64
}

// NewHybrid begins a hybrid search of one vector for each of the searches, which say by themselves how many hits each gives (Limit) and what it filters. Output
// and Partitions are the hybrid search's.
func NewHybrid(searches ...*Search) *Hybrid {
	return &Hybrid{searches: searches, limit: DefaultTopK}
}

// RRF orders by reciprocal rank fusion with the constant k, in (0, 16384). It is what several searches do if nothing else is said, with 60.
func (h *Hybrid) RRF(k float64) *Hybrid {
	h.fusion, h.rrf = FuseRRF, k
	return h
}

// Weighted orders by the sum of normalised scores, each times a weight in [0, 1]; as many weights as searches. See FuseWeighted.
func (h *Hybrid) Weighted(weights ...float64) *Hybrid {
	h.fusion, h.weights = FuseWeighted, weights
	return h
}

// WeightedRaw is Weighted without normalisation. See FuseWeightedRaw.
func (h *Hybrid) WeightedRaw(weights ...float64) *Hybrid {
	h.fusion, h.weights = FuseWeightedRaw, weights
	return h
}

// Decay multiplies each entity's score with a factor that falls with the distance of a number from an origin. It may be called several times.
func (h *Hybrid) Decay(d *Decay) *Hybrid {
	h.decays = append(h.decays, d)
	return h
}

// Boost multiplies the scores of those entities that a filter lets through with a weight. It may be called several times. Where the scores are
// distances, a weight below 1 makes them better.
func (h *Hybrid) Boost(weight float64, expr string, values ...map[string]any) *Hybrid {
	h.boosts = append(h.boosts, boost{expr, merged(values), weight})
	return h
}

// Limit is the most hits, 1 to 16,384; 10 if it is not called. Limit and Offset together are at most 16,384.
func (h *Hybrid) Limit(n int) *Hybrid {
	h.limit = n
	return h
}

// Offset skips the best hits.
func (h *Hybrid) Offset(n int) *Hybrid {
	h.offset = n
	return h
}

// RoundDecimal rounds scores; see Search.RoundDecimal.
func (h *Hybrid) RoundDecimal(n int) *Hybrid {
	h.decimals = n + 1
	return h
}

// Output names the fields that come with each hit; "*" means all. The primary key always comes.
func (h *Hybrid) Output(fields ...string) *Hybrid {
	h.output = append(h.output, fields...)
	return h
}

// Partitions limits a hybrid search of a collection to some of its partitions.
func (h *Hybrid) Partitions(names ...string) *Hybrid {
	h.partitions = append(h.partitions, names...)
	return h
}

// PartitionNames are the partitions named; none means all.
func (h *Hybrid) PartitionNames() []string { return h.partitions }

// HybridPlan is a hybrid search checked against a schema.
type HybridPlan struct {
	Searches []*Plan
	Fusion   Fusion // not FuseDefault, unless there is one search and its scores stand
	RRF      float64
	Weights  []float64
	Decays   []*DecayPlan
	Boosts   []BoostPlan
	Limit    int
	Offset   int
	Decimals int
	Output   []*schema.Field
}

// BoostPlan is a checked boost.
type BoostPlan struct {
	Filter *filter.Expr
	Weight float64
}

// Check resolves the hybrid search against a finished schema; see Search.Check.
func (h *Hybrid) Check(sch *schema.Schema, metrics map[string]vector.Metric) (*HybridPlan, error) {
	switch {
	case len(h.searches) < 1 || len(h.searches) > MaxSearches:
		return nil, schema.Invalid("", len(h.searches), "number of searches must be in [1, %d]", MaxSearches)
	case h.limit < 1 || h.limit > MaxLimit:
		return nil, schema.Invalid("", h.limit, "limit must be in [1, %d]", MaxLimit)
	case h.offset < 0 || h.offset > MaxLimit-h.limit:
		return nil, schema.Invalid("", h.offset, "offset must not be negative, and offset + limit at most %d", MaxLimit)
	case h.decimals < 0 || h.decimals > MaxDecimals+1:
		return nil, schema.Invalid("", h.decimals-1, "digits to round scores to must be in [0, %d]", MaxDecimals)
	}
	p := &HybridPlan{Fusion: h.fusion, RRF: h.rrf, Weights: h.weights, Limit: h.limit, Offset: h.offset, Decimals: h.decimals - 1}
	for i, s := range h.searches {
		switch {
		case s == nil:
			return nil, schema.Invalid("", nil, "search %d of %d is nil", i, len(h.searches))
		case len(s.vectors) != 1:
			return nil, schema.Invalid(s.field, len(s.vectors), "a search of a hybrid one takes one query vector")
		case len(s.output)+len(s.partitions) > 0 || s.offset != 0 || s.group.field != "" || s.decimals != 0:
			return nil, schema.Invalid(s.field, nil, "output, partitions, offset, groups and rounding are not for a search of a hybrid one")
		}
		plan, err := s.Check(sch, metrics)
		if err != nil {
			return nil, err
		}
		p.Searches = append(p.Searches, plan)
	}
	for _, d := range h.decays {
		plan, err := d.check(sch)
		if err != nil {
			return nil, err
		}
		p.Decays = append(p.Decays, plan)
	}
	for _, b := range h.boosts {
		if !(b.weight >= 0) || math.IsInf(b.weight, 0) {
			return nil, schema.Invalid("", b.weight, "weight of a boost must be a number that is not negative")
		}
		e, err := filter.Parse(b.expr, sch, b.values)
		if err != nil {
			return nil, err
		}
		p.Boosts = append(p.Boosts, BoostPlan{e, b.weight})
	}
	if err := p.checkFusion(); err != nil {
		return nil, err
	}
	var err error
	p.Output, err = OutputFields(sch, h.output)
	return p, err
}

func (p *HybridPlan) checkFusion() error {
	if p.Fusion == FuseDefault {
		switch {
		case len(p.Decays) > 0:
			p.Fusion = FuseMax
		case len(p.Searches) > 1:
			p.Fusion, p.RRF = FuseRRF, DefaultRRF
		}
	}
	switch p.Fusion {
	case FuseRRF:
		if !(p.RRF > 0 && p.RRF < maxRRF) {
			return schema.Invalid("", p.RRF, "constant of RRF must be in (0, %d)", maxRRF)
		}
	case FuseWeighted, FuseWeightedRaw:
		if len(p.Weights) != len(p.Searches) {
			return schema.Invalid("", len(p.Weights), "%d weights are needed, one for each search", len(p.Searches))
		}
		for _, w := range p.Weights {
			if !(w >= 0 && w <= 1) {
				return schema.Invalid("", w, "weights must be in [0, 1]")
			}
		}
	}
	return nil
}

// Ascending reports whether smaller scores of the whole are better.
func (p *HybridPlan) Ascending() bool {
	switch p.Fusion {
	case FuseDefault:
		return !p.Searches[0].Metric.Descending()
	case FuseWeightedRaw:
		for _, s := range p.Searches {
			if s.Metric.Descending() {
				return false
			}
		}
		return true
	}
	return false
}

// Part is what list i adds to the score of the entity that has a score and a rank, from 1, in it. Parts are summed, but for FuseMax, which takes the
// greatest.
func (p *HybridPlan) Part(i, rank int, score float32) float64 {
	m := p.Searches[i].Metric
	switch p.Fusion {
	case FuseRRF:
		return 1 / (p.RRF + float64(rank))
	case FuseWeighted:
		return p.Weights[i] * Normalize(m, score)
	case FuseWeightedRaw:
		if !m.Descending() && !p.Ascending() {
			return p.Weights[i] * Normalize(m, score)
		}
		return p.Weights[i] * float64(score)
	case FuseMax:
		return Normalize(m, score)
	}
	return float64(score)
}

// Normalize maps a score to [0, 1], greater being better; see Fusion.
func Normalize(m vector.Metric, score float32) float64 {
	s := float64(score)
	switch m {
	case vector.Cosine:
		return (1 + s) / 2
	case vector.IP:
		return 0.5 + math.Atan(s)/math.Pi
	case vector.BM25:
		return 2 * math.Atan(s) / math.Pi
	}
	return 1 - 2*math.Atan(s)/math.Pi
}
