package engine_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// rowsOf reads all ids, in order.
func rowsOf(t testing.TB, c *engine.Collection) (ids []int64) {
	t.Helper()
	for row, err := range c.All(context.Background()) {
		require.NoError(t, err)
		ids = append(ids, row.Int64("id"))
	}
	return ids
}

func TestCompactByHand(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	data := clustered(rand.New(rand.NewPCG(1, 2)), 10_020)
	rows, queries := data[:10_000*indexDim], data[10_000*indexDim:]
	eng, c := indexStore(t, fs, engine.Options{CompactBytes: -1})
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	for i := 0; i < 10_000; i += 1_000 {
		insertVectors(t, c, int64(i), rows[i*indexDim:(i+1_000)*indexDim])
		_, err := c.Flush(ctx)
		require.NoError(t, err)
	}
	require.NoError(t, c.WaitIndexed(ctx))
	require.Len(t, c.Segments(), 10)
	dead := column.IntKeys()
	for id := int64(0); id < 10_000; id += 7 {
		dead.Ints = append(dead.Ints, id)
	}
	_, err := c.Delete(ctx, dead)
	require.NoError(t, err)
	want := rowsOf(t, c)

	require.NoError(t, c.Compact(ctx))
	segments := c.Segments()
	require.Len(t, segments, 1)
	require.EqualValues(t, len(want), segments[0].Rows, "dead rows are gone")
	require.Len(t, segments[0].Indexes, 1, "the new segment has its index from the start")
	require.Equal(t, want, rowsOf(t, c))
	require.EqualValues(t, len(want), c.NumEntities())
	require.Greater(t, recall(t, c, queries, asIs), 0.95)
	requireSegments(t, fs, 1)
	m := eng.Metrics()
	require.EqualValues(t, 1, m.Compactions)
	require.EqualValues(t, len(dead.Ints), m.DroppedRows)
	require.Greater(t, m.WriteAmplification(), 1.5)

	require.NoError(t, c.Compact(ctx), "there is nothing to do")
	require.EqualValues(t, 1, eng.Metrics().Compactions)
	require.NoError(t, eng.Close())
	eng, c = indexStore(t, fs, engine.Options{})
	require.Equal(t, want, rowsOf(t, c))

	// All dead: no segment is left.
	_, err = c.Delete(ctx, column.IntKeys(want...))
	require.NoError(t, err)
	require.NoError(t, c.Compact(ctx))
	require.Empty(t, c.Segments())
	require.Zero(t, c.NumEntities())
	require.NoError(t, eng.Close())
	_, c = indexStore(t, fs, engine.Options{})
	require.Empty(t, rowsOf(t, c))
}

// TestCompactKeepsSnapshots: a reader that began before a merge goes on over the old segments, whose files stay until it ends.
func TestCompactKeepsSnapshots(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	_, c := indexStore(t, fs, engine.Options{CompactBytes: -1})
	data := clustered(rand.New(rand.NewPCG(1, 2)), 3_000)
	for i := 0; i < 3_000; i += 1_000 {
		insertVectors(t, c, int64(i), data[i*indexDim:(i+1_000)*indexDim])
		_, err := c.Flush(ctx)
		require.NoError(t, err)
	}
	n := 0
	for row, err := range c.All(ctx, "v") {
		require.NoError(t, err)
		if n == 10 {
			_, err := c.Delete(ctx, column.IntKeys(2_999, 500))
			require.NoError(t, err)
			require.NoError(t, c.Compact(ctx))
			requireSegments(t, fs, 4)
		}
		require.EqualValues(t, n, row.Int64("id"))
		n++
	}
	require.Equal(t, 3_000, n, "the loop's snapshot is older than the delete")
	requireSegments(t, fs, 1)
	require.Len(t, rowsOf(t, c), 2_998)
}

// TestCompactBesideDrop: a partition that is dropped while Compact reads its segments ends the call, and nothing else.
func TestCompactBesideDrop(t *testing.T) {
	ctx := context.Background()
	var armed atomic.Bool
	drop := func() {}
	fs := &hookFS{FS: vfs.NewMem(), before: func(op fsOp) error {
		if op.kind == opCreate && strings.Contains(op.path, "/seg/") && armed.CompareAndSwap(true, false) {
			drop() // the output is begun, the inputs are not yet read
		}
		return nil
	}}
	_, c := indexStore(t, fs, engine.Options{CompactBytes: -1})
	data := clustered(rand.New(rand.NewPCG(1, 2)), 2_000)
	p, err := c.CreatePartition(ctx, "p")
	require.NoError(t, err)
	for i := range int64(4) {
		ids := make([]int64, 500)
		for j := range ids {
			ids[j] = i*500 + int64(j)
		}
		_, err := p.Insert(ctx, column.Int64("id", ids), column.FloatVectorFlat("v", indexDim, data[i*500*indexDim:(i+1)*500*indexDim]))
		require.NoError(t, err)
		_, err = p.Flush(ctx)
		require.NoError(t, err)
	}
	drop = func() { require.NoError(t, c.DropPartition(ctx, "p")) }
	armed.Store(true)
	require.ErrorIs(t, p.Compact(ctx), engine.ErrNotFound)
	require.False(t, armed.Load())
	requireSegments(t, fs, 0)
}

// requireSegments waits until the store db has so many segments on disk: the files of others go in the background. Directories made ahead have no rows.
func requireSegments(t *testing.T, fs vfs.FS, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		names, err := fs.List("db/seg")
		require.NoError(t, err)
		have := 0
		for _, name := range names {
			if info, err := fs.Stat(fs.PathJoin("db/seg", name, "rows.sst")); err == nil && info.Size() > 0 {
				have++
			}
		}
		return have == n
	}, waitLong, waitStep)
}

// TestFlushAfterEveryInsert: many tiny flushes end in few segments, without a manual call, and nothing is lost.
func TestFlushAfterEveryInsert(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, c := indexStore(t, fs, engine.Options{CompactIdle: 50 * time.Millisecond, Tick: 10 * time.Millisecond})
	n := 600
	if testing.Short() {
		n = 200
	}
	data := clustered(rand.New(rand.NewPCG(1, 2)), n)
	for i := range n {
		insertVectors(t, c, int64(i), data[i*indexDim:(i+1)*indexDim])
		_, err := c.Flush(ctx)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return len(c.Segments()) == 1 }, time.Minute, 10*time.Millisecond)
	require.Len(t, rowsOf(t, c), n)
	requireSegments(t, fs, 1)
	require.Less(t, eng.Metrics().WriteAmplification(), 20.0)
}

// TestCompactUnderLoad: inserts, upserts, deletes, flushes and searches go on while segments are merged by hand and in the background. A
// model knows what must be there; every live row is found by its own vector, and no dead one comes back, over a reopening too.
func TestCompactUnderLoad(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, c := indexStore(t, fs, engine.Options{CompactIdle: 30 * time.Millisecond, Tick: 5 * time.Millisecond, CompactShare: 1})
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	const writers, keys = 3, 400
	steps := 300
	if testing.Short() {
		steps = 100
	}
	var mu [writers]sync.Mutex
	model := [writers]map[int64][]float32{}
	var stop atomic.Bool
	var wg, readers sync.WaitGroup
	for w := range writers {
		model[w] = map[int64][]float32{}
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 7))
			for range steps {
				id := int64(w*keys) + rng.Int64N(keys)
				v := clustered(rng, 1)
				mu[w].Lock()
				_, there := model[w][id]
				var err error
				switch {
				case rng.IntN(3) > 0:
					_, err = c.Upsert(ctx, column.Int64("id", []int64{id}), column.FloatVectorFlat("v", indexDim, v))
					model[w][id] = v
				case there:
					_, err = c.Delete(ctx, column.IntKeys(id))
					delete(model[w], id)
				default:
					_, err = c.Insert(ctx, column.Int64("id", []int64{id}), column.FloatVectorFlat("v", indexDim, v))
					model[w][id] = v
				}
				if err == nil && rng.IntN(4) == 0 {
					_, err = c.Flush(ctx)
				}
				mu[w].Unlock()
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 8))
			for !stop.Load() {
				mu[w].Lock()
				for id, v := range model[w] {
					hits, err := c.Search(ctx, query.Nearest("v", v).Metric(vector.L2).Limit(1))
					if err != nil || len(hits) != 1 || hits[0].Key.Int != id || hits[0].Score != 0 {
						t.Errorf("entity %d: %v, %v", id, hits, err)
					}
					break
				}
				mu[w].Unlock()
				time.Sleep(time.Duration(rng.IntN(2000)) * time.Microsecond)
			}
		})
	}
	readers.Go(func() {
		for !stop.Load() {
			if err := c.Compact(ctx); err != nil {
				t.Error(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	wg.Wait()
	stop.Store(true)
	readers.Wait()
	check := func(c *engine.Collection) {
		var want []int64
		for _, m := range model {
			for id := range m {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		require.Equal(t, want, rowsOf(t, c))
	}
	check(c)
	require.Positive(t, eng.Metrics().Compactions)
	require.NoError(t, eng.Close())
	_, c = indexStore(t, fs, engine.Options{CompactBytes: -1})
	check(c)
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	n, err := c.Count(ctx)
	require.NoError(t, err)
	require.Equal(t, n, c.NumEntities())
}
