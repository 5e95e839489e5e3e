package column_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// A missing column, a missing key and a null take the default, else null.
func TestDefaultsAndNulls(t *testing.T) {
	s := finish(t, schema.New("c").With(
		schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2),
		schema.Int16("n").Default(7), schema.VarChar("s", 9).Default("dflt").Nullable(), schema.VarChar("empty", 9).Default(""),
		schema.Bool("flag").Nullable(), schema.JSON("doc").Nullable(), schema.Float16Vector("h", 2).Nullable(),
	))
	ids, v := column.Int64("id", []int64{1, 2}), column.FloatVectorFlat("v", 2, []float32{1, 2, 3, 4})
	missing, err := column.Build(s, []*column.Column{ids, v}, column.BuildOptions{})
	require.NoError(t, err)
	cols := missing.Columns()
	require.Equal(t, []any{int16(7), int16(7)}, values(cols[2]))
	require.Equal(t, []any{"dflt", "dflt"}, values(cols[3]))
	require.Equal(t, []any{"", ""}, values(cols[4]))
	for _, c := range cols[5:] {
		require.Equal(t, []any{nil, nil}, values(c))
	}
	require.Equal(t, make([]byte, 8), cols[7].Data().Fixed)

	none := make([]bool, 2)
	nulls, err := column.Build(s, []*column.Column{
		ids, v, column.Int16("n", []int16{1, 2}).WithValid(none), column.VarChar("s", []string{"a", "b"}).WithValid(none),
		column.VarChar("empty", []string{"a", "b"}).WithValid(none), column.Bool("flag", []bool{true, true}).WithValid(none),
	}, column.BuildOptions{})
	require.NoError(t, err)
	require.Equal(t, missing.AppendEncode(nil), nulls.AppendEncode(nil))

	type row struct {
		ID   int64           `milvus:"name:id"`
		V    [2]float32      `milvus:"name:v"`
		N    *int            `milvus:"name:n"`
		S    *string         `milvus:"name:s"`
		Flag *bool           `milvus:"name:flag"`
		Doc  json.RawMessage `milvus:"name:doc"`
		H    []float32       `milvus:"name:h"`
	}
	structs, err := column.BuildRows(s, []row{{ID: 1, V: [2]float32{1, 2}}, {ID: 2, V: [2]float32{3, 4}}}, column.BuildOptions{})
	require.NoError(t, err)
	require.Equal(t, missing.AppendEncode(nil), structs.AppendEncode(nil))

	mixed, err := column.BuildRows(s, []any{
		map[string]any{"id": json.Number("1"), "v": []any{json.Number("1"), 2.0}, "s": nil, "h": nil},
		&row{ID: 2, V: [2]float32{3, 4}},
	}, column.BuildOptions{})
	require.NoError(t, err)
	require.Equal(t, missing.AppendEncode(nil), mixed.AppendEncode(nil))

	some, err := column.Build(s, []*column.Column{
		ids, v, column.Int16("n", []int16{1, 2}).WithValid([]bool{false, true}), column.VarChar("s", []string{"a", "b"}).WithValid([]bool{true, false}),
		column.Bool("flag", []bool{true, true}).WithValid([]bool{true, true}),
	}, column.BuildOptions{})
	require.NoError(t, err)
	require.Equal(t, []any{int16(7), int16(2)}, values(some.Columns()[2]))
	require.Equal(t, []any{"a", "dflt"}, values(some.Columns()[3]))
	require.Nil(t, some.Cols[5].Valid, "no nulls, no validity")
}

// Go types that are not the field's own convert where nothing is lost.
func TestConversions(t *testing.T) {
	type (
		name   string
		number int32
		floats []float32
	)
	rows := []map[string]any{
		{
			"id": uint8(1), "must": number(3), "s": name("x"), "f": 1, "d": uint(2), "i8": json.Number("-8"), "flag": new(bool),
			"v": floats{1, 2}, "h": []float64{1, 2}, "b": []any{1, json.Number("2")}, "q": []int{-1, 1}, "bits": [2]byte{1, 2},
			"ints": [2]int{1, 2}, "words": []any{"a", name("b")}, "floats": []any{1.5, 2}, "doc": map[string]int{"a": 1},
			"sp": map[uint32]float32{9: 1, 3: 2},
		},
		{"id": 2, "must": 4, "doc": 5, "sp": &sparsePairs{{1, 2}, {5, 6}}, "h": []byte{0, 0x3c, 0, 0x40}},
	}
	b, err := column.BuildRows(wide(t), rows, column.BuildOptions{})
	require.NoError(t, err)
	got, err := column.Collect[map[string]any](column.NewRows(b.Columns()...))
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"id": int64(1), "must": int32(3), "s": "x", "f": float32(1), "d": 2.0, "i8": int8(-8), "flag": false, "i16": nil, "i32": nil,
		"v": []float32{1, 2}, "h": []float32{1, 2}, "b": []float32{1, 2}, "q": []int8{-1, 1}, "bits": []byte{1, 2},
		"ints": []int32{1, 2}, "words": []string{"a", "b"}, "floats": []float32{1.5, 2}, "doc": []byte(`{"a":1}`),
		"sp": column.Sparse{Indices: []uint32{3, 9}, Values: []float32{2, 1}},
	}, got[0])
	require.Equal(t, []byte("5"), got[1]["doc"])
	require.Equal(t, []float32{1, 2}, got[1]["h"])
	require.Equal(t, column.Sparse{Indices: []uint32{1, 5}, Values: []float32{2, 6}}, got[1]["sp"])
}

// sparsePairs has the methods of the SDK's sparse vectors, on its pointer.
type sparsePairs [][2]uint32

func (s *sparsePairs) Len() int { return len(*s) }

func (s *sparsePairs) Get(i int) (uint32, float32, bool) {
	return (*s)[i][0], float32((*s)[i][1]), true
}

// Nil slices are null where null is possible; elsewhere an array is empty and everything else is refused.
func TestNilSlices(t *testing.T) {
	s := finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2),
		schema.Array("a", schema.TypeInt8, 3), schema.Array("b", schema.TypeInt8, 3).Nullable()))
	type row struct {
		ID int64     `milvus:"name:id"`
		V  []float32 `milvus:"name:v"`
		A  []int8    `milvus:"name:a"`
		B  []int8    `milvus:"name:b"`
	}
	b, err := column.BuildRows(s, []row{{ID: 1, V: []float32{1, 2}}}, column.BuildOptions{})
	require.NoError(t, err)
	require.Equal(t, []any{[]int8{}}, values(b.Columns()[2]))
	require.Equal(t, []any{nil}, values(b.Columns()[3]))
	_, err = column.BuildRows(s, []row{{ID: 1}}, column.BuildOptions{})
	refused(t, err, "v", 0, "value is null")
}

// The columns path allocates per column, not per row.
func TestBuildAllocates(t *testing.T) {
	s := bookSchema(t, 8)
	for _, n := range []int{10, 10_000} {
		cols := bookColumns(n, 8)
		allocs := testing.AllocsPerRun(10, func() {
			if _, err := column.Build(s, cols, column.BuildOptions{}); err != nil {
				t.Fatal(err)
			}
		})
		require.LessOrEqual(t, allocs, 5.0)
	}
}

func TestColumnViews(t *testing.T) {
	b := wideBatch(t)
	byName := map[string]*column.Column{}
	for _, c := range b.Columns() {
		byName[c.Name()] = c
	}
	require.Equal(t, []int64{1, -2}, byName["id"].Int64s())
	require.Equal(t, []bool{true, false}, byName["flag"].Bools())
	require.Equal(t, []int8{-8, 0}, byName["i8"].Int8s())
	require.Equal(t, []int16{-16, 16}, byName["i16"].Int16s())
	require.Equal(t, []int32{-32, 32}, byName["i32"].Int32s())
	require.Equal(t, []float32{1.5, -1.5}, byName["f"].Floats())
	require.Equal(t, []float64{2.5, -2.5}, byName["d"].Doubles())
	require.Equal(t, []string{"é", ""}, byName["s"].Strings())
	require.Equal(t, [][]byte{[]byte("{}"), []byte("[1]")}, byName["doc"].JSONs())
	for _, name := range []string{"v", "h", "b"} {
		require.Equal(t, []float32{1, 2, 3, 4}, byName[name].FloatVectors())
		require.Equal(t, 2, byName[name].Dim())
	}
	require.Equal(t, schema.TypeInt32, byName["ints"].ElementType())
	require.Equal(t, schema.TypeSparseFloatVector, byName["sp"].Type())

	c := byName["id"] // of another type, all views are nil
	require.Nil(t, c.Bools())
	require.Nil(t, c.Int8s())
	require.Nil(t, c.Floats())
	require.Nil(t, c.Strings())
	require.Nil(t, c.JSONs())
	require.Nil(t, c.FloatVectors())

	part := byName["s"].Slice(1, 2)
	require.Equal(t, 1, part.Len())
	require.True(t, part.IsNull(0))
	require.Equal(t, []string{""}, part.Strings())

	// Faults keep to their rows.
	bad := column.FloatVector("v", 2, [][]float32{{1, 2}, {1}})
	_, err := column.Build(wide(t), []*column.Column{column.Int64("id", []int64{1}), column.Int32("must", []int32{1}), bad.Slice(0, 1)}, column.BuildOptions{})
	require.NoError(t, err)
	_, err = column.Build(wide(t), []*column.Column{column.Int64("id", []int64{1}), column.Int32("must", []int32{1}), bad.Slice(1, 2)}, column.BuildOptions{})
	refused(t, err, "v", 0, "vector has 1 elements")
}

func TestSparse(t *testing.T) {
	s := column.Sparse{Indices: []uint32{3, 9}, Values: []float32{1, 2}}
	require.Equal(t, 2, s.Len())
	require.Equal(t, 10, s.Dim())
	require.Equal(t, []byte{3, 0, 0, 0, 0, 0, 0x80, 0x3f, 9, 0, 0, 0, 0, 0, 0, 0x40}, s.Serialize())
	index, value, ok := s.Get(1)
	require.True(t, ok)
	require.Equal(t, uint32(9), index)
	require.Equal(t, float32(2), value)
	_, _, ok = s.Get(2)
	require.False(t, ok)
	require.Zero(t, column.Sparse{}.Dim())
}

func TestBuilder(t *testing.T) {
	b := column.NewBuilder(0, false)
	b.Grow(3, 10)
	b.AppendValue([]byte("ab"), true)
	require.Nil(t, b.Data().Valid)
	b.AppendValue(nil, false)
	require.Equal(t, []byte{1, 0}, b.Data().Valid, "the first null brings validity")
	other := column.VarChar("", []string{"x", "yz", "w"}).Data().Slice(1, 3)
	b.AppendData(other, 0, 2)
	b.AppendData(other, 1, 1)
	d := b.Data()
	require.Equal(t, 4, b.Rows())
	require.Equal(t, []byte{1, 0, 1, 1}, d.Valid)
	require.Equal(t, []uint32{0, 2, 2, 4, 5}, d.Offs)
	require.Equal(t, "abyzw", string(d.Bytes))
	require.Equal(t, d.Size(), b.Size())

	f := column.NewBuilder(4, true)
	f.AppendValue([]byte{1, 2, 3, 4}, true)
	f.AppendValue(nil, false)
	require.Equal(t, []byte{1, 2, 3, 4, 0, 0, 0, 0}, f.Data().Fixed)
	f.Reset()
	require.Zero(t, f.Data().Rows)
	f.AppendData(column.Int32("", []int32{5}).Data(), 0, 1)
	require.Equal(t, []byte{1}, f.Data().Valid)
}
