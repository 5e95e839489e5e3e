package column_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

var (
	nan32, inf32 = float32(math.NaN()), float32(math.Inf(1))
	nan64        = math.NaN()
)

// wide is a schema with a field of every type; all but id may be missing.
func wide(t testing.TB) *schema.Schema {
	return finish(t, schema.New("wide").With(
		schema.Int64("id").PrimaryKey(),
		schema.Bool("flag").Nullable(),
		schema.Int8("i8").Nullable(),
		schema.Int16("i16").Nullable(),
		schema.Int32("i32").Nullable(),
		schema.Float("f").Nullable(),
		schema.Double("d").Nullable(),
		schema.VarChar("s", 8).Nullable(),
		schema.JSON("doc").Nullable(),
		schema.Array("ints", schema.TypeInt32, 3).Nullable(),
		schema.Array("floats", schema.TypeFloat, 3).Nullable(),
		schema.Array("words", schema.TypeVarChar, 3).MaxElementLength(4).Nullable(),
		schema.FloatVector("v", 2).Nullable(),
		schema.Float16Vector("h", 2).Nullable(),
		schema.BFloat16Vector("b", 2).Nullable(),
		schema.Int8Vector("q", 2).Nullable(),
		schema.BinaryVector("bits", 16).Nullable(),
		schema.SparseFloatVector("sp").Nullable(),
		schema.Int32("must"),
	))
}

// refused checks the error of a refusal: its kind, field, row and text.
func refused(t *testing.T, err error, field string, row int, text string) {
	t.Helper()
	require.ErrorIs(t, err, schema.ErrInvalid)
	var fe *schema.FieldError
	require.ErrorAs(t, err, &fe)
	require.Equal(t, field, fe.Field, err)
	require.Equal(t, row, fe.Row, err)
	require.ErrorContains(t, err, text)
}

func TestBuildRefusesColumns(t *testing.T) {
	type cols = []*column.Column
	ids, must := column.Int64("id", []int64{1, 2}), column.Int32("must", []int32{1, 2})
	with := func(c ...*column.Column) cols { return append(cols{ids, must}, c...) }
	sparse := func(v column.Sparse) cols {
		return with(column.SparseFloatVector("sp", []column.Sparse{{}, v}))
	}
	for _, c := range []struct {
		name string
		cols cols
		at   string
		row  int
		text string
	}{
		{"nothing", nil, "", -1, "batch has no rows"},
		{"no rows", cols{column.Int64("id", nil)}, "", -1, "batch has no rows"},
		{"nil column", with(nil), "", -1, "column 2 of 3 is nil"},
		{"twice", with(column.Int64("id", []int64{3, 4})), "id", -1, "given twice"},
		{"unknown", with(column.Int64("x", []int64{3, 4})), "x", -1, `collection "wide" has no such field`},
		{"missing", cols{ids}, "must", -1, "column is missing"},
		{"missing key", cols{must}, "id", -1, "column is missing"},
		{"lengths", with(column.Bool("flag", []bool{true})), "flag", -1, `column has 1 rows, column "id" has 2`},
		{"type", with(column.Int64("i32", []int64{1, 2})), "i32", -1, "column is Int64, the field is Int32"},
		{"element type", with(column.Array("ints", [][]int64{{1}, {2}})), "ints", -1, "array holds Int64, the field's elements are Int32"},
		{"dim", with(column.FloatVectorFlat("v", 4, make([]float32, 8))), "v", -1, "vectors have dim 4, the field has dim 2"},
		{"dim 0", with(column.FloatVectorFlat("v", 0, make([]float32, 8))), "v", -1, "dim"},
		{"dim 0 ragged", with(column.FloatVector("v", 0, make([][]float32, 2))), "v", -1, "dim"},
		{"flat", with(column.FloatVectorFlat("v", 2, make([]float32, 5))), "v", -1, "5 values are no multiple of the 2"},
		{"validity", with(column.Bool("flag", []bool{true, true}).WithValid([]bool{true})), "flag", -1, "validity has 1 rows, the column has 2"},
		{"ragged", with(column.FloatVector("v", 2, [][]float32{{1, 2}, {1, 2, 3}})), "v", 1, "vector has 3 elements, dim 2 takes 2"},
		{"ragged half", with(column.Float16Vector("h", 2, [][]float32{{1}, {1, 2}})), "h", 0, "vector has 1 elements, dim 2 takes 2"},
		{"ragged int8", with(column.Int8Vector("q", 2, [][]int8{{1, 2}, nil})), "q", 1, "vector has 0 elements, dim 2 takes 2"},
		{"ragged binary", with(column.BinaryVector("bits", 16, [][]byte{{1, 2}, {1}})), "bits", 1, "vector has 1 bytes, dim 16 takes 2"},
		{"raw half", with(column.Float16VectorRaw("h", 2, make([]byte, 7))), "h", -1, "7 values are no multiple of the 4"},
		{"null key", cols{column.Int64("id", []int64{1, 2}).WithValid([]bool{true, false}), must}, "id", 1, "value is null"},
		{"null", cols{ids, column.Int32("must", []int32{1, 2}).WithValid([]bool{false, true})}, "must", 0, "value is null"},
		{"NaN", with(column.Float("f", []float32{1, nan32})), "f", 1, "value NaN: value is not a finite number"},
		{"infinity", with(column.Double("d", []float64{math.Inf(-1), nan64})), "d", 0, "value -Inf: value is not a finite number"},
		{"NaN in vector", with(column.FloatVectorFlat("v", 2, []float32{1, 2, 3, nan32})), "v", 1, "value NaN: element 1 of 2 is not a finite number"},
		{"half overflow", with(column.Float16Vector("h", 2, [][]float32{{1, 65504}, {65520, 1}})), "h", 1, "value +Inf: element 0 of 2 is not a finite half float (largest 65504)"},
		{"brain overflow", with(column.BFloat16Vector("b", 2, [][]float32{{1, 1}, {1, -math.MaxFloat32}})), "b", 1, "value -Inf: element 1 of 2 is not a finite number"},
		{"raw brain NaN", with(column.BFloat16VectorRaw("b", 2, []byte{0xc0, 0x7f, 0, 0, 0, 0, 0, 0})), "b", 0, "value NaN: element 0 of 2"},
		{"long string", with(column.VarChar("s", []string{"12345678", "12345678é"})), "s", 1, `value "12345678é": string has 10 bytes, max_length is 8`},
		{"UTF-8", with(column.VarChar("s", []string{"a", "b\xff"})), "s", 1, "value 62 ff: string is not valid UTF-8, byte 1 is bad"},
		{"split UTF-8", with(column.VarChar("s", []string{"a\xc3", "\xa9"})), "s", 0, "value 61 c3: string is not valid UTF-8, byte 1 is bad"},
		{"JSON", with(column.JSON("doc", [][]byte{[]byte("{}"), []byte("{")})), "doc", 1, `value "{": value is not valid JSON`},
		{"no JSON", with(column.JSON("doc", [][]byte{[]byte("1"), nil})), "doc", 1, "not valid JSON"},
		{"JSON UTF-8", with(column.JSON("doc", [][]byte{[]byte("\"\xff\""), []byte("1")})), "doc", 0, "not valid JSON"},
		{"long JSON", with(column.JSON("doc", [][]byte{[]byte("1"), []byte(`"` + strings.Repeat("x", 65535) + `"`)})), "doc", 1, "JSON has 65537 bytes, at most 65536"},
		{"capacity", with(column.Array("ints", [][]int32{{1}, {1, 2, 3, 4}})), "ints", 1, "array has 4 elements, max_capacity is 3"},
		{"float in array", with(column.Array("floats", [][]float32{{1}, {1, inf32}})), "floats", 1, "value +Inf: element 1 of 2 is not a finite number"},
		{"word", with(column.Array("words", [][]string{{"1234", "12345"}, nil})), "words", 0, `value "12345": element 1 has 5 bytes, max_length is 4`},
		{"word UTF-8", with(column.Array("words", [][]string{{}, {"\xff"}})), "words", 1, "element 0 is not valid UTF-8"},
		{"sparse lengths", sparse(column.Sparse{Indices: []uint32{1}}), "sp", 1, "sparse vector has 1 indices and 0 values"},
		{"sparse order", sparse(column.Sparse{Indices: []uint32{1, 1}, Values: []float32{1, 1}}), "sp", 1, "value 1: index 1 of the sparse vector does not ascend, the one before is 1"},
		{"sparse index", sparse(column.Sparse{Indices: []uint32{math.MaxUint32}, Values: []float32{1}}), "sp", 1, "at most 4294967294"},
		{"sparse NaN", sparse(column.Sparse{Indices: []uint32{5}, Values: []float32{nan32}}), "sp", 1, "value NaN: value at index 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := column.Build(wide(t), c.cols, column.BuildOptions{})
			require.Nil(t, b)
			refused(t, err, c.at, c.row, c.text)
			require.NotErrorIs(t, err, schema.ErrTooLarge)
		})
	}
}

// What is wrong with a value does not matter where the row is null.
func TestNullsHideFaults(t *testing.T) {
	s := wide(t)
	second := []bool{false, true}
	null := func(c *column.Column) *column.Column { return c.WithValid(second) }
	cols := []*column.Column{
		column.Int64("id", []int64{1, 2}), column.Int32("must", []int32{1, 2}),
		null(column.Float("f", []float32{nan32, 1})), null(column.VarChar("s", []string{"far too long", "x"})),
		null(column.JSON("doc", [][]byte{nil, []byte("1")})), null(column.Array("ints", [][]int32{make([]int32, 9), {1}})),
		null(column.FloatVector("v", 2, [][]float32{nil, {1, 2}})), null(column.Float16Vector("h", 2, [][]float32{{1e9, 0}, {1, 2}})),
		null(column.SparseFloatVector("sp", []column.Sparse{{Indices: []uint32{1}}, {}})),
		null(column.BinaryVectorFlat("bits", 16, []byte{1, 2, 3, 4})),
	}
	b, err := column.Build(s, cols, column.BuildOptions{})
	require.NoError(t, err)
	for i, d := range b.Cols {
		if d.IsNull(0) {
			require.Empty(t, strings.Trim(string(d.Value(0)), "\x00"), s.Fields[i].Name)
		}
	}
	require.Equal(t, []float32{nan32, 1}[1:], b.Columns()[5].Floats()[1:])
	require.Nil(t, b.Columns()[5].Value(0))
	require.True(t, cols[2].Floats()[0] != cols[2].Floats()[0], "the caller's slice is not written to")
}

func TestBuildRefusesSize(t *testing.T) {
	s := bookSchema(t, 100)
	b, err := column.Build(s, bookColumns(10, 100), column.BuildOptions{})
	require.NoError(t, err)
	o := column.BuildOptions{MaxBytes: b.Bytes() - 1}
	_, err = column.Build(s, bookColumns(10, 100), o)
	refused(t, err, "", -1, "batch of 10 rows takes")
	require.ErrorIs(t, err, schema.ErrTooLarge)
	o.MaxBytes++
	_, err = column.Build(s, bookColumns(10, 100), o)
	require.NoError(t, err)

	_, err = column.Build(s, bookColumns(170_000, 100), column.BuildOptions{})
	refused(t, err, "", -1, "at most 67108864 are allowed")
	_, err = column.Build(s, bookColumns(170_000, 100), column.BuildOptions{MaxBytes: -1})
	require.NoError(t, err)

	// Defaults count too.
	s = finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2),
		schema.VarChar("s", 65535).Default(strings.Repeat("x", 60000))))
	_, err = column.Build(s, []*column.Column{column.Int64("id", make([]int64, 2000)), column.FloatVectorFlat("v", 2, make([]float32, 4000))}, column.BuildOptions{})
	require.ErrorIs(t, err, schema.ErrTooLarge)
	valid := make([]bool, 2000)
	_, err = column.Build(s, []*column.Column{
		column.Int64("id", make([]int64, 2000)), column.FloatVectorFlat("v", 2, make([]float32, 4000)),
		column.VarChar("s", make([]string, 2000)).WithValid(valid),
	}, column.BuildOptions{})
	require.ErrorIs(t, err, schema.ErrTooLarge)
}

func TestBuildRefusesRows(t *testing.T) {
	type m = map[string]any
	type rows = []map[string]any
	one := func(key string, v any) rows { return rows{{"id": 1, "must": 1}, {"id": 2, "must": 2, key: v}} }
	for _, c := range []struct {
		name string
		rows any
		at   string
		row  int
		text string
	}{
		{"nil", nil, "", -1, "rows must be a slice of structs or maps, not <nil>"},
		{"one map", m{"id": 1}, "", -1, "put a single row into a slice"},
		{"one struct", item{}, "", -1, "put a single row into a slice"},
		{"column", column.Int64("id", nil), "", -1, "columns are given where rows are expected"},
		{"no rows", rows{}, "", -1, "batch has no rows"},
		{"nil row", rows{{"id": 1, "must": 1}, nil}, "", 1, "row is nil"},
		{"nil pointer", []*struct{ ID int64 }{nil}, "", 0, "row is nil"},
		{"numbers", []int{1}, "", 0, "row is a int, it must be a struct or a map"},
		{"map keys", []map[int]any{{}}, "", 0, "map with string keys"},
		{"empty rows", rows{{}, {}}, "", -1, "rows name no field"},
		{"unknown", one("zz", 1), "zz", 1, `collection "wide" has no such field`},
		{"unknown in struct", []struct{ ID int64 }{{1}}, "ID", -1, "has a field that collection \"wide\" has not"},
		{"missing", rows{{"id": 1, "must": 1}, {"id": 2}}, "must", 1, "value is missing"},
		{"missing everywhere", rows{{"id": 1}}, "must", -1, "column is missing"},
		{"null", rows{{"id": 1, "must": nil}}, "must", 0, "value is null"},
		{"null pointer", rows{{"id": 1, "must": (*int32)(nil)}}, "must", 0, "value is null"},
		{"range", one("i8", 128), "i8", 1, "value 128: value is out of the range [-128, 127] of Int8"},
		{"range 16", one("i16", -32769), "i16", 1, "out of the range [-32768, 32767] of Int16"},
		{"range 32", one("i32", uint32(1<<31)), "i32", 1, "out of the range [-2147483648, 2147483647] of Int32"},
		{"range 64", rows{{"id": uint64(1 << 63), "must": 1}}, "id", 0, "value 9223372036854775808: value is out of the range of Int64"},
		{"float for int", one("i8", 1.0), "i8", 1, "Go type float64 does not convert to Int8"},
		{"number", one("i8", json.Number("1.5")), "i8", 1, "does not convert to Int8"},
		{"string for int", one("i8", "1"), "i8", 1, `value "1": Go type string does not convert to Int8`},
		{"int for bool", one("flag", 1), "flag", 1, "Go type int does not convert to Bool"},
		{"bytes for string", one("s", []byte("x")), "s", 1, "Go type []uint8 does not convert to VarChar"},
		{"float range", one("f", 1e39), "f", 1, "value 1e+39: value is out of the range of Float"},
		{"NaN", one("d", nan64), "d", 1, "value NaN: value is not a finite number"},
		{"long string", one("s", "123456789"), "s", 1, "string has 9 bytes, max_length is 8"},
		{"string for JSON", one("doc", "{}"), "doc", 1, "give the text as json.RawMessage"},
		{"JSON", one("doc", json.RawMessage("{")), "doc", 1, "value is not valid JSON"},
		{"no JSON", one("doc", func() {}), "doc", 1, "value has no JSON form"},
		{"array", one("ints", 1), "ints", 1, "Go type int does not convert to Array"},
		{"element", one("ints", []string{"x"}), "ints", 1, "element 0 of the array: Go type string does not convert to Int32"},
		{"element range", one("ints", []any{1, int64(1) << 40}), "ints", 1, "element 1 of the array: value is out of the range"},
		{"null element", one("ints", []any{1, nil}), "ints", 1, "element 1 is null, an array has no nulls"},
		{"capacity", one("words", []string{"", "", "", ""}), "words", 1, "array has 4 elements, max_capacity is 3"},
		{"vector", one("v", "x"), "v", 1, "Go type string does not convert to FloatVector"},
		{"dim", one("v", []float32{1}), "v", 1, "vector has 1 elements, dim is 2"},
		{"dim of array", one("v", [3]float32{}), "v", 1, "vector has 3 elements, dim is 2"},
		{"elements", one("v", []any{1, "x"}), "v", 1, "element 1 of the vector: Go type string"},
		{"null in vector", one("v", []any{1, nil}), "v", 1, "element 1 of the vector"},
		{"bytes for floats", one("v", []byte{1, 2}), "v", 1, "Go type []uint8 does not convert"},
		{"half bytes", one("h", []byte{1, 2}), "h", 1, "vector has 2 bytes, dim 2 takes 4"},
		{"half overflow", one("h", []float32{1, 7e4}), "h", 1, "not a finite half float"},
		{"int8 range", one("q", []int{1, 128}), "q", 1, "element 1 of the vector: value is out of the range"},
		{"floats for bits", one("bits", []float32{1, 2}), "bits", 1, "does not convert to BinaryVector"},
		{"bits", one("bits", []byte{1}), "bits", 1, "vector has 1 bytes, dim 16 takes 2"},
		{"sparse", one("sp", []float32{1, 2}), "sp", 1, "Go type []float32 does not convert to SparseFloatVector"},
		{"sparse lengths", one("sp", column.Sparse{Indices: []uint32{1}}), "sp", 1, "1 indices and 0 values"},
		{"sparse NaN", one("sp", map[uint32]float32{7: nan32}), "sp", 1, "value at index 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := column.BuildRows(wide(t), c.rows, column.BuildOptions{})
			require.Nil(t, b)
			refused(t, err, c.at, c.row, c.text)
		})
	}
}

func TestGeneratedKeys(t *testing.T) {
	for _, str := range []bool{false, true} {
		key := schema.Int64("id")
		given := column.Int64("id", []int64{7, 8})
		if str {
			key, given = schema.VarChar("id", 20), column.VarChar("id", []string{"7", "8"})
		}
		s := finish(t, schema.New("c").With(key.PrimaryKey().AutoID(), schema.FloatVector("v", 2)))
		v := column.FloatVectorFlat("v", 2, make([]float32, 4))
		calls := 0
		o := column.BuildOptions{AutoID: func(n int) ([]int64, error) { calls++; return []int64{70, 71}[:n], nil }}

		b, err := column.Build(s, []*column.Column{v}, o)
		require.NoError(t, err)
		require.Equal(t, strings.Contains(b.Keys().At(1).String(), `"71"`), str)
		require.Equal(t, 1, calls)

		_, err = column.Build(s, []*column.Column{given, v}, o)
		refused(t, err, "id", -1, "primary key is generated, an insert cannot give it")
		_, err = column.Build(s, []*column.Column{column.FloatVectorFlat("v", 2, []float32{1, 2, 3, nan32})}, o)
		refused(t, err, "v", 1, "not a finite")
		require.Equal(t, 1, calls, "a refused batch uses up no keys")

		up := column.BuildOptions{Mode: column.Upsert}
		b, err = column.Build(s, []*column.Column{given, v}, up)
		require.NoError(t, err)
		require.Equal(t, strings.Contains(b.Keys().At(1).String(), `"8"`), str)
		_, err = column.Build(s, []*column.Column{v}, up)
		refused(t, err, "id", -1, "column is missing")

		_, err = column.Build(s, []*column.Column{v}, column.BuildOptions{})
		require.ErrorContains(t, err, "AutoID is not set")
		o.AutoID = func(int) ([]int64, error) { return []int64{1}, nil }
		_, err = column.Build(s, []*column.Column{v}, o)
		require.ErrorContains(t, err, "got 1 keys for 2 rows")
		o.AutoID = func(int) ([]int64, error) { return nil, errStop }
		_, err = column.Build(s, []*column.Column{v}, o)
		require.ErrorIs(t, err, errStop)
	}

	s := finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey().AutoID(), schema.FloatVector("v", 2)))
	type row struct {
		ID int64     `milvus:"name:id;primary_key;auto_id"`
		V  []float32 `milvus:"name:v;dim:2"`
	}
	o := column.BuildOptions{AutoID: func(n int) ([]int64, error) { return []int64{70, 71}[:n], nil }}
	b, err := column.BuildRows(s, []row{{V: []float32{1, 2}}, {V: []float32{1, 2}}}, o)
	require.NoError(t, err)
	require.Equal(t, []int64{70, 71}, b.Keys().Ints)
	_, err = column.BuildRows(s, []row{{V: []float32{1, 2}}, {ID: 3, V: []float32{1, 2}}}, o)
	refused(t, err, "id", 1, "value 3: primary key is generated")
	_, err = column.BuildRows(s, []map[string]any{{"id": 0, "v": []float32{1, 2}}}, o)
	refused(t, err, "id", 0, "primary key is generated")
	o.Mode = column.Upsert
	b, err = column.BuildRows(s, []row{{V: []float32{1, 2}}, {ID: 3, V: []float32{1, 2}}}, o)
	require.NoError(t, err)
	require.Equal(t, []int64{0, 3}, b.Keys().Ints)
}
