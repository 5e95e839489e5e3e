package engine_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// Every read of a snapshot sees the rows of the instant it was taken, through deletes, flushes, a merge and the drop of the collection.
func TestSnapshotIsFixed(t *testing.T) {
	ctx := t.Context()
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	coll, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	insert := func(id int64) {
		_, err := coll.Insert(ctx, column.Int64("id", []int64{id}), column.FloatVectorFlat("v", 2, []float32{float32(id), 0}))
		require.NoError(t, err)
	}
	insert(1)
	_, err = coll.Flush(ctx)
	require.NoError(t, err)
	insert(2)
	snap, err := coll.Snapshot(ctx)
	require.NoError(t, err)
	look := func() {
		n, err := snap.CountWhere(ctx, query.Where("id > 0"))
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		hits, err := snap.SearchMany(ctx, query.Nearest("v", []float32{2, 0}))
		require.NoError(t, err)
		require.Len(t, hits[0], 2)
		rows, err := snap.Get(ctx, column.IntKeys(1, 3), "v")
		require.NoError(t, err)
		require.Equal(t, 1, rows.Len())
		rows, err = snap.Query(ctx, query.Where("id == 2"))
		require.NoError(t, err)
		require.Equal(t, 1, rows.Len())
	}
	look()
	insert(3)
	_, err = coll.Delete(ctx, column.IntKeys(1, 2))
	require.NoError(t, err)
	look()
	_, err = coll.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, coll.Compact(ctx))
	look()
	_, err = snap.Query(ctx, query.Where("").Partitions("_default"))
	require.ErrorIs(t, err, engine.ErrInvalid)
	require.NoError(t, eng.DropCollection(ctx, "c"))
	look()
	snap.Release()
	snap.Release()
	_, err = snap.Get(ctx, column.IntKeys(1))
	require.ErrorIs(t, err, engine.ErrInvalid)
}
