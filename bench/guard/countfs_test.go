//go:build !race

package guard

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// countFS counts what is done to a file system.
type countFS struct {
	vfs.FS
	syncs, written, creates, opens atomic.Int64
}

// counts are a countFS's at one moment.
type counts struct{ syncs, written, creates, opens int64 }

func (c *countFS) now() counts {
	return counts{c.syncs.Load(), c.written.Load(), c.creates.Load(), c.opens.Load()}
}

func (c counts) since(before counts) counts {
	return counts{c.syncs - before.syncs, c.written - before.written, c.creates - before.creates, c.opens - before.opens}
}

func (c *countFS) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &countFile{f, c}, nil
}

func (c *countFS) Create(name string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	c.creates.Add(1)
	return c.file(c.FS.Create(name, cat))
}

func (c *countFS) OpenReadWrite(name string, cat vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	c.opens.Add(1)
	return c.file(c.FS.OpenReadWrite(name, cat, opts...))
}

func (c *countFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	c.opens.Add(1)
	return c.file(c.FS.Open(name, opts...))
}

func (c *countFS) OpenDir(name string) (vfs.File, error) { return c.file(c.FS.OpenDir(name)) }

func (c *countFS) Unwrap() vfs.FS { return c.FS }

type countFile struct {
	vfs.File
	c *countFS
}

func (f *countFile) Write(p []byte) (int, error) {
	f.c.written.Add(int64(len(p)))
	return f.File.Write(p)
}

func (f *countFile) WriteAt(p []byte, off int64) (int, error) {
	f.c.written.Add(int64(len(p)))
	return f.File.WriteAt(p, off)
}

func (f *countFile) Sync() error {
	f.c.syncs.Add(1)
	return f.File.Sync()
}

func (f *countFile) SyncData() error {
	f.c.syncs.Add(1)
	return f.File.SyncData()
}

func (f *countFile) SyncTo(length int64) (bool, error) {
	f.c.syncs.Add(1)
	return f.File.SyncTo(length)
}
