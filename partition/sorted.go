package partition

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// Order finds the first n of the live rows that match in the order of fields, then of the primary key. It holds n of them at a time.
func (s *Snapshot) Order(ctx context.Context, m *Matches, key *schema.Field, by []query.Order, n int) ([]segment.RowRef, error) {
	h := sortHeap{}
	fields := append(slices.Clip(slices.Collect(fieldsOf(by))), key)
	builders := make([]*column.Builder, len(fields))
	for i, f := range fields {
		builders[i] = column.NewBuilder(f.Width(), f.IsNullable)
	}
	var buf []byte
	block := func(view int, rows []uint32) error {
		for i, f := range fields {
			builders[i].Reset()
			if err := s.views[view].Read(ctx, f, rows, builders[i]); err != nil {
				return err
			}
		}
		for i, row := range rows {
			buf = buf[:0]
			for j, o := range by {
				buf = appendSortable(buf, o, builders[j].Data(), i)
			}
			buf = appendSortable(buf, query.Order{Field: key}, builders[len(by)].Data(), i)
			switch {
			case len(h) < n:
				heap.Push(&h, sortRow{bytes.Clone(buf), segment.RowRef{View: uint32(view), Row: row}})
			case bytes.Compare(buf, h[0].key) < 0:
				h[0] = sortRow{append(h[0].key[:0], buf...), segment.RowRef{View: uint32(view), Row: row}}
				heap.Fix(&h, 0)
			}
		}
		return nil
	}
	for view := range s.views {
		var rows []uint32
		var err error
		m.each(view, func(row uint32) bool {
			if rows = append(rows, row); len(rows) == iterateBatch {
				err = block(view, rows)
				rows = rows[:0]
			}
			return err == nil
		})
		if err == nil && len(rows) > 0 {
			err = block(view, rows)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(h, func(a, b sortRow) int { return bytes.Compare(a.key, b.key) })
	refs := make([]segment.RowRef, len(h))
	for i, x := range h {
		refs[i] = x.ref
	}
	return refs, nil
}

func fieldsOf(by []query.Order) func(func(*schema.Field) bool) {
	return func(yield func(*schema.Field) bool) {
		for _, o := range by {
			if !yield(o.Field) {
				return
			}
		}
	}
}

// appendSortable appends an encoding of row i's value whose bytes compare as the order says, and of which none is the beginning of another.
func appendSortable(dst []byte, o query.Order, d column.Data, i int) []byte {
	if d.IsNull(i) {
		if o.Desc {
			return append(dst, 0)
		}
		return append(dst, 2)
	}
	dst = append(dst, 1)
	from := len(dst)
	raw := d.Value(i)
	switch t := o.Field.Type; {
	case t == schema.TypeVarChar:
		for _, c := range raw { // 0 becomes 0 1, the end is 0 0
			if dst = append(dst, c); c == 0 {
				dst = append(dst, 1)
			}
		}
		dst = append(dst, 0, 0)
	case t == schema.TypeBool:
		dst = append(dst, raw[0])
	case t == schema.TypeFloat:
		dst = binary.BigEndian.AppendUint64(dst, sortableFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(raw)))))
	case t == schema.TypeDouble:
		dst = binary.BigEndian.AppendUint64(dst, sortableFloat(math.Float64frombits(binary.LittleEndian.Uint64(raw))))
	default:
		var v int64
		switch len(raw) {
		case 1:
			v = int64(int8(raw[0]))
		case 2:
			v = int64(int16(binary.LittleEndian.Uint16(raw)))
		case 4:
			v = int64(int32(binary.LittleEndian.Uint32(raw)))
		default:
			v = int64(binary.LittleEndian.Uint64(raw))
		}
		dst = binary.BigEndian.AppendUint64(dst, uint64(v)^1<<63)
	}
	if o.Desc {
		for j := range dst[from:] {
			dst[from+j] ^= 0xff
		}
	}
	return dst
}

// sortableFloat maps a number that is not NaN to one that orders likewise; -0 is 0.
func sortableFloat(x float64) uint64 {
	if x == 0 {
		x = 0
	}
	bits := math.Float64bits(x)
	if bits>>63 != 0 {
		return ^bits
	}
	return bits | 1<<63
}

type sortRow struct {
	key []byte
	ref segment.RowRef
}

// sortHeap has the last row of an order on top.
type sortHeap []sortRow

func (h sortHeap) Len() int           { return len(h) }
func (h sortHeap) Less(i, j int) bool { return bytes.Compare(h[i].key, h[j].key) > 0 }
func (h sortHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *sortHeap) Push(x any)        { *h = append(*h, x.(sortRow)) }
func (h *sortHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
