package column_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// Arrays of every element type keep their values, and bytes that are no array give no value rather than a panic.
func TestArrays(t *testing.T) {
	for _, c := range []struct {
		elem schema.DataType
		col  *column.Column
		want any
	}{
		{schema.TypeBool, column.Array("a", [][]bool{{true, false}}), []bool{true, false}},
		{schema.TypeInt8, column.Array("a", [][]int8{{1, -2}}), []int8{1, -2}},
		{schema.TypeInt16, column.Array("a", [][]int16{{1, -2}}), []int16{1, -2}},
		{schema.TypeInt32, column.Array("a", [][]int32{{1, -2}}), []int32{1, -2}},
		{schema.TypeInt64, column.Array("a", [][]int64{{1, -2}}), []int64{1, -2}},
		{schema.TypeFloat, column.Array("a", [][]float32{{1, -2}}), []float32{1, -2}},
		{schema.TypeDouble, column.Array("a", [][]float64{{1, -2}}), []float64{1, -2}},
		{schema.TypeVarChar, column.Array("a", [][]string{{"x", ""}}), []string{"x", ""}},
	} {
		f := schema.Array("a", c.elem, 2)
		if c.elem == schema.TypeVarChar {
			f.MaxElementLength(5)
		}
		s := finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2), f))
		others := []*column.Column{column.Int64("id", []int64{1}), column.FloatVectorFlat("v", 2, []float32{1, 2})}
		b, err := column.Build(s, append(others, c.col), column.BuildOptions{})
		require.NoError(t, err)
		require.Equal(t, c.want, b.Columns()[2].Value(0))

		rows, err := column.BuildRows(s, []map[string]any{{"id": 1, "v": []float32{1, 2}, "a": c.want}}, column.BuildOptions{})
		require.NoError(t, err)
		require.Equal(t, b.AppendEncode(nil), rows.AppendEncode(nil))

		raw := b.Cols[2].Value(0)
		for n := range raw {
			d := column.Data{Rows: 1, Offs: []uint32{0, uint32(n)}, Bytes: raw[:n]}
			bad := column.FromData(s.Fields[2], d)
			require.Nil(t, bad.Value(0), "%s cut at %d", c.elem, n)
			_, err := column.Build(s, append(others, bad), column.BuildOptions{})
			refused(t, err, "a", 0, "")
			var dst struct {
				A []string `milvus:"name:a"`
			}
			require.Error(t, column.NewRows(bad).At(0).Scan(&dst))
		}
		for _, count := range []byte{1, 3, 0xff} {
			d := column.Data{Rows: 1, Offs: []uint32{0, uint32(len(raw))}, Bytes: append([]byte{count, 0, 0, count}, raw[4:]...)}
			_, err := column.Build(s, append(others, column.FromData(s.Fields[2], d)), column.BuildOptions{})
			refused(t, err, "a", 0, "")
			column.FromData(s.Fields[2], d).Value(0)
		}
	}
}

// Fields of structs that the schema has not are dynamic keys like those of maps.
func TestDynamicStructs(t *testing.T) {
	type tail struct {
		Zebra string `milvus:"name:zebra"`
	}
	type row struct {
		ID    int64          `milvus:"name:id"`
		V     []float32      `milvus:"name:v"`
		Price *float64       `milvus:"name:price"`
		Meta  map[string]any `milvus:"name:$meta"`
		*tail
		Deep  *Deep
		Apple int `milvus:"name:apple"`
	}
	s := dynamicSchema(t)
	b, err := column.BuildRows(s, []row{
		{ID: 1, V: []float32{1, 2}, Price: p(1.5), Meta: map[string]any{"m": "x"}, Apple: 3},
		{ID: 2, V: []float32{1, 2}},
	}, column.BuildOptions{})
	require.NoError(t, err)
	meta := b.Columns()[2].JSONs()
	require.Equal(t, `{"m":"x","Deep":null,"apple":3,"price":1.5}`, string(meta[0]))
	require.Equal(t, `{"Deep":null,"apple":0,"price":null}`, string(meta[1]))

	_, err = column.BuildRows(s, []row{{ID: 1, V: []float32{1, 2}, Meta: map[string]any{"apple": 1}}}, column.BuildOptions{})
	refused(t, err, "apple", 0, "given twice")
	_, err = column.BuildRows(s, []row{{ID: 1, V: []float32{1, 2}, Price: p(nan64)}}, column.BuildOptions{})
	refused(t, err, "price", 0, "no JSON form")
}

type Deep struct{ X int }
