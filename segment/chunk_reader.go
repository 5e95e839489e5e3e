package segment

import (
	"context"
	"fmt"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// chunkReader gives the values of one field for runs of rows that ascend, where they lie in the cache: only a run that crosses chunks is
// copied. It belongs to one goroutine, and must be closed.
type chunkReader struct {
	s     *Sealed
	c     *columnMeta
	cur   *cursor
	key   []byte
	chunk int         // that data is of; -1: none
	data  column.Data // valid until the next chunk is read
}

func newChunkReader(s *Sealed, c *columnMeta) *chunkReader {
	return &chunkReader{s: s, c: c, chunk: -1}
}

// end is the end of the chunk that holds a row.
func (r *chunkReader) end(row uint32) uint32 {
	if r.chunk >= 0 && row >= r.c.starts[r.chunk] {
		if end := r.c.end(r.chunk, r.s.man.Rows); row < end {
			return end
		}
	}
	return r.c.end(r.c.chunkOf(row), r.s.man.Rows)
}

// at returns the chunk that holds a row, and its first row.
func (r *chunkReader) at(ctx context.Context, row uint32) (d column.Data, first uint32, err error) {
	if r.chunk < 0 || row < r.c.starts[r.chunk] || row >= r.c.end(r.chunk, r.s.man.Rows) {
		if err := r.read(ctx, r.c.chunkOf(row)); err != nil {
			return column.Data{}, 0, err
		}
	}
	return r.data, r.c.starts[r.chunk], nil
}

func (r *chunkReader) read(ctx context.Context, chunk int) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := r.s.tableOf(r.c)
	r.chunk = -1
	if r.cur == nil {
		if r.cur, err = t.cursor(); err != nil {
			return err
		}
	}
	r.key = tableKey(r.key, kindChunk, r.c.field, uint32(chunk))
	v, err := r.cur.find(r.key)
	if err != nil {
		return err
	}
	d, err := decodeChunk(v, r.c.width)
	if rows := r.c.end(chunk, r.s.man.Rows) - r.c.starts[chunk]; err == nil && uint32(d.Rows) != rows {
		err = fmt.Errorf("%w: %d rows, %d expected", errBadChunk, d.Rows, rows)
	}
	if err != nil {
		return &CorruptionError{Path: t.path, Offset: t.lastAt.Load(), Kind: "format", Err: err}
	}
	r.chunk, r.data = chunk, d
	return nil
}

// rows returns the values of the rows [lo, hi): in place, or in b.
func (r *chunkReader) rows(ctx context.Context, lo, hi uint32, b *column.Builder) (column.Data, error) {
	d, first, err := r.at(ctx, lo)
	if err != nil {
		return column.Data{}, err
	}
	if hi <= first+uint32(d.Rows) {
		return d.Slice(int(lo-first), int(hi-first)), nil
	}
	b.Reset()
	for lo < hi {
		if d, first, err = r.at(ctx, lo); err != nil {
			return column.Data{}, err
		}
		end := min(hi, first+uint32(d.Rows))
		b.AppendData(d, int(lo-first), int(end-first))
		lo = end
	}
	return b.Data(), nil
}

func (r *chunkReader) close() error {
	if r.cur == nil {
		return nil
	}
	return r.cur.close()
}

// blockReader gives a filter its columns, block by block.
type blockReader struct {
	v        View
	sealed   *Sealed // nil for a growing segment
	fields   map[int64]*chunkReader
	builders map[int64]*column.Builder // reused
}

func newBlockReader(v View) *blockReader {
	r := &blockReader{v: v, fields: map[int64]*chunkReader{}, builders: map[int64]*column.Builder{}}
	if s, ok := v.(*SealedView); ok {
		r.sealed = s.s
	}
	return r
}

// reader returns the field's reader; nil where the segment is growing or does not hold the field.
func (r *blockReader) reader(f *schema.Field) *chunkReader {
	if r.sealed == nil {
		return nil
	}
	c, ok := r.fields[f.ID]
	if !ok {
		if m := r.sealed.cols[uint32(f.ID)]; m != nil {
			c = newChunkReader(r.sealed, m)
		}
		r.fields[f.ID] = c
	}
	return c
}

// end returns where a block from row lo on should end, at hi at most: where no field's values have to be copied, if that is not too near.
// It is a multiple of 64 after lo, or hi.
func (r *blockReader) end(fields []*schema.Field, lo, hi uint32) uint32 {
	for _, f := range fields {
		if c := r.reader(f); c != nil {
			if end := lo + (c.end(lo)-lo)/64*64; end > lo {
				hi = min(hi, end)
			} else {
				hi = min(hi, lo+64) // a chunk's last rows and the next one's first
			}
		}
	}
	return hi
}

// read returns a field's values for a block: they are valid until the field is read again.
func (r *blockReader) read(ctx context.Context, f *schema.Field, lo, hi uint32) (column.Data, error) {
	b := r.builders[f.ID]
	if b == nil {
		b = column.NewBuilder(f.Width(), f.IsNullable)
		r.builders[f.ID] = b
	}
	if c := r.reader(f); c != nil {
		return c.rows(ctx, lo, hi, b)
	}
	b.Reset()
	err := r.v.Scan(ctx, f, lo, hi, func(_ uint32, d column.Data) error {
		b.AppendData(d, 0, d.Rows)
		return nil
	})
	return b.Data(), err
}

func (r *blockReader) close() (err error) {
	for _, c := range r.fields {
		if c != nil {
			if e := c.close(); err == nil {
				err = e
			}
		}
	}
	return err
}
