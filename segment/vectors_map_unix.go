//go:build unix

package segment

import (
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// mapFile maps a file that is open, and may be closed after. It returns nil where that cannot be done: the file system has no real files, or
// the system refuses.
func mapFile(f vfs.File, path string, size int64) *fileMap {
	fd := f.Fd()
	if fd == vfs.InvalidFd || size <= 0 || size != int64(int(size)) {
		return nil
	}
	data, err := unix.Mmap(int(fd), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil
	}
	return &fileMap{path: path, data: data}
}

// random says that single rows are read from now on. A refusal costs speed only.
func (m *fileMap) random() { _ = unix.Madvise(m.data, unix.MADV_RANDOM) }

// willNeed asks for bytes ahead of their use. A refusal costs speed only.
func (m *fileMap) willNeed(from, to int) {
	page := unix.Getpagesize()
	_ = unix.Madvise(m.data[from/page*page:to], unix.MADV_WILLNEED)
}

func (m *fileMap) unmap() error { return unix.Munmap(m.data) }
