package engine_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/text"
	"github.com/selkiedb/selkie/vector"
)

// idsOf lists the ids that a filter lets through.
func idsOf(t *testing.T, c *engine.Collection, expr string) []int64 {
	t.Helper()
	out := []int64{}
	for row, err := range c.Iterate(context.Background(), query.Where(expr)) {
		require.NoError(t, err)
		out = append(out, row.Int64("id"))
	}
	return out
}

// Fields come and go in a collection with growing and sealed rows; all read them alike.
func TestChangeFields(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	open := func() (*engine.Engine, *engine.Collection) {
		eng, err := engine.Open("db", &engine.Options{FS: fs})
		require.NoError(t, err)
		c, err := eng.Collection("c")
		if err != nil {
			c, err = eng.CreateCollection(ctx, schema.New("c").WithShards(2).EnableDynamicField().With(
				schema.Int64("id").PrimaryKey(), schema.Int64("a"), schema.FloatVector("v", 2), schema.FloatVector("w", 2)))
		}
		require.NoError(t, err)
		return eng, c
	}
	insert := func(c *engine.Collection, from, n int64, more ...func(id int64) (string, int64)) {
		t.Helper()
		var rows []map[string]any
		for id := from; id < from+n; id++ {
			row := map[string]any{"id": id, "v": []float32{float32(id), 0}, "w": []float32{0, float32(id)}}
			for _, fn := range more {
				name, value := fn(id)
				row[name] = value
			}
			rows = append(rows, row)
		}
		_, err := c.InsertRows(ctx, rows)
		require.NoError(t, err)
	}
	a := func(id int64) (string, int64) { return "a", id % 3 }
	eng, c := open()
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "w", Metric: "L2"}))
	insert(c, 0, 10, a)
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	insert(c, 10, 10, a)
	require.Equal(t, []int64{2, 5, 8, 11, 14, 17}, idsOf(t, c, "a == 2"))

	require.NoError(t, c.AddField(ctx, schema.Int64("b").Nullable()))
	require.NoError(t, c.AddField(ctx, schema.VarChar("d", 9).Nullable().Default("old").Analyze(text.English)))
	insert(c, 20, 5, a, func(id int64) (string, int64) { return "b", id })
	check := func(note string) {
		t.Helper()
		require.Equal(t, []int64{21, 22, 23, 24}, idsOf(t, c, "b > 20"), note)
		require.Len(t, idsOf(t, c, "b is null"), 20, note)
		require.Len(t, idsOf(t, c, "text_match(d, 'OLD')"), 25, note)
		rows, err := c.Get(ctx, column.IntKeys(3, 13, 23), "*")
		require.NoError(t, err)
		for i, want := range []any{nil, nil, int64(23)} {
			require.Equal(t, want, rows.At(i).Value("b"), note)
			require.Equal(t, "old", rows.At(i).String("d"), note)
			require.EqualValues(t, i, (rows.At(i).Int64("id")-3)/10)
		}
		ordered, err := c.Query(ctx, query.All().OrderByDesc("b").Limit(21))
		require.NoError(t, err)
		require.EqualValues(t, 24, ordered.At(20).Int64("id"), "null first")
	}
	check("added")
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	check("flushed")
	require.NoError(t, c.Compact(ctx))
	check("compacted")
	require.NoError(t, eng.Close())
	eng, c = open()
	check("reopened")

	// A rename moves the name, and what filters knew under it is not taken for the other field's.
	require.Equal(t, []int64{2, 5, 8, 11, 14, 17, 20, 23}, idsOf(t, c, "a == 2"))
	require.NoError(t, c.RenameField(ctx, "a", "x"))
	require.NoError(t, c.RenameField(ctx, "b", "a"))
	require.Empty(t, idsOf(t, c, "a == 2"))
	require.Equal(t, []int64{22}, idsOf(t, c, "a == 22"))
	require.Equal(t, []int64{2, 5, 8, 11, 14, 17, 20, 23}, idsOf(t, c, "x == 2"))
	require.NoError(t, c.RenameField(ctx, "w", "ww"))
	info, err := c.DescribeIndex("w")
	require.NoError(t, err)
	require.Equal(t, "ww", info.Field, "the index follows, and keeps its name")
	require.NoError(t, c.WaitIndexed(ctx))
	hits, err := c.Search(ctx, query.Nearest("ww", []float32{0, 7}).Limit(1))
	require.NoError(t, err)
	require.EqualValues(t, 7, hits[0].Key.Int)
	require.NoError(t, eng.Close())
	eng, c = open()
	info, err = c.DescribeIndex("w")
	require.NoError(t, err)
	require.Equal(t, "ww", info.Field)
	require.Equal(t, []int64{22}, idsOf(t, c, "a == 22"))

	// A dropped field is gone with its index, and its name may be used again.
	require.NoError(t, c.DropField(ctx, "ww"))
	require.Empty(t, c.Indexes())
	_, err = c.Search(ctx, query.Nearest("ww", []float32{0, 7}))
	require.ErrorContains(t, err, "no such field")
	require.NoError(t, c.DropField(ctx, "a"))
	require.NoError(t, c.AddField(ctx, schema.Int64("a").Nullable()))
	require.Empty(t, idsOf(t, c, "a is not null"))
	_, err = c.InsertRows(ctx, []map[string]any{{"id": 100, "x": 1, "v": []float32{1, 1}, "a": 5, "ww": "dynamic now"}})
	require.NoError(t, err)
	require.Equal(t, []int64{100}, idsOf(t, c, "a == 5"))
	require.NoError(t, eng.Close())
	eng, c = open()
	require.Equal(t, []int64{100}, idsOf(t, c, "a == 5"))
	require.NoError(t, c.Compact(ctx))
	require.Equal(t, []int64{100}, idsOf(t, c, "a is not null"))

	for want, err := range map[string]error{
		"must be nullable":              c.AddField(ctx, schema.Int64("n")),
		"two fields have this name":     c.AddField(ctx, schema.Int64("x").Nullable()),
		"is no key":                     c.AddField(ctx, schema.Int64("n").PrimaryKey()),
		"primary key cannot be dropped": c.DropField(ctx, "id"),
		"at least one vector field":     c.DropField(ctx, "v"),
		"no such field in collection":   c.DropField(ctx, "nothing"),
		"the field is the engine's":     c.DropField(ctx, schema.MetaName),
		`field "x": two fields have`:    c.RenameField(ctx, "a", "x"),
		"word of the filter language":   c.RenameField(ctx, "a", "like"),
	} {
		require.ErrorIs(t, err, engine.ErrInvalid, want)
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, eng.Close())
}

// Writers and readers go on while fields come and go: no write is lost or refused for the change, and none is read half.
func TestChangeFieldsUnderWriters(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{SegmentRows: 200})
	c, err := eng.CreateCollection(ctx, schema.New("c").WithShards(2).With(
		schema.Int64("id").PrimaryKey(), schema.Int64("twice"), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	const writers, each = 3, 120
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	done := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := int64(w*each + i)
				cols := []*column.Column{
					column.Int64("id", []int64{id}), column.Int64("twice", []int64{2 * id}), column.FloatVector("v", 2, [][]float32{{float32(id), 1}}),
				}
				var err error
				if i%2 == 0 {
					_, err = c.Insert(ctx, cols...)
				} else {
					_, err = c.UpsertPartial(ctx, cols...)
				}
				if err != nil {
					errs <- fmt.Errorf("row %d: %w", id, err)
					return
				}
			}
		})
	}
	var changers sync.WaitGroup
	changers.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			default:
			}
			name := fmt.Sprint("extra", n)
			err := c.AddField(ctx, schema.Int64(name).Nullable().Default(int64(n)))
			if err == nil {
				err = c.RenameField(ctx, name, "renamed")
			}
			if err == nil {
				err = c.DropField(ctx, "renamed")
			}
			if err != nil {
				errs <- err
				return
			}
		}
	})
	changers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			for row, err := range c.All(ctx, "*") {
				if err != nil || row.Int64("twice") != 2*row.Int64("id") {
					errs <- fmt.Errorf("row %d has %d: %w", row.Int64("id"), row.Int64("twice"), err)
					return
				}
			}
		}
	})
	wg.Wait()
	close(done)
	changers.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	ids := idsOf(t, c, "")
	require.Len(t, ids, writers*each)
	require.True(t, slices.IsSorted(ids))
	hits, err := c.Search(ctx, query.Nearest("v", []float32{17, 1}).Metric(vector.L2).Limit(1))
	require.NoError(t, err)
	require.EqualValues(t, 17, hits[0].Key.Int)
}

// Fields that functions need stay; a renamed one goes on being analysed.
func TestChangeFieldsOfFunctions(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{})
	c, err := eng.CreateCollection(ctx, textSchema(text.English))
	require.NoError(t, err)
	put := func(id int64, field, words string) {
		_, err := c.Insert(ctx, column.Int64("id", []int64{id}), column.VarChar(field, []string{words}))
		require.NoError(t, err)
	}
	put(1, "body", "red lions")
	require.ErrorContains(t, c.DropField(ctx, "body"), "the field is used by a function")
	require.ErrorContains(t, c.DropField(ctx, "words"), "the field is used by a function")
	require.NoError(t, c.RenameField(ctx, "body", "article"))
	require.NoError(t, c.RenameField(ctx, "words", "terms"))
	put(2, "article", "a red lion")
	hits, err := c.Search(ctx, query.Nearest("terms", "lion"))
	require.NoError(t, err)
	require.Len(t, hits, 2)
	require.Equal(t, hits[0].Score, hits[1].Score)
}

// A vector field that came later is null in old entities, which no search of it finds; segments with and without it are indexed and merged.
func TestAddVectorField(t *testing.T) {
	ctx := context.Background()
	for _, f := range []*schema.Field{schema.FloatVector("u", 2), schema.SparseFloatVector("u"), schema.BinaryVector("u", 8)} {
		t.Run(f.Type.String(), func(t *testing.T) {
			fs := vfs.NewMem()
			eng, err := engine.Open("db", &engine.Options{FS: fs, CompactBytes: 1 << 30, SegmentRows: 5000})
			require.NoError(t, err)
			c, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)))
			require.NoError(t, err)
			vec := func(id int64) *column.Column {
				switch f.Type {
				case schema.TypeSparseFloatVector:
					return column.SparseFloatVector("u", []column.Sparse{{Indices: []uint32{1, uint32(id + 2)}, Values: []float32{1, 1}}})
				case schema.TypeBinaryVector:
					return column.BinaryVector("u", 8, [][]byte{{byte(id)}})
				}
				return column.FloatVector("u", 2, [][]float32{{float32(id), 1}})
			}
			put := func(id int64, with bool) {
				cols := []*column.Column{column.Int64("id", []int64{id}), column.FloatVector("v", 2, [][]float32{{float32(id), 0}})}
				if with {
					cols = append(cols, vec(id))
				}
				_, err := c.Insert(ctx, cols...)
				require.NoError(t, err)
			}
			for id := range int64(60) {
				put(id, false)
			}
			_, err = c.Flush(ctx)
			require.NoError(t, err)
			put(60, false)
			require.NoError(t, c.AddField(ctx, f.Clone().Nullable()))
			require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "u"}))
			check := func(with int) {
				t.Helper()
				var req *query.Search
				switch f.Type {
				case schema.TypeSparseFloatVector:
					req = query.Nearest("u", column.Sparse{Indices: []uint32{1}, Values: []float32{1}})
				case schema.TypeBinaryVector:
					req = query.Nearest("u", []byte{7})
				default:
					req = query.Nearest("u", []float32{7, 1})
				}
				for _, r := range []*query.Search{req.Limit(1000), req.Exact()} {
					hits, err := c.Search(ctx, r)
					require.NoError(t, err)
					require.Len(t, hits, with)
					for _, h := range hits {
						require.GreaterOrEqual(t, h.Key.Int, int64(70))
					}
				}
				hits, err := c.Search(ctx, query.Nearest("v", []float32{7, 0}).Metric(vector.L2).Limit(1).Output("u"))
				require.NoError(t, err)
				require.Nil(t, hits[0].Row.Value("u"))
			}
			require.NoError(t, c.WaitIndexed(ctx))
			check(0)
			for id := range int64(40) {
				put(70+id, true)
			}
			check(40)
			_, err = c.Flush(ctx)
			require.NoError(t, err)
			require.NoError(t, c.WaitIndexed(ctx))
			check(40)
			require.NoError(t, c.Compact(ctx))
			require.NoError(t, c.WaitIndexed(ctx))
			check(40)
			require.Len(t, c.Segments(), 1)
			require.NoError(t, eng.Close())
			eng, err = engine.Open("db", &engine.Options{FS: fs})
			require.NoError(t, err)
			c, err = eng.Collection("c")
			require.NoError(t, err)
			require.NoError(t, c.WaitIndexed(ctx))
			check(40)
			require.NoError(t, c.DropField(ctx, "u"))
			require.Empty(t, c.Indexes())
			require.NoError(t, eng.Close())
		})
	}
}

// Limits of a field are raised, for growing and sealed rows, and stay so.
func TestWidenField(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, err := engine.Open("db", &engine.Options{FS: fs})
	require.NoError(t, err)
	c, err := eng.CreateCollection(ctx, schema.New("c").With(
		schema.Int64("id").PrimaryKey(), schema.VarChar("s", 3), schema.Array("a", schema.TypeInt32, 1), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	insert := func(id int, s string, a []int32) error {
		_, err := c.InsertRows(ctx, []map[string]any{{"id": id, "s": s, "a": a, "v": []float32{1, 2}}})
		return err
	}
	require.NoError(t, insert(1, "abc", []int32{1}))
	require.ErrorContains(t, insert(2, "abcd", []int32{1}), "max_length")
	require.NoError(t, c.WidenField(ctx, "s", 4, 0))
	require.NoError(t, c.WidenField(ctx, "a", 0, 2))
	require.NoError(t, insert(2, "abcd", []int32{1, 2}))
	for _, w := range []struct {
		field            string
		length, capacity int
		text             string
	}{
		{"s", 3, 0, "max_length is 4 and cannot be lowered"},
		{"s", 65536, 0, "max_length"},
		{"s", 0, 5, "has no max_capacity"},
		{"a", 0, 1, "max_capacity is 2 and cannot be lowered"},
		{"v", 4, 0, "has no max_length"},
		{"nothing", 4, 0, "no such field"},
	} {
		err := c.WidenField(ctx, w.field, w.length, w.capacity)
		require.ErrorIs(t, err, engine.ErrInvalid)
		require.ErrorContains(t, err, w.text)
	}
	require.NoError(t, eng.Close())
	eng, err = engine.Open("db", &engine.Options{FS: fs})
	require.NoError(t, err)
	c, err = eng.Collection("c")
	require.NoError(t, err)
	require.NoError(t, insert(3, "efgh", []int32{3, 4}))
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	require.Equal(t, []int64{2, 3}, idsOf(t, c, "array_length(a) == 2 and s like '____'"))
	require.NoError(t, eng.Close())
}
