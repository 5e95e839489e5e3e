package segment

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"sync/atomic"
	"unsafe"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// vectorColumn gives single rows of a dense vector field at the price of two loads from memory: the exact scores of the rows that an index
// proposes are taken by it. A chunk is checked when one of its rows is first asked for. From then on its rows are read where they lie in the
// mapped table; a chunk that is compressed there, or whose table cannot be mapped, is copied once and kept.
//
// It is safe for concurrent use, and lives as long as its segment is open.
type vectorColumn struct {
	s       *Sealed
	c       *columnMeta
	t       *table
	element vector.Element
	width   int
	step    uint32                 // rows of a chunk; 0 if chunks differ
	chunks  []atomic.Pointer[byte] // where the values of each chunk begin; nil before the first touch
	file    *fileMap               // t's; nil if it cannot be mapped
	heap    atomic.Int64           // bytes of chunks that were copied
}

// elementOf is the kind of a dense vector field's elements; ElementInvalid for all other fields.
func elementOf(t schema.DataType) vector.Element {
	switch t {
	case schema.TypeFloatVector:
		return vector.Float32
	case schema.TypeFloat16Vector:
		return vector.Float16
	case schema.TypeBFloat16Vector:
		return vector.BFloat16
	case schema.TypeInt8Vector:
		return vector.Int8
	}
	return vector.ElementInvalid
}

func newVectorColumn(s *Sealed, c *columnMeta, file *fileMap) *vectorColumn {
	v := &vectorColumn{
		s: s, c: c, t: s.tableOf(c), element: elementOf(c.typ), width: c.width,
		chunks: make([]atomic.Pointer[byte], len(c.starts)), file: file,
	}
	v.step = v.rowsOf(0)
	for i := range c.starts[1:] {
		if n, last := v.rowsOf(i+1), i+2 == len(c.starts); n > v.step || n < v.step && !last {
			v.step = 0
			break
		}
	}
	return v
}

// rowsOf is the number of a chunk's rows.
func (v *vectorColumn) rowsOf(chunk int) uint32 {
	return v.c.end(chunk, v.s.man.Rows) - v.c.starts[chunk]
}

// forget lets go of all chunks.
func (v *vectorColumn) forget() {
	for i := range v.chunks {
		v.chunks[i].Store(nil)
	}
	v.heap.Store(0)
}

// row returns where the values of a row begin. REQUIRES: the row exists, and faults are caught.
func (v *vectorColumn) row(ctx context.Context, row uint32) (unsafe.Pointer, error) {
	var chunk int
	var at uint32
	if v.step > 0 {
		chunk = int(row / v.step)
		at = row - uint32(chunk)*v.step
	} else {
		chunk = v.c.chunkOf(row)
		at = row - v.c.starts[chunk]
	}
	p := v.chunks[chunk].Load()
	if p == nil {
		var err error
		if p, err = v.touch(ctx, chunk); err != nil {
			return nil, err
		}
	}
	return unsafe.Add(unsafe.Pointer(p), int(at)*v.width), nil
}

// touch checks a chunk and returns where it is from now on. Two readers may do so at once; one's copy stays.
func (v *vectorColumn) touch(ctx context.Context, chunk int) (*byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p := v.find(chunk); p != nil {
		v.chunks[chunk].Store(p)
		return p, nil
	}
	var b []byte
	err := v.s.walkChunks(ctx, v.c, chunk, chunk+1, func(_ int, d column.Data) error {
		b = append(b, d.Fixed...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if v.chunks[chunk].CompareAndSwap(nil, &b[0]) {
		v.heap.Add(int64(len(b)))
	}
	return v.chunks[chunk].Load(), nil
}

// findSlack is how far before a chunk's usual place in its block it is looked for: blocks have a few bytes before and after a value, and
// short values share one.
const findSlack = 2 * chunkBytes

// find looks for a chunk in the mapped table, and returns where its values begin; nil if it is not there as it was written. The meta's checksum
// of the chunk decides.
func (v *vectorColumn) find(chunk int) *byte {
	if v.file == nil {
		return nil
	}
	end, err := v.t.blockEnd(tableKey(nil, kindChunk, v.c.field, uint32(chunk)))
	if err != nil || end > int64(len(v.file.data)) {
		return nil
	}
	rows := v.rowsOf(chunk)
	head := binary.LittleEndian.AppendUint32(make([]byte, 0, 8), rows)
	head = binary.LittleEndian.AppendUint32(head, rows*uint32(v.width))
	size := chunkHeader + int(rows)*v.width
	if v.c.nullable {
		size += int(rows)
	}
	v.file.willNeed(max(0, int(end)-size), int(end))
	for _, slack := range []int{64, findSlack} {
		from := max(0, int(end)-size-slack)
		for b := v.file.data[from:end]; ; {
			at := bytes.Index(b, head)
			if at < 0 || at+size > len(b) {
				break
			}
			if b = b[at:]; crc32.Checksum(b[:size], castagnoli) == v.c.sums[chunk] {
				return &b[chunkHeader]
			}
			b = b[1:]
		}
	}
	return nil
}

// scan calls fn with the values of the rows [from, to), in order. Chunks that are not mapped are read through the cache and not kept.
// REQUIRES: faults are caught.
func (v *vectorColumn) scan(ctx context.Context, from, to uint32, fn func(raw []byte)) error {
	for from < to {
		chunk := v.c.chunkOf(from)
		first, end := v.c.starts[chunk], min(to, v.c.end(chunk, v.s.man.Rows))
		lo, hi := int(from-first)*v.width, int(end-first)*v.width
		p := v.chunks[chunk].Load()
		if p == nil && v.file != nil {
			if p = v.find(chunk); p != nil {
				v.chunks[chunk].Store(p)
			}
		}
		if p != nil {
			fn(unsafe.Slice(p, hi)[lo:])
		} else if err := v.s.walkChunks(ctx, v.c, chunk, chunk+1, func(_ int, d column.Data) error {
			fn(d.Fixed[lo:hi])
			return nil
		}); err != nil {
			return err
		}
		from = end
	}
	return ctx.Err()
}
