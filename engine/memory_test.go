package engine_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

func TestMemoryBudgetIsChecked(t *testing.T) {
	for _, c := range []struct {
		o    engine.Options
		says string
	}{
		{engine.Options{MemoryBudget: 1 << 20}, "MemoryBudget of 1048576 bytes, at least 16777216"},
		{engine.Options{MemoryBudget: 64 << 20, GrowingBytes: 60 << 20}, "together they may take three quarters, 50331648"},
		{engine.Options{MemoryBudget: 64 << 20, GrowingBytes: -1}, "together they may take three quarters"},
		{engine.Options{MemoryBudget: 64 << 20, BatchBytes: 30 << 20}, "Options.BatchBytes of 31457280, at most half of GrowingBytes 25165824"},
	} {
		c.o.FS = vfs.NewMem()
		_, err := engine.Open("db", &c.o)
		require.ErrorIs(t, err, engine.ErrInvalid)
		require.ErrorContains(t, err, c.says)
	}
}

// TestBatchThatNeverFits: it is refused at once, with the bound, and the store goes on.
func TestBatchThatNeverFits(t *testing.T) {
	ctx := context.Background()
	_, c := indexStore(t, vfs.NewMem(), engine.Options{MemoryBudget: 16 << 20})
	const rows = 2 << 20 / (4 * indexDim)
	ids := make([]int64, rows)
	for i := range ids {
		ids[i] = int64(i)
	}
	_, err := c.Insert(ctx, column.Int64("id", ids), column.FloatVectorFlat("v", indexDim, make([]float32, rows*indexDim)))
	require.ErrorIs(t, err, engine.ErrTooLarge)
	insertVectors(t, c, 0, make([]float32, 100*indexDim))
}

// TestReleaseAndLoad: released, indexes are mapped and answer as before; loaded, they are in memory again.
func TestReleaseAndLoad(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	eng, err := engine.Open(dir, &engine.Options{CompactBytes: -1})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	c := vectorCollection(t, eng)
	data := clustered(rand.New(rand.NewPCG(1, 2)), 60_020)
	rows, queries := data[:60_000*indexDim], data[60_000*indexDim:]
	for i := range int64(2) {
		insertVectors(t, c, i*30_000, rows[i*30_000*indexDim:(i+1)*30_000*indexDim])
		_, err = c.Flush(ctx)
		require.NoError(t, err)
	}
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	require.NoError(t, c.WaitIndexed(ctx))
	ask := func() (ids []int64) {
		for q := range 20 {
			hits, err := c.Search(ctx, query.Nearest("v", queries[q*indexDim:(q+1)*indexDim]).Limit(10))
			require.NoError(t, err)
			for _, h := range hits {
				ids = append(ids, h.Key.Int)
			}
		}
		return ids
	}
	want := ask()
	loaded := eng.Metrics().Memory
	require.Greater(t, loaded.Indexes, int64(60_000*indexDim), "a byte a dimension, and the graph")
	require.NoError(t, c.Release(ctx))
	released := eng.Metrics().Memory
	require.Less(t, released.Indexes, loaded.Indexes/10)
	require.Less(t, released.Rows, loaded.Rows)
	require.Equal(t, want, ask())
	p, err := c.Partition(engine.DefaultPartition)
	require.NoError(t, err)
	require.NoError(t, p.Load(ctx))
	require.InDelta(t, loaded.Indexes, eng.Metrics().Memory.Indexes, float64(loaded.Indexes)/10)
	require.Equal(t, want, ask())
	require.NoError(t, p.Load(ctx), "there is nothing to do")
	require.NoError(t, p.Release(ctx))
	require.NoError(t, eng.Close())

	// With a budget that has no room for them they are mapped from the start, and Load says why they stay so.
	eng, err = engine.Open(dir, &engine.Options{CompactBytes: -1, MemoryBudget: 16 << 20})
	require.NoError(t, err)
	c, err = eng.Collection("c")
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	require.Equal(t, want, ask())
	err = c.Load(ctx)
	require.ErrorIs(t, err, engine.ErrTooLarge)
	require.ErrorContains(t, err, "of Options.MemoryBudget 16777216 are free")
	require.Equal(t, want, ask())
	require.NoError(t, eng.Close())

	// Mapped graphs of this size are merged, not built anew.
	eng, err = engine.Open(dir, &engine.Options{CompactBytes: -1, MapIndexes: true})
	require.NoError(t, err)
	c, err = eng.Collection("c")
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	require.NoError(t, c.Compact(ctx))
	require.Len(t, c.Segments(), 1)
	require.EqualValues(t, 1, eng.Metrics().IndexMerges)
	require.Greater(t, recall(t, c, queries, asIs), 0.95)
}

// TestMemoryBudget: several times the budget is written, indexed and searched at once; what the engine counts stays within it, and nothing
// is lost.
func TestMemoryBudget(t *testing.T) {
	ctx := context.Background()
	const budget, writers, batch = 16 << 20, 3, 500
	batches := 200
	if testing.Short() {
		batches = 40
	}
	var waited atomic.Int64
	eng, err := engine.Open(t.TempDir(), &engine.Options{
		MemoryBudget: budget, Sync: engine.SyncNone, Events: engine.EventListener{Stalled: func(engine.StallEvent) { waited.Add(1) }},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	c := vectorCollection(t, eng)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	var wg, readers sync.WaitGroup
	var stop atomic.Bool
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 3))
			ids := make([]int64, batch)
			for b := range batches {
				for i := range ids {
					ids[i] = int64((b*writers+w)*batch + i)
				}
				if _, err := c.Insert(ctx, column.Int64("id", ids), column.FloatVectorFlat("v", indexDim, clustered(rng, batch))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	readers.Go(func() {
		rng := rand.New(rand.NewPCG(9, 9))
		for !stop.Load() {
			if _, err := c.Search(ctx, query.Nearest("v", clustered(rng, 1)).Metric(vector.L2).Filter("id % 3 == 1").Limit(50)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Wait()
	stop.Store(true)
	readers.Wait()
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	require.EqualValues(t, writers*batches*batch, c.NumEntities())
	m := eng.Metrics()
	t.Logf("%+v, %d waits of writers, %d segments", m.Memory, waited.Load(), m.Segments.Segments)
	require.LessOrEqual(t, m.Memory.Peak, int64(budget+budget/8), "what reads copy is noticed after the fact")
	require.Zero(t, m.Memory.Growing+m.Memory.Writes+m.Memory.Queries, "all is given back")
	rng := rand.New(rand.NewPCG(0, 3))
	first := clustered(rng, batch)
	hits, err := c.Search(ctx, query.Nearest("v", first[:indexDim]).Metric(vector.L2).Limit(1))
	require.NoError(t, err)
	require.EqualValues(t, 0, hits[0].Key.Int)
}

func vectorCollection(t testing.TB, eng *engine.Engine) *engine.Collection {
	t.Helper()
	c, err := eng.CreateCollection(context.Background(), schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", indexDim)))
	require.NoError(t, err)
	return c
}

// fillRow writes the row of a key: near one of some centres, so that there are neighbours to find.
func fillRow(row []float32, id int64) {
	centre := rand.New(rand.NewPCG(uint64(id%257), 11))
	own := rand.New(rand.NewPCG(uint64(id), 13))
	for i := range row {
		row[i] = centre.Float32() + own.Float32()/4
	}
}
