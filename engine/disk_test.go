package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
)

// fixedDisk says that so many bytes are free.
type fixedDisk struct {
	vfs.FS
	free atomic.Uint64
}

func (d *fixedDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free.Load(), TotalBytes: 1 << 40}, nil
}

// TestDiskReserve: what is left of a disk is kept for writes, flushes and recovery: merges are put off, told of once, and made when there is
// room again.
func TestDiskReserve(t *testing.T) {
	ctx := context.Background()
	fs := &fixedDisk{FS: vfs.NewMem()}
	fs.free.Store(300 << 20)
	var told atomic.Int64
	eng, c := indexStore(t, fs, engine.Options{
		CompactIdle: time.Millisecond, Tick: time.Millisecond, DiskReserve: 100 << 20,
		Events: engine.EventListener{DiskFull: func(ev engine.DiskFullEvent) {
			told.Add(1)
			if ev.Operation != "compaction" || ev.FreeBytes != 50<<20 {
				t.Errorf("%+v", ev)
			}
		}},
	})
	fs.free.Store(50 << 20)
	for i := range int64(3) {
		insertVectors(t, c, i, make([]float32, indexDim))
		_, err := c.Flush(ctx)
		require.NoError(t, err, "a flush is not held back")
	}
	err := c.Compact(ctx)
	require.ErrorIs(t, err, engine.ErrDiskFull)
	require.ErrorContains(t, err, "52428800 are free, 104857600 are kept free (Options.DiskReserve)")
	require.ErrorIs(t, c.Compact(ctx), engine.ErrDiskFull)
	require.LessOrEqual(t, told.Load(), int64(3), "not again before something was written")
	require.Positive(t, told.Load())
	require.GreaterOrEqual(t, eng.Metrics().DiskFull, int64(2))
	require.Len(t, c.Segments(), 3)

	fs.free.Store(300 << 20)
	require.NoError(t, c.Compact(ctx))
	require.Len(t, c.Segments(), 1)
}
