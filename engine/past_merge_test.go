package engine_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
)

// Deletes that come while a merge builds its segment are those of the rows it has copied already: the merge's own edit has to name them, because
// a later flush takes them for saved and cuts the log that they are in. It is the way in which milvus#42927 could have come about here.
func TestPastDeletedDuringMerge(t *testing.T) {
	for _, kind := range []fsKind{opCreate, opWrite, opSync} {
		t.Run(string(kind), func(t *testing.T) {
			var armed atomic.Bool
			var s *past
			s = newPast(t, engine.Options{CompactBytes: -1, LogFileBytes: 8 << 10}, func(mem vfs.FS) vfs.FS {
				return newHookFS(mem, func(op fsOp) error {
					if op.kind == kind && strings.HasSuffix(op.path, ".sst") && armed.CompareAndSwap(true, false) {
						_, err := s.p.Delete(s.ctx, column.IntKeys(3, 17, 38))
						return err
					}
					return nil
				})
			})
			for i := range int64(4) {
				s.upsert(i, idRange(10*i, 10)...)
				s.flush()
			}
			armed.Store(true)
			s.compact()
			require.False(t, armed.Load())
			for _, id := range []int64{3, 17, 38} {
				delete(s.want, id)
			}
			s.check("merged")
			for i := range int64(40) { // the log moves on
				s.upsert(9, idRange(100+20*i, 20)...)
				s.flush()
			}
			s.check("flushed")
			s.cut()
			s.check("power cut")
			s.restart()
			s.check("opened again")
		})
	}
}
