package filter_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

func parse(t testing.TB, expr string, s *schema.Schema) *filter.Expr {
	t.Helper()
	e, err := filter.Parse(expr, s, templates)
	require.NoError(t, err)
	return e
}

func TestKeys(t *testing.T) {
	_, s := languageRows(t)
	for _, c := range []struct {
		expr string
		keys []int64 // nil: none are named
		only bool
	}{
		{"id == 5", []int64{5}, true},
		{"5 == id", []int64{5}, true},
		{"id in [3, 1, 3]", []int64{1, 3}, true},
		{"id in {list} and i8 > 0", []int64{1, 3}, false},
		{"i8 > 0 and (id == 1 or id in [9, 2])", []int64{1, 2, 9}, false},
		{"id in [1, 2, 3] and id in [3, 4, 1]", []int64{1, 3}, true},
		{"id == 1 and id == 2", []int64{}, true},
		{"id == 1 or i8 == 1", nil, false},
		{"id == 1 or id == 2 or id == 1", []int64{1, 2}, true},
		{"not (id == 1)", nil, false},
		{"not (id != 1)", nil, false},
		{"id not in [1]", nil, false},
		{"id != 1", nil, false},
		{"id > 1", nil, false},
		{"id + 1 == 2", nil, false},
		{"i8 == 1", nil, false},
		{"", nil, false},
		{"true or id == 1", nil, false},
	} {
		e := parse(t, c.expr, s)
		keys, ok := e.Keys()
		require.Equal(t, c.keys != nil, ok, c.expr)
		require.Equal(t, c.only, e.OnlyKeys(), c.expr)
		if ok {
			require.ElementsMatch(t, c.keys, keys.Ints, c.expr)
			require.Equal(t, len(c.keys), keys.Len())
		}
	}
	text, err := schema.New("text").With(schema.VarChar("name", 9).PrimaryKey(), schema.FloatVector("v", 2)).Finish()
	require.NoError(t, err)
	keys, ok := parse(t, "name in ['b', 'a', 'b']", text).Keys()
	require.True(t, ok)
	require.Equal(t, column.StringKeys("a", "b"), keys)
	require.True(t, parse(t, "name in []", text).AlwaysFalse())
}

// What a chunk's bounds tell, in the encoding that Stats describes.
func TestPrune(t *testing.T) {
	_, s := languageRows(t)
	i := func(v int64) []byte { return ordered(v) }
	d := func(v float64) []byte { return ordered(v) }
	all := map[string]filter.Stats{
		"id":  {Rows: 10, Min: i(-5), Max: i(5)},
		"i8":  {Rows: 10, Min: i(7), Max: i(7)},
		"i32": {Rows: 10, Nulls: 3, Min: i(1), Max: i(9)},
		"f":   {Rows: 10, Nulls: 10},
		"d":   {Rows: 10, Min: d(-0.5), Max: d(0.1)},
		"b":   {Rows: 10, Min: []byte{1}, Max: []byte{1}},
		"s":   {Rows: 10, Nulls: 1, Min: []byte("ab"), Max: []byte("b")},
		"txt": {Rows: 10, Min: []byte("noi"), Max: nil},
	}
	stats := func(f *schema.Field) (filter.Stats, bool) { st, ok := all[f.Name]; return st, ok }
	for _, c := range []struct {
		expr      string
		can, must bool
	}{
		{"id > 5", false, false},
		{"id >= 5", true, false},
		{"id < -5", false, false},
		{"id <= 5", true, true},
		{"id > -6", true, true},
		{"id == 6", false, false},
		{"id != 6", true, true},
		{"-5 <= id <= 5", true, true},
		{"-5 < id <= 5", true, false},
		{"6 <= id <= 9", false, false},
		{"id in [6, 7, -6]", false, false},
		{"id in [6, 0]", true, false},
		{"id not in [6, 7]", true, true},
		{"i8 == 7", true, true},
		{"i8 in [1, 7]", true, true},
		{"i8 != 7", false, false},
		{"not (i8 == 7)", false, false},
		{"i32 < 10", true, false},
		{"i32 > 9", false, false},
		{"not (i32 > 9)", true, false},
		{"i32 is null", true, false},
		{"i32 is not null", true, false},
		{"f == 1", false, false},
		{"not (f == 1)", false, false},
		{"f is null", true, true},
		{"f is not null", false, false},
		{"d <= 0.1", true, true},
		{"d > 0.1", false, false},
		{"d == -0.5", true, false},
		{"b", true, true},
		{"not b", false, false},
		{"s == 'aa'", false, false},
		{"s == 'abc'", true, false},
		{"s > 'b'", false, false},
		{"s <= 'b'", true, false}, // s may be null
		{"s like 'c%'", false, false},
		{"s like 'b%'", true, false},
		{"s like 'a_'", true, false},
		{"s like '%x'", true, false},
		{"s not like 'c%'", true, false},
		{"txt > 'zzz'", true, false},
		{"txt < 'no'", false, false},
		{"txt like 'mo%'", false, false},
		{"txt like 'no%'", true, false},
		{"txt like '%'", true, true},
		{"id > 5 and meta['a'] == 1", false, false},
		{"id > 5 or meta['a'] == 1", true, false},
		{"id <= 5 or meta['a'] == 1", true, true},
		{"id <= 5 and i8 == 7", true, true},
		{"id <= 5 and nums[0] == 7", true, false},
		{"id + 1 == 100", true, false},
		{"id == i8", true, false},
		{"text_match(txt, 'x')", true, false},
		{"random_sample(0.5)", true, false},
		{"", true, true},
		{"false", false, false},
	} {
		e := parse(t, c.expr, s)
		require.Equal(t, c.can, e.CanMatch(stats), c.expr)
		require.Equal(t, c.must, e.MustMatch(stats), c.expr)
	}
}

// Columns are read when they are needed, once, and not at all if the rest decides.
func TestColumnsOnDemand(t *testing.T) {
	block, s := languageRows(t)
	var read []string
	counted := &filter.Block{Rows: block.Rows, Column: func(f *schema.Field) (column.Data, error) {
		read = append(read, f.Name)
		return block.Column(f)
	}}
	for expr, want := range map[string][]string{
		"i8 == 0 and i8 < 5 and s == 'x'":                {"i8", "s"},
		"s == 'ab' and i8 == 50":                         {"i8"},
		"text_match(txt, 'x') or i8 < 200":               {"i8"},
		"meta['a'] == 1 and color == 'red' and i8 == 99": {"i8"},
		"meta['a'] == 1 and meta['b'] == 2":              {"meta"},
		"":                                               nil,
		"i8 == 1 and false":                              nil,
		"i8 is not null":                                 nil,
	} {
		read = nil
		e := parse(t, expr, s)
		rowsOf(t, e, counted)
		require.Equal(t, want, read, expr)
	}
	require.Len(t, parse(t, "i8 == 0 and i8 < 5 and (s == 'x' or color == 1)", s).Fields(), 3)
	require.Empty(t, parse(t, "i8 == 0 or true", s).Fields())
}

func TestEvalErrors(t *testing.T) {
	_, s := languageRows(t)
	broken := errors.New("broken disk")
	words := []uint64{1, 2, 3}
	for _, expr := range []string{
		"i8 == 0", "s == 'a'", "i8 + 1 == 2", "meta['a'] == 1", "i8 in [1]", "s like 'a'", "tags[0] == 'x'", "i8 == i32", "i8 * 2.5 > 1", "text_match(txt, 'x')", "phrase_match(txt, 'x')",
		"i32 is null", "array_contains(nums, 1)", "exists color", "id == 1 or i8 == 0",
	} {
		e := parse(t, expr, s)
		err := e.Eval(&filter.Block{Rows: 150, Column: func(*schema.Field) (column.Data, error) { return column.Data{}, broken }}, words)
		require.ErrorIs(t, err, broken, expr)
		require.Equal(t, []uint64{0, 0, 0}, words)
		for _, d := range []column.Data{
			{},
			{Rows: 150, Width: 16, Fixed: make([]byte, 2400)},
			{Rows: 149, Width: 1, Fixed: make([]byte, 149)},
			{Rows: 150, Width: 1, Fixed: make([]byte, 149)},
			{Rows: 150, Width: 8, Fixed: make([]byte, 1199)},
			{Rows: 150, Width: 4, Fixed: make([]byte, 599)},
			{Rows: 150, Width: 1, Fixed: make([]byte, 150), Valid: make([]byte, 149)},
			{Rows: 150, Offs: make([]uint32, 150)},
			{Rows: 150, Offs: append(make([]uint32, 150), 9), Bytes: make([]byte, 8)},
		} {
			err := e.Eval(&filter.Block{Rows: 150, Column: func(*schema.Field) (column.Data, error) { return d, nil }}, words)
			require.ErrorContains(t, err, "a block of 150 rows", "%s %v", expr, d)
		}
	}
}

// Values may lie at any address, tables being what they are, and rows may begin anywhere in a column.
func TestMisaligned(t *testing.T) {
	_, s := languageRows(t)
	const n = 5000
	rnd := rand.New(rand.NewPCG(1, 1))
	widths := map[string]int{"id": 8, "i32": 4, "f": 4, "d": 8, "i8": 1}
	cols := map[string]column.Data{}
	for name, w := range widths {
		buf := make([]byte, 1+n*w)
		for i := range n {
			v := rnd.IntN(100) - 50
			switch name {
			case "id":
				binary.LittleEndian.PutUint64(buf[1+i*w:], uint64(v))
			case "i32":
				binary.LittleEndian.PutUint32(buf[1+i*w:], uint32(v))
			case "f":
				binary.LittleEndian.PutUint32(buf[1+i*w:], math.Float32bits(float32(v)))
			case "d":
				binary.LittleEndian.PutUint64(buf[1+i*w:], math.Float64bits(float64(v)))
			case "i8":
				buf[1+i*w] = byte(v)
			}
		}
		cols[name] = column.Data{Width: w, Rows: n, Fixed: buf[1:]}
	}
	for name := range widths {
		e := parse(t, fmt.Sprintf("%s > 3 or %s + 1 == -4 or %s in [-7, -9, 100]", name, name, name), s)
		for _, from := range []int{0, 1, 63, 100} {
			d := cols[name].Slice(from, n)
			got := map[int]bool{}
			for _, i := range rowsOf(t, e, &filter.Block{Rows: n - from, Column: func(*schema.Field) (column.Data, error) { return d, nil }}) {
				got[i] = true
			}
			f, _ := s.Field(name)
			c := column.FromData(f, d)
			for i := range n - from {
				v, _ := number(plain(c.Value(i)))
				require.Equal(t, v > 3 || v == -5 || v == -7 || v == -9, got[i], "%s %d", name, i)
			}
		}
	}
}

// One Expr serves many goroutines.
func TestConcurrent(t *testing.T) {
	b, s := languageRows(t)
	e := parse(t, "i8 + 1 > 0 and (meta['a'] == 1 or s like 'a%' or tags[0] == 'x') or text_match(txt, 'brown') or i8 in [5, 1000000000]", s)
	want := rowsOf(t, e, b)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			words := make([]uint64, 1)
			for range 200 {
				if err := e.Eval(b, words); err != nil || words[0] == 0 {
					t.Error("a goroutine got", words, err)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, want, rowsOf(t, e, b))
}

// phrase_match against its definition: some choice of places, a different one for each token, whose shifts differ by slop at most.
func TestPhrase(t *testing.T) {
	s, err := schema.New("texts").With(schema.Int64("id").PrimaryKey(), schema.VarChar("x", 1000), schema.FloatVector("v", 2)).Finish()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 8)
		text, query := words.Draw(t, "text"), words.Draw(t, "query")
		query = query[:min(4, len(query))]
		slop := rapid.IntRange(0, 4).Draw(t, "slop")
		var fits func(i, lo, hi int, used uint) bool
		fits = func(i, lo, hi int, used uint) bool {
			if i == len(query) {
				return i > 0
			}
			for at, w := range text {
				if w == query[i] && used>>at&1 == 0 {
					l, h := min(lo, at-i), max(hi, at-i)
					if h-l <= slop && fits(i+1, l, h, used|1<<at) {
						return true
					}
				}
			}
			return false
		}
		e, err := filter.Parse(fmt.Sprintf("phrase_match(x, '%s', %d)", strings.Join(query, ", "), slop), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw := []byte(strings.ToUpper(strings.Join(text, " - ")))
		block := &filter.Block{Rows: 1, Column: func(*schema.Field) (column.Data, error) {
			return column.Data{Rows: 1, Offs: []uint32{0, uint32(len(raw))}, Bytes: raw}, nil
		}}
		if want := fits(0, 100, -100, 0); want != (len(rowsOf(t, e, block)) > 0) {
			t.Fatalf("%v in %v, slop %d: want %v", query, text, slop, want)
		}
	})
}

// Remainders, which are computed without a division, against Go's.
func TestModulo(t *testing.T) {
	_, s := languageRows(t)
	edges := []int64{0, 1, 2, 3, 7, 10, 255, 256, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1<<53 + 1, math.MaxInt64 - 1, math.MaxInt64}
	values := make([]int64, 0, 2000)
	for _, v := range edges {
		values = append(values, v, -v)
	}
	values = append(values, math.MinInt64)
	rnd := rand.New(rand.NewPCG(2, 2))
	for range 1000 {
		values = append(values, rnd.Int64N(1<<33)-1<<32)
	}
	d := column.Int64("id", values).Data()
	block := &filter.Block{Rows: len(values), Column: func(*schema.Field) (column.Data, error) { return d, nil }}
	for _, m := range append(edges[1:], -1, -2, -7, math.MinInt64, 1000003) {
		for _, rest := range []int64{0, 1, -1, m / 2, m - 1, 1 - m} {
			e, err := filter.Parse("id % {m} == {rest}", s, map[string]any{"m": m, "rest": rest})
			require.NoError(t, err)
			want := []int{}
			for i, v := range values {
				if v%m == rest {
					want = append(want, i)
				}
			}
			require.Equal(t, want, rowsOf(t, e, block), "%% %d == %d", m, rest)
		}
	}
}

// like over many rows, where the whole column is searched at once, against its definition.
func TestLikeTogether(t *testing.T) {
	s, err := schema.New("texts").With(schema.Int64("id").PrimaryKey(), schema.VarChar("x", 1000), schema.FloatVector("v", 2)).Finish()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		texts := make([]string, rapid.IntRange(1, 300).Draw(t, "rows"))
		for i := range texts {
			for range rnd.IntN(10) {
				texts[i] += pick(rnd, []string{"a", "a", "b"})
			}
		}
		pattern := rapid.StringOfN(rapid.SampledFrom([]rune("ab")), 0, 6, -1).Draw(t, "text")
		if rapid.Bool().Draw(t, "head") {
			pattern = "%" + pattern
		}
		if rapid.Bool().Draw(t, "tail") {
			pattern += "%"
		}
		d := column.VarChar("x", texts).Data()
		block := &filter.Block{Rows: len(texts), Column: func(*schema.Field) (column.Data, error) { return d, nil }}
		for _, op := range []string{"like", "=="} {
			e, err := filter.Parse("x "+op+" {pattern}", s, map[string]any{"pattern": pattern})
			if err != nil {
				t.Fatal(err)
			}
			want := []int{}
			for i, text := range texts {
				if op == "like" && likes([]rune(text), []rune(pattern)) || text == pattern {
					want = append(want, i)
				}
			}
			require.Equal(t, want, rowsOf(t, e, block), "%s %q", op, pattern)
		}
	})
}
