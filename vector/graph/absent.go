package graph

import (
	"fmt"
	"math/bits"
)

// Nullable is a Source some of whose rows have no vector: those of a nullable
// field. They get no codes and no edges, and no search finds them; of the
// vectors Read gives for them nothing is used.
type Nullable interface {
	Source
	// Absent marks the rows without a vector: bit r%64 of word r/64 stands for
	// row r. Rows beyond its end have one; nil means that all have. It does not
	// change as long as the build runs, and is not kept after it.
	Absent() []uint64
}

// absentRows returns which rows of src have no vector, a bit for each row, and
// how many they are; nil if none.
func absentRows(src Source) ([]uint64, int) {
	s, ok := src.(Nullable)
	if !ok {
		return nil, 0
	}
	given, n := s.Absent(), src.Rows()
	absent := make([]uint64, (n+63)/64)
	copy(absent, given)
	if n%64 != 0 {
		absent[n/64] &= 1<<(n%64) - 1
	}
	count := 0
	for _, word := range absent {
		count += bits.OnesCount64(word)
	}
	if count == 0 {
		return nil, 0
	}
	return absent, count
}

// dense is a Source of the rows of another that have a vector. Everything up
// to the finished graph is made of it; then spread goes over to the rows of the
// segment.
type dense struct {
	Source
	absent  []uint64 // nil if all rows have a vector: then it is the source itself
	offsets []uint32 // of its rows in the source
	buf     []float32
}

func newDense(src Source) *dense {
	absent, count := absentRows(src)
	d := &dense{Source: src, absent: absent}
	if absent == nil {
		return d
	}
	d.offsets = make([]uint32, 0, src.Rows()-count)
	for r := range src.Rows() {
		if absent[r>>6]>>(r&63)&1 == 0 {
			d.offsets = append(d.offsets, uint32(r))
		}
	}
	return d
}

// Rows returns the number of rows that have a vector.
func (d *dense) Rows() int {
	if d.absent == nil {
		return d.Source.Rows()
	}
	return len(d.offsets)
}

// Read reads the rows together with those between them, as long as those are
// not more than a block.
func (d *dense) Read(lo, hi int, dst []float32) error {
	if d.absent == nil {
		return d.Source.Read(lo, hi, dst)
	}
	dim := d.Dim()
	for lo < hi {
		first, last := int(d.offsets[lo]), lo
		for last+1 < hi && int(d.offsets[last+1])-first < blockRows(dim) {
			last++
		}
		end := int(d.offsets[last]) + 1
		rows := last + 1 - lo
		if end-first == rows {
			if err := d.Source.Read(first, end, dst[:rows*dim]); err != nil {
				return err
			}
		} else {
			if d.buf == nil {
				d.buf = make([]float32, blockRows(dim)*dim)
			}
			if err := d.Source.Read(first, end, d.buf[:(end-first)*dim]); err != nil {
				return err
			}
			for i, offset := range d.offsets[lo : last+1] {
				at := (int(offset) - first) * dim
				copy(dst[i*dim:(i+1)*dim], d.buf[at:at+dim])
			}
		}
		dst = dst[rows*dim:]
		lo = last + 1
	}
	return nil
}

// numbers returns the number in d of each row of the source, none for those
// that are absent; nil where they are the same.
func (d *dense) numbers() []uint32 {
	if d.absent == nil {
		return nil
	}
	numbers := make([]uint32, d.Source.Rows())
	for i := range numbers {
		numbers[i] = none
	}
	for i, offset := range d.offsets {
		numbers[offset] = uint32(i)
	}
	return numbers
}

// spread makes an index of d one of the source.
func (d *dense) spread(ix *Index) *Index {
	if d.absent == nil {
		return ix
	}
	ix.rows, ix.absent = d.Source.Rows(), d.absent
	ix.toLabel = d.numbers()
	if ix.toRow == nil {
		ix.toRow = d.offsets
		return ix
	}
	for label, row := range ix.toRow {
		ix.toRow[label] = d.offsets[row]
		ix.toLabel[d.offsets[row]] = uint32(label)
	}
	return ix
}

// renumber returns the parts with their rows' offsets in d in place of those in
// its source, and NoRow for absent ones. It requires that the parts and the
// source agree about which are.
func (d *dense) renumber(parts []Part) ([]Part, error) {
	numbers := d.numbers()
	out := make([]Part, len(parts))
	for i, p := range parts {
		out[i] = Part{Index: p.Index, Rows: p.Rows}
		if numbers != nil {
			out[i].Rows = make([]uint32, len(p.Rows))
		}
		for r, row := range p.Rows {
			to := row
			if row != NoRow {
				if numbers != nil {
					to = numbers[row]
				}
				if (to == none) != p.Index.isAbsent(uint32(r)) {
					return nil, fmt.Errorf("%w: row %d of part %d and row %d of the source disagree whether there is a vector", ErrInvalid, r, i, row)
				}
			}
			if numbers != nil {
				out[i].Rows[r] = to
			}
		}
	}
	return out, nil
}
