package engine_test

import (
	"cmp"
	"context"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/vector"
)

// Orders of two lists by every fusion, with decays and boosts, are those of the formulas.
func TestHybridSearch(t *testing.T) {
	ctx := context.Background()
	rng := seeded(t)
	d := newRankData(t, rng, false)
	for round := range 60 {
		a, b := randomRanked(rng, 0), randomRanked(rng, 0)
		na, nb := 1+rng.IntN(60), 1+rng.IntN(60)
		lists := [][]scoredRow{
			d.order(vector.L2, vOf, a.v, func(r ranked) bool { return r.age < 70 }),
			d.order(vector.Hamming, binOf, b.bin, nil),
		}
		second := vector.Hamming
		searches := []*query.Search{
			query.Nearest("v", floats(a.v)).Metric(vector.L2).Limit(na).Filter("age < 70"),
			query.Nearest("bin", packed(b.bin)).Limit(nb),
		}
		if round%2 == 0 {
			second = vector.IP
			lists[1] = d.order(vector.IP, vOf, b.v, nil)
			searches[1] = query.Nearest("sparse", sparseOf(b.v)).Limit(nb)
		}
		lists[0], lists[1] = lists[0][:min(na, len(lists[0]))], lists[1][:min(nb, len(lists[1]))]
		norm := func(i int, s float64) float64 {
			if i == 1 && second == vector.IP {
				return 0.5 + math.Atan(s)/math.Pi
			}
			return 1 - 2*math.Atan(s)/math.Pi
		}
		w := []float64{rng.Float64(), rng.Float64()}
		req := query.NewHybrid(searches...).Limit(15).Offset(3)
		sum := func(x, y float64) float64 { return x + y }
		join, ascending := sum, false
		var part func(i, rank int, s float64) float64
		switch round % 5 {
		case 0:
			part = func(_, rank int, _ float64) float64 { return 1 / (60 + float64(rank)) }
		case 1:
			req.RRF(3.5)
			part = func(_, rank int, _ float64) float64 { return 1 / (3.5 + float64(rank)) }
		case 2:
			req.Weighted(w...)
			part = func(i, _ int, s float64) float64 { return w[i] * norm(i, s) }
		case 3:
			req.WeightedRaw(w...)
			ascending = second == vector.Hamming
			part = func(i, _ int, s float64) float64 {
				if !ascending && i == 0 {
					return w[i] * norm(i, s)
				}
				return w[i] * s
			}
		default:
			req.Decay(query.NewDecay(query.DecayExp, "age", 50, 10).Offset(5).To(0.3)).Decay(query.NewDecay(query.DecayGauss, "price", 60, 30))
			part = func(i, _ int, s float64) float64 { return norm(i, s) }
			join = math.Max
		}
		if round%3 == 0 {
			req.Boost(1.5, "flag == true").Boost(0.5, "cat in {few}", map[string]any{"few": []int64{1, 2}})
		}
		scores := map[int64]float64{}
		for i, list := range lists {
			for rank, s := range list {
				p := part(i, rank+1, s.score)
				if old, ok := scores[s.r.id]; ok {
					p = join(old, p)
				}
				scores[s.r.id] = p
			}
		}
		var want []scoredRow
		for id, s := range scores {
			r := d.rows[id]
			if round%5 == 4 {
				x := max(0, math.Abs(float64(r.age)-50)-5)
				s *= math.Exp(math.Log(0.3) / 10 * x)
				sigma2 := -30.0 * 30 / (2 * math.Log(0.5))
				s *= math.Exp(-(r.price - 60) * (r.price - 60) / (2 * sigma2))
			}
			if round%3 == 0 && r.flag {
				s *= 1.5
			}
			if round%3 == 0 && (r.cat == 1 || r.cat == 2) {
				s *= 0.5
			}
			want = append(want, scoredRow{r, s})
		}
		slices.SortFunc(want, func(x, y scoredRow) int {
			c := cmp.Compare(y.score, x.score)
			if ascending {
				c = -c
			}
			return cmp.Or(c, cmp.Compare(x.r.id, y.r.id))
		})
		want = want[min(3, len(want)):]
		want = want[:min(15, len(want))]
		got, err := d.c.HybridSearch(ctx, req.Output("label"))
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i, h := range got {
			require.InDelta(t, want[i].score, h.Score, 1e-5*(1+math.Abs(want[i].score)), "round %d place %d", round, i)
			require.InDelta(t, scoreOf(want, h), h.Score, 1e-4*(1+math.Abs(want[i].score)))
			require.Equal(t, d.rows[h.Key.Int].label, h.Row.String("label"))
		}
	}
}

// scoreOf is the oracle's score of a hit, if it is among the wanted; hits of nearly equal scores may stand in each other's place.
func scoreOf(want []scoredRow, h engine.Hit) float64 {
	for _, w := range want {
		if w.r.id == h.Key.Int {
			return w.score
		}
	}
	return float64(h.Score) // at the cut, one of equals
}

func TestHybridOfOne(t *testing.T) {
	ctx := context.Background()
	d := newRankData(t, seeded(t), false)
	q := []float64{1, 2, 3, 4}
	want := d.order(vector.L2, vOf, q, nil)[:10]
	search := func() *query.Search { return query.Nearest("v", floats(q)).Metric(vector.L2).Limit(20) }
	got, err := d.c.HybridSearch(ctx, query.NewHybrid(search()))
	require.NoError(t, err)
	requireHits(t, want, got, "the scores themselves")
	p, err := d.c.Partition("other")
	require.NoError(t, err)
	got, err = p.HybridSearch(ctx, query.NewHybrid(search()))
	require.NoError(t, err)
	direct, err := p.Search(ctx, search().Limit(10))
	require.NoError(t, err)
	require.Equal(t, mapped(direct, func(h engine.Hit) float32 { return h.Score }), mapped(got, func(h engine.Hit) float32 { return h.Score }))

	for text, req := range map[string]*query.Hybrid{
		"number of searches must be in [1, 1024]":               query.NewHybrid(),
		"search 0 of 1 is nil":                                  query.NewHybrid(nil),
		"output, partitions, offset, groups and rounding are":   query.NewHybrid(search().Output("label")),
		"constant of RRF must be in (0, 16384)":                 query.NewHybrid(search()).RRF(0),
		"2 weights are needed":                                  query.NewHybrid(search(), search()).Weighted(0.5),
		"weights must be in [0, 1]":                             query.NewHybrid(search()).Weighted(1.5),
		"a decay needs a field of numbers that is not nullable": query.NewHybrid(search()).Decay(query.NewDecay(query.DecayExp, "cat", 0, 1)),
		"scale of a decay must be greater than 0":               query.NewHybrid(search()).Decay(query.NewDecay(query.DecayExp, "age", 0, 0)),
		"a decay must fall to a factor in (0, 1)":               query.NewHybrid(search()).Decay(query.NewDecay(query.DecayExp, "age", 0, 1).To(1)),
		"weight of a boost must be a number":                    query.NewHybrid(search()).Boost(-1, "flag == true"),
		"limit must be in [1, 16384]":                           query.NewHybrid(search()).Limit(0),
		"offset + limit at most 16384":                          query.NewHybrid(search()).Limit(1).Offset(16384),
		"a search of a hybrid one takes one query vector":       query.NewHybrid(query.Nearest("v", []float32{1, 2, 3, 4}, []float32{1, 2, 3, 4})),
		"digits to round scores to must be in [0, 6]":           query.NewHybrid(search()).RoundDecimal(8),
	} {
		_, err := d.c.HybridSearch(ctx, req)
		require.ErrorIs(t, err, engine.ErrInvalid, text)
		require.ErrorContains(t, err, text)
	}
}
