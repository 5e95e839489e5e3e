package filter_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

const benchRows = 16 << 10 // a chunk of 128 KiB of Int64

func benchBlock(b testing.TB) (*filter.Block, *schema.Schema) {
	rnd := rand.New(rand.NewPCG(1, 2))
	ids, years, prices := make([]int64, benchRows), make([]int64, benchRows), make([]float32, benchRows)
	titles, metas, valid := make([]string, benchRows), make([][]byte, benchRows), make([]bool, benchRows)
	for i := range ids {
		ids[i] = int64(i)
		years[i] = rnd.Int64N(1000)
		prices[i] = rnd.Float32()
		titles[i] = fmt.Sprintf("%s-%d", pick(rnd, []string{"noir", "western", "comedy", "documentary"}), rnd.IntN(1000))
		metas[i] = fmt.Appendf(nil, `{"title":"a film of %d","year":%d,"director":{"name":"someone","born":%d},"tags":["x","y"]}`, i, rnd.IntN(100), rnd.IntN(100))
		valid[i] = rnd.IntN(10) > 0
	}
	return blockOf(b, schema.New("bench").With(
		schema.Int64("id").PrimaryKey(), schema.Int64("year"), schema.Int64("old").Nullable(), schema.Float("price"), schema.VarChar("title", 100), schema.JSON("meta"),
		schema.FloatVector("v", 2)),
		column.Int64("id", ids), column.Int64("year", years), column.Int64("old", years).WithValid(valid), column.Float("price", prices), column.VarChar("title", titles),
		column.JSON("meta", metas), column.FloatVectorFlat("v", 2, make([]float32, 2*benchRows)))
}

// BenchmarkEval is of one core; ns/row is what counts.
func BenchmarkEval(b *testing.B) {
	block, s := benchBlock(b)
	list := func(n, step int64) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprint(i*step))
		}
		return strings.Join(parts, ", ")
	}
	for _, c := range []struct{ name, expr string }{
		{"int64", "year < 500"},
		{"int64-nullable", "old < 500"},
		{"int64-range", "100 < year <= 200"},
		{"float", "price >= 0.5"},
		{"and", "year < 500 and price >= 0.5"},
		{"modulo", "year % 7 == 3"},
		{"in-10", "year in [" + list(10, 97) + "]"},
		{"in-1000", "year in [" + list(1000, 3) + "]"},
		{"in-10-far", "year in [" + list(10, 1e12+1) + "]"},
		{"in-1000-far", "year in [" + list(1000, 1e12+1) + "]"},
		{"string", "title == 'noir-500'"},
		{"string-in-10", "title in ['noir-1', 'noir-2', 'noir-3', 'noir-4', 'noir-5', 'western-6', 'western-7', 'comedy-8', 'comedy-9', 'x']"},
		{"prefix", "title like 'west%'"},
		{"infix", "title like '%ster%'"},
		{"json", "meta['director']['born'] < 50"},
		{"json-and", "year < 10 and meta['director']['born'] < 50 and meta['year'] > 3"},
		{"text", "text_match(title, 'western')"},
	} {
		b.Run(c.name, func(b *testing.B) {
			e, err := filter.Parse(c.expr, s, nil)
			require.NoError(b, err)
			words := make([]uint64, benchRows/64)
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, e.Eval(block, words))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
		})
	}
}

// BenchmarkNaive is what one would write without the package: a closure asked row by row, over Go slices.
func BenchmarkNaive(b *testing.B) {
	block, s := benchBlock(b)
	get := func(name string) *column.Column {
		f, _ := s.Field(name)
		d, err := block.Column(f)
		require.NoError(b, err)
		return column.FromData(f, d)
	}
	years, titles := get("year").Int64s(), get("title").Strings()
	set := map[int64]bool{}
	for i := range 1000 {
		set[int64(i*3)] = true
	}
	metas := get("meta")
	for _, c := range []struct {
		name  string
		match func(row int) bool
	}{
		{"int64", func(row int) bool { return years[row] < 500 }},
		{"in-1000", func(row int) bool { return set[years[row]] }},
		{"string", func(row int) bool { return titles[row] == "noir-500" }},
		{"prefix", func(row int) bool { return strings.HasPrefix(titles[row], "west") }},
		{"json", func(row int) bool { return naiveBorn(metas, row) < 50 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			words := make([]uint64, benchRows/64)
			b.ReportAllocs()
			for b.Loop() {
				clear(words)
				for i := range benchRows {
					if c.match(i) {
						words[i/64] |= 1 << (i % 64)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
		})
	}
}

func BenchmarkParse(b *testing.B) {
	_, s := benchBlock(b)
	ids := make([]int64, 10000)
	for i := range ids {
		ids[i] = int64(i) * 7
	}
	text := strings.ReplaceAll(strings.Trim(fmt.Sprint(ids), "[]"), " ", ", ")
	for _, c := range []struct{ name, expr string }{
		{"short", "year > 1990 and title like 'w%'"},
		{"in-10000", "id in [" + text + "]"},
		{"template-10000", "id in {ids}"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := filter.Parse(c.expr, s, map[string]any{"ids": ids})
				require.NoError(b, err)
			}
		})
	}
}

func naiveBorn(metas *column.Column, row int) int {
	var v struct {
		Director struct{ Born int } `json:"director"`
	}
	if json.Unmarshal(metas.Value(row).([]byte), &v) != nil {
		return 1000
	}
	return v.Director.Born
}
