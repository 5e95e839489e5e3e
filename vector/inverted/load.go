package inverted

import (
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// Open makes an index of the bytes that Save wrote. Where b begins at a
// multiple of 8 (mapped files do) it is used in place: it must not change, and
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
	for i := range sections {
		end := size
		if i+1 < sections {
			end = offsets[i+1]
		}
		padded := b[offsets[i]:end:end]
		if got := crc32.Checksum(padded, castagnoli); got != sums[i] {
			return nil, corrupt(offsets[i], "checksum", "section %s %08x, want %08x", sectionNames[i], got, sums[i])
		}
		data[i] = padded[:lengths[i]:lengths[i]]
	}
	ix := &Index{
		shape:   s,
		terms:   words[uint32](data[secTerms]),
		peaks:   words[float32](data[secPeaks]),
		lists:   words[uint32](data[secLists]),
		heads:   words[uint32](data[secHeads]),
		starts:  words[uint32](data[secStarts]),
		locals:  words[uint16](data[secLocals]),
		weights: data[secWeights],
		values:  words[float32](data[secValues]),
		present: words[uint64](data[secPresent]),
	}
	return ix, ix.validate(offsets)
}

// Load reads what Save wrote, size bytes from r, into memory that huge pages
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
	b := aligned[byte](int(size))
	if n, err := r.ReadAt(b, 0); err != nil && (err != io.EOF || n < len(b)) {
		return nil, fmt.Errorf("read index: %w", err)
	}
	return Open(b, id)
}

// validate checks what no checksum can: that no number leads outside, and that
// every bound is one, without which a search would miss rows.
func (ix *Index) validate(offsets [sections]int64) error {
	wrong := func(section int, format string, args ...any) error {
		return corrupt(offsets[section], "value", format, args...)
	}
	for i, word := range ix.present {
		if left := ix.rows - i*64; left < 64 && word>>left != 0 {
			return wrong(secPresent, "rows beyond the %d there are", ix.rows)
		}
	}
	// What starts and lists cut up is cut up whole, and into no empty pieces.
	for _, cut := range []struct {
		section, of int
		at          []uint32
	}{{secLists, ix.chunks, ix.lists}, {secStarts, ix.postings, ix.starts}} {
		for i, at := range cut.at[1:] {
			if at <= cut.at[i] {
				return wrong(cut.section, "number %d is %d, after %d", i+1, at, cut.at[i])
			}
		}
		if first, last := cut.at[0], cut.at[len(cut.at)-1]; first != 0 || int64(last) != int64(cut.of) {
			return wrong(cut.section, "numbers from %d to %d, want 0 to %d", first, last, cut.of)
		}
	}
	for p, index := range ix.terms {
		if index == math.MaxUint32 || p > 0 && index <= ix.terms[p-1] {
			return wrong(secTerms, "term %d is index %d, or does not ascend", p, index)
		}
		high, low := ix.peaks[2*p], ix.peaks[2*p+1]
		if !(high >= 0 && low >= 0 && max(high, low) > 0 && max(high, low) <= math.MaxFloat32) {
			return wrong(secPeaks, "term %d has values up to %v and down to -%v", p, high, low)
		}
		for c := ix.lists[p]; c < ix.lists[p+1]; c++ {
			if w := ix.heads[c] >> weightBits; int64(w) >= int64(ix.windows()) || c > ix.lists[p] && w <= ix.heads[c-1]>>weightBits {
				return wrong(secHeads, "chunk %d of term %d lies in window %d of %d, or does not ascend", c, p, w, ix.windows())
			}
			if err := ix.validateChunk(c, high, low, wrong); err != nil {
				return err
			}
		}
	}
	return nil
}

// validateChunk checks the postings of a chunk of a list with these peaks.
func (ix *Index) validateChunk(c uint32, high, low float32, wrong func(section int, format string, args ...any) error) error {
	first := ix.heads[c] >> weightBits * windowRows
	rows := min(windowRows, uint32(ix.rows)-first)
	present := ix.present[first/64:]
	lo, hi := ix.starts[c], ix.starts[c+1]
	weights, values, greatest := ix.weights[lo:hi], ix.values[lo:hi], byte(ix.heads[c])
	// What weightOf says, with the rounding of its division, but without it.
	peak := float64(max(high, low)) / maxWeight * (1 + 0x1p-50)
	next := uint32(0)
	for i, local := range ix.locals[lo:hi] {
		row := uint32(local)
		if row < next || row >= rows || present[row/64]>>(row%64)&1 == 0 {
			return wrong(secLocals, "row %d of %d, or it is absent, or does not ascend", first+row, ix.rows)
		}
		next = row + 1
		value, weight := values[i], weights[i]
		if !(value <= high && -value <= low) || value == 0 {
			return wrong(secValues, "value %v of row %d, want -%v to %v", value, first+row, low, high)
		}
		if float64(max(value, -value)) > peak*float64(weight) || weight > greatest {
			return wrong(secWeights, "weight %d of row %d, want %d at least, and at most %d",
				weight, first+row, weightOf(value, max(high, low)), greatest)
		}
	}
	return nil
}
