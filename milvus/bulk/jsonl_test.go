package bulk_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus/bulk"
	"github.com/selkiedb/selkie/schema"
)

func every(name string) *schema.Schema {
	return schema.New(name).EnableDynamicField().With(
		schema.Int64("id").PrimaryKey(), schema.Bool("b"), schema.Int8("i8"), schema.Float("f"), schema.Double("d"), schema.VarChar("s", 40).Nullable(),
		schema.JSON("j"), schema.Array("a", schema.TypeInt32, 8), schema.Array("t", schema.TypeVarChar, 8).MaxElementLength(9),
		schema.FloatVector("fv", 2), schema.Float16Vector("hv", 2), schema.BFloat16Vector("bfv", 2), schema.Int8Vector("iv", 2),
		schema.BinaryVector("bv", 16), schema.SparseFloatVector("sv"))
}

// What is written and read back is the same, text by text, for every type.
func TestThereAndBack(t *testing.T) {
	ctx := t.Context()
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	from, err := eng.CreateCollection(ctx, every("from"))
	require.NoError(t, err)
	to, err := eng.CreateCollection(ctx, every("to"))
	require.NoError(t, err)
	for i, s := range []any{"<ü>", nil} {
		_, err = from.InsertRows(ctx, []map[string]any{{
			"id": int64(1)<<60 + int64(i), "b": true, "i8": -128, "f": float32(.1), "d": .1, "s": s, "j": map[string]any{"k": []any{1, nil}},
			"a": []int32{1, -2}, "t": []string{"x", ""}, "fv": []float32{.1, 2}, "hv": []float32{1, .5}, "bfv": []float32{1, 2}, "iv": []int8{-128, 127},
			"bv": []byte{1, 255}, "sv": map[uint32]float32{3: .25, 4_000_000_000: 1}, "extra": int64(1)<<60 + 1,
		}})
		require.NoError(t, err)
	}
	var first, second bytes.Buffer
	n, err := bulk.ExportJSONL(ctx, from, "", &first)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	n, err = bulk.ImportJSONL(ctx, to, bytes.NewReader(first.Bytes()), bulk.Options{Batch: 1})
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	_, err = bulk.ExportJSONL(ctx, to, "", &second)
	require.NoError(t, err)
	require.Equal(t, first.String(), second.String())
	rows, err := to.Get(ctx, column.IntKeys(1<<60), "*")
	require.NoError(t, err)
	require.EqualValues(t, 1<<60+1, rows.At(0).Value("extra"))
}

// A wrong line is named; what was written before it is, and the import goes on behind it.
func TestResume(t *testing.T) {
	ctx := t.Context()
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	c, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	lines := []string{`{"id":1,"v":[1,2]}`, `{"id":2,"v":[1,2]}`, `{"id":3,"v":[1]}`, `{"id":4,"v":[1,2]}`}
	n, err := bulk.ImportJSONL(ctx, c, strings.NewReader(strings.Join(lines, "\n")), bulk.Options{Batch: 2})
	require.ErrorIs(t, err, engine.ErrInvalid)
	require.ErrorContains(t, err, `line 3: field "v"`)
	require.EqualValues(t, 2, n)
	lines[2] = `{"id":3,"v":[1,2]}`
	n, err = bulk.ImportJSONL(ctx, c, strings.NewReader(strings.Join(lines, "\n")), bulk.Options{Skip: n, Batch: 2})
	require.NoError(t, err)
	require.EqualValues(t, 4, n)
	count, err := c.Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 4, count)
	_, err = bulk.ImportJSONL(ctx, c, strings.NewReader("{\"id\":1}\nnothing"), bulk.Options{})
	require.ErrorContains(t, err, "line 2")
}
