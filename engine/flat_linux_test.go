package engine_test

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// memoryDir is a directory of the system's own files in memory, so that a thousand stores take no time; of the disk where there is none.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "selkie-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// handles counts what a leak would add to.
func handles(t *testing.T) (files, goroutines int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(fds), runtime.NumGoroutine()
}

func cycles(t *testing.T) int {
	if testing.Short() {
		return 100
	}
	return 1000
}

// TestOpenAndCloseLeaveNothing: files and goroutines are as many after a thousand openings as after the first.
func TestOpenAndCloseLeaveNothing(t *testing.T) {
	dir := memoryDir(t)
	ctx := context.Background()
	cycle := func(i int64) {
		eng, err := engine.Open(dir, &engine.Options{LogFileBytes: 1 << 20})
		require.NoError(t, err)
		defer func() { require.NoError(t, eng.Close()) }()
		if !eng.HasCollection("c") {
			vectorCollection(t, eng)
		}
		c, err := eng.Collection("c")
		require.NoError(t, err)
		insertVectors(t, c, i, make([]float32, indexDim))
		if i%100 == 0 {
			_, err := c.Flush(ctx)
			require.NoError(t, err)
		}
	}
	cycle(0)
	files, goroutines := handles(t)
	for i := range cycles(t) {
		cycle(int64(i) + 1)
	}
	f, g := handles(t)
	require.LessOrEqual(t, f, files)
	require.LessOrEqual(t, g, goroutines)
}

// few is how many files and goroutines a store may have beyond those after its first segment: some begin later. A leak has one a cycle.
const few = 8

// TestSealAndDropLeaveNothing: a store that stays open has as many files and goroutines after a thousand segments were sealed and dropped.
func TestSealAndDropLeaveNothing(t *testing.T) {
	ctx := context.Background()
	eng, err := engine.Open(memoryDir(t), &engine.Options{CompactBytes: -1})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	c := vectorCollection(t, eng)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	cycle := func() {
		p, err := c.CreatePartition(ctx, "p")
		require.NoError(t, err)
		_, err = p.Insert(ctx, column.Int64("id", []int64{1, 2, 3}), column.FloatVectorFlat("v", indexDim, make([]float32, 3*indexDim)))
		require.NoError(t, err)
		_, err = p.Flush(ctx)
		require.NoError(t, err)
		require.NoError(t, c.DropPartition(ctx, "p"))
	}
	cycle()
	require.NoError(t, c.WaitIndexed(ctx))
	files, goroutines := handles(t)
	for range cycles(t) {
		cycle()
	}
	f, g := handles(t)
	for start := time.Now(); (f > files+few || g > goroutines+few) && time.Since(start) < waitLong; f, g = handles(t) {
		time.Sleep(waitStep) // the indexer may be at the last segment still
	}
	require.LessOrEqual(t, f, files+few)
	require.LessOrEqual(t, g, goroutines+few)
	// So do files that a reader held when they were dropped.
	require.Eventually(t, func() bool {
		names, err := os.ReadDir(eng.Dir() + "/seg")
		return err == nil && len(names) == 0
	}, waitLong, waitStep)
}
