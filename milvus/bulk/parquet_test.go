package bulk_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus/bulk"
	"github.com/selkiedb/selkie/schema"
)

func exported(t testing.TB, c *engine.Collection, filter string) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := bulk.ExportParquet(t.Context(), c, filter, &b)
	require.NoError(t, err)
	return b.Bytes()
}

func importParquet(t testing.TB, c *engine.Collection, b []byte, o bulk.Options) (int64, error) {
	return bulk.ImportParquet(t.Context(), c, bytes.NewReader(b), int64(len(b)), o)
}

func TestParquetThereAndBack(t *testing.T) {
	eng := open(t)
	from, to := create(t, eng, full("a")), create(t, eng, full("b"))
	insert(t, from, fullRows(40))
	_, err := from.Flush(t.Context())
	require.NoError(t, err)
	file := exported(t, from, "")
	var seen []int64
	n, err := importParquet(t, to, file, bulk.Options{Batch: 7, Progress: func(rows int64) error { seen = append(seen, rows); return nil }})
	require.NoError(t, err)
	require.EqualValues(t, 40, n)
	require.Equal(t, []int64{7, 14, 21, 28, 35, 40}, seen)
	require.Equal(t, 40, same(t, from, to))

	// The layout is that of Milvus's import.
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	for name, want := range map[string]string{
		"id": "INT(64,true)", "i8": "INT(8,true)", "s": "STRING", "j": "STRING", "$meta": "STRING", "sv": "STRING", "f": "FLOAT", "b": "BOOLEAN",
	} {
		require.Equal(t, want, f.Root().Column(name).Type().String(), name)
	}
	for name, want := range map[string]string{"fv": "FLOAT", "hv": "INT(8,false)", "bfv": "INT(8,false)", "bv": "INT(8,false)", "iv": "INT(8,true)", "a_VarChar": "STRING"} {
		require.Equal(t, "LIST", f.Root().Column(name).Type().String(), name)
		require.Equal(t, want, f.Root().Column(name).Column("list").Column("element").Type().String(), name)
	}

	// A filter; nothing at all.
	some := create(t, eng, full("c"))
	n, err = importParquet(t, some, exported(t, from, "i8 < -125"), bulk.Options{})
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	n, err = importParquet(t, some, exported(t, from, "i8 > 100"), bulk.Options{})
	require.NoError(t, err)
	require.Zero(t, n)
}

// An import that is ended anywhere goes on from what it said, and writes nothing twice.
func TestParquetResume(t *testing.T) {
	eng := open(t)
	from, to := create(t, eng, flat("a")), create(t, eng, flat("b"))
	insert(t, from, rows(30))
	file := exported(t, from, "")
	stop := errors.New("stop")
	done := int64(0)
	for range 6 {
		n, err := importParquet(t, to, file, bulk.Options{Skip: done, Batch: 4, Progress: func(int64) error { return stop }})
		require.ErrorIs(t, err, stop)
		require.Equal(t, done+4, n)
		done = n
	}
	n, err := importParquet(t, to, file, bulk.Options{Skip: done, Batch: 4})
	require.NoError(t, err)
	require.EqualValues(t, 30, n)
	same(t, from, to)
	require.EqualValues(t, 30, to.Stats().Physical) // no row came twice
}

// What others write has other types, where each column may be null, and is read as long as the values fit.
func TestParquetOfOthers(t *testing.T) {
	type row struct {
		ID   *int32     `parquet:"id,optional"`
		I8   *int64     `parquet:"i8,optional"`
		D    *float32   `parquet:"d,optional"`
		V    []*float64 `parquet:"v,optional,list"`
		Bits []uint64   `parquet:"bits"`
	}
	s := schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.Int8("i8").Nullable(), schema.Double("d"), schema.FloatVector("v", 2), schema.BinaryVector("bits", 8))
	id, small, large, d, x := int32(7), int64(-3), int64(128), float32(.5), 1.25
	inf := math.MaxFloat64
	for _, c := range []struct {
		r    row
		want string
	}{
		{row{&id, &small, &d, []*float64{&x, &x}, []uint64{255}}, ""},
		{row{&id, nil, &d, []*float64{&x, &x}, []uint64{0}}, ""},
		{row{&id, &large, &d, []*float64{&x, &x}, []uint64{0}}, `field "i8", row 0: 128 is out of range [-128, 127]`},
		{row{nil, &small, &d, []*float64{&x, &x}, []uint64{0}}, `field "id", row 0`},
		{row{&id, &small, nil, []*float64{&x, &x}, []uint64{0}}, `field "d", row 0`},
		{row{&id, &small, &d, []*float64{&x, nil}, []uint64{0}}, `field "v", row 0: a list has a null`},
		{row{&id, &small, &d, []*float64{&x}, []uint64{0}}, `field "v", row 0: a list has 1 elements, 2 are expected`},
		{row{&id, &small, &d, nil, []uint64{0}}, `field "v", row 0`},
		{row{&id, &small, &d, []*float64{&inf, &x}, []uint64{0}}, `field "v", row 0`},
		{row{&id, &small, &d, []*float64{&x, &x}, []uint64{256}}, `field "bits", row 0: 256 is out of range`},
		{row{&id, &small, &d, []*float64{&x, &x}, []uint64{math.MaxUint64}}, `field "bits", row 0`},
		{row{&id, &small, &d, []*float64{&x, &x}, nil}, `field "bits", row 0: a list has 0 elements`},
	} {
		var b bytes.Buffer
		require.NoError(t, parquet.Write(&b, []row{c.r}))
		to := create(t, open(t), s)
		n, err := importParquet(t, to, b.Bytes(), bulk.Options{})
		if c.want == "" {
			require.NoError(t, err)
			got, err := to.Get(t.Context(), keys(7), "*")
			require.NoError(t, err)
			require.Equal(t, []float32{1.25, 1.25}, got.At(0).FloatVector("v"))
			require.Equal(t, .5, got.At(0).Float64("d"))
			continue
		}
		require.ErrorIs(t, err, engine.ErrInvalid)
		require.ErrorContains(t, err, c.want)
		require.Zero(t, n)
	}
}

func TestParquetThatDoesNotFit(t *testing.T) {
	from := create(t, open(t), schema.New("a").With(schema.Int64("id").PrimaryKey(), schema.VarChar("s", 9), schema.FloatVector("v", 2)))
	insert(t, from, []map[string]any{{"id": 1, "s": "long text", "v": []float32{1, 2}}})
	file := exported(t, from, "")
	id, s, v := schema.Int64("id").PrimaryKey(), schema.VarChar("s", 9), schema.FloatVector("v", 2)
	for _, c := range []struct {
		fields []*schema.Field
		want   string
	}{
		{[]*schema.Field{id, v}, `field "s": no such field`},
		{[]*schema.Field{id, s, v, schema.Bool("more")}, `field "more"`},
		{[]*schema.Field{schema.Int64("other").PrimaryKey(), schema.Int64("id"), s, v}, `field "other": the file does not have the primary key`},
		{[]*schema.Field{id, schema.VarChar("s", 8), v}, `field "s", row 0, value "long text"`},
		{[]*schema.Field{id, schema.Int64("s"), v}, `field "s": a field of type Int64 cannot be read`},
		{[]*schema.Field{id, s, schema.FloatVector("v", 3)}, `field "v", row 0: a list has 2 elements, 3 are expected`},
		{[]*schema.Field{id, schema.JSON("s"), v}, `field "s", row 0`},
	} {
		to := create(t, open(t), schema.New("b").With(c.fields...))
		_, err := importParquet(t, to, file, bulk.Options{})
		require.ErrorIs(t, err, engine.ErrInvalid)
		require.ErrorContains(t, err, c.want)
		n, err := to.Count(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
	}
	// Generated keys: the file's if it has them, else new ones.
	auto := create(t, open(t), schema.New("b").With(schema.Int64("key").PrimaryKey().AutoID(), schema.Int64("id"), s, v))
	n, err := importParquet(t, auto, file, bulk.Options{})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	_, err = importParquet(t, auto, file, bulk.Options{Skip: 2})
	require.ErrorContains(t, err, "2 rows are to be skipped, the file has 1")
}

// Whatever byte is flipped and wherever the file ends, an import gives an error or the rows as they were; what the pages hold is never another thing.
func TestDamagedParquet(t *testing.T) {
	if raceOn {
		t.Skip("what panics in the library, and is caught, ends the process where the race detector checks pointers")
	}
	eng := open(t)
	from := create(t, eng, schema.New("a").With(schema.Int64("id").PrimaryKey(), schema.VarChar("s", 9).Nullable(), schema.FloatVector("v", 2)))
	insert(t, from, []map[string]any{{"id": 1, "s": "x", "v": []float32{1, 2}}, {"id": 2, "s": nil, "v": []float32{3, 4}}})
	file := exported(t, from, "")
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	pages := 4 // the first byte behind the pages: that of the indexes and the footer, which have no checksum
	for _, c := range f.Metadata().RowGroups[0].Columns {
		pages = max(pages, int(c.MetaData.DataPageOffset+c.MetaData.TotalCompressedSize))
	}
	errs, equal := 0, 0
	try := func(b []byte, checked bool) {
		to := create(t, eng, schema.New("b").With(from.Schema().Clone().Fields...))
		defer func() { require.NoError(t, eng.DropCollection(t.Context(), "b")) }()
		n, err := importParquet(t, to, b, bulk.Options{})
		if err != nil {
			errs++
			return
		}
		if checked {
			require.EqualValues(t, 2, n)
			same(t, from, to)
		}
		equal++
	}
	for i := range file {
		for _, bit := range []byte{1, 0x80} {
			b := bytes.Clone(file)
			b[i] ^= bit
			try(b, i < pages)
		}
		try(file[:i], true)
	}
	t.Logf("%d bytes, %d of them pages: %d errors, %d without effect on the pages", len(file), pages, errs, equal)
	require.Greater(t, errs, len(file))
}
