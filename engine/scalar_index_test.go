package engine_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// tagged makes a collection of a number, a nullable text and an array, with indexes of them.
func tagged(t *testing.T, fs vfs.FS, o engine.Options) (*engine.Engine, *engine.Collection) {
	t.Helper()
	o.FS = fs
	eng, err := engine.Open("db", &o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	if eng.HasCollection("c") {
		c, err := eng.Collection("c")
		require.NoError(t, err)
		return eng, c
	}
	ctx := context.Background()
	c, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.Int64("number"),
		schema.VarChar("text", 20).Nullable(), schema.Array("tags", schema.TypeInt32, 4), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "number", Kind: schema.IndexSort}))
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "text", Kind: schema.IndexTrie}))
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "tags"}))
	return eng, c
}

func insertTagged(t *testing.T, c *engine.Collection, lo, hi int) {
	t.Helper()
	var ids, numbers []int64
	var texts []string
	var valid []bool
	var tags [][]int32
	for i := lo; i < hi; i++ {
		ids, numbers = append(ids, int64(i)), append(numbers, int64(i%100))
		texts, valid = append(texts, fmt.Sprintf("t%d", i%50)), append(valid, i%10 != 0)
		tags = append(tags, []int32{int32(i % 4), 9}[:i%3])
	}
	_, err := c.Insert(context.Background(), column.Int64("id", ids), column.Int64("number", numbers), column.VarChar("text", texts).WithValid(valid),
		column.Array("tags", tags), column.FloatVectorFlat("v", 2, make([]float32, 2*len(ids))))
	require.NoError(t, err)
}

func wayOf(t *testing.T, c *engine.Collection, expr string, want int64) (ways []string) {
	t.Helper()
	var r query.Receipt
	n, err := c.CountWhere(context.Background(), query.Where(expr).Explain(&r))
	require.NoError(t, err)
	require.Equal(t, want, n, "%s: %s", expr, &r)
	for _, s := range r.Segments {
		ways = append(ways, s.Matching)
	}
	return ways
}

func TestScalarIndex(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, c := tagged(t, fs, engine.Options{CompactBytes: -1})
	insertTagged(t, c, 0, 1000)
	require.Equal(t, []string{"values"}, wayOf(t, c, "number == 7", 10), "growing segments have no indexes")
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	insertTagged(t, c, 1000, 1100)
	require.Equal(t, []string{"index", "values"}, wayOf(t, c, "number == 7", 11))
	require.Equal(t, []string{"index", "values"}, wayOf(t, c, "number < 50 and text is null", 55))
	require.Equal(t, []string{"index", "values"}, wayOf(t, c, "array_contains(tags, 9) or text like 't1%'", 513))
	require.Equal(t, []string{"index and values", "values"}, wayOf(t, c, "number == 7 and id % 200 == 7", 6))

	info, err := c.DescribeIndex("number")
	require.NoError(t, err)
	require.Equal(t, schema.Index{Name: "number", Field: "number", Kind: schema.IndexSort, Params: map[string]string{}}, info.Index)
	require.Equal(t, engine.IndexFinished, info.State)
	require.EqualValues(t, 1000, info.IndexedRows)
	require.Positive(t, info.DiskBytes)
	require.Len(t, indexFiles(t, fs), 3)
	require.ErrorIs(t, c.CreateIndex(ctx, schema.Index{Field: "number", Kind: schema.IndexInverted}), engine.ErrExists)
	require.ErrorIs(t, c.CreateIndex(ctx, schema.Index{Field: "text", Kind: schema.IndexHNSW}), engine.ErrInvalid)

	// Deletes are seen whether a filter is answered by an index or not.
	_, err = c.DeleteWhere(ctx, query.Where("number == 7 and id < 500"))
	require.NoError(t, err)
	wayOf(t, c, "number == 7", 6)
	// Compaction gives the new segment its own.
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.Compact(ctx))
	require.NoError(t, c.WaitIndexed(ctx))
	require.Equal(t, []string{"index"}, wayOf(t, c, "number == 7", 6))
	require.NoError(t, c.DropIndex(ctx, "text"))
	require.Eventually(t, func() bool { return len(indexFiles(t, fs)) == 2 }, waitLong, waitStep, "merged segments are removed soon")
	require.Equal(t, []string{"values"}, wayOf(t, c, "text == 't1'", 22))
	require.NoError(t, eng.Close())

	// Loaded, not built again.
	eng, c = tagged(t, fs, engine.Options{CompactBytes: -1})
	require.NoError(t, c.WaitIndexed(ctx))
	require.Equal(t, []string{"index"}, wayOf(t, c, "number == 7", 6))
	m := eng.Metrics()
	require.Equal(t, []int64{0, 2, 0, 0}, []int64{m.IndexBuilds, m.IndexLoads, m.IndexErrors, m.IndexRejected})
}

// A JSON field has an index for each place and type.
func TestPathIndex(t *testing.T) {
	ctx := context.Background()
	eng, err := engine.Open("db", &engine.Options{FS: vfs.NewMem(), CompactBytes: -1})
	require.NoError(t, err)
	defer eng.Close()
	c, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.JSON("meta").Nullable(), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	create := func(name string, params ...string) error {
		x := schema.Index{Name: name, Field: "meta", Kind: schema.IndexInverted, Params: map[string]string{}}
		for i := 0; i < len(params); i += 2 {
			x.Params[params[i]] = params[i+1]
		}
		return c.CreateIndex(ctx, x)
	}
	require.ErrorContains(t, create("a"), `needs the parameter "json_path"`)
	require.ErrorContains(t, create("a", "json_path", `meta["n"]`), "json_cast_type")
	require.ErrorContains(t, create("a", "json_path", `meta["n"]`, "json_cast_type", "int"), "must be one of")
	require.ErrorContains(t, create("a", "json_path", `id`, "json_cast_type", "double"), "no path")
	require.ErrorContains(t, create("a", "json_path", `meta["n`, "json_cast_type", "double"), "column")
	require.ErrorContains(t, c.CreateIndex(ctx, schema.Index{Field: "meta", Kind: schema.IndexBitmap}), "does not fit")
	require.NoError(t, create("number", "json_path", `meta["n"]`, "json_cast_type", "double"))
	require.NoError(t, create("number", "json_path", `meta["n"]`, "json_cast_type", "DOUBLE"), "the same")
	require.ErrorIs(t, create("again", "json_path", `meta['n']`, "json_cast_type", "DOUBLE"), engine.ErrExists, "the same place, written in another way")
	require.NoError(t, create("words", "json_path", `meta["words"]`, "json_cast_type", "array_varchar"))

	var ids []int64
	var docs [][]byte
	var valid []bool
	for i := range 600 {
		ids, valid = append(ids, int64(i)), append(valid, i%6 != 5)
		docs = append(docs, fmt.Appendf(nil, `{"n": %d, "words": ["w%d", "x"]}`, i%50, i%7))
	}
	docs[0] = []byte(`{"n": "none"}`)
	_, err = c.Insert(ctx, column.Int64("id", ids), column.JSON("meta", docs).WithValid(valid), column.FloatVectorFlat("v", 2, make([]float32, 1200)))
	require.NoError(t, err)
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	require.Equal(t, []string{"index"}, wayOf(t, c, `meta["n"] < 10`, 99))
	require.Equal(t, []string{"index"}, wayOf(t, c, `meta["n"] != 3`, 491))
	require.Equal(t, []string{"index"}, wayOf(t, c, `not (meta["n"] == 3)`, 492))
	require.Equal(t, []string{"index"}, wayOf(t, c, `json_contains(meta["words"], "w3") and meta["n"] in [3, 10, 2.5]`, 3))
	require.Equal(t, []string{"values"}, wayOf(t, c, `meta["n"] == "none"`, 1), "the index is of numbers")
	require.Equal(t, []string{"values"}, wayOf(t, c, `exists meta["n"]`, 500))
}

// A file that is damaged or missing costs speed: it is said, and built again. A store that is read only does without.
func TestScalarIndexDamage(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, c := tagged(t, fs, engine.Options{CompactBytes: -1})
	insertTagged(t, c, 0, 1000)
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	require.NoError(t, eng.Close())
	files := indexFiles(t, fs)
	require.Len(t, files, 3)
	require.NoError(t, fs.Remove(files[1]))
	f, err := fs.Open(files[0])
	require.NoError(t, err)
	raw, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	raw[len(raw)/2] ^= 4
	w, err := fs.Create(files[0], vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = w.Write(raw)
	require.NoError(t, err)
	require.NoError(t, w.Close())

	eng, c = tagged(t, fs, engine.Options{ReadOnly: true})
	err = c.WaitIndexed(ctx)
	require.ErrorContains(t, err, "read-only")
	wayOf(t, c, "number == 7", 10)
	wayOf(t, c, "text == 't7'", 20)
	require.Eventually(t, func() bool { // WaitIndexed gave up at the first that cannot be
		x, err := c.DescribeIndex("tags")
		return err == nil && x.Indexed == x.Segments
	}, waitLong, waitStep)
	require.Equal(t, []string{"index"}, wayOf(t, c, "array_contains(tags, 9)", 333))
	require.NoError(t, eng.Close())

	eng, c = tagged(t, fs, engine.Options{CompactBytes: -1})
	require.NoError(t, c.WaitIndexed(ctx))
	m := eng.Metrics()
	require.Equal(t, []int64{2, 1, 0, 1}, []int64{m.IndexBuilds, m.IndexLoads, m.IndexErrors, m.IndexRejected})
	require.Equal(t, []string{"index"}, wayOf(t, c, "number == 7", 10))
	require.Equal(t, []string{"index"}, wayOf(t, c, "text == 't7'", 20))
}

// An index of sparse vectors, which has no codes either, is built and found again.
func TestSparseIndexIsBuilt(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, err := engine.Open("db", &engine.Options{FS: fs})
	require.NoError(t, err)
	defer eng.Close()
	c, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.SparseFloatVector("v")))
	require.NoError(t, err)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v"}))
	v := []column.Sparse{{Indices: []uint32{1}, Values: []float32{1}}, {Indices: []uint32{1, 3}, Values: []float32{2, 1}}}
	_, err = c.Insert(ctx, column.Int64("id", []int64{1, 2}), column.SparseFloatVector("v", v))
	require.NoError(t, err)
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	var r query.Receipt
	hits, err := c.Search(ctx, query.Nearest("v", v[0]).Explain(&r))
	require.NoError(t, err)
	require.EqualValues(t, 2, hits[0].Key.Int)
	require.Equal(t, map[string]int{"postings": 1}, r.Segments[0].Plans)
	require.True(t, r.Exact())
}
