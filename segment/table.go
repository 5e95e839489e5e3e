package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"math/bits"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// This file is the only one that knows Pebble's table types. A table is an immutable, sorted list of keys and values, each block
// under a checksum; it is written whole, synced and closed, and then only read.

const (
	tableFormat    = sstable.TableFormatPebblev7
	tableBlockSize = 128 << 10 // smaller values share a block; a chunk has one to itself
	bytesPerSync   = 256 << 10 // how much of a table is written before the disk is asked to begin with it: what a sync of the log may wait for
)

// Cache keeps blocks of tables in memory; all segments of an engine share one.
type Cache struct {
	cache *pebble.Cache
	next  atomic.Uint64 // number of the table opened last: block keys
	users atomic.Int64  // the owner, until Close, and each open table
	once  sync.Once
	tie   func(o *sstable.ReaderOptions) (evict func())
	end   func()
}

// NewCache makes a cache of at most the given number of bytes.
func NewCache(bytes int64) *Cache {
	c := &Cache{cache: pebble.NewCache(bytes)}
	h := c.cache.NewHandle()
	c.tie = func(o *sstable.ReaderOptions) func() {
		o.CacheOpts.CacheHandle = h
		setNumber(&o.CacheOpts.FileNum, c.next.Add(1))
		num := o.CacheOpts.FileNum
		c.users.Add(1)
		return func() {
			h.EvictFile(num)
			c.leave()
		}
	}
	c.end = func() {
		h.Close()
		c.cache.Unref()
	}
	c.users.Store(1)
	return c
}

// setNumber assigns to a number whose type Pebble does not export.
func setNumber[T ~uint64](dst *T, n uint64) { *dst = T(n) }

// Close gives the cache's memory back as soon as the last table that uses it is closed. It may be called again.
func (c *Cache) Close() { c.once.Do(c.leave) }

func (c *Cache) leave() {
	if c.users.Add(-1) == 0 {
		c.end()
	}
}

// Bytes is the memory in use.
func (c *Cache) Bytes() int64 { return c.cache.Size() }

// tableWriter writes one table.
type tableWriter struct {
	path string
	file vfs.File
	w    *sstable.Writer
}

// createTable begins a table in a new file, or in one that is there and empty.
func createTable(fs vfs.FS, path string, there, compress bool) (*tableWriter, error) {
	create := fs.Create
	if there {
		create = func(path string, c vfs.DiskWriteCategory) (vfs.File, error) { return fs.OpenReadWrite(path, c) }
	}
	f, err := create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	// Without this the system would hand all of a large table to the disk at once, and the log's syncs would wait behind it.
	f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: bytesPerSync})
	o := sstable.WriterOptions{
		BlockSize:          tableBlockSize,
		Comparer:           pebble.DefaultComparer,
		Compression:        sstable.NoCompression,
		DisableValueBlocks: true,
		IndexBlockSize:     math.MaxInt32,
		TableFormat:        tableFormat,
		Checksum:           block.ChecksumTypeCRC32c, // offsetReadable knows it
	}
	if compress {
		o.Compression = sstable.FastestCompression
	}
	return &tableWriter{path: path, file: f, w: sstable.NewWriter(objstorageprovider.NewFileWritable(heldFile{f}), o)}, nil
}

// put adds a pair. REQUIRES: keys ascend.
func (t *tableWriter) put(key, value []byte) error { return t.w.Set(key, value) }

// finish writes the rest and returns the file's size. The file is open, and the caller's to sync and close.
func (t *tableWriter) finish() (int64, error) {
	if err := t.w.Close(); err != nil {
		return 0, err
	}
	m, err := t.w.Metadata()
	if err != nil {
		return 0, err
	}
	return int64(m.Size), nil
}

// abort closes the file. What was written is left to the caller to remove.
func (t *tableWriter) abort() {
	if t.w != nil {
		_ = t.w.Raw().Close()
	}
	_ = t.file.Close()
}

// table reads one table. It is safe for concurrent use.
type table struct {
	path   string
	r      *sstable.Reader
	evict  func()        // drops the table's blocks from the cache
	lastAt *atomic.Int64 // where the file was last read: the best there is for an error's offset
}

// offsetReadable notes where the file is read, so that an error can name the place.
type offsetReadable struct {
	objstorage.Readable
	path string
	at   atomic.Int64
}

// checkedBlock is the least size of a block that is checked here: footers are smaller, and a mismatch in a smaller block is cheap.
const checkedBlock = 8 << 10

// ReadAt checks the checksum of large blocks before the table layer does. On a mismatch that one tries every single bit flip of the first
// 40 KiB, with a checksum of the whole block for each: eight seconds for a block of vectors, on every read of it.
func (r *offsetReadable) ReadAt(ctx context.Context, p []byte, off int64) error {
	r.at.Store(off)
	if err := r.Readable.ReadAt(ctx, p, off); err != nil || len(p) < checkedBlock {
		return err
	}
	body, trailer := p[:len(p)-4], binary.LittleEndian.Uint32(p[len(p)-4:])
	if sum := bits.RotateLeft32(crc32.Checksum(body, castagnoli), 17) + 0xa282ead8; sum != trailer {
		return &CorruptionError{Path: r.path, Offset: off, Kind: "checksum", Err: fmt.Errorf("block of %d bytes: %08x instead of %08x", len(p), sum, trailer)}
	}
	return nil
}

func (r *offsetReadable) NewReadHandle(objstorage.ReadBeforeSize) objstorage.ReadHandle {
	h := objstorage.MakeNoopReadHandle(r)
	return &h
}

func openTable(fs vfs.FS, path string, c *Cache) (t *table, err error) {
	f, err := fs.Open(path, vfs.RandomReadsOption)
	if err != nil {
		if isNotExist(err) {
			return nil, &CorruptionError{Path: path, Offset: -1, Kind: "missing", Err: err}
		}
		return nil, err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	at := &offsetReadable{Readable: readable, path: path}
	at.at.Store(-1)
	t = &table{path: path, lastAt: &at.at}
	o := sstable.ReaderOptions{Comparer: pebble.DefaultComparer}
	t.evict = c.tie(&o)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("table layer: %v", r)
		}
		if err != nil {
			err = t.damaged(err)
			_ = readable.Close()
			t.evict()
			t = nil
		}
	}()
	t.r, err = sstable.NewReader(context.Background(), at, o)
	return t, err
}

func (t *table) close() error {
	err := t.r.Close()
	t.evict()
	return err
}

// damaged turns what the table layer says into an error with the file and the place. What the operating system says is left as it is:
// a device that cannot be read, or too many open files, is no damage that was found.
func (t *table) damaged(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var c *CorruptionError
	var system *fs.PathError
	if errors.As(err, &c) || errors.As(err, &system) {
		return err
	}
	return &CorruptionError{Path: t.path, Offset: t.lastAt.Load(), Kind: "checksum", Err: err}
}

var errNoKey = errors.New("key is not in the table")

// walk calls fn with every pair from the key on until fn returns false or an error. The slices are valid during the call only.
func (t *table) walk(ctx context.Context, from []byte, fn func(key, value []byte) (bool, error)) (err error) {
	var it sstable.Iterator
	defer func() {
		if r := recover(); r != nil {
			err = t.damaged(fmt.Errorf("table layer: %v\n%s", r, debug.Stack()))
		}
		if it != nil {
			if cerr := it.Close(); err == nil && cerr != nil {
				err = t.damaged(cerr)
			}
		}
	}()
	it, err = t.r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		return t.damaged(err)
	}
	for kv := it.SeekGE(from, 0); kv != nil; kv = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, _, err := kv.Value(nil)
		if err != nil {
			return t.damaged(err)
		}
		if more, err := fn(kv.K.UserKey, v); err != nil || !more {
			return err
		}
	}
	return t.damaged(it.Error())
}

// cursor goes through a table by hand. It belongs to one goroutine, and must be closed before the table is.
type cursor struct {
	t  *table
	it sstable.Iterator
}

func (t *table) cursor() (_ *cursor, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = t.damaged(fmt.Errorf("table layer: %v", r))
		}
	}()
	it, err := t.r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		return nil, t.damaged(err)
	}
	return &cursor{t: t, it: it}, nil
}

// find returns the value of a key, which is valid until the cursor is moved or closed, or errNoKey wrapped as damage.
func (c *cursor) find(key []byte) (v []byte, err error) {
	t := c.t
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, t.damaged(fmt.Errorf("table layer: %v", r))
		}
	}()
	kv := c.it.SeekGE(key, 0)
	if kv == nil || string(kv.K.UserKey) != string(key) {
		if err := c.it.Error(); err != nil {
			return nil, t.damaged(err)
		}
		return nil, &CorruptionError{Path: t.path, Offset: -1, Kind: "format", Err: fmt.Errorf("%w: %x", errNoKey, key)}
	}
	v, _, err = kv.Value(nil)
	return v, t.damaged(err)
}

func (c *cursor) close() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = c.t.damaged(fmt.Errorf("table layer: %v", r))
		}
	}()
	return c.t.damaged(c.it.Close())
}

// get calls fn with the value of a key, which is valid during the call only, or returns errNoKey wrapped as damage:
// whoever asks knows from the meta that the key must be there.
func (t *table) get(ctx context.Context, key []byte, fn func(value []byte) error) error {
	found := false
	err := t.walk(ctx, key, func(k, v []byte) (bool, error) {
		if string(k) != string(key) {
			return false, nil
		}
		found = true
		return false, fn(v)
	})
	if err == nil && !found {
		err = &CorruptionError{Path: t.path, Offset: -1, Kind: "format", Err: fmt.Errorf("%w: %x", errNoKey, key)}
	}
	return err
}

// blockEnd returns where in the file the block ends that holds the key, if the table has it. It reads the index only.
func (t *table) blockEnd(key []byte) (end int64, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = t.damaged(fmt.Errorf("table layer: %v", r))
		}
	}()
	// The first block begins at 0, and there are no value blocks to be estimated.
	n, err := t.r.EstimateDiskUsage(nil, key, sstable.ReadEnv{})
	return int64(n), t.damaged(err)
}

// verify reads every block against its checksum.
func (t *table) verify() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = t.damaged(fmt.Errorf("table layer: %v", r))
		}
	}()
	return t.damaged(t.r.ValidateBlockChecksums())
}
