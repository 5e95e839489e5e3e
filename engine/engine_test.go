package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

var documented = [][]float32{
	{0.1, 0.2, -0.3, -0.4, 0.5},
	{0.3, -0.1, -0.2, -0.6, 0.7},
	{-0.6, -0.3, 0.2, 0.8, 0.7},
	{0.6, 0.2, -0.3, -0.8, 0.5},
	{0.3, 0.1, -0.2, -0.6, -0.7},
}

func fiveEntities(t *testing.T, eng *engine.Engine) *engine.Partition {
	t.Helper()
	ctx := context.Background()
	coll, err := eng.CreateCollection(ctx, schema.New("test_collection").With(
		schema.Int64("id").PrimaryKey(), schema.FloatVector("vector", 5)))
	require.NoError(t, err)
	part, err := coll.CreatePartition(ctx, "test_partition")
	require.NoError(t, err)
	res, err := part.Insert(ctx, column.Int64("id", []int64{0, 1, 2, 3, 4}), column.FloatVector("vector", 5, documented))
	require.NoError(t, err)
	require.Equal(t, 5, res.Inserted)
	return part
}

func TestDocumentedFlushExample(t *testing.T) {
	ctx := context.Background()
	eng, err := engine.Open(t.TempDir(), nil)
	require.NoError(t, err)
	part := fiveEntities(t, eng)
	require.Zero(t, part.NumEntities(), "growing entities are not flushed yet")

	rec, err := part.Flush(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 5, part.NumEntities())
	require.Len(t, rec.Segments, 1)
	require.EqualValues(t, 5, rec.Rows)
	require.Positive(t, rec.Bytes)

	rec, err = part.Flush(ctx)
	require.NoError(t, err)
	require.Empty(t, rec.Segments, "a second flush has nothing to do")
	require.NoError(t, eng.Close())
}

func TestReopenKeepsEverything(t *testing.T) {
	for name, flush := range map[string]bool{"from the log": false, "from sealed segments": true} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			fs := vfs.NewMem()
			eng, err := engine.Open("db", &engine.Options{FS: fs})
			require.NoError(t, err)
			part := fiveEntities(t, eng)
			if flush {
				_, err := part.Flush(ctx)
				require.NoError(t, err)
			}
			res, err := part.Delete(ctx, column.IntKeys(1, 99))
			require.NoError(t, err)
			require.Equal(t, 1, res.Deleted)
			res, err = part.Upsert(ctx, column.Int64("id", []int64{2, 7}), column.FloatVector("vector", 5, documented[:2]))
			require.NoError(t, err)
			require.Equal(t, 1, res.Deleted)
			require.NoError(t, eng.Close())

			eng, err = engine.Open("db", &engine.Options{FS: fs})
			require.NoError(t, err)
			defer func() { require.NoError(t, eng.Close()) }()
			coll, err := eng.Collection("test_collection")
			require.NoError(t, err)
			part, err = coll.Partition("test_partition")
			require.NoError(t, err)
			n, err := part.Count(ctx)
			require.NoError(t, err)
			require.EqualValues(t, 5, n)
			var ids []int64
			for row, err := range part.All(ctx, "*") {
				require.NoError(t, err)
				ids = append(ids, row.Int64("id"))
			}
			require.Equal(t, []int64{0, 2, 3, 4, 7}, ids)
			rows, err := part.Get(ctx, column.IntKeys(2, 1), "vector")
			require.NoError(t, err)
			require.Equal(t, 1, rows.Len())
			require.Equal(t, documented[0], rows.At(0).FloatVector("vector"))
			hits, err := part.Search(ctx, query.Nearest("vector", documented[0]).Metric(vector.L2).Limit(2))
			require.NoError(t, err)
			require.Equal(t, []int64{0, 2}, []int64{hits[0].Key.Int, hits[1].Key.Int}, "equal scores: the smaller key first")
			require.Zero(t, hits[0].Score)

			_, err = part.Insert(ctx, column.Int64("id", []int64{3}), column.FloatVector("vector", 5, documented[:1]))
			require.ErrorIs(t, err, engine.ErrDuplicateKey)
			_, err = part.Flush(ctx)
			require.NoError(t, err)
			require.EqualValues(t, 5, part.NumEntities())
		})
	}
}

func TestAutoSeal(t *testing.T) {
	ctx := context.Background()
	eng, err := engine.Open("db", &engine.Options{FS: vfs.NewMem(), SegmentRows: 100})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	coll, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)).WithShards(2))
	require.NoError(t, err)
	for i := range int64(1000) {
		_, err := coll.Insert(ctx, column.Int64("id", []int64{i}), column.FloatVectorFlat("v", 2, []float32{float32(i), 1}))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return coll.NumEntities() >= 800 }, 10*time.Second, time.Millisecond)
	n, err := coll.Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1000, n)
}
