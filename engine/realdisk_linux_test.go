package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// TestRealDiskFull fills a file system of its own until the system refuses more, makes room, and goes on. What was acknowledged stays, what was
// refused left nothing, through all of it and after a new open.
func TestRealDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 12<<20), 0o600))
	ctx := context.Background()
	o := &engine.Options{LogFileBytes: 1 << 20, SegmentRows: 2000, CompactBytes: -1}
	store := filepath.Join(dir, "store")
	eng, err := engine.Open(store, o)
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	const dim, batch = 32, 100
	c, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", dim)))
	require.NoError(t, err)
	next := int64(0)
	insert := func() error {
		ids, rows := make([]int64, batch), make([]float32, batch*dim)
		for i := range ids {
			ids[i] = next + int64(i)
			fillRow(rows[i*dim:(i+1)*dim], ids[i])
		}
		_, err := c.Insert(ctx, column.Int64("id", ids), column.FloatVectorFlat("v", dim, rows))
		if err == nil {
			next += batch
		}
		return err
	}
	whole := func() {
		t.Helper()
		n, err := c.Count(ctx)
		require.NoError(t, err)
		require.Equal(t, next, n)
		want := make([]float32, dim)
		id := int64(0)
		for row, err := range c.All(ctx, "v") {
			require.NoError(t, err)
			require.Equal(t, id, row.Int64("id"))
			fillRow(want, id)
			require.Equal(t, want, row.FloatVector("v"))
			id++
		}
		require.Equal(t, next, id)
	}
	fill := func() {
		t.Helper()
		refused := 0
		for range 10_000 {
			err := insert()
			if err == nil {
				continue
			}
			require.ErrorIs(t, err, engine.ErrDiskFull)
			if refused++; refused == 20 { // a flush may have made room in between
				break
			}
		}
		require.Equal(t, 20, refused)
		whole()
	}
	fill()
	before := next
	require.NoError(t, os.Remove(ballast))
	require.Eventually(t, func() bool { return insert() == nil }, waitLong, waitStep, "it goes on when there is room")
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	whole()
	fill()
	require.Greater(t, next, before+batch)
	require.NoError(t, eng.Close())
	again, err := engine.Open(store, o)
	require.NoError(t, err, "a store on a full disk opens")
	eng = again
	c, err = eng.Collection("c")
	require.NoError(t, err)
	whole()
	figures(t, "%d rows before room was made, %d in the end", before, next)
}
