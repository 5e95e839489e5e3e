package filter

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// tileRows is how many rows are evaluated at a time: so few that what is between two operators stays in the nearest cache.
// Expressions with JSON paths take fewer, see Expr.tile.
const tileRows = 4096

// run is one evaluation of an expression over a block, tile by tile. It belongs to one goroutine and is pooled.
//
// A predicate's eval(r, want, t, k) sets a bit of t for each row of the tile where it is true, and one of k for each where
// it is known, so that t lies within k. want holds the rows that matter; what t and k hold of other rows means nothing.
type run struct {
	expr  *Expr
	block *Block
	from  int // the tile's first row in the block
	rows  int // of the tile
	words int // that hold the tile's rows
	cols  []tileColumn
	docs  []docTile
	err   error // the first one; what is computed after it means nothing

	bits   stack[uint64]
	ints   stack[int64]
	floats stack[float64]
}

// tileColumn is a column of the block, read when it is first needed.
type tileColumn struct {
	loaded bool
	whole  column.Data
	from   int // of the tile in tile, -1 for none
	tile   column.Data
}

var runs = sync.Pool{New: func() any { return new(run) }}

func newRun(e *Expr, b *Block) *run {
	r := runs.Get().(*run)
	r.expr, r.block, r.err = e, b, nil
	r.cols = slices.Grow(r.cols[:0], len(e.fields))[:len(e.fields)]
	clear(r.cols)
	r.docs = slices.Grow(r.docs[:0], len(e.docs))[:len(e.docs)]
	return r
}

// close puts r back without what belongs to the caller.
func (r *run) close() {
	clear(r.cols)
	for i := range r.docs {
		r.docs[i].plan = nil
	}
	r.expr, r.block = nil, nil
	runs.Put(r)
}

// start makes rows [from, from+rows) the tile.
func (r *run) start(from, rows int) {
	r.from, r.rows, r.words = from, rows, (rows+63)/64
	for i := range r.cols {
		r.cols[i].from = -1
	}
	for i := range r.docs {
		r.docs[i].start(&r.expr.docs[i], rows)
	}
}

// column returns the tile's rows of column i, or rows of zeros after an error.
func (r *run) column(i int) (column.Data, bool) {
	c := &r.cols[i]
	if !c.loaded {
		if r.err != nil {
			return column.Data{}, false
		}
		f := r.expr.fields[i]
		d, err := r.block.Column(f)
		if err == nil {
			err = checkData(f, d, r.block.Rows)
		}
		if err != nil {
			r.err = fmt.Errorf("filter: field %q: %w", f.Name, err)
			return column.Data{}, false
		}
		c.whole, c.loaded, c.from = d, true, -1
	}
	if c.from != r.from {
		c.tile, c.from = c.whole.Slice(r.from, r.from+r.rows), r.from
	}
	return c.tile, true
}

// checkData refuses data that cannot be the rows of a block. Offsets are taken to ascend, as everywhere.
func checkData(f *schema.Field, d column.Data, rows int) error {
	switch {
	case d.Rows != rows || d.Width != f.Width():
		return schema.Invalid("", nil, "a block of %d rows was given %d rows of %d bytes each, %d expected", rows, d.Rows, d.Width, f.Width())
	case d.Valid != nil && len(d.Valid) < rows:
		return schema.Invalid("", nil, "a block of %d rows was given %d of validity", rows, len(d.Valid))
	case d.Width > 0 && len(d.Fixed) < rows*d.Width:
		return schema.Invalid("", nil, "a block of %d rows was given %d bytes", rows, len(d.Fixed))
	case d.Width == 0 && rows > 0 && (len(d.Offs) <= rows || d.Offs[0] > d.Offs[rows] || int64(d.Offs[rows]) > int64(len(d.Bytes))):
		return schema.Invalid("", nil, "a block of %d rows was given %d offsets into %d bytes", rows, len(d.Offs), len(d.Bytes))
	}
	return nil
}

// fail makes a predicate's result harmless after an error.
func fail(t, k []uint64) {
	clear(t)
	clear(k)
}

// known sets k to the rows of d that are not null and takes the others out of t.
func known(d column.Data, t, k []uint64) {
	if d.Valid == nil {
		fill(k)
		return
	}
	packBytes(k, d.Valid)
	for i := range t {
		t[i] &= k[i]
	}
}

func fill(k []uint64) {
	for i := range k {
		k[i] = ^uint64(0)
	}
}

// packBytes sets bit i of k where b[i] is 1; each byte is 0 or 1.
func packBytes(k []uint64, b []byte) {
	for w := range k {
		row := b[w*64:]
		var word uint64
		if len(row) >= 64 {
			for j := 0; j < 64; j += 8 {
				word |= packEight(binary.LittleEndian.Uint64(row[j:])) << (j & 63)
			}
		} else {
			for j, v := range row {
				word |= uint64(v&1) << (j & 63)
			}
		}
		k[w] = word
	}
}

// packEight gathers the lowest bits of eight bytes: the multiplication moves bit 8i to bit 56+i.
func packEight(x uint64) uint64 {
	return (x & 0x0101010101010101) * 0x0102040810204080 >> 56
}

// stack lends buffers of a tile's size in the order of a stack, and keeps them.
type stack[T any] struct {
	bufs [][]T
	used int
}

func (s *stack[T]) get(n int) []T {
	if s.used == len(s.bufs) {
		s.bufs = append(s.bufs, nil)
	}
	if cap(s.bufs[s.used]) < n {
		s.bufs[s.used] = make([]T, max(n, 64))
	}
	b := s.bufs[s.used][:n]
	s.used++
	return b
}

// drop gives back the last n buffers.
func (s *stack[T]) drop(n int) { s.used -= n }
