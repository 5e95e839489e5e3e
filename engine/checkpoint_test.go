package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

func TestCheckpoint(t *testing.T) {
	ctx := context.Background()
	for name, fs := range map[string]vfs.FS{"in memory": vfs.NewMem(), "on disk": vfs.Default} {
		t.Run(name, func(t *testing.T) {
			dir, copied := "db", "copies"
			if name == "on disk" {
				dir, copied = t.TempDir()+"/db", t.TempDir()
			}
			require.NoError(t, fs.MkdirAll(copied, 0o755))
			eng, err := engine.Open(dir, &engine.Options{FS: fs})
			require.NoError(t, err)
			c, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", indexDim)))
			require.NoError(t, err)
			require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v"}))
			data := clustered(rand.New(rand.NewPCG(1, 2)), 14_100)
			insertVectors(t, c, 0, data[:14_000*indexDim])
			_, err = c.Flush(ctx)
			require.NoError(t, err)
			require.NoError(t, c.WaitIndexed(ctx))
			insertVectors(t, c, 14_000, data[14_000*indexDim:])
			_, err = c.Delete(ctx, column.IntKeys(5, 14_005))
			require.NoError(t, err)
			want := rowsOf(t, c)

			at := fs.PathJoin(copied, "one")
			r, err := eng.Checkpoint(ctx, at)
			require.NoError(t, err)
			require.Equal(t, eng.LSN(), r.LSN)
			require.Equal(t, 1, r.Segments)
			require.Equal(t, 3, r.Linked, "two tables and an index")
			_, err = eng.Checkpoint(ctx, at)
			require.ErrorIs(t, err, engine.ErrExists)

			// The store goes on, loses the segment, and ends; the copy has what there was.
			_, err = c.Delete(ctx, column.IntKeys(want[:9_000]...))
			require.NoError(t, err)
			require.NoError(t, c.Compact(ctx))
			require.NoError(t, eng.Close())
			for _, readOnly := range []bool{true, false} {
				other, err := engine.Open(at, &engine.Options{FS: fs, ReadOnly: readOnly, MustExist: true})
				require.NoError(t, err)
				c, err := other.Collection("c")
				require.NoError(t, err)
				require.Equal(t, want, rowsOf(t, c))
				require.NoError(t, c.WaitIndexed(ctx))
				require.Zero(t, other.Metrics().IndexBuilds)
				require.NoError(t, other.Close())
			}
		})
	}
}

// TestCheckpointUnderLoad: each of many checkpoints, taken while rows come and go and segments are flushed and merged, holds all that was
// acknowledged before it began, and calls whole.
func TestCheckpointUnderLoad(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, c := indexStore(t, fs, engine.Options{SegmentRows: 60, LogFileBytes: 32 << 10, CatalogueBytes: 8 << 10, CompactIdle: 10 * time.Millisecond, Tick: 5 * time.Millisecond})
	const writers, pair = 3, 2
	rounds := 20
	if testing.Short() {
		rounds = 8
	}
	var acked [writers]atomic.Int64 // calls; call n inserted the keys n*pair and n*pair+1 of the writer's range
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			v := clustered(rand.New(rand.NewPCG(uint64(w), 3)), pair)
			for n := int64(0); !stop.Load(); n++ {
				first := int64(w)<<32 + n*pair
				_, err := c.Insert(ctx, column.Int64("id", []int64{first, first + 1}), column.FloatVectorFlat("v", indexDim, v))
				if err == nil && n%20 == 19 {
					_, err = c.Flush(ctx)
				}
				if err != nil {
					t.Error(err)
					return
				}
				acked[w].Store(n + 1)
			}
		})
	}
	for round := range rounds {
		time.Sleep(5 * time.Millisecond)
		var least [writers]int64
		for w := range writers {
			least[w] = acked[w].Load()
		}
		dir := fmt.Sprintf("copy%d", round)
		_, err := eng.Checkpoint(ctx, dir)
		require.NoError(t, err)
		other, err := engine.Open(dir, &engine.Options{FS: fs, ReadOnly: round%2 == 0, MustExist: true})
		require.NoError(t, err)
		oc, err := other.Collection("c")
		require.NoError(t, err)
		ids := rowsOf(t, oc)
		require.True(t, slices.IsSorted(ids))
		var have [writers]int64
		for _, id := range ids {
			w := id >> 32
			require.Equal(t, have[w], id-w<<32, "a writer's rows are there without a gap")
			have[w]++
		}
		for w := range writers {
			require.Zero(t, have[w]%pair, "calls are whole")
			require.GreaterOrEqual(t, have[w]/pair, least[w])
		}
		require.NoError(t, other.Close())
	}
	stop.Store(true)
	wg.Wait()
}
