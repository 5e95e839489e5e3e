package segment

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// Discover reads what a segment's directory says of itself, where no catalogue tells.
func Discover(ctx context.Context, fs vfs.FS, dir string, c *Cache) (Manifest, *Meta, error) {
	path := fs.PathJoin(dir, rowsFile)
	t, err := openTable(fs, path, c)
	if err != nil {
		return Manifest{}, nil, err
	}
	var man Manifest
	var meta *Meta
	err = t.get(ctx, tableKey(nil, kindMeta, 0, 0), func(raw []byte) (err error) {
		man.MetaSum = crc32.Checksum(raw, castagnoli)
		meta, err = decodeMeta(raw)
		return err
	})
	if err := errors.Join(err, t.close()); err != nil {
		return Manifest{}, nil, err
	}
	man.ID, man.Token, man.Rows, man.Shard = meta.ID, meta.Token, meta.Rows, meta.Shard
	man.MinLSN, man.MaxLSN = meta.MinLSN, meta.MaxLSN
	for _, name := range []string{vectorsFile, rowsFile} {
		if name == vectorsFile && !meta.split {
			continue
		}
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			continue // Salvage tells what is lost with it
		}
		man.Files = append(man.Files, File{name, info.Size()})
	}
	return man, meta, nil
}

// Fields describes the segment's columns as fields without names: for a store that lost its catalogue. Key is the place of the primary key
// among them, -1 if it cannot be told. What values do not show, such as the longest string allowed, is the most there can be.
func (m *Meta) Fields() (fields []*schema.Field, key int) {
	key = -1
	for i := range m.columns {
		c := &m.columns[i]
		f := &schema.Field{ID: int64(c.field), Name: fmt.Sprintf("field_%d", c.field), Type: c.typ, IsNullable: c.nullable}
		switch c.typ {
		case schema.TypeVarChar:
			f.MaxLength = schema.MaxVarChar
		case schema.TypeFloatVector:
			f.Dim = c.width / 4
		case schema.TypeFloat16Vector, schema.TypeBFloat16Vector:
			f.Dim = c.width / 2
		case schema.TypeInt8Vector:
			f.Dim = c.width
		case schema.TypeBinaryVector:
			f.Dim = 8 * c.width
		}
		// Rows lie in the order of the primary key, so its chunks follow one another; it is the first such field of most schemas.
		if key < 0 && !c.nullable && (c.typ == schema.TypeInt64 || c.typ == schema.TypeVarChar) && ascending(c.bounds) {
			key = len(fields)
		}
		fields = append(fields, f)
	}
	return fields, key
}

func ascending(b []Bounds) bool {
	for i := 1; i < len(b); i++ {
		if slices.Compare(b[i-1].Max, b[i].Min) > 0 {
			return false
		}
	}
	return true
}

// LostRows is a run of a segment's rows of which something cannot be read.
type LostRows struct {
	First, Rows uint32
	Field       string // whose values are gone
	Null        bool   // the rows are there, with null in the field
	Err         error
}

// Salvage reads what can be read of a segment that may be damaged: it calls fn with runs of rows, the columns in the order of the schema's fields, and
// lost for what is left out. A row is whole, or its nullable fields are null, or it is left out. Every chunk that is used is under its checksum.
// The data is valid during the call. The error is fn's or ctx's; a segment that cannot be read at all is lost as one run.
func Salvage(
	ctx context.Context, fs vfs.FS, dir string, man Manifest, s *schema.Schema, c *Cache,
	fn func(first uint32, rows int, cols []column.Data) error, lost func(LostRows),
) (err error) {
	seg := &Sealed{man: man, fs: fs, dir: dir, tombs: NewTombstones(nil, 0), cols: map[uint32]*columnMeta{}, keyF: s.PrimaryKey()}
	defer func() { err = errors.Join(err, seg.closeTables()) }()
	path := fs.PathJoin(dir, rowsFile)
	if seg.rows, err = openTable(fs, path, c); err == nil {
		err = seg.readMeta(path)
	}
	if err != nil {
		lost(LostRows{First: 0, Rows: man.Rows, Err: err})
		return ctx.Err()
	}
	r := &salvager{seg: seg, schema: s, lost: lost, columns: make([]salvaged, len(s.Fields))}
	if seg.meta.split {
		if seg.vecs, r.noVectors = openTable(fs, fs.PathJoin(dir, vectorsFile), c); r.noVectors != nil {
			seg.vecs = nil
		}
	}
	return r.run(ctx, fn)
}

type salvager struct {
	seg       *Sealed
	schema    *schema.Schema
	noVectors error // the table of vectors cannot be opened
	lost      func(LostRows)
	columns   []salvaged
}

// salvaged is the chunk of a column at hand.
type salvaged struct {
	meta  *columnMeta // nil: the segment does not hold the field
	chunk int         // that data is of; -1: none
	data  column.Data
	err   error
}

func (r *salvager) run(ctx context.Context, fn func(first uint32, rows int, cols []column.Data) error) error {
	cuts := []uint32{r.seg.man.Rows}
	for i, f := range r.schema.Fields {
		r.columns[i] = salvaged{meta: r.seg.cols[uint32(f.ID)], chunk: -1}
		if m := r.columns[i].meta; m != nil {
			cuts = append(cuts, m.starts...)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for i := 0; i+1 < len(cuts); i++ {
		cols, err := r.rows(ctx, cuts[i], cuts[i+1])
		if err == nil && cols != nil {
			err = fn(cuts[i], int(cuts[i+1]-cuts[i]), cols)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// rows reads a run of rows that lies in one chunk of each column; nil if they are lost.
func (r *salvager) rows(ctx context.Context, first, end uint32) ([]column.Data, error) {
	cols := make([]column.Data, len(r.schema.Fields))
	for i, f := range r.schema.Fields {
		c := &r.columns[i]
		if c.meta == nil {
			b := column.NewBuilder(f.Width(), f.IsNullable)
			if err := readMissing(f, int(end-first), b); err != nil {
				return nil, err
			}
			cols[i] = b.Data()
			continue
		}
		r.load(ctx, c, c.meta.chunkOf(first))
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c.err == nil {
			lo := first - c.meta.starts[c.chunk]
			cols[i] = c.data.Slice(int(lo), int(lo+end-first))
			continue
		}
		r.lost(LostRows{First: first, Rows: end - first, Field: f.Name, Null: f.IsNullable, Err: c.err})
		if !f.IsNullable {
			return nil, nil
		}
		b := column.NewBuilder(f.Width(), true)
		for range end - first {
			b.AppendValue(make([]byte, f.Width()), false)
		}
		cols[i] = b.Data()
	}
	return cols, nil
}

// load reads a chunk into memory of its own.
func (r *salvager) load(ctx context.Context, c *salvaged, chunk int) {
	if c.chunk == chunk {
		return
	}
	c.chunk, c.err = chunk, nil
	s := r.seg
	if s.vecs == nil && r.noVectors != nil && c.meta.typ.IsVector() && c.meta.width > 0 {
		c.err = r.noVectors
		return
	}
	t := s.tableOf(c.meta)
	c.err = t.get(ctx, tableKey(nil, kindChunk, c.meta.field, uint32(chunk)), func(raw []byte) error {
		if crc32.Checksum(raw, castagnoli) != c.meta.sums[chunk] {
			return &CorruptionError{Path: t.path, Offset: t.lastAt.Load(), Kind: "checksum", Err: fmt.Errorf("chunk %d of field %d", chunk, c.meta.field)}
		}
		d, err := decodeChunk(slices.Clone(raw), c.meta.width)
		if err == nil && uint32(d.Rows) != c.meta.end(chunk, s.man.Rows)-c.meta.starts[chunk] {
			err = errBadChunk
		}
		c.data = d
		return err
	})
}
