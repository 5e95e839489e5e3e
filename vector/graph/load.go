package graph

import (
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/bits"

	"github.com/selkiedb/selkie/vector"
)

// Open makes an index of the bytes that Save wrote. Where b begins at a
// multiple of 4 (mapped files do) it is used in place: it must not change, and
// must stay as long as the index is in use. Every length, checksum and value is
// checked first; damage of any kind is a *CorruptionError, as is an identity
// other than id.
func Open(b []byte, id Identity) (*Index, error) {
	if len(b) < headerSize {
		return nil, corrupt(0, "length", "%d bytes, want %d for the header alone", len(b), headerSize)
	}
	s, sums, err := decodeHeader(b, id)
	if err != nil {
		return nil, err
	}
	offsets, lengths, size := s.layout()
	if int64(len(b)) != size {
		return nil, corrupt(0, "length", "%d bytes, want %d", len(b), size)
	}
	var data [sections][]byte
	var checks []func() error
	for i := range sections {
		end := size
		if i+1 < sections {
			end = offsets[i+1]
		}
		padded := b[offsets[i]:end:end]
		checks = append(checks, func() error {
			if got := crc32.Checksum(padded, castagnoli); got != sums[i] {
				return corrupt(offsets[i], "checksum", "section %s %08x, want %08x", sectionNames[i], got, sums[i])
			}
			return nil
		})
		data[i] = padded[:lengths[i]:lengths[i]]
	}
	z := s.z
	z.center = words[float32](data[secCenter])
	z.steps = words[float32](data[secSteps])
	ix := &Index{
		quantizer: &z,
		codedRows: &codedRows{
			n: s.vectors, stride: z.rowBytes(),
			codes: data[secCodes],
		},
	}
	if z.metric == vector.IP {
		ix.norm = words[float32](data[secTerms])
	} else {
		ix.square = words[int32](data[secTerms])
	}
	ix.rows = s.rows
	ix.absent = words[uint64](data[secAbsent])
	ix.toRow = words[uint32](data[secRows])
	ix.toLabel = words[uint32](data[secLabels])
	if s.degree > 0 {
		ix.adjacency = &adjacency{degree: s.degree, next: words[uint32](data[secNeighbours])}
		ix.entries = words[uint32](data[secEntries])
		ix.reach = s.reach
	}
	// What is wrong with a section's checksum is told before what is wrong with its values.
	checks = append(checks, func() error { return ix.validate(offsets) })
	if !ix.Flat() {
		checks = append(checks, inRanges(ix.n, 10_000, func(lo, hi int) error { return ix.validateNeighbours(lo, hi, offsets[secNeighbours]) })...)
	}
	if err := sideBySide(checks...); err != nil {
		return nil, err
	}
	if !ix.Flat() {
		ix.setEntries(ix.entries)
	}
	ix.setMaxSquare()
	return ix, nil
}

// Load reads what Save wrote, size bytes from r by several goroutines, into memory that huge pages
// may back, and opens it. It allocates nothing of a size that it has not
// checked. An error of r is wrapped; all others are those of Open.
func Load(r io.ReaderAt, size int64, id Identity) (*Index, error) {
	var header [headerSize]byte
	if size < headerSize {
		return nil, corrupt(0, "length", "%d bytes, want %d for the header alone", size, headerSize)
	}
	if _, err := r.ReadAt(header[:], 0); err != nil {
		return nil, fmt.Errorf("read index header: %w", err)
	}
	s, _, err := decodeHeader(header[:], id)
	if err != nil {
		return nil, err
	}
	if _, _, want := s.layout(); want != size {
		return nil, corrupt(0, "length", "%d bytes, want %d", size, want)
	}
	b := alignedBytes(int(size))
	const piece = 8 << 20
	if err := sideBySide(inRanges(len(b), piece, func(lo, hi int) error {
		if n, err := r.ReadAt(b[lo:hi], int64(lo)); err != nil && (err != io.EOF || n < hi-lo) {
			return fmt.Errorf("read index: %w", err)
		}
		return nil
	})...); err != nil {
		return nil, err
	}
	return Open(b, id)
}

// validate checks what no checksum can: that no number leads outside.
func (ix *Index) validate(offsets [sections]int64) error {
	for j, x := range ix.center {
		if x-x != 0 {
			return corrupt(offsets[secCenter], "value", "center of element %d is %v", j, x)
		}
	}
	for j, x := range ix.steps {
		if !(x > 0 && x <= math.MaxFloat32) {
			return corrupt(offsets[secSteps], "value", "step of element %d is %v", j, x)
		}
	}
	most := int64(ix.codeDim()) * 128 * 128
	if ix.bits == 4 {
		most = 1 << 30
	}
	for l, s := range ix.square {
		if s < 0 || int64(s) > most {
			return corrupt(offsets[secTerms], "value", "square of label %d is %d, want 0 to %d", l, s, most)
		}
	}
	for l, x := range ix.norm {
		if !(x >= 0 && x <= math.MaxFloat32) {
			return corrupt(offsets[secTerms], "value", "norm of label %d is %v", l, x)
		}
	}
	for l, row := range ix.toRow {
		// A label for each row that has a vector and a row for each label: a
		// bijection.
		if int(row) >= ix.rows || ix.toLabel[row] != uint32(l) || ix.isAbsent(row) {
			return corrupt(offsets[secRows], "value", "label %d has row %d, which does not lead back", l, row)
		}
	}
	if ix.absent != nil {
		count := 0
		for i, word := range ix.absent {
			if left := ix.rows - 64*i; left < 64 && word>>left != 0 {
				return corrupt(offsets[secAbsent], "value", "rows beyond the last of %d are absent", ix.rows)
			}
			count += bits.OnesCount64(word)
		}
		if count != ix.rows-ix.n {
			return corrupt(offsets[secAbsent], "value", "%d rows are absent, want %d", count, ix.rows-ix.n)
		}
		for row, label := range ix.toLabel {
			if (label == none) != ix.isAbsent(uint32(row)) {
				return corrupt(offsets[secLabels], "value", "row %d has label %d, absent %v", row, label, ix.isAbsent(uint32(row)))
			}
		}
	}
	if ix.Flat() {
		return nil
	}
	n := uint32(ix.n)
	for i, l := range ix.entries {
		if l >= n || i > 0 && l <= ix.entries[i-1] {
			return corrupt(offsets[secEntries], "value", "entry %d is label %d of %d, or does not ascend", i, l, n)
		}
	}
	return nil
}

// validateNeighbours checks the lists of the labels lo to hi-1: labels first,
// then nothing.
func (ix *Index) validateNeighbours(lo, hi int, offset int64) error {
	n := uint32(ix.n)
	for l := lo; l < hi; l++ {
		row := ix.row(uint32(l))
		i := 0
		for i < len(row) && row[i] < n {
			i++
		}
		for _, next := range row[i:] {
			if next != none {
				return corrupt(offset, "value", "label %d of %d has neighbour %d, or one after the last", l, n, next)
			}
		}
	}
	return nil
}
