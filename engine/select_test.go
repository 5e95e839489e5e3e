package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// filtered is a row of the collection that the filters are tried on.
type filtered struct {
	id     int64
	number int64
	colour string // "" is null
	price  float64
	vec    []float32
}

var colours = []string{"", "red", "green", "blue"}

func filteredColumns(rows []filtered) []*column.Column {
	var ids, numbers []int64
	var texts []string
	var valid []bool
	var prices []float64
	var meta [][]byte
	var vecs []float32
	for _, r := range rows {
		ids, numbers, prices = append(ids, r.id), append(numbers, r.number), append(prices, r.price)
		texts, valid = append(texts, r.colour), append(valid, r.colour != "")
		meta = append(meta, fmt.Appendf(nil, `{"half": %d, "tag": "t%d"}`, r.number/2, r.number%5))
		vecs = append(vecs, r.vec...)
	}
	return []*column.Column{
		column.Int64("id", ids), column.Int64("number", numbers), column.VarChar("colour", texts).WithValid(valid), column.Double("price", prices),
		column.JSON("meta", meta), column.FloatVectorFlat("v", indexDim, vecs),
	}
}

// theFilters are expressions and what they mean.
var theFilters = map[string]func(r filtered) bool{
	"":                                      func(filtered) bool { return true },
	"id == 77":                              func(r filtered) bool { return r.id == 77 },
	"id in [1, 5, 70000, 3000]":             func(r filtered) bool { return slices.Contains([]int64{1, 5, 70000, 3000}, r.id) },
	"number < 10":                           func(r filtered) bool { return r.number < 10 },
	"number >= 990 and colour == 'red'":     func(r filtered) bool { return r.number >= 990 && r.colour == "red" },
	"colour != 'red'":                       func(r filtered) bool { return r.colour != "red" && r.colour != "" },
	"colour is null":                        func(r filtered) bool { return r.colour == "" },
	"not (colour == 'red' or price > 0.5)":  func(r filtered) bool { return r.colour != "" && r.colour != "red" && !(r.price > 0.5) },
	"colour like 'bl%' and number % 2 == 1": func(r filtered) bool { return r.colour == "blue" && r.number%2 == 1 },
	"0.25 < price <= 0.75":                  func(r filtered) bool { return 0.25 < r.price && r.price <= 0.75 },
	`meta["half"] == 100 and meta["tag"] != ""`: func(r filtered) bool { return r.number/2 == 100 },
	"id < 0": func(filtered) bool { return false },
}

func TestFilters(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	o := engine.Options{FS: fs, SegmentRows: 4_500, CompactBytes: -1}
	eng, err := engine.Open("db", &o)
	require.NoError(t, err)
	c, err := eng.CreateCollection(ctx, schema.New("c").With(
		schema.Int64("id").PrimaryKey(), schema.Int64("number"), schema.VarChar("colour", 10).Nullable(), schema.Double("price"),
		schema.JSON("meta"), schema.FloatVector("v", indexDim)))
	require.NoError(t, err)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	rng := rand.New(rand.NewPCG(11, 12))
	n := 12_000
	vecs := clustered(rng, n+20)
	model := map[int64]filtered{}
	var rows []filtered
	for i := range n {
		r := filtered{int64(i), rng.Int64N(1000), colours[rng.IntN(4)], rng.Float64(), vecs[i*indexDim : (i+1)*indexDim]}
		rows = append(rows, r)
		model[r.id] = r
	}
	for lo := 0; lo < n; lo += 2_000 {
		_, err := c.Insert(ctx, filteredColumns(rows[lo:min(lo+2_000, n)])...)
		require.NoError(t, err)
	}
	_, err = c.Delete(ctx, column.IntKeys(77, 78, 4_000, 11_999))
	require.NoError(t, err)
	for _, id := range []int64{77, 78, 4_000, 11_999} {
		delete(model, id)
	}

	check := func(t *testing.T) {
		for expr, means := range theFilters {
			var want []int64
			for _, r := range model {
				if means(r) {
					want = append(want, r.id)
				}
			}
			slices.Sort(want)
			got, err := c.CountWhere(ctx, query.Where(expr))
			require.NoError(t, err, expr)
			require.EqualValues(t, len(want), got, expr)
			var ids []int64
			for row, err := range c.Iterate(ctx, query.Where(expr).Output("number")) {
				require.NoError(t, err)
				require.Equal(t, model[row.Int64("id")].number, row.Int64("number"))
				ids = append(ids, row.Int64("id"))
			}
			require.Equal(t, want, ids, expr)
			rows, err := c.Query(ctx, query.Where(expr).Limit(7).Offset(2))
			require.NoError(t, err)
			require.Equal(t, len(want[min(2, len(want)):min(9, len(want))]), rows.Len(), expr)
			for i, row := range rows.All() {
				require.Equal(t, want[2+i], row.Int64("id"))
			}
			for q := range 5 {
				v := vecs[(n+q)*indexDim : (n+q+1)*indexDim]
				for _, exact := range []bool{false, true} {
					req := query.Nearest("v", v).Filter(expr).Limit(20).Metric(vector.L2)
					if exact {
						req.Exact()
					}
					hits, err := c.Search(ctx, req)
					require.NoError(t, err)
					require.Len(t, hits, min(20, len(want)), "%q under-returns", expr)
					for _, h := range hits {
						require.True(t, means(model[h.Key.Int]), expr)
					}
				}
			}
		}
	}
	t.Run("growing and sealing", check)
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	t.Run("sealed and indexed", check)

	res, err := c.DeleteWhere(ctx, query.Where("number < {low} or colour == {colour}", map[string]any{"low": 100, "colour": "blue"}))
	require.NoError(t, err)
	gone := 0
	for id, r := range model {
		if r.number < 100 || r.colour == "blue" {
			delete(model, id)
			gone++
		}
	}
	require.Equal(t, gone, res.Deleted)
	require.NoError(t, c.Compact(ctx))
	t.Run("after deletes and compaction", check)

	for _, expr := range []string{"", "true", "1 == 1"} {
		_, err := c.DeleteWhere(ctx, query.Where(expr))
		require.ErrorIs(t, err, engine.ErrInvalid, expr)
	}
	_, err = c.Query(ctx, query.Where("number << 'x'"))
	require.ErrorIs(t, err, engine.ErrInvalid)
	require.True(t, strings.Contains(err.Error(), "^"), "a caret shows the place: %v", err)
	_, err = c.Search(ctx, query.Nearest("v", vecs[:indexDim]).Filter("numbr > 1"))
	require.ErrorIs(t, err, engine.ErrInvalid)
	require.ErrorContains(t, err, "numbr")
	_, err = c.Query(ctx, query.Where("id > 1").Limit(16_384).Offset(1))
	require.ErrorContains(t, err, "at most 16384 together")
	res, err = c.DeleteWhere(ctx, query.Where("id < 0"))
	require.NoError(t, err)
	require.Zero(t, res.Deleted)
	require.NoError(t, eng.Close())
}
