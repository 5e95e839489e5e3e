package filter_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/filter/filtertest"
	"github.com/selkiedb/selkie/schema"
)

// Whatever the text: no panic, an error that can be shown, and a printed form that is stable and finds the same rows.
func FuzzParse(f *testing.F) {
	b, s := languageRows(f)
	for _, c := range filtertest.Cases() {
		f.Add(c.Expr)
	}
	for _, x := range []string{"random_sample(0.5)", "i8 in [1,,2]", "((((", "a[", "{n", "1e", "0x.p", `"\`, "i8 == - - 1", "not not", "$meta[0][1]['a']"} {
		f.Add(x)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		e, err := filter.Parse(expr, s, templates)
		if err != nil {
			var fe *filter.Error
			require.True(t, errors.As(err, &fe))
			require.ErrorIs(t, err, schema.ErrInvalid)
			require.NotEmpty(t, err.Error())
			return
		}
		e = e.WithSeed(1)
		again, err := filter.Parse(e.String(), s, nil)
		require.NoError(t, err)
		again = again.WithSeed(1)
		require.Equal(t, e.String(), again.String())
		rows := rowsOf(t, e, b)
		require.Equal(t, rows, rowsOf(t, again, b))
		keys, named := e.Keys()
		require.False(t, e.AlwaysFalse() && len(rows) > 0)
		require.False(t, e.AlwaysTrue() && len(rows) < b.Rows)
		if named {
			require.LessOrEqual(t, len(rows), keys.Len())
		}
		none := func(*schema.Field) (filter.Stats, bool) { return filter.Stats{}, false }
		require.True(t, e.CanMatch(none) || len(rows) == 0)
		require.True(t, !e.MustMatch(none) || len(rows) == b.Rows)
	})
}

// Whatever lies in a JSON column: no panic, and of valid texts what encoding/json finds.
func FuzzJSON(f *testing.F) {
	s, err := schema.New("docs").With(schema.Int64("id").PrimaryKey(), schema.JSON("doc"), schema.FloatVector("v", 2)).Finish()
	require.NoError(f, err)
	for _, text := range []string{`{"a":{"b":[1,{"c":"x"}]}}`, `{"a":1,"a":{"b":[2.5]}}`, `{"\u0061":{"b":[true,null]}}`, `[1`, `{"a":`, `{"a":{"b":["\ud83d\ude00\n"]}}`, `{"a" : {"b" : 1e400}}`} {
		f.Add([]byte(text), "x")
	}
	f.Fuzz(func(t *testing.T, text []byte, word string) {
		block := &filter.Block{Rows: 1, Column: func(*schema.Field) (column.Data, error) {
			return column.Data{Rows: 1, Offs: []uint32{0, uint32(len(text))}, Bytes: text}, nil
		}}
		find := func(expr string) bool {
			e, err := filter.Parse(expr, s, map[string]any{"word": word})
			require.NoError(t, err)
			return len(rowsOf(t, e, block)) > 0
		}
		is := find(`doc["a"]["b"][0] == {word}`)
		exists := find(`exists doc["a"]["b"][1]`)
		holds := find(`json_contains(doc["a"]["b"], {word}) or json_contains_all(doc, [[1], {word}])`)
		find(`doc["a"] + 1 > 2 or array_length(doc["a"]["b"]) == 2 or doc["a"] like "%x_" or doc in [[1, 2], "x"]`)
		var v any
		if json.Unmarshal(text, &v) != nil {
			return
		}
		at := func(v any, key string) any { m, _ := v.(map[string]any); return m[key] }
		list, _ := at(at(v, "a"), "b").([]any)
		want := len(list) > 0 && list[0] == any(word)
		require.Equal(t, len(list) > 1 && list[1] != nil, exists, "%s", text)
		if json.Valid([]byte(`"`+word+`"`)) && valid(word) { // encoding/json changes what is no UTF-8
			require.Equal(t, want, is, "%s", text)
			if want {
				require.True(t, holds)
			}
		}
	})
}

// Whatever lies in an array column: no panic.
func FuzzArray(f *testing.F) {
	s, err := schema.New("arrays").With(schema.Int64("id").PrimaryKey(), schema.Array("n", schema.TypeInt32, 4), schema.Array("s", schema.TypeVarChar, 4).MaxElementLength(9),
		schema.FloatVector("v", 2)).Finish()
	require.NoError(f, err)
	e, err := filter.Parse("n[0] == 1 or s[1] == 'x' or array_contains(n, 5) or array_contains_all(s, ['', 'y']) or array_length(n) == 3 or s[0] like '%a' or n[1] + 1 < n[0]", s, nil)
	require.NoError(f, err)
	f.Add(binary.LittleEndian.AppendUint32(nil, 1<<31))
	f.Add([]byte{2, 0, 0, 0, 1, 0, 0, 0, 'a', 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, raw []byte) {
		rowsOf(t, e, &filter.Block{Rows: 1, Column: func(*schema.Field) (column.Data, error) {
			return column.Data{Rows: 1, Offs: []uint32{0, uint32(len(raw))}, Bytes: raw}, nil
		}})
	})
}

func valid(s string) bool {
	for _, r := range s {
		if r == 0xfffd {
			return false
		}
	}
	return true
}

// random_sample takes its share, the same for the same seed, another for another, and does not depend on how rows are cut into
// blocks.
func TestSample(t *testing.T) {
	s, err := schema.New("rows").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)).Finish()
	require.NoError(t, err)
	const n = 100000
	data := make([]byte, 8*n)
	for i := range n {
		binary.LittleEndian.PutUint64(data[8*i:], uint64(i))
	}
	block := func(from, to int) *filter.Block {
		return &filter.Block{Rows: to - from, Base: uint64(from), Column: func(*schema.Field) (column.Data, error) {
			return column.Data{Width: 8, Rows: to - from, Fixed: data[8*from : 8*to]}, nil
		}}
	}
	parse := func(x string) *filter.Expr {
		e, err := filter.Parse(x, s, map[string]any{"p": 0.25})
		require.NoError(t, err)
		return e
	}
	e := parse("random_sample({p})").WithSeed(7)
	all := rowsOf(t, e, block(0, n))
	require.InDelta(t, n/4, len(all), n/100)
	require.Equal(t, all, rowsOf(t, parse("RANDOM_SAMPLE(0.25)").WithSeed(7), block(0, n)))
	require.NotEqual(t, all, rowsOf(t, e.WithSeed(8), block(0, n)))
	require.NotEqual(t, rowsOf(t, parse("random_sample(0.25)"), block(0, n)), rowsOf(t, parse("random_sample(0.25)"), block(0, n)))
	var cut []int
	for from := 0; from < n; {
		to := min(n, from+1+rand.IntN(9999))
		for _, i := range rowsOf(t, e, block(from, to)) {
			cut = append(cut, from+i)
		}
		from = to
	}
	require.Equal(t, all, cut)
	some := rowsOf(t, parse("id < 1000 and random_sample(0.25)").WithSeed(7), block(0, n))
	require.Equal(t, all[:len(some)], some)
	require.Greater(t, all[len(some)], 999)
}
