package column

import (
	"fmt"
	"math"
	"slices"
)

// Builder grows a Data row by row or run by run. The zero Builder is not usable; see NewBuilder.
type Builder struct {
	d     Data
	valid bool // Valid is kept
}

// NewBuilder makes a Builder for values of width bytes, 0 for values that vary in length. hasValid keeps Valid from the
// start; without it Valid appears with the first null.
func NewBuilder(width int, hasValid bool) *Builder {
	b := &Builder{d: Data{Width: width}, valid: hasValid}
	if width == 0 {
		b.d.Offs = []uint32{0}
	}
	return b
}

// Grow makes room for rows more rows and size more bytes of variable-length values.
func (b *Builder) Grow(rows, size int) {
	if b.d.Width > 0 {
		b.d.Fixed = slices.Grow(b.d.Fixed, rows*b.d.Width)
	} else {
		b.d.Offs = slices.Grow(b.d.Offs, rows)
		b.d.Bytes = slices.Grow(b.d.Bytes, size)
	}
	if b.valid {
		b.d.Valid = slices.Grow(b.d.Valid, rows)
	}
}

// Reset empties the builder and keeps its memory: what Data returned before is overwritten by later appends.
func (b *Builder) Reset() {
	b.d.Rows, b.d.Fixed, b.d.Bytes, b.d.Valid = 0, b.d.Fixed[:0], b.d.Bytes[:0], b.d.Valid[:0]
	if b.d.Width == 0 {
		b.d.Offs = b.d.Offs[:1]
	}
}

// Rows returns the rows appended so far.
func (b *Builder) Rows() int { return b.d.Rows }

// Size returns the bytes of the values appended so far.
func (b *Builder) Size() int64 { return b.d.Size() }

// Data returns what was appended. It shares the builder's memory and is overwritten after Reset.
func (b *Builder) Data() Data { return b.d }

// AppendData appends the rows from lo up to hi of d. REQUIRES: d has the builder's width.
func (b *Builder) AppendData(d Data, lo, hi int) {
	if b.d.Width != d.Width {
		panic(fmt.Sprintf("column: values of width %d appended to a builder of width %d", d.Width, b.d.Width))
	}
	if lo >= hi {
		return
	}
	b.appendValid(d, lo, hi)
	b.d.Rows += hi - lo
	if d.Width > 0 {
		b.d.Fixed = append(b.d.Fixed, d.Fixed[lo*d.Width:hi*d.Width]...)
		return
	}
	from, to := d.Offs[lo], d.Offs[hi]
	b.room(int(to - from))
	shift := uint32(len(b.d.Bytes)) - from // wraps around for a source further on; the sums below wrap back
	b.d.Bytes = append(b.d.Bytes, d.Bytes[from:to]...)
	b.d.Offs = slices.Grow(b.d.Offs, hi-lo)
	for _, o := range d.Offs[lo+1 : hi+1] {
		b.d.Offs = append(b.d.Offs, o+shift)
	}
}

// AppendRow appends row i of d.
func (b *Builder) AppendRow(d Data, i int) {
	b.AppendValue(d.Value(i), !d.IsNull(i))
}

// AppendValue appends one value in the physical layout, or a null, for which raw may be nil.
// REQUIRES: a valid value has the builder's width, where that is not 0.
func (b *Builder) AppendValue(raw []byte, valid bool) {
	if !valid && !b.valid {
		b.keepValid()
	}
	if b.valid {
		b.d.Valid = append(b.d.Valid, bit(valid))
	}
	b.d.Rows++
	switch {
	case b.d.Width == 0:
		if valid {
			b.room(len(raw))
			b.d.Bytes = append(b.d.Bytes, raw...)
		}
		b.d.Offs = append(b.d.Offs, uint32(len(b.d.Bytes)))
	case valid:
		if len(raw) != b.d.Width {
			panic(fmt.Sprintf("column: value of %d bytes appended to a builder of width %d", len(raw), b.d.Width))
		}
		b.d.Fixed = append(b.d.Fixed, raw...)
	default:
		b.d.Fixed = append(b.d.Fixed, make([]byte, b.d.Width)...)
	}
}

func (b *Builder) appendValid(d Data, lo, hi int) {
	if d.Valid == nil {
		if b.valid {
			for range hi - lo {
				b.d.Valid = append(b.d.Valid, 1)
			}
		}
		return
	}
	if !b.valid {
		b.keepValid()
	}
	b.d.Valid = append(b.d.Valid, d.Valid[lo:hi]...)
}

// keepValid starts Valid: all rows so far are valid.
func (b *Builder) keepValid() {
	b.valid = true
	b.d.Valid = b.d.Valid[:0]
	for range b.d.Rows {
		b.d.Valid = append(b.d.Valid, 1)
	}
}

// room checks that offsets stay within 32 bits. Batches and chunks are far smaller; a breach is a bug of the caller's.
// REQUIRES: less than 4 GiB of values.
func (b *Builder) room(n int) {
	if uint64(len(b.d.Bytes))+uint64(n) > math.MaxUint32 {
		panic("column: more than 4 GiB of values in one builder")
	}
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
