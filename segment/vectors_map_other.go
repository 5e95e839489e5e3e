//go:build !unix

package segment

import "github.com/cockroachdb/pebble/v2/vfs"

// mapFile returns nil: files are not mapped here.
func mapFile(vfs.File, string, int64) *fileMap { return nil }

func (m *fileMap) random()           {}
func (m *fileMap) willNeed(int, int) {}
func (m *fileMap) unmap() error      { return nil }
