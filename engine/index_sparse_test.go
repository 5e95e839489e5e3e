package engine_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// An index of sparse vectors is built, found again after a reopening where it has a file, and finds what a scan finds.
func TestSparseIndexLife(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(3, 4))
	fs := vfs.NewMem()
	random := func() (s column.Sparse) {
		for i := range uint32(400) {
			if rng.IntN(20) == 0 {
				s.Indices, s.Values = append(s.Indices, i), append(s.Values, rng.Float32())
			}
		}
		return s
	}
	eng, err := engine.Open("db", &engine.Options{FS: fs, CompactBytes: -1})
	require.NoError(t, err)
	c, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.SparseFloatVector("s")))
	require.NoError(t, err)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "s"}))
	id := int64(0)
	for _, n := range []int{10_000, 30} { // of a large segment the index has a file
		var ids []int64
		var rows []column.Sparse
		for range n {
			ids, rows = append(ids, id), append(rows, random())
			id++
		}
		_, err = c.Insert(ctx, column.Int64("id", ids), column.SparseFloatVector("s", rows))
		require.NoError(t, err)
		_, err = c.Flush(ctx)
		require.NoError(t, err)
	}
	check := func() {
		t.Helper()
		require.NoError(t, c.WaitIndexed(ctx))
		info, err := c.DescribeIndex("s")
		require.NoError(t, err)
		require.Equal(t, engine.IndexFinished, info.State)
		require.EqualValues(t, 10_030, info.IndexedRows)
		for range 5 {
			q := random()
			want, err := c.Search(ctx, query.Nearest("s", q).Limit(20).Exact())
			require.NoError(t, err)
			got, err := c.Search(ctx, query.Nearest("s", q).Limit(20))
			require.NoError(t, err)
			for i := range want {
				require.Equal(t, want[i].Key, got[i].Key)
				require.Equal(t, want[i].Score, got[i].Score)
			}
		}
	}
	check()
	require.EqualValues(t, 2, eng.Metrics().IndexBuilds)
	require.NoError(t, eng.Close())
	eng, err = engine.Open("db", &engine.Options{FS: fs, CompactBytes: -1})
	require.NoError(t, err)
	c, err = eng.Collection("c")
	require.NoError(t, err)
	check()
	m := eng.Metrics()
	require.Equal(t, []int64{1, 1, 0, 0}, []int64{m.IndexLoads, m.IndexBuilds, m.IndexErrors, m.IndexRejected})
	require.NoError(t, eng.Close())
}
