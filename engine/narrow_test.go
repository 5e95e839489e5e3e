package engine_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// ranked is a row of the collection that orders are tried on. Vectors are of small whole numbers: scores are exact and ties are many.
type ranked struct {
	id     int64
	cat    int64 // 0 is null
	label  string
	flag   bool
	age    int64
	price  float64
	v, bin []float64
}

// rankData is rows over sealed and growing segments of two partitions, some of which are dead.
type rankData struct {
	c    *engine.Collection
	rows map[int64]ranked
}

func rankedSchema() *schema.Schema {
	return schema.New("ranked").With(
		schema.Int64("id").PrimaryKey(), schema.Int64("cat").Nullable(), schema.VarChar("label", 8), schema.Bool("flag"), schema.Int64("age"),
		schema.Double("price"), schema.FloatVector("v", 4), schema.BinaryVector("bin", 16), schema.SparseFloatVector("sparse"))
}

func rankedColumns(rows []ranked) []*column.Column {
	at := func(fn func(r ranked) []float64) [][]float64 { return mapped(rows, fn) }
	v, bin := at(func(r ranked) []float64 { return r.v }), at(func(r ranked) []float64 { return r.bin })
	return []*column.Column{
		column.Int64("id", mapped(rows, func(r ranked) int64 { return r.id })),
		column.Int64("cat", mapped(rows, func(r ranked) int64 { return r.cat })).WithValid(mapped(rows, func(r ranked) bool { return r.cat != 0 })),
		column.VarChar("label", mapped(rows, func(r ranked) string { return r.label })),
		column.Bool("flag", mapped(rows, func(r ranked) bool { return r.flag })),
		column.Int64("age", mapped(rows, func(r ranked) int64 { return r.age })),
		column.Double("price", mapped(rows, func(r ranked) float64 { return r.price })),
		column.FloatVector("v", 4, mapped(v, floats)),
		column.BinaryVector("bin", 16, mapped(bin, packed)),
		column.SparseFloatVector("sparse", mapped(v, sparseOf)),
	}
}

func randomRanked(rng *rand.Rand, id int64) ranked {
	r := ranked{
		id: id, cat: rng.Int64N(6), label: fmt.Sprint("l", rng.IntN(40)), flag: rng.IntN(3) == 0, age: rng.Int64N(100), price: float64(rng.IntN(1000)) / 8,
		v: make([]float64, 4), bin: make([]float64, 16),
	}
	for i := range r.v {
		r.v[i] = float64(rng.IntN(7))
	}
	for i := range r.bin {
		r.bin[i] = float64(rng.IntN(2))
	}
	return r
}

func newRankData(t *testing.T, rng *rand.Rand, indexed bool) *rankData {
	ctx := context.Background()
	eng := openMem(t, engine.Options{})
	c, err := eng.CreateCollection(ctx, rankedSchema())
	require.NoError(t, err)
	if indexed {
		require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	}
	_, err = c.CreatePartition(ctx, "other")
	require.NoError(t, err)
	d := &rankData{c: c, rows: map[int64]ranked{}}
	id := int64(0)
	for _, name := range []string{engine.DefaultPartition, "other"} {
		part, err := c.Partition(name)
		require.NoError(t, err)
		for _, n := range []int{300, 150, 80} { // the last stays growing
			var rows []ranked
			for range n {
				id++
				rows = append(rows, randomRanked(rng, id*7919%100_003))
			}
			_, err := part.Insert(ctx, rankedColumns(rows)...)
			require.NoError(t, err)
			for _, r := range rows {
				d.rows[r.id] = r
			}
			if n > 80 {
				_, err = part.Flush(ctx)
				require.NoError(t, err)
			}
		}
	}
	var dead []int64
	for _, k := range slices.Sorted(keysOf(d.rows)) {
		if rng.IntN(7) == 0 {
			dead = append(dead, k)
			delete(d.rows, k)
		}
	}
	_, err = c.Delete(ctx, column.IntKeys(dead...))
	require.NoError(t, err)
	if indexed {
		require.NoError(t, c.WaitIndexed(ctx))
	}
	return d
}

func keysOf[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// scoredRow is a row and its score for a query.
type scoredRow struct {
	r     ranked
	score float64
}

// order is every row that fits, best first.
func (d *rankData) order(m vector.Metric, of func(r ranked) []float64, q []float64, fits func(r ranked) bool) []scoredRow {
	var out []scoredRow
	for _, r := range d.rows {
		if fits == nil || fits(r) {
			out = append(out, scoredRow{r, score(m, of(r), q)})
		}
	}
	sign := 1.0
	if m.Descending() {
		sign = -1
	}
	slices.SortFunc(out, func(a, b scoredRow) int {
		return cmp.Or(cmp.Compare(sign*a.score, sign*b.score), cmp.Compare(a.r.id, b.r.id))
	})
	return out
}

func vOf(r ranked) []float64   { return r.v }
func binOf(r ranked) []float64 { return r.bin }

func requireHits(t *testing.T, want []scoredRow, got []engine.Hit, note ...any) {
	t.Helper()
	type pair struct {
		id    int64
		score float32
	}
	w := mapped(want, func(s scoredRow) pair { return pair{s.r.id, float32(s.score)} })
	g := mapped(got, func(h engine.Hit) pair { return pair{h.Key.Int, h.Score} })
	if len(w) == 0 && len(g) == 0 {
		return
	}
	require.Equal(t, w, g, note...)
}

func TestRangeSearch(t *testing.T) {
	ctx := context.Background()
	rng := seeded(t)
	d := newRankData(t, rng, false)
	for range 60 {
		q := randomRanked(rng, 0)
		kind := []struct {
			m   vector.Metric
			of  func(r ranked) []float64
			req *query.Search
			q   []float64
		}{
			{vector.L2, vOf, query.Nearest("v", floats(q.v)), q.v},
			{vector.IP, vOf, query.Nearest("v", floats(q.v)), q.v},
			{vector.Hamming, binOf, query.Nearest("bin", packed(q.bin)), q.bin},
			{vector.IP, vOf, query.Nearest("sparse", sparseOf(q.v)), q.v},
		}[rng.IntN(4)]
		all := d.order(kind.m, kind.of, kind.q, func(r ranked) bool { return r.age < 60 })
		far := all[rng.IntN(len(all))].score // a score that rows have: the far end is out, the near end in
		near := all[rng.IntN(len(all))].score
		limit := 1 + rng.IntN(len(all))
		req := kind.req.Metric(kind.m).Limit(limit).Filter("age < 60").Radius(float32(far))
		withNear := kind.m.Better(float32(near), float32(far))
		if withNear {
			req.RangeFilter(float32(near))
		}
		want := slices.DeleteFunc(slices.Clone(all), func(s scoredRow) bool {
			x := s.score
			if kind.m.Descending() {
				return !(x > far) || withNear && !(x <= near)
			}
			return !(x < far) || withNear && !(x >= near)
		})
		got, err := d.c.Search(ctx, req)
		require.NoError(t, err)
		requireHits(t, want[:min(limit, len(want))], got, "%v radius %v range_filter %v (%v)", kind.m, far, near, withNear)
	}
	for text, req := range map[string]*query.Search{
		"range_filter needs a radius":                   query.Nearest("v", []float32{1, 2, 3, 4}).RangeFilter(3),
		"range_filter must be less than radius 3":       query.Nearest("v", []float32{1, 2, 3, 4}).Metric(vector.L2).Radius(3).RangeFilter(3),
		"range_filter must be greater than radius 3":    query.Nearest("v", []float32{1, 2, 3, 4}).Metric(vector.IP).Radius(3).RangeFilter(2),
		"radius and range_filter must be numbers":       query.Nearest("v", []float32{1, 2, 3, 4}).Radius(float32(math.NaN())),
		"digits to round scores to must be in [0, 6]":   query.Nearest("v", []float32{1, 2, 3, 4}).RoundDecimal(7),
		"a range search does not group":                 query.Nearest("v", []float32{1, 2, 3, 4}).Radius(3).GroupBy("cat"),
		"a group size needs a field":                    query.Nearest("v", []float32{1, 2, 3, 4}).GroupSize(3),
		"no such field to group by":                     query.Nearest("v", []float32{1, 2, 3, 4}).GroupBy("none"),
		"hits are grouped by an integer, Bool or":       query.Nearest("v", []float32{1, 2, 3, 4}).GroupBy("price"),
		"group size must be in [1, 163840]: with limit": query.Nearest("v", []float32{1, 2, 3, 4}).Limit(1).GroupBy("cat").GroupSize(163841),
	} {
		_, err := d.c.Search(ctx, req)
		require.ErrorIs(t, err, engine.ErrInvalid)
		require.ErrorContains(t, err, text)
	}
}

// A range over indexed segments: rows too near take the places of those wanted, and yet these are found.
func TestRangeSearchIndexed(t *testing.T) {
	ctx := context.Background()
	rng := seeded(t)
	d := newRankData(t, rng, true)
	for range 20 {
		q := randomRanked(rng, 0)
		all := d.order(vector.L2, vOf, q.v, nil)
		lo, hi := len(all)/3, 2*len(all)/3
		got, err := d.c.Search(ctx, query.Nearest("v", floats(q.v)).Metric(vector.L2).Limit(5).Radius(float32(all[hi].score)).RangeFilter(float32(all[lo].score)))
		require.NoError(t, err)
		want := slices.DeleteFunc(all, func(s scoredRow) bool { return s.score < all[lo].score || s.score >= all[hi].score })
		require.Len(t, got, min(5, len(want)))
		for _, h := range got {
			require.True(t, float64(h.Score) >= want[0].score, "no hit is too near")
		}
	}
}

func TestRoundDecimal(t *testing.T) {
	ctx := context.Background()
	d := newRankData(t, seeded(t), false)
	q := []float32{1.25, 2.5, 3.125, 0}
	exact, err := d.c.Search(ctx, query.Nearest("v", q).Limit(50))
	require.NoError(t, err)
	for digits := range 7 {
		got, err := d.c.Search(ctx, query.Nearest("v", q).Limit(50).RoundDecimal(digits))
		require.NoError(t, err)
		p := math.Pow10(digits)
		for i, h := range got {
			require.Equal(t, exact[i].Key, h.Key, "rounding does not change the order")
			require.Equal(t, float32(math.Floor(float64(exact[i].Score)*p+0.5)/p), h.Score)
		}
	}
}

func TestGroupSearch(t *testing.T) {
	ctx := context.Background()
	for name, indexed := range map[string]bool{"scan": false, "index": true} {
		t.Run(name, func(t *testing.T) {
			rng := seeded(t)
			d := newRankData(t, rng, indexed)
			for range 40 {
				q := randomRanked(rng, 0)
				field := []string{"cat", "label", "flag"}[rng.IntN(3)]
				value := func(r ranked) any {
					switch {
					case field == "label":
						return r.label
					case field == "flag":
						return r.flag
					case r.cat == 0:
						return nil
					}
					return r.cat
				}
				limit, offset, size := 1+rng.IntN(8), rng.IntN(3), 1+rng.IntN(60)
				var want []scoredRow
				var values []any
				for _, s := range d.order(vector.L2, vOf, q.v, func(r ranked) bool { return r.age >= 20 }) { // the best of each group, in order
					if !slices.Contains(values, value(s.r)) {
						values = append(values, value(s.r))
					}
				}
				values = values[min(offset, len(values)):]
				values = values[:min(limit, len(values))]
				var groups []any
				for _, v := range values {
					n := 0
					for _, s := range d.order(vector.L2, vOf, q.v, func(r ranked) bool { return r.age >= 20 && value(r) == v }) {
						if n++; n <= size {
							want, groups = append(want, s), append(groups, v)
						}
					}
				}
				req := query.Nearest("v", floats(q.v)).Metric(vector.L2).Limit(limit).Offset(offset).Filter("age >= 20").GroupBy(field).GroupSize(size).Output("label")
				got, err := d.c.Search(ctx, req)
				require.NoError(t, err)
				if indexed && size > 1 { // the order of an index is nearly that of the scores; what is in groups must be whole all the same
					require.Len(t, got, len(want))
					continue
				}
				requireHits(t, want, got, "%s limit %d offset %d size %d", field, limit, offset, size)
				for i, h := range got {
					require.Equal(t, groups[i], h.Row.Value(field))
				}
			}
		})
	}
}

func TestSearchIterator(t *testing.T) {
	ctx := context.Background()
	for name, indexed := range map[string]bool{"scan": false, "index": true} {
		t.Run(name, func(t *testing.T) {
			rng := seeded(t)
			d := newRankData(t, rng, indexed)
			q := randomRanked(rng, 0)
			want := d.order(vector.L2, vOf, q.v, func(r ranked) bool { return r.flag })
			req := query.Nearest("v", floats(q.v)).Metric(vector.L2).Filter("flag == true")
			it, err := d.c.SearchIterator(ctx, req, 7)
			require.NoError(t, err)
			defer it.Close()
			var got []engine.Hit
			for {
				hits, err := it.Next(ctx)
				if err == io.EOF {
					break
				}
				require.NoError(t, err)
				require.Equal(t, min(7, len(want)-len(got)), len(hits), "all batches but the last are full")
				got = append(got, hits...)
				// What happens meanwhile is not seen.
				_, err = d.c.Delete(ctx, column.IntKeys(want[rng.IntN(len(want))].r.id))
				require.NoError(t, err)
				if len(got)%5 == 0 {
					r := randomRanked(rng, int64(1_000_000+len(got)))
					r.v, r.flag = q.v, true
					_, err = d.c.Insert(ctx, rankedColumns([]ranked{r})...)
					require.NoError(t, err)
				}
				if len(got)%4 == 0 {
					_, err = d.c.Flush(ctx)
					require.NoError(t, err)
				}
			}
			if !indexed {
				requireHits(t, want, got)
				return
			}
			ids := func(h engine.Hit) int64 { return h.Key.Int }
			require.ElementsMatch(t, mapped(want, func(s scoredRow) int64 { return s.r.id }), mapped(got, ids), "each once")
		})
	}
	t.Run("limits", func(t *testing.T) {
		d := newRankData(t, seeded(t), false)
		it, err := d.c.SearchIterator(ctx, query.Nearest("v", []float32{1, 2, 3, 4}).Limit(10).RoundDecimal(1).Output("label"), 4)
		require.NoError(t, err)
		n := 0
		for h, err := range it.All(ctx) {
			require.NoError(t, err)
			require.Equal(t, d.rows[h.Key.Int].label, h.Row.String("label"))
			n++
		}
		require.Equal(t, 10, n)
		it.Close()
		it.Close()
		_, err = it.Next(ctx)
		require.Equal(t, io.EOF, err)
		for text, req := range map[string]*query.Search{
			"an iterator takes no offset":        query.Nearest("v", []float32{1, 2, 3, 4}).Offset(1),
			"an iterator does not group":         query.Nearest("v", []float32{1, 2, 3, 4}).GroupBy("cat"),
			"an iterator takes one query vector": query.Nearest("v", []float32{1, 2, 3, 4}, []float32{1, 2, 3, 4}),
		} {
			_, err := d.c.SearchIterator(ctx, req, 0)
			require.ErrorIs(t, err, engine.ErrInvalid)
			require.ErrorContains(t, err, text)
		}
		_, err = d.c.SearchIterator(ctx, query.Nearest("v", []float32{1, 2, 3, 4}), -1)
		require.ErrorContains(t, err, "batch of an iterator must be in [1, 16384]")
	})
}
