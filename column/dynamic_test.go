package column_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

var errStop = errors.New("stop")

func dynamicSchema(t testing.TB) *schema.Schema {
	return finish(t, schema.New("dyn").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)).EnableDynamicField())
}

func TestDynamicColumns(t *testing.T) {
	s := dynamicSchema(t)
	base := []*column.Column{column.Int64("id", []int64{1, 2}), column.FloatVectorFlat("v", 2, make([]float32, 4))}
	build := func(extra ...*column.Column) ([]any, error) {
		b, err := column.Build(s, append(base[:2:2], extra...), column.BuildOptions{})
		if err != nil {
			require.Nil(t, b)
			return nil, err
		}
		var texts []any
		for _, v := range values(b.Columns()[2]) {
			if text, ok := v.([]byte); ok {
				v = string(text)
			}
			texts = append(texts, v)
		}
		return texts, nil
	}
	got, err := build()
	require.NoError(t, err)
	require.Equal(t, []any{nil, nil}, got)

	// Every type, by name; the text is what encoding/json makes of the same values.
	got, err = build(
		column.VarChar("s", []string{"a\"<é>\\", ""}).WithValid([]bool{true, false}),
		column.Double("d", []float64{1e21, 1e-7}), column.Float("f", []float32{0.1, 1e-7}),
		column.Int8("i8", []int8{-1, 1}), column.Int16("i16", []int16{-1, 1}), column.Int32("i32", []int32{-1, 1}), column.Int64("i64", []int64{-1, 1 << 62}),
		column.Bool("b", []bool{true, false}), column.JSON("j", [][]byte{[]byte(` {"x": [1]} `), []byte("null")}),
		column.Array("a", [][]string{{"x", "y"}, {}}),
	)
	require.NoError(t, err)
	require.Equal(t, []any{
		`{"a":["x","y"],"b":true,"d":1e+21,"f":0.1,"i16":-1,"i32":-1,"i64":-1,"i8":-1,"j":{"x": [1]},"s":"a\"<é>\\"}`,
		`{"a":[],"b":false,"d":1e-7,"f":1e-7,"i16":1,"i32":1,"i64":4611686018427387904,"i8":1,"j":null,"s":null}`,
	}, got)

	got, err = build(column.JSON("$meta", [][]byte{[]byte(` {"k" : 1 } `), []byte("{}")}))
	require.NoError(t, err)
	require.Equal(t, []any{`{"k" : 1 }`, `{}`}, got)
	got, err = build(column.JSON("$meta", [][]byte{[]byte(`{"k":1 }`), []byte("{ }")}), column.Int8("n", []int8{1, 2}))
	require.NoError(t, err)
	require.Equal(t, []any{`{"k":1,"n":1}`, `{"n":2}`}, got)

	meta := func(first string) *column.Column { return column.JSON("$meta", [][]byte{[]byte(first), []byte("{}")}) }
	for _, c := range []struct {
		name  string
		extra []*column.Column
		at    string
		row   int
		text  string
	}{
		{"field", []*column.Column{meta(`{"a":{"id":1},"id":2}`)}, "$meta", 0, `value "id": dynamic key is the name of a field`},
		{"escaped field", []*column.Column{meta(`{"\u0069d":2}`)}, "$meta", 0, "dynamic key is the name of a field"},
		{"meta in meta", []*column.Column{meta(`{"$meta":2}`)}, "$meta", 0, "dynamic key is the name of a field"},
		{"array", []*column.Column{meta(`[1]`)}, "$meta", 0, "dynamic field takes a JSON object"},
		{"broken", []*column.Column{meta(`{`)}, "$meta", 0, "not valid JSON"},
		{"twice", []*column.Column{meta(`{"n":0}`), column.Int8("n", []int8{1, 2})}, "$meta", 0, `value "n": dynamic key is given twice`},
		{"same column", []*column.Column{column.Int8("n", []int8{1, 2}), column.Int8("n", []int8{1, 2})}, "n", -1, "given twice"},
		{"vector", []*column.Column{column.FloatVectorFlat("w", 2, make([]float32, 4))}, "w", -1, "the dynamic field takes no FloatVector column"},
		{"NaN", []*column.Column{column.Float("f", []float32{1, nan32})}, "f", 1, "not a finite number"},
		{"no name", []*column.Column{column.Float("", []float32{1, 2})}, "", -1, "dynamic key is empty"},
		{"JSON", []*column.Column{column.JSON("j", [][]byte{[]byte("1"), []byte("x")})}, "j", 1, "not valid JSON"},
		{"type", []*column.Column{column.VarChar("$meta", []string{"{}", "{}"})}, "$meta", -1, "column is VarChar, the field is JSON"},
		{"long", []*column.Column{column.VarChar("s", []string{"", strings.Repeat("x", 65530)})}, "$meta", 1, "dynamic field has 65538 bytes, at most 65536"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := build(c.extra...)
			refused(t, err, c.at, c.row, c.text)
		})
	}
}

func TestDynamicRows(t *testing.T) {
	s := dynamicSchema(t)
	row := func(extra map[string]any) map[string]any {
		extra["id"], extra["v"] = 1, []float32{1, 2}
		return extra
	}
	type point struct {
		X int `json:"x"`
	}
	b, err := column.BuildRows(s, []map[string]any{
		row(map[string]any{"z": "<é>", "a": []int{1}, "p": point{3}, "n": nil, "raw": json.RawMessage(`[1 ,2]`), "$meta": map[string]int{"m": 1}}),
		row(map[string]any{}),
		row(map[string]any{"$meta": json.RawMessage(` {} `)}),
	}, column.BuildOptions{})
	require.NoError(t, err)
	meta := b.Columns()[2].JSONs()
	require.Equal(t, `{"m":1,"a":[1],"n":null,"p":{"x":3},"raw":[1,2],"z":"<é>"}`, string(meta[0]))
	require.Nil(t, meta[1])
	require.Equal(t, `{}`, string(meta[2]))

	r := column.NewRows(b.Columns()...).At(0)
	require.Equal(t, map[string]any{"x": int64(3)}, r.Value("p"))
	require.Nil(t, r.Value("n"))
	require.True(t, r.Has("n"))
	var dst struct {
		ID int64 `milvus:"name:id"`
		P  point `milvus:"name:p"`
		N  *int  `milvus:"name:n"`
		A  any   `milvus:"name:a"`
	}
	require.NoError(t, r.Scan(&dst))
	require.Equal(t, point{3}, dst.P)
	require.Equal(t, []any{int64(1)}, dst.A)

	for _, c := range []struct {
		name  string
		extra map[string]any
		at    string
		text  string
	}{
		{"function", map[string]any{"f": func() {}}, "f", "no JSON form"},
		{"NaN", map[string]any{"f": nan64}, "f", "no JSON form"},
		{"UTF-8", map[string]any{"f": "\xff"}, "f", "string is not valid UTF-8"},
		{"bytes", map[string]any{"f": []byte("x")}, "f", "bytes are no JSON text"},
		{"key", map[string]any{"\xff": 1}, "\xff", "string is not valid UTF-8"},
		{"empty key", map[string]any{"": 1}, "", "dynamic key is empty"},
		{"twice", map[string]any{"a": 1, "$meta": map[string]int{"a": 1}}, "a", "given twice"},
		{"field", map[string]any{"$meta": map[string]int{"id": 1}}, "$meta", "dynamic key is the name of a field"},
		{"list", map[string]any{"$meta": []int{1}}, "$meta", "takes a JSON object"},
		{"long", map[string]any{"s": strings.Repeat("x", 65536)}, "$meta", "at most 65536"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := column.BuildRows(s, []map[string]any{row(map[string]any{}), row(c.extra)}, column.BuildOptions{})
			refused(t, err, c.at, 1, c.text)
		})
	}
}
