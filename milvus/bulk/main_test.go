package bulk_test

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB) *engine.Engine {
	t.Helper()
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem(), Sync: engine.SyncNone})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	return eng
}

func create(t testing.TB, eng *engine.Engine, s *schema.Schema) *engine.Collection {
	t.Helper()
	c, err := eng.CreateCollection(context.Background(), s)
	require.NoError(t, err)
	return c
}

// same wants two collections to hold the same rows, byte by byte, and gives their number.
func same(t testing.TB, a, b *engine.Collection, names ...string) int {
	t.Helper()
	if names == nil {
		names = []string{"*"}
	}
	ctx := context.Background()
	x, err := a.Query(ctx, query.Where("").Output(names...))
	require.NoError(t, err)
	y, err := b.Query(ctx, query.Where("").Output(names...))
	require.NoError(t, err)
	require.Equal(t, x.Len(), y.Len())
	for _, c := range x.Columns() {
		d, e := c.Data(), y.Column(c.Name()).Data()
		for i := range x.Len() {
			require.Equal(t, d.IsNull(i), e.IsNull(i), "%s, row %d", c.Name(), i)
			if !d.IsNull(i) {
				require.Equal(t, d.Value(i), e.Value(i), "%s, row %d", c.Name(), i)
			}
		}
	}
	return x.Len()
}

// flat is a schema of all that npy can hold.
func flat(name string) *schema.Schema {
	return schema.New(name).EnableDynamicField().With(
		schema.Int64("id").PrimaryKey(), schema.Bool("b"), schema.Int8("i8"), schema.Int16("i16"), schema.Int32("i32"), schema.Float("f"), schema.Double("d"),
		schema.VarChar("s", 40), schema.JSON("j"), schema.FloatVector("fv", 3), schema.Float16Vector("hv", 2), schema.BFloat16Vector("bfv", 2),
		schema.Int8Vector("iv", 5), schema.BinaryVector("bv", 24))
}

// full has, besides, nulls of every kind, arrays and sparse vectors.
func full(name string) *schema.Schema {
	s := flat(name)
	for _, f := range append([]*schema.Field(nil), s.Fields[1:9]...) { // the scalars once more
		g := *f
		g.Name = "n_" + f.Name
		s.With(g.Nullable())
	}
	for _, of := range []schema.DataType{
		schema.TypeBool, schema.TypeInt8, schema.TypeInt16, schema.TypeInt32, schema.TypeInt64, schema.TypeFloat, schema.TypeDouble, schema.TypeVarChar,
	} {
		f := schema.Array("a_"+of.String(), of, 8).Nullable()
		if of == schema.TypeVarChar {
			f.MaxElementLength(20)
		}
		s.With(f)
	}
	return s.With(schema.SparseFloatVector("sv"), schema.SparseFloatVector("n_sv").Nullable(), schema.FloatVector("n_fv", 2).Nullable())
}

// rows are some of a flat schema.
func rows(n int) []map[string]any {
	out := make([]map[string]any, n)
	for i := range out {
		x := float32(i)
		out[i] = map[string]any{
			"id": int64(1)<<60 + int64(3*i), "b": i%2 == 0, "i8": int8(i - 128), "i16": int16(-i * 7), "i32": int32(i * 1_000_000), "f": x / 3, "d": 1 / float64(i+1),
			"s": []string{"", "<ü>\n", "\x00x", "日本語 text"}[i%4], "j": map[string]any{"k": []any{i, nil, "x"}},
			"fv": []float32{x, -x, .1}, "hv": []float32{x, .5}, "bfv": []float32{1, 2 * x}, "iv": []int8{-128, 127, 0, int8(i), 1}, "bv": []byte{byte(i), 255, 0},
		}
		if i%5 > 0 {
			out[i]["extra"] = int64(1)<<60 + int64(i)
		}
	}
	return out
}

// fullRows are some of a full schema; a third of what can be null is.
func fullRows(n int) []map[string]any {
	out := rows(n)
	for i, r := range out {
		null := func(k int, name string, v any) {
			if (i+k)%3 > 0 {
				r[name] = v
			} else {
				r[name] = nil
			}
		}
		for k, f := range flat("x").Fields[1:9] {
			null(k, "n_"+f.Name, r[f.Name])
		}
		null(0, "a_Bool", []bool{true, false}[:i%3])
		null(1, "a_Int8", []int8{-128, 127})
		null(2, "a_Int16", []int16{-1, int16(i)})
		null(3, "a_Int32", []int32{int32(i)})
		null(4, "a_Int64", []int64{1 << 60, -1, int64(i)})
		null(5, "a_Float", []float32{.1, float32(i)})
		null(6, "a_Double", []float64{.1})
		null(7, "a_VarChar", []string{"", "ü", "x"}[:i%4])
		r["sv"] = map[uint32]float32{}
		if i%4 > 0 {
			r["sv"] = map[uint32]float32{uint32(i): .25, 4_000_000_000: 1}
		}
		null(8, "n_sv", map[uint32]float32{7: .1})
		null(9, "n_fv", []float32{1, float32(i)})
	}
	return out
}

func insert(t testing.TB, c *engine.Collection, rows []map[string]any) {
	t.Helper()
	for _, r := range rows { // whose keys differ
		_, err := c.InsertRows(context.Background(), []map[string]any{r})
		require.NoError(t, err)
	}
	_, err := c.Count(context.Background())
	require.NoError(t, err)
}

func keys(ids ...int64) column.Keys { return column.IntKeys(ids...) }
