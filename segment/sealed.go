package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// Sealed is an immutable segment on disk, its rows in the order of the primary key.
//
// Its owner holds one reference from Open on; each version that lists it and each reader that pinned such a version holds it up.
// When the last reference goes the files are closed, and removed if the segment was dropped.
type Sealed struct {
	man     Manifest
	meta    *Meta
	fs      vfs.FS
	dir     string
	rows    *table
	vecs    *table // nil if the vectors lie in rows
	filter  *keyFilter
	key     *columnMeta
	keyF    *schema.Field
	cols    map[uint32]*columnMeta
	tombs   *Tombstones
	matches keptMatches
	terms   keptTerms
	expiry  *expiries // nil: no row expires

	indexes segmentIndexes

	refs    atomic.Int32
	dropped atomic.Bool
	remove  func(s *Sealed, err error)
}

// Open opens the segment that the manifest describes and checks that the files are those that were written. Dead are its rows dead
// at the LSN. The caller holds one reference.
func Open(fs vfs.FS, dir string, man Manifest, s *schema.Schema, c *Cache, dead *Dead, lsn uint64) (_ *Sealed, err error) {
	seg := &Sealed{man: man, fs: fs, dir: dir, tombs: NewTombstones(dead, lsn), cols: map[uint32]*columnMeta{}, keyF: s.PrimaryKey()}
	defer func() {
		if err != nil {
			err = errors.Join(err, seg.closeTables())
		}
	}()
	for _, f := range man.Files {
		path := fs.PathJoin(dir, f.Name)
		info, err := fs.Stat(path)
		if err != nil {
			if isNotExist(err) {
				return nil, &CorruptionError{Path: path, Offset: -1, Kind: "missing", Err: err}
			}
			return nil, err
		}
		if info.Size() != f.Size {
			return nil, &CorruptionError{
				Path: path, Offset: min(info.Size(), f.Size), Kind: "size",
				Err: fmt.Errorf("%d bytes, %d were written", info.Size(), f.Size),
			}
		}
	}
	rowsPath := fs.PathJoin(dir, rowsFile)
	if seg.rows, err = openTable(fs, rowsPath, c); err != nil {
		return nil, err
	}
	if err := seg.readMeta(rowsPath); err != nil {
		return nil, err
	}
	if seg.meta.split {
		if seg.vecs, err = openTable(fs, fs.PathJoin(dir, vectorsFile), c); err != nil {
			return nil, err
		}
		if err := seg.checkIdentity(seg.vecs); err != nil {
			return nil, err
		}
	}
	if err := seg.readFilter(); err != nil {
		return nil, err
	}
	if err := seg.readExpiries(s); err != nil {
		return nil, err
	}
	seg.refs.Store(1)
	return seg, nil
}

func (s *Sealed) readMeta(path string) error {
	ctx := context.Background()
	err := s.rows.get(ctx, tableKey(nil, kindMeta, 0, 0), func(raw []byte) error {
		if crc32.Checksum(raw, castagnoli) != s.man.MetaSum {
			return &CorruptionError{Path: path, Offset: -1, Kind: "identity", Err: errors.New("the meta is not the one that the catalogue names")}
		}
		m, err := decodeMeta(raw)
		if errors.Is(err, ErrVersion) {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err != nil {
			return &CorruptionError{Path: path, Offset: -1, Kind: "format", Err: err}
		}
		s.meta = m
		return nil
	})
	if err != nil {
		return err
	}
	if s.meta.ID != s.man.ID || s.meta.Token != s.man.Token || s.meta.Rows != s.man.Rows {
		return &CorruptionError{
			Path: path, Offset: -1, Kind: "identity",
			Err: fmt.Errorf("segment %s with %d rows, %s with %d expected", s.meta.ID, s.meta.Rows, s.man.ID, s.man.Rows),
		}
	}
	for i := range s.meta.columns {
		c := &s.meta.columns[i]
		s.cols[c.field] = c
	}
	s.key = s.cols[uint32(s.keyF.ID)]
	if s.key == nil || len(s.key.bounds) != len(s.key.starts) {
		return &CorruptionError{Path: path, Offset: -1, Kind: "format", Err: fmt.Errorf("no bounds of the primary key %q", s.keyF.Name)}
	}
	for _, b := range s.key.bounds {
		if w := s.keyF.Width(); w > 0 && (len(b.Min) != w || len(b.Max) != w) {
			return &CorruptionError{Path: path, Offset: -1, Kind: "format", Err: fmt.Errorf("bounds of the primary key %q", s.keyF.Name)}
		}
	}
	return s.checkIdentity(s.rows)
}

func (s *Sealed) checkIdentity(t *table) error {
	return t.get(context.Background(), tableKey(nil, kindIdentity, 0, 0), func(raw []byte) error {
		if len(raw) != 16 || getUint64(raw) != uint64(s.man.ID) || getUint64(raw[8:]) != s.man.Token {
			return &CorruptionError{Path: t.path, Offset: -1, Kind: "identity", Err: fmt.Errorf("the table is of another segment than %s", s.man.ID)}
		}
		return nil
	})
}

func (s *Sealed) readFilter() error {
	if s.meta.filterBytes > uint64(s.man.Bytes()) {
		return &CorruptionError{Path: s.rows.path, Offset: -1, Kind: "format", Err: fmt.Errorf("key filter of %d bytes", s.meta.filterBytes)}
	}
	raw := make([]byte, 0, s.meta.filterBytes)
	var n uint32
	err := s.rows.walk(context.Background(), tableKey(nil, kindFilter, 0, 0), func(k, v []byte) (bool, error) {
		kind, _, piece := parseTableKey(k)
		if kind != kindFilter || piece != n {
			return false, nil
		}
		n++
		raw = append(raw, v...)
		return true, nil
	})
	if err != nil {
		return err
	}
	if n != s.meta.filterChunks || uint64(len(raw)) != s.meta.filterBytes {
		return &CorruptionError{
			Path: s.rows.path, Offset: -1, Kind: "format",
			Err: fmt.Errorf("key filter of %d bytes in %d pieces, %d in %d were written", len(raw), n, s.meta.filterBytes, s.meta.filterChunks),
		}
	}
	s.filter, err = decodeKeyFilter(raw)
	if err != nil {
		return &CorruptionError{Path: s.rows.path, Offset: -1, Kind: "format", Err: err}
	}
	return nil
}

// ID names the segment.
func (s *Sealed) ID() ID { return s.man.ID }

// Manifest is what the catalogue keeps of the segment.
func (s *Sealed) Manifest() Manifest { return s.man }

// Meta is what the segment says of itself.
func (s *Sealed) Meta() *Meta { return s.meta }

// Dir is the segment's directory.
func (s *Sealed) Dir() string { return s.dir }

// Tombstones are the segment's deleted rows.
func (s *Sealed) Tombstones() *Tombstones { return s.tombs }

// MemoryBytes is the memory held for the segment besides the shared cache.
func (s *Sealed) MemoryBytes() int64 {
	return s.RowBytes() + s.IndexBytes()
}

// GreatestKey is the segment's largest primary key.
func (s *Sealed) GreatestKey() column.Key {
	top := s.key.bounds[len(s.key.bounds)-1].Max
	if s.keyF.Width() == 0 {
		return column.Key{Str: string(top), IsStr: true}
	}
	return column.Key{Int: int64(binary.BigEndian.Uint64(top) ^ 1<<63)}
}

// Ref adds a reference. REQUIRES: the caller holds one.
func (s *Sealed) Ref() { s.refs.Add(1) }

// Unref gives a reference back.
func (s *Sealed) Unref() {
	if s.refs.Add(-1) != 0 {
		return
	}
	err := s.closeTables()
	switch {
	case s.dropped.Load() && s.remove != nil:
		s.remove(s, err)
	case s.dropped.Load():
		_ = s.fs.RemoveAll(s.dir) // the next open removes what is left
	}
}

// Drop marks the segment's files for removal when the last reference goes. remove does it then, told how closing them went; nil removes them
// at once.
func (s *Sealed) Drop(remove func(s *Sealed, err error)) {
	s.remove = remove
	s.dropped.Store(true)
}

func (s *Sealed) closeTables() error {
	err := s.indexes.close()
	if s.rows != nil {
		err = errors.Join(err, s.rows.close())
	}
	if s.vecs != nil {
		err = errors.Join(err, s.vecs.close())
	}
	s.rows, s.vecs = nil, nil
	return err
}

// tableOf returns the table that holds the chunks of a column.
func (s *Sealed) tableOf(c *columnMeta) *table {
	if s.vecs != nil && c.typ.IsVector() && c.width > 0 {
		return s.vecs
	}
	return s.rows
}

// walkChunks calls fn with the chunks [from, to) of a column.
func (s *Sealed) walkChunks(ctx context.Context, c *columnMeta, from, to int, fn func(chunk int, d column.Data) error) error {
	t := s.tableOf(c)
	next := from
	err := t.walk(ctx, tableKey(nil, kindChunk, c.field, uint32(from)), func(k, v []byte) (bool, error) {
		kind, field, n := parseTableKey(k)
		if kind != kindChunk || field != c.field || int(n) != next {
			return false, nil
		}
		d, err := decodeChunk(v, c.width)
		if err == nil && uint32(d.Rows) != c.end(next, s.man.Rows)-c.starts[next] {
			err = fmt.Errorf("%w: %d rows, %d expected", errBadChunk, d.Rows, c.end(next, s.man.Rows)-c.starts[next])
		}
		if err != nil {
			return false, &CorruptionError{Path: t.path, Offset: t.lastAt.Load(), Kind: "format", Err: err}
		}
		next++
		return next < to, fn(next-1, d)
	})
	if err == nil && next < to {
		err = &CorruptionError{Path: t.path, Offset: -1, Kind: "format", Err: fmt.Errorf("chunk %d of field %d is not there", next, c.field)}
	}
	return err
}

// Verify reads every block of the segment once, and checks every chunk against its own checksum. What no pair of keys lies in, Open has read.
func (s *Sealed) Verify(ctx context.Context) error {
	seen := make(map[*columnMeta]int, len(s.meta.columns))
	for _, t := range []*table{s.rows, s.vecs} {
		if t == nil {
			continue
		}
		err := t.walk(ctx, nil, func(k, v []byte) (bool, error) {
			kind, field, n := parseTableKey(k)
			if kind != kindChunk {
				return true, nil
			}
			c := s.cols[field]
			if c == nil || s.tableOf(c) != t || int(n) != seen[c] || int(n) >= len(c.sums) {
				return false, &CorruptionError{
					Path: t.path, Offset: t.lastAt.Load(), Kind: "format", Err: fmt.Errorf("chunk %d of field %d does not belong here", n, field),
				}
			}
			if crc32.Checksum(v, castagnoli) != c.sums[n] {
				return false, &CorruptionError{
					Path: t.path, Offset: t.lastAt.Load(), Kind: "checksum", Err: fmt.Errorf("chunk %d of field %d is not the one that was written", n, field),
				}
			}
			seen[c]++
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	for i := range s.meta.columns {
		if c := &s.meta.columns[i]; seen[c] != len(c.sums) {
			return &CorruptionError{
				Path: s.tableOf(c).path, Offset: -1, Kind: "format",
				Err: fmt.Errorf("%d chunks of field %d, %d were written", seen[c], c.field, len(c.sums)),
			}
		}
	}
	return nil
}

// verifyColumn reads the chunks of one field against their own checksums.
func (s *Sealed) verifyColumn(ctx context.Context, c *columnMeta) error {
	t := s.tableOf(c)
	next := 0
	err := t.walk(ctx, tableKey(nil, kindChunk, c.field, 0), func(k, v []byte) (bool, error) {
		kind, field, n := parseTableKey(k)
		if kind != kindChunk || field != c.field || int(n) != next || next == len(c.sums) {
			return false, nil
		}
		if crc32.Checksum(v, castagnoli) != c.sums[next] {
			return false, &CorruptionError{
				Path: t.path, Offset: t.lastAt.Load(), Kind: "checksum",
				Err: fmt.Errorf("chunk %d of field %d is not the one that was written", next, c.field),
			}
		}
		next++
		return true, nil
	})
	if err == nil && next != len(c.sums) {
		err = &CorruptionError{Path: t.path, Offset: -1, Kind: "format", Err: fmt.Errorf("%d chunks of field %d, %d were written", next, c.field, len(c.sums))}
	}
	return err
}
