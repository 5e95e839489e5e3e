package segment

import (
	"context"
	"sync/atomic"
	"unsafe"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// vectorColumn gives single rows of a dense vector field at the price of two loads from memory: the exact scores of the rows that an index
// proposes are taken by it. A chunk is checked when one of its rows is first asked for, and kept.
//
// It is safe for concurrent use, and lives as long as its segment is open.
type vectorColumn struct {
	s       *Sealed
	c       *columnMeta
	element vector.Element
	width   int
	step    uint32                 // rows of a chunk; 0 if chunks differ
	chunks  []atomic.Pointer[byte] // where the values of each chunk begin; nil before the first touch
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

func newVectorColumn(s *Sealed, c *columnMeta) *vectorColumn {
	v := &vectorColumn{s: s, c: c, element: elementOf(c.typ), width: c.width, chunks: make([]atomic.Pointer[byte], len(c.starts))}
	v.step = c.end(0, s.man.Rows)
	for i := range c.starts[1:] {
		n := c.end(i+1, s.man.Rows) - c.starts[i+1]
		if last := i+2 == len(c.starts); n != v.step && !last || n > v.step {
			v.step = 0
			break
		}
	}
	return v
}

// row returns where the values of a row begin. REQUIRES: the row exists.
func (v *vectorColumn) row(ctx context.Context, row uint32) (unsafe.Pointer, error) {
	var chunk int
	var at uint32
	if v.step > 0 {
		chunk, at = int(row/v.step), row%v.step
	} else {
		chunk = v.c.chunkOf(row)
		at = row - v.c.starts[chunk]
	}
	p := v.chunks[chunk].Load()
	if p == nil {
		var err error
		if p, err = v.read(ctx, chunk); err != nil {
			return nil, err
		}
	}
	return unsafe.Add(unsafe.Pointer(p), int(at)*v.width), nil
}

// read keeps a chunk. Two readers may do it at once; one of the copies stays.
func (v *vectorColumn) read(ctx context.Context, chunk int) (*byte, error) {
	var b []byte
	err := v.s.walkChunks(ctx, v.c, chunk, chunk+1, func(_ int, d column.Data) error {
		b = append(b, d.Fixed...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !v.chunks[chunk].CompareAndSwap(nil, &b[0]) {
		return v.chunks[chunk].Load(), nil
	}
	v.heap.Add(int64(len(b)))
	return &b[0], nil
}
