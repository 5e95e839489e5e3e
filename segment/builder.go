package segment

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// File names inside a segment's directory.
const (
	rowsFile    = "rows.sst"
	vectorsFile = "vectors.sst"
	// splitBytes: with more bytes of vectors than this they get a table of their own, which is not compressed. A smaller segment
	// is one file, because a file costs a sync.
	splitBytes = 1 << 20
)

// File is one file of a sealed segment.
type File struct {
	Name string
	Size int64
}

// Manifest is what the catalogue keeps of a sealed segment: enough to tell that the files found are the ones that were written.
type Manifest struct {
	ID      ID
	Shard   int
	Rows    uint32
	Token   uint64
	MinLSN  uint64
	MaxLSN  uint64
	MetaSum uint32 // CRC-32C of the meta
	Files   []File
}

// Bytes is the size of the segment's files.
func (m Manifest) Bytes() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// RowRef is a row of one of several views.
type RowRef struct{ View, Row uint32 }

// Order lists the live rows of the views in the order of the primary key; rows of one key in the order of the views, then of the
// rows. It is the order of the rows in the segment that Build writes.
func Order(ctx context.Context, s *schema.Schema, views []View) ([]RowRef, error) {
	key := s.PrimaryKey()
	lists := make([][]RowRef, 0, len(views))
	values := make([]*column.Builder, len(views))
	for i, v := range views {
		order, err := v.KeyOrder(ctx)
		if err != nil {
			return nil, err
		}
		dead := v.Dead()
		list := make([]RowRef, 0, v.Rows()-dead.Count())
		for n := range v.Rows() {
			row := n
			if order != nil {
				row = order[n]
			}
			if !dead.Has(row) {
				list = append(list, RowRef{uint32(i), row})
			}
		}
		lists = append(lists, list)
		if len(views) > 1 {
			values[i] = column.NewBuilder(key.Width(), false)
			if err := v.Scan(ctx, key, 0, v.Rows(), func(_ uint32, d column.Data) error {
				values[i].AppendData(d, 0, d.Rows)
				return nil
			}); err != nil {
				return nil, err
			}
		}
	}
	keys := make([]column.Keys, len(views))
	for i := range views {
		if values[i] != nil {
			keys[i] = column.KeysOf(key, values[i].Data())
		}
	}
	// Neighbours are merged in rounds, so that rows of one key stay in the order of their views.
	for len(lists) > 1 {
		for i := 0; i < len(lists); i += 2 {
			if i+1 < len(lists) {
				lists[i/2] = mergeRefs(lists[i], lists[i+1], keys)
			} else {
				lists[i/2] = lists[i]
			}
		}
		lists = lists[:(len(lists)+1)/2]
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if len(lists) == 0 {
		return nil, nil
	}
	return lists[0], nil
}

// mergeRefs merges two lists in key order; of equal keys a's comes first.
func mergeRefs(a, b []RowRef, keys []column.Keys) []RowRef {
	out := make([]RowRef, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if keys[b[0].View].Compare(int(b[0].Row), keys[a[0].View], int(a[0].Row)) < 0 {
			out, b = append(out, b[0]), b[1:]
		} else {
			out, a = append(out, a[0]), a[1:]
		}
	}
	return append(append(out, a...), b...)
}

// BuildSpec says which segment to build, and where.
type BuildSpec struct {
	FS        vfs.FS
	Dir       string // an existing, empty directory; its files are synced, the directory and its parent too
	Prepared  bool   // Prepare made the directory
	ID        ID
	Partition uint64
	Shard     int
	Schema    *schema.Schema
	MinLSN    uint64
	MaxLSN    uint64
	Now       time.Time
	Pace      func(bytes int) // called as the segment is written; it may wait. Nil: as fast as it goes
}

// Build writes the rows of the views as the files of a sealed segment. Nothing refers to them yet: the segment exists from the
// moment a catalogue edit that names it is synced.
//
// Steps, each a possible end by error or crash, all harmless, because no catalogue names the directory:
//  1. write the vectors' table, if it is one of its own
//  2. write the other fields, the key filter and the meta
//  3. sync the files, and, unless they and all that is in them was there before, the directory and its parent, side by side
func Build(ctx context.Context, spec BuildSpec, views []View, order []RowRef) (Manifest, error) {
	m, synced, err := BuildSyncing(ctx, spec, views, order)
	if err == nil {
		err = synced()
	}
	return m, err
}

// BuildSyncing is Build, but returns when step 3 has begun: the files can be read meanwhile. synced waits for its end. Without an error it must be
// called, before anything else is done to the directory.
func BuildSyncing(ctx context.Context, spec BuildSpec, views []View, order []RowRef) (_ Manifest, synced func() error, err error) {
	if len(order) == 0 || len(order) > MaxRows {
		return Manifest{}, nil, fmt.Errorf("segment %s: %d rows, between 1 and %d expected", spec.ID, len(order), int64(MaxRows))
	}
	b := &builder{ctx: ctx, spec: spec, views: views, order: order}
	b.meta = Meta{
		ID: spec.ID, Partition: spec.Partition, Shard: spec.Shard, Token: rand.Uint64(), SchemaVersion: spec.Schema.Version,
		Rows: uint32(len(order)), MinLSN: spec.MinLSN, MaxLSN: spec.MaxLSN, Created: spec.Now,
	}
	defer func() {
		if err != nil {
			b.abort()
		}
	}()
	var vectors, scalars []*schema.Field
	var vectorBytes int64
	for _, f := range spec.Schema.Fields {
		if f.Type.IsVector() && f.Width() > 0 {
			vectors = append(vectors, f)
			vectorBytes += int64(f.Width()) * int64(len(order))
		} else {
			scalars = append(scalars, f)
		}
	}
	b.meta.split = vectorBytes >= splitBytes
	if !b.meta.split {
		scalars, vectors = append(scalars, vectors...), nil
	}
	out := Manifest{ID: spec.ID, Shard: spec.Shard, Rows: b.meta.Rows, Token: b.meta.Token, MinLSN: spec.MinLSN, MaxLSN: spec.MaxLSN}
	if b.meta.split {
		size, err := b.writeTable(vectorsFile, false, vectors, nil)
		if err != nil {
			return Manifest{}, nil, err
		}
		out.Files = append(out.Files, File{vectorsFile, size})
	}
	size, err := b.writeTable(rowsFile, true, scalars, func(t *tableWriter) error {
		if err := b.writeFilter(t); err != nil {
			return err
		}
		if err := b.writeIdentity(t); err != nil {
			return err
		}
		raw := b.meta.encode()
		out.MetaSum = crc32.Checksum(raw, castagnoli)
		return t.put(tableKey(nil, kindMeta, 0, 0), raw)
	})
	if err != nil {
		return Manifest{}, nil, err
	}
	out.Files = append(out.Files, File{rowsFile, size})
	files := b.files
	b.files = nil
	if spec.Prepared && !b.meta.split {
		return out, syncAll(spec.FS, files), nil
	}
	return out, syncAll(spec.FS, files, spec.Dir, spec.FS.PathDir(spec.Dir)), nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// builder holds the state of one Build.
type builder struct {
	ctx   context.Context
	spec  BuildSpec
	views []View
	order []RowRef
	meta  Meta
	open  *tableWriter
	files []vfs.File // of the tables that are written, not yet synced
	key   []byte
	value []byte
	rows  []uint32
	hash  []uint64
}

func (b *builder) abort() {
	if b.open != nil {
		b.open.abort()
	}
	for _, f := range b.files {
		_ = f.Close()
	}
}

func (b *builder) writeTable(name string, compress bool, fields []*schema.Field, tail func(*tableWriter) error) (int64, error) {
	path := b.spec.FS.PathJoin(b.spec.Dir, name)
	t, err := createTable(b.spec.FS, path, b.spec.Prepared && name == rowsFile, compress)
	if err != nil {
		return 0, err
	}
	b.open = t
	slices.SortFunc(fields, func(x, y *schema.Field) int { return int(x.ID - y.ID) })
	for _, f := range fields {
		if err := b.writeField(t, f); err != nil {
			return 0, fmt.Errorf("field %q: %w", f.Name, err)
		}
	}
	if tail == nil {
		tail = b.writeIdentity
	}
	if err := tail(t); err != nil {
		return 0, err
	}
	b.open, b.files = nil, append(b.files, t.file)
	return t.finish()
}

// writeField writes one field's chunks in row order.
func (b *builder) writeField(t *tableWriter, f *schema.Field) error {
	width := f.Width()
	col := columnMeta{field: uint32(f.ID), typ: f.Type, width: width, nullable: f.IsNullable}
	buf := column.NewBuilder(width, f.IsNullable)
	limit := chunkLimit(f)
	step := uint32(1024) // cut further below, by bytes
	if width > 0 {
		step = uint32(max(1, limit/width))
	}
	for from := uint32(0); from < b.meta.Rows; {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		buf.Reset()
		to := min(from+step, b.meta.Rows)
		if err := b.gather(f, from, to, buf); err != nil {
			return err
		}
		d := buf.Data()
		for lo := 0; lo < d.Rows; {
			hi := cutChunk(d, lo, limit)
			if err := b.writeChunk(t, f, &col, from+uint32(lo), d.Slice(lo, hi)); err != nil {
				return err
			}
			lo = hi
		}
		from = to
	}
	b.meta.columns = append(b.meta.columns, col)
	return nil
}

// cutChunk returns where the chunk that begins at lo ends: variable-length values are cut by bytes.
func cutChunk(d column.Data, lo, limit int) int {
	if d.Width > 0 {
		return d.Rows
	}
	hi := lo + 1
	for hi < d.Rows && int(d.Offs[hi+1]-d.Offs[lo]) <= limit {
		hi++
	}
	return hi
}

func (b *builder) writeChunk(t *tableWriter, f *schema.Field, col *columnMeta, first uint32, d column.Data) error {
	b.value = appendChunk(b.value[:0], d)
	bounds, nulls := boundsOf(f, d)
	if hasOrder(f.Type) {
		col.bounds = append(col.bounds, bounds)
	}
	if f.IsPrimaryKey {
		keys := column.KeysOf(f, d)
		for i := range keys.Len() {
			b.hash = append(b.hash, keys.Hash(i))
		}
	}
	b.key = tableKey(b.key, kindChunk, col.field, uint32(len(col.starts)))
	col.starts = append(col.starts, first)
	col.sums = append(col.sums, crc32.Checksum(b.value, castagnoli))
	col.nulls += uint32(nulls)
	col.bytes += uint64(len(b.value))
	if b.spec.Pace != nil {
		b.spec.Pace(len(b.value))
	}
	return t.put(b.key, b.value)
}

// gather appends the rows [from, to) of the new order.
func (b *builder) gather(f *schema.Field, from, to uint32, dst *column.Builder) error {
	refs := b.order[from:to]
	if len(b.views) == 1 {
		return b.views[0].Read(b.ctx, f, b.rowsOf(refs, 0), dst)
	}
	// Rows of several views are mixed: each view is read once for all of its rows.
	parts, next := make([]column.Data, len(b.views)), make([]int, len(b.views))
	for i, v := range b.views {
		if rows := b.rowsOf(refs, uint32(i)); len(rows) > 0 {
			part := column.NewBuilder(f.Width(), f.IsNullable)
			if err := v.Read(b.ctx, f, rows, part); err != nil {
				return err
			}
			parts[i] = part.Data()
		}
	}
	for _, r := range refs {
		dst.AppendRow(parts[r.View], next[r.View])
		next[r.View]++
	}
	return nil
}

// rowsOf lists the rows of one view. It is overwritten by the next call.
func (b *builder) rowsOf(refs []RowRef, view uint32) []uint32 {
	b.rows = b.rows[:0]
	for _, r := range refs {
		if r.View == view {
			b.rows = append(b.rows, r.Row)
		}
	}
	return b.rows
}

func (b *builder) writeFilter(t *tableWriter) error {
	filter := newKeyFilter(len(b.hash))
	for _, h := range b.hash {
		filter.add(h)
	}
	raw := filter.encode(nil)
	b.meta.filterBytes = uint64(len(raw))
	for piece := range slices.Chunk(raw, chunkBytes) {
		if err := t.put(tableKey(nil, kindFilter, 0, b.meta.filterChunks), piece); err != nil {
			return err
		}
		b.meta.filterChunks++
	}
	return nil
}

func (b *builder) writeIdentity(t *tableWriter) error {
	var raw [16]byte
	putUint64(raw[:], uint64(b.meta.ID))
	putUint64(raw[8:], b.meta.Token)
	return t.put(tableKey(nil, kindIdentity, 0, 0), raw[:])
}
