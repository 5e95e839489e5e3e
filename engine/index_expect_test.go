package engine_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// Searches that come right after Open use the index's file: none compares all vectors because it was quicker than the indexer.
func TestIndexRightAfterOpen(t *testing.T) {
	ctx := context.Background()
	vectors := clustered(rand.New(rand.NewPCG(3, 1)), 16_000) // codes that are worth a graph
	queries := vectors[:20*indexDim]
	fs := vfs.NewMem()
	o := engine.Options{CompactBytes: -1}
	eng, c := indexStore(t, fs, o)
	insertVectors(t, c, 0, vectors)
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	require.NoError(t, c.WaitIndexed(ctx))
	files := indexFiles(t, fs)
	require.Len(t, files, 1, "a graph, in its file")
	require.NoError(t, eng.Close())

	for range 5 {
		eng, c = indexStore(t, fs, o)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				hits, err := c.Search(ctx, query.Nearest("v", queries[i*indexDim:(i+1)*indexDim]))
				if err != nil || len(hits) != 10 || hits[0].Key.Int != int64(i) {
					t.Errorf("%d hits, %v", len(hits), err)
				}
			})
		}
		wg.Wait()
		require.NoError(t, c.WaitIndexed(ctx))
		require.Eventually(t, func() bool { return eng.Metrics().IndexLoads > 0 }, waitLong, waitStep, "it is counted a moment after it is there")
		m := eng.Metrics()
		require.EqualValues(t, 1, m.IndexLoads, "what searches mapped counts for nothing")
		require.Zero(t, m.IndexBuilds)
		require.NoError(t, eng.Close())
	}

	// A search that is given up leaves the file to the next; one of another metric has no use for it.
	eng, c = indexStore(t, fs, o)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = c.Search(ended, query.Nearest("v", queries[:indexDim]))
	require.ErrorIs(t, err, context.Canceled)
	require.Greater(t, recall(t, c, queries, asIs), .9)

	// What is wrong with a file costs speed, never hits.
	eng, c = reopened(t, eng, fs, o, func() {
		changeFile(t, fs, files[0], func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	})
	hits, err := c.Search(ctx, query.Nearest("v", queries[:indexDim]))
	require.NoError(t, err)
	require.EqualValues(t, 0, hits[0].Key.Int)
	require.NoError(t, c.WaitIndexed(ctx))
	require.EqualValues(t, 1, eng.Metrics().IndexRejected)
	require.Eventually(t, func() bool { return eng.Metrics().IndexBuilds == 1 }, waitLong, waitStep)

	// A definition that is dropped, and a file of it that is not.
	eng, c = reopened(t, eng, fs, o, func() {})
	require.NoError(t, c.DropIndex(ctx, "v"))
	hits, err = c.Search(ctx, query.Nearest("v", queries[:indexDim]))
	require.NoError(t, err)
	require.EqualValues(t, 0, hits[0].Key.Int)
	require.NoError(t, eng.Close())
}

// reopened closes a store, has something happen to it, and opens it again.
func reopened(t *testing.T, eng *engine.Engine, fs vfs.FS, o engine.Options, meanwhile func()) (*engine.Engine, *engine.Collection) {
	t.Helper()
	require.NoError(t, eng.Close())
	meanwhile()
	return indexStore(t, fs, o)
}
