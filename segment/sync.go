package segment

import (
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// heldFile is a table's file that outlives its writer: the writer's sync and close do nothing, so that all files of a segment are synced side
// by side when they are written.
type heldFile struct{ vfs.File }

func (heldFile) Sync() error  { return nil }
func (heldFile) Close() error { return nil }

// syncAll begins to sync and close files, and to sync directories, side by side: a file system makes one commit of its journal of them, where one
// after the other each costs one. wait waits for the end.
func syncAll(fs vfs.FS, files []vfs.File, dirs ...string) (wait func() error) {
	errs := make([]error, len(files)+len(dirs))
	var wg sync.WaitGroup
	for i, f := range files {
		wg.Go(func() { errs[i] = errors.Join(f.Sync(), f.Close()) })
	}
	for i, dir := range dirs {
		wg.Go(func() { errs[len(files)+i] = syncDir(fs, dir) })
	}
	return func() error {
		wg.Wait()
		return errors.Join(errs...)
	}
}
