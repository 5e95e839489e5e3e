package column_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

type audit struct {
	Note *string `milvus:"name:note;max_length:20"`
}

// item has a field of every type.
type item struct {
	ID     int64           `milvus:"name:id;primary_key"`
	Flag   bool            `milvus:"name:flag"`
	I8     int8            `milvus:"name:i8"`
	I16    *int16          `milvus:"name:i16"`
	I32    int32           `milvus:"name:i32"`
	F      float32         `milvus:"name:f"`
	D      *float64        `milvus:"name:d"`
	Title  string          `milvus:"name:title;max_length:30"`
	Doc    json.RawMessage `milvus:"name:doc;nullable"`
	Tags   []string        `milvus:"name:tags;max_capacity:4;max_length:10"`
	Scores []float64       `milvus:"name:scores;max_capacity:4;nullable"`
	V      []float32       `milvus:"name:v;dim:3"`
	H      [2]float32      `milvus:"name:h;vector_type:fp16"`
	B      []byte          `milvus:"name:b;dim:2;vector_type:bf16"`
	I      []int8          `milvus:"name:i;dim:2"`
	Bits   [2]byte         `milvus:"name:bits"`
	Sparse column.Sparse   `milvus:"name:sparse"`
	audit
	Hidden string         `milvus:"-"`
	Meta   map[string]any `milvus:"name:$meta"`
}

func p[T any](v T) *T { return &v }

func items() []item {
	return []item{
		{
			ID: 1, Flag: true, I8: -8, I16: p[int16](16), I32: 32, F: 1.5, D: p(2.25), Title: "ünë", Doc: json.RawMessage(`{"a":[1,2]}`),
			Tags: []string{"x", ""}, Scores: []float64{1, 2}, V: []float32{1, 2, 3}, H: [2]float32{0.5, -2}, B: []byte{0x80, 0x3f, 0, 0x40},
			I: []int8{-1, 1}, Bits: [2]byte{0xf0, 1}, Sparse: column.Sparse{Indices: []uint32{3, 70}, Values: []float32{1, -1}},
			audit: audit{Note: p("noted")}, Meta: map[string]any{"colour": "red", "n": int64(7)},
		},
		{
			ID: 2, V: []float32{4, 5, 6}, B: []byte{0, 0, 0, 0}, I: []int8{0, 0}, Tags: []string{},
			Sparse: column.Sparse{Indices: []uint32{}, Values: []float32{}},
		},
	}
}

func itemSchema(t testing.TB) *schema.Schema {
	s, err := schema.StructSchema("items", item{})
	require.NoError(t, err)
	return finish(t, s)
}

func TestStructRows(t *testing.T) {
	s := itemSchema(t)
	require.True(t, s.Dynamic)
	b, err := column.BuildRows(s, items(), column.BuildOptions{})
	require.NoError(t, err)

	got, err := column.Collect[item](column.NewRows(b.Columns()...))
	require.NoError(t, err)
	require.Equal(t, items(), got)

	// The rows as maps, read back, make the same batch.
	maps, err := column.Collect[map[string]any](column.NewRows(b.Columns()...))
	require.NoError(t, err)
	require.Equal(t, "red", maps[0]["colour"])
	require.Nil(t, maps[1]["i16"])
	again, err := column.BuildRows(s, maps, column.BuildOptions{})
	require.NoError(t, err)
	require.Equal(t, b.AppendEncode(nil), again.AppendEncode(nil))

	// So do the columns, and pointers to the structs.
	again, err = column.Build(s, b.Columns(), column.BuildOptions{})
	require.NoError(t, err)
	require.Equal(t, b.AppendEncode(nil), again.AppendEncode(nil))
	var pointers []*item
	for _, x := range items() {
		pointers = append(pointers, &x)
	}
	again, err = column.BuildRows(s, pointers, column.BuildOptions{})
	require.NoError(t, err)
	require.Equal(t, b.AppendEncode(nil), again.AppendEncode(nil))

	row := column.NewRows(b.Columns()...).At(0)
	require.Equal(t, int64(-8), row.Int64("i8"))
	require.Equal(t, int64(7), row.Int64("n"))
	require.Equal(t, 1.5, row.Float64("f"))
	require.Equal(t, "ünë", row.String("title"))
	require.Equal(t, []float32{0.5, -2}, row.FloatVector("h"))
	require.Equal(t, `{"a":[1,2]}`, string(row.JSON("doc")))
	require.True(t, row.Bool("flag"))
	require.True(t, row.Has("colour"))
	require.False(t, row.Has("color"))
}
