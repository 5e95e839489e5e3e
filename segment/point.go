package segment

import (
	"context"
	"encoding/binary"
	"sort"
	"unsafe"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// Single rows are read and found without the table layer, which costs microseconds a call: Int64 keys in chunks that are kept once they were
// touched, dense vectors where they lie in the mapped table. See vectorColumn.

// fewRows is the number of rows, or of keys, up to which they are taken one by one. Beyond it whole chunks are read, and nothing is kept.
const fewRows = 32

// readFew appends a few rows. ok is false, and nothing was appended, where they cannot be had one by one: the table decides then, and
// tells what is wrong with it.
func (s *Sealed) readFew(ctx context.Context, f *schema.Field, c *columnMeta, rows []uint32, dst *column.Builder) (ok bool, err error) {
	if len(rows) > fewRows || c.nullable || ctx.Err() != nil {
		return false, ctx.Err()
	}
	col := s.single(f, c)
	if col == nil {
		return false, nil
	}
	values := make([]byte, 0, len(rows)*c.width)
	was := faultsPanic()
	defer func() {
		if _, fault := catchFault(was, recover(), col.file); fault != nil {
			ok, err = false, nil
		}
	}()
	for _, row := range rows {
		p, err := col.row(ctx, row)
		if err != nil {
			return false, ctx.Err()
		}
		values = append(values, unsafe.Slice((*byte)(p), c.width)...)
	}
	dst.AppendData(column.Data{Width: c.width, Rows: len(rows), Fixed: values}, 0, len(rows))
	return true, nil
}

// single gives single rows of a field; nil where that would keep more in memory than it is worth.
func (s *Sealed) single(f *schema.Field, c *columnMeta) *vectorColumn {
	switch {
	case c == s.key && s.keyF.Type == schema.TypeInt64:
		return s.rowsOfKey()
	case elementOf(c.typ) != 0:
		if col, err := s.columnOf(f); err == nil && col.file != nil {
			return col
		}
	}
	return nil
}

// locateFew is Locate for a few Int64 keys, of which the filter has left the places in among. done is false, and fn was not called, if a chunk
// cannot be read: the table tells why.
func (s *Sealed) locateFew(ctx context.Context, keys column.Keys, among []int, fn func(i int, row uint32)) (done bool) {
	if keys.Str || len(among) > fewRows || s.keyF.Type != schema.TypeInt64 {
		return false
	}
	type found struct {
		i   int
		row uint32
	}
	var room [fewRows]found
	all := room[:0]
	col := s.rowsOfKey()
	for _, i := range among {
		key := keys.Ints[i]
		// The first chunk whose greatest key is not below this one. Rows of one key may run on into the next where duplicates are allowed.
		chunk := sort.Search(len(s.key.bounds), func(c int) bool { return intBound(s.key.bounds[c].Max) >= key })
		for ; chunk < len(s.key.bounds) && intBound(s.key.bounds[chunk].Min) <= key; chunk++ {
			first := s.key.starts[chunk]
			p, err := col.row(ctx, first)
			if err != nil {
				return false
			}
			n := int(s.key.end(chunk, s.man.Rows) - first)
			values := unsafe.Slice((*byte)(p), n*8)
			at := sort.Search(n, func(r int) bool { return int64(binary.LittleEndian.Uint64(values[8*r:])) >= key })
			for ; at < n && int64(binary.LittleEndian.Uint64(values[8*at:])) == key; at++ {
				all = append(all, found{i, first + uint32(at)})
			}
		}
	}
	for _, x := range all {
		fn(x.i, x.row)
	}
	return true
}

// intBound is the Int64 key that a bound holds in its ordered encoding.
func intBound(b []byte) int64 { return int64(binary.BigEndian.Uint64(b) ^ 1<<63) }
