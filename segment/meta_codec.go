package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment/internal/fb"
)

//go:generate flatc --go --gen-onefile --go-namespace fb -o internal/fb meta.fbs

// FormatVersion is the version of the segment format that this code writes. It reads this version and all before it.
const FormatVersion = 1

// Meta is what a sealed segment says of itself.
type Meta struct {
	ID            ID
	Partition     uint64
	Shard         int
	Token         uint64
	SchemaVersion int
	Rows          uint32
	MinLSN        uint64
	MaxLSN        uint64
	Created       time.Time

	columns      []columnMeta
	filterChunks uint32
	filterBytes  uint64
	split        bool
}

type columnMeta struct {
	field    uint32
	typ      schema.DataType
	width    int
	nullable bool
	nulls    uint32
	bytes    uint64
	starts   []uint32 // first row of each chunk
	sums     []uint32
	bounds   []Bounds // none for types without an order
}

var errBadMeta = errors.New("malformed segment meta")

// encode gives the meta as CRC-32C uint32, 0 uint32, flatbuffer.
func (m *Meta) encode() []byte {
	b := flatbuffers.NewBuilder(4096)
	cols := make([]flatbuffers.UOffsetT, len(m.columns))
	for i := range m.columns {
		cols[i] = m.columns[i].encode(b)
	}
	fb.MetaStartColumnsVector(b, len(cols))
	for i := len(cols) - 1; i >= 0; i-- {
		b.PrependUOffsetT(cols[i])
	}
	columns := b.EndVector(len(cols))
	fb.MetaStart(b)
	fb.MetaAddVersion(b, FormatVersion)
	fb.MetaAddSegment(b, uint64(m.ID))
	fb.MetaAddPartition(b, m.Partition)
	fb.MetaAddShard(b, uint32(m.Shard))
	fb.MetaAddToken(b, m.Token)
	fb.MetaAddSchemaVersion(b, uint32(m.SchemaVersion))
	fb.MetaAddRows(b, m.Rows)
	fb.MetaAddMinLsn(b, m.MinLSN)
	fb.MetaAddMaxLsn(b, m.MaxLSN)
	fb.MetaAddCreated(b, m.Created.UnixNano())
	fb.MetaAddColumns(b, columns)
	fb.MetaAddFilterChunks(b, m.filterChunks)
	fb.MetaAddFilterBytes(b, m.filterBytes)
	fb.MetaAddSplit(b, m.split)
	b.Finish(fb.MetaEnd(b))
	body := b.FinishedBytes()
	out := binary.LittleEndian.AppendUint32(make([]byte, 0, 8+len(body)), crc32.Checksum(body, castagnoli))
	out = binary.LittleEndian.AppendUint32(out, 0)
	return append(out, body...)
}

func (c *columnMeta) encode(b *flatbuffers.Builder) flatbuffers.UOffsetT {
	starts := uint32Vector(b, c.starts)
	sums := uint32Vector(b, c.sums)
	var bounds, boundBytes flatbuffers.UOffsetT
	if len(c.bounds) > 0 {
		offs := make([]uint32, 0, 2*len(c.bounds)+1)
		var all []byte
		for _, x := range c.bounds {
			offs = append(offs, uint32(len(all)))
			all = append(all, x.Min...)
			offs = append(offs, uint32(len(all)))
			all = append(all, x.Max...)
		}
		bounds = uint32Vector(b, append(offs, uint32(len(all))))
		boundBytes = b.CreateByteVector(all)
	}
	fb.ColumnStart(b)
	fb.ColumnAddFieldId(b, c.field)
	fb.ColumnAddType(b, int32(c.typ))
	fb.ColumnAddWidth(b, uint32(c.width))
	fb.ColumnAddNullable(b, c.nullable)
	fb.ColumnAddNulls(b, c.nulls)
	fb.ColumnAddBytes(b, c.bytes)
	fb.ColumnAddStarts(b, starts)
	fb.ColumnAddSums(b, sums)
	if len(c.bounds) > 0 {
		fb.ColumnAddBounds(b, bounds)
		fb.ColumnAddBoundBytes(b, boundBytes)
	}
	return fb.ColumnEnd(b)
}

func uint32Vector(b *flatbuffers.Builder, v []uint32) flatbuffers.UOffsetT {
	b.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		b.PrependUint32(v[i])
	}
	return b.EndVector(len(v))
}

// decodeMeta checks and reads what encode wrote. It trusts nothing before the checksum, and every length after it.
func decodeMeta(raw []byte) (m *Meta, err error) {
	defer func() {
		if r := recover(); r != nil {
			m, err = nil, fmt.Errorf("%w: %v", errBadMeta, r)
		}
	}()
	if len(raw) < 16 {
		return nil, fmt.Errorf("%w: %d bytes", errBadMeta, len(raw))
	}
	body := append([]byte(nil), raw[8:]...) // aligned, and it outlives the block it came from
	if binary.LittleEndian.Uint32(raw) != crc32.Checksum(body, castagnoli) || binary.LittleEndian.Uint32(raw[4:]) != 0 {
		return nil, fmt.Errorf("%w: checksum does not match", errBadMeta)
	}
	t := fb.GetRootAsMeta(body, 0)
	if v := t.Version(); v == 0 || v > FormatVersion {
		return nil, fmt.Errorf("%w: segment format version %d; this program reads up to %d", ErrVersion, v, FormatVersion)
	}
	m = &Meta{
		ID: ID(t.Segment()), Partition: t.Partition(), Shard: int(t.Shard()), Token: t.Token(),
		SchemaVersion: int(t.SchemaVersion()), Rows: t.Rows(), MinLSN: t.MinLsn(), MaxLSN: t.MaxLsn(),
		Created: time.Unix(0, t.Created()), filterChunks: t.FilterChunks(), filterBytes: t.FilterBytes(), split: t.Split(),
	}
	if m.Rows == 0 || m.Rows > MaxRows || m.MinLSN > m.MaxLSN || t.ColumnsLength() > 1024 {
		return nil, fmt.Errorf("%w: %d rows, LSN %d to %d, %d columns", errBadMeta, m.Rows, m.MinLSN, m.MaxLSN, t.ColumnsLength())
	}
	m.columns = make([]columnMeta, t.ColumnsLength())
	left := len(body) // for chunks: a table that is named many times must not be decoded into more than there is
	for i := range m.columns {
		var c fb.Column
		if !t.Columns(&c, i) {
			return nil, fmt.Errorf("%w: column %d is absent", errBadMeta, i)
		}
		if err := m.columns[i].decode(&c, m.Rows, left); err != nil {
			return nil, err
		}
		left -= chunkMetaBytes * len(m.columns[i].starts)
	}
	return m, nil
}

// chunkMetaBytes are what a chunk takes in the meta at least: its first row and its checksum.
const chunkMetaBytes = 8

// decode reads a column of at most limit bytes.
func (c *columnMeta) decode(t *fb.Column, rows uint32, limit int) error {
	c.field, c.typ, c.width, c.nullable = t.FieldId(), schema.DataType(t.Type()), int(t.Width()), t.Nullable()
	c.nulls, c.bytes = t.Nulls(), t.Bytes()
	n := t.StartsLength()
	if n == 0 || n > limit/chunkMetaBytes || t.SumsLength() != n {
		return fmt.Errorf("%w: field %d has %d chunks and %d checksums", errBadMeta, c.field, n, t.SumsLength())
	}
	c.starts, c.sums = make([]uint32, n), make([]uint32, n)
	for i := range n {
		c.starts[i], c.sums[i] = t.Starts(i), t.Sums(i)
		if (i == 0) != (c.starts[i] == 0) || c.starts[i] >= rows || i > 0 && c.starts[i] <= c.starts[i-1] {
			return fmt.Errorf("%w: field %d, chunk %d begins at row %d of %d", errBadMeta, c.field, i, c.starts[i], rows)
		}
	}
	if t.BoundsLength() == 0 {
		return nil
	}
	if t.BoundsLength() != 2*n+1 {
		return fmt.Errorf("%w: field %d has %d bounds for %d chunks", errBadMeta, c.field, t.BoundsLength(), n)
	}
	all := t.BoundBytesBytes()
	c.bounds = make([]Bounds, n)
	for i := range n {
		a, b, e := t.Bounds(2*i), t.Bounds(2*i+1), t.Bounds(2*i+2)
		if a > b || b > e || int64(e) > int64(len(all)) {
			return fmt.Errorf("%w: field %d, bounds of chunk %d", errBadMeta, c.field, i)
		}
		c.bounds[i] = Bounds{Min: all[a:b:b], Max: all[b:e:e]}
	}
	return nil
}

// chunkOf returns the number of the chunk that holds the row.
func (c *columnMeta) chunkOf(row uint32) int {
	lo, hi := 0, len(c.starts)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; c.starts[mid] <= row {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// end returns the first row after a chunk.
func (c *columnMeta) end(chunk int, rows uint32) uint32 {
	if chunk+1 < len(c.starts) {
		return c.starts[chunk+1]
	}
	return rows
}
