package segment

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Prepare makes directories for segments, each with an empty file for its rows, and syncs them and their common parent. Build needs one sync for a
// small segment in such a directory (BuildSpec.Prepared), where a new one costs three. After an error nothing is left, if it can be helped.
func Prepare(fs vfs.FS, parent string, dirs ...string) (err error) {
	defer func() {
		if err != nil {
			for _, dir := range dirs {
				err = errors.Join(err, fs.RemoveAll(dir))
			}
		}
	}()
	for _, dir := range dirs {
		if err := errors.Join(fs.RemoveAll(dir), fs.MkdirAll(dir, 0o755)); err != nil {
			return err
		}
		f, err := fs.Create(fs.PathJoin(dir, rowsFile), vfs.WriteCategoryUnspecified)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return err
		}
	}
	return syncAll(fs, nil, append([]string{parent}, dirs...)...)()
}
