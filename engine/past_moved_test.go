package engine_test

import (
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
)

// qdrant#2231 is taken for what qdrant PR #2514 mended: a row that was moved from one segment to another was lost by a crash between the flushes
// of the two. prometheus#7245 is taken for a log that was cut by what one part of the store had flushed, while another still needed it.
func TestPastMovedRow(t *testing.T) {
	var mu sync.Mutex
	var images []*vfs.MemFS
	var mem *vfs.MemFS
	armed := false
	s := newPast(t, engine.Options{CompactBytes: -1, LogFileBytes: 8 << 10}, func(fs vfs.FS) vfs.FS {
		mem = fs.(*vfs.MemFS)
		return newHookFS(fs, func(op fsOp) error {
			mu.Lock()
			defer mu.Unlock()
			if armed && op.changes() {
				images = append(images, mem.CrashClone(vfs.CrashCloneCfg{}))
			}
			return nil
		})
	})
	s.upsert(1, idRange(0, 40)...)
	s.flush()
	other, err := s.c.Partition(engine.DefaultPartition)
	require.NoError(t, err)
	mu.Lock()
	armed = true
	mu.Unlock()
	for i := range int64(8) {
		moved := idRange(5*i, 5)
		_, err := s.c.Upsert(s.ctx, plainRows(2, moved...)...) // they leave p for the default partition
		require.NoError(t, err)
		flushed := make(chan error, 1)
		go func() {
			_, err := other.Flush(s.ctx)
			flushed <- err
		}()
		s.flush()
		require.NoError(t, <-flushed)
	}
	require.NoError(t, s.eng.Close())
	step := max(1, len(images)/60)
	for i := 0; i < len(images); i += step {
		eng, err := engine.Open("db", &engine.Options{FS: images[i]})
		require.NoError(t, err)
		c, err := eng.Collection("c")
		require.NoError(t, err)
		rows, err := c.Get(s.ctx, column.IntKeys(idRange(0, 40)...))
		require.NoError(t, err)
		require.Equal(t, 40, rows.Len(), "crash %d of %d", i, len(images))
		n, err := c.Count(s.ctx)
		require.NoError(t, err)
		require.EqualValues(t, 40, n, "crash %d of %d", i, len(images))
		require.NoError(t, eng.Close())
	}
}
