package engine_test

import (
	"io"
	"os"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fsOp is one operation on a file system, as a hook is told of it.
type fsOp struct {
	kind fsKind
	path string
	n    int // bytes, if it writes; of a sync, 1 if it leaves out metadata
}

type fsKind string

const (
	opCreate fsKind = "create"
	opRename fsKind = "rename"
	opRemove fsKind = "remove"
	opMkdir  fsKind = "mkdir"
	opAlloc  fsKind = "preallocate"
	opWrite  fsKind = "write"
	opSync   fsKind = "sync"
	opLock   fsKind = "lock"
	opOpen   fsKind = "open"
	opRead   fsKind = "read"
	opList   fsKind = "list"
)

// changes reports whether the operation can change what a crash leaves behind.
func (o fsOp) changes() bool { return o.kind != opOpen && o.kind != opRead && o.kind != opList }

// shortWrite makes a write stop after some of its bytes.
type shortWrite struct {
	keep int
	err  error
}

func (e *shortWrite) Error() string { return e.err.Error() }
func (e *shortWrite) Unwrap() error { return e.err }

// hookFS calls before ahead of each operation; an error that it returns is the operation's result, and nothing is done, or, with a
// shortWrite, only a part of it.
type hookFS struct {
	vfs.FS
	before func(op fsOp) error
	count  atomic.Int64 // operations that change something
}

func newHookFS(fs vfs.FS, before func(op fsOp) error) *hookFS {
	return &hookFS{FS: fs, before: before}
}

func (h *hookFS) do(kind fsKind, path string, n int) error {
	op := fsOp{kind, path, n}
	if op.changes() {
		h.count.Add(1)
	}
	if h.before == nil {
		return nil
	}
	return h.before(op)
}

func (h *hookFS) file(f vfs.File, err error, path string) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &hookFile{File: f, h: h, path: path}, nil
}

func (h *hookFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := h.do(opCreate, name, 0); err != nil {
		return nil, err
	}
	f, err := h.FS.Create(name, c)
	return h.file(f, err, name)
}

func (h *hookFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := h.do(opCreate, name, 0); err != nil {
		return nil, err
	}
	f, err := h.FS.OpenReadWrite(name, c, opts...)
	return h.file(f, err, name)
}

func (h *hookFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := h.do(opOpen, name, 0); err != nil {
		return nil, err
	}
	f, err := h.FS.Open(name, opts...)
	return h.file(f, err, name)
}

func (h *hookFS) OpenDir(name string) (vfs.File, error) {
	if err := h.do(opOpen, name, 0); err != nil {
		return nil, err
	}
	f, err := h.FS.OpenDir(name)
	return h.file(f, err, name)
}

func (h *hookFS) Remove(name string) error {
	if err := h.do(opRemove, name, 0); err != nil {
		return err
	}
	return h.FS.Remove(name)
}

func (h *hookFS) RemoveAll(name string) error {
	if err := h.do(opRemove, name, 0); err != nil {
		return err
	}
	return h.FS.RemoveAll(name)
}

func (h *hookFS) Rename(from, to string) error {
	if err := h.do(opRename, from, 0); err != nil {
		return err
	}
	return h.FS.Rename(from, to)
}

func (h *hookFS) MkdirAll(dir string, perm os.FileMode) error {
	if err := h.do(opMkdir, dir, 0); err != nil {
		return err
	}
	return h.FS.MkdirAll(dir, perm)
}

func (h *hookFS) Lock(name string) (io.Closer, error) {
	if err := h.do(opLock, name, 0); err != nil {
		return nil, err
	}
	return h.FS.Lock(name)
}

func (h *hookFS) List(dir string) ([]string, error) {
	if err := h.do(opList, dir, 0); err != nil {
		return nil, err
	}
	return h.FS.List(dir)
}

func (h *hookFS) Stat(name string) (vfs.FileInfo, error) {
	if err := h.do(opList, name, 0); err != nil {
		return nil, err
	}
	return h.FS.Stat(name)
}

func (h *hookFS) Unwrap() vfs.FS { return h.FS }

type hookFile struct {
	vfs.File
	h    *hookFS
	path string
}

// cut decides how much of a write is done.
func (f *hookFile) cut(p []byte) (keep []byte, err error) {
	err = f.h.do(opWrite, f.path, len(p))
	if s, ok := err.(*shortWrite); ok {
		return p[:min(s.keep, len(p))], s.err
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (f *hookFile) Write(p []byte) (int, error) {
	keep, err := f.cut(p)
	if len(keep) == 0 && err != nil {
		return 0, err
	}
	n, werr := f.File.Write(keep)
	if err == nil {
		err = werr
	}
	return n, err
}

func (f *hookFile) WriteAt(p []byte, off int64) (int, error) {
	keep, err := f.cut(p)
	if len(keep) == 0 && err != nil {
		return 0, err
	}
	n, werr := f.File.WriteAt(keep, off)
	if err == nil {
		err = werr
	}
	return n, err
}

func (f *hookFile) Read(p []byte) (int, error) {
	if err := f.h.do(opRead, f.path, 0); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *hookFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.h.do(opRead, f.path, 0); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *hookFile) Sync() error {
	if err := f.h.do(opSync, f.path, 0); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *hookFile) SyncData() error {
	if err := f.h.do(opSync, f.path, 1); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *hookFile) Preallocate(off, n int64) error {
	if err := f.h.do(opAlloc, f.path, 0); err != nil {
		return err
	}
	return f.File.Preallocate(off, n)
}
