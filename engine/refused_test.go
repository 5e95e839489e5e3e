package engine_test

import (
	"io/fs"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
)

// An insert is not refused for a row that is not durable yet: it waits to learn what becomes of it.
func TestRefusedByWhatIsDurable(t *testing.T) {
	for name, broken := range map[string]bool{"durable": false, "failed": true} {
		t.Run(name, func(t *testing.T) {
			var armed atomic.Bool
			reached, goOn := make(chan struct{}), make(chan struct{})
			s := newPast(t, engine.Options{}, func(mem vfs.FS) vfs.FS {
				return newHookFS(mem, func(op fsOp) error {
					if op.kind != opSync || op.n != 1 || !strings.Contains(op.path, ".wal") || !armed.CompareAndSwap(true, false) {
						return nil
					}
					close(reached)
					<-goOn
					if broken {
						return &fs.PathError{Op: "sync", Path: op.path, Err: syscall.EIO}
					}
					return nil
				})
			})
			insert := func() chan error {
				done := make(chan error, 1)
				go func() {
					_, err := s.p.Insert(s.ctx, plainRows(1, 7)...)
					done <- err
				}()
				return done
			}
			armed.Store(true)
			first := insert()
			<-reached
			second := insert()
			select {
			case err := <-second:
				t.Errorf("it did not wait: %v", err)
				close(goOn)
				<-first
				return
			case <-time.After(30 * time.Millisecond):
			}
			close(goOn)
			if broken {
				require.ErrorIs(t, <-first, engine.ErrPoisoned)
				require.ErrorIs(t, <-second, engine.ErrPoisoned)
				return
			}
			require.NoError(t, <-first)
			require.ErrorIs(t, <-second, engine.ErrDuplicateKey)
		})
	}
}
