package inverted

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"unsafe"
)

// The file format is drawn in docs/format/sparse-index.md: a header, then the
// sections in the order below, each from a multiple of 64 bytes, each under a
// CRC-32C that covers its padding.
const (
	magic      = "SELKSPX\n"
	version    = 1
	headerSize = 512
	alignment  = 64

	offSegment  = 16
	offToken    = 24
	offRows     = 32
	offTerms    = 36
	offChunks   = 40
	offPostings = 44
	offWindow   = 48
	offSections = 128 // 24 bytes each: offset, length, CRC, zero
	offCRC      = headerSize - 4
)

// section numbers.
const (
	secTerms = iota
	secPeaks
	secLists
	secHeads
	secStarts
	secLocals
	secWeights
	secValues
	secPresent
	sections
)

var sectionNames = [sections]string{"terms", "peaks", "lists", "heads", "starts", "locals", "weights", "values", "present"}

// sectionWidths are the bytes of an element of each section.
var sectionWidths = [sections]int64{4, 4, 4, 4, 4, 2, 1, 4, 8}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Identity ties an index file to its segment: an index of other rows would
// find wrong ones. What the numbers mean is the caller's business.
type Identity struct {
	Segment, Token uint64
}

// ErrCorrupt is wrapped by every error about the bytes of an index file: those
// of *CorruptionError.
var ErrCorrupt = errors.New("corrupt sparse index")

// CorruptionError says what is wrong with an index file.
type CorruptionError struct {
	// Offset is where the header's field or the section begins that is wrong.
	Offset int64
	// Kind is "magic", "version", "checksum", "identity", "length" or "value".
	Kind string
	Text string
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("%v: %s at offset %d: %s", ErrCorrupt, e.Kind, e.Offset, e.Text)
}

// Unwrap returns ErrCorrupt.
func (e *CorruptionError) Unwrap() error { return ErrCorrupt }

func corrupt(offset int64, kind, format string, args ...any) error {
	return &CorruptionError{Offset: offset, Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// shape is what a header says, and what all lengths follow from.
type shape struct {
	rows     int
	terms    int
	chunks   int
	postings int
}

// windows returns the number of windows that the rows make up.
func (s *shape) windows() int { return (s.rows + windowRows - 1) / windowRows }

// layout returns where each section begins and its length without padding, and
// the size of the file.
func (s *shape) layout() (offsets, lengths [sections]int64, size int64) {
	lengths = [sections]int64{
		secTerms:   int64(s.terms),
		secPeaks:   2 * int64(s.terms),
		secLists:   int64(s.terms) + 1,
		secHeads:   int64(s.chunks),
		secStarts:  int64(s.chunks) + 1,
		secLocals:  int64(s.postings),
		secWeights: int64(s.postings),
		secValues:  int64(s.postings),
		secPresent: (int64(s.rows) + 63) / 64,
	}
	at := int64(headerSize)
	for i := range lengths {
		lengths[i] *= sectionWidths[i]
		offsets[i] = at
		at += (lengths[i] + alignment - 1) / alignment * alignment
	}
	return offsets, lengths, at
}

// appendHeader appends the header, given the sections' checksums.
func (s *shape) appendHeader(b []byte, id Identity, sums [sections]uint32) []byte {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	h := b[start:]
	copy(h, magic)
	put := func(at, v int) { binary.LittleEndian.PutUint32(h[at:], uint32(v)) }
	put(8, version)
	put(12, headerSize)
	binary.LittleEndian.PutUint64(h[offSegment:], id.Segment)
	binary.LittleEndian.PutUint64(h[offToken:], id.Token)
	put(offRows, s.rows)
	put(offTerms, s.terms)
	put(offChunks, s.chunks)
	put(offPostings, s.postings)
	put(offWindow, windowRows)
	offsets, lengths, _ := s.layout()
	for i := range sections {
		e := h[offSections+24*i:]
		binary.LittleEndian.PutUint64(e, uint64(offsets[i]))
		binary.LittleEndian.PutUint64(e[8:], uint64(lengths[i]))
		binary.LittleEndian.PutUint32(e[16:], sums[i])
	}
	binary.LittleEndian.PutUint32(h[offCRC:], crc32.Checksum(h[:offCRC], castagnoli))
	return b
}

// decodeHeader reads a header, of which b has at least headerSize bytes, and
// checks all that it says by itself.
func decodeHeader(b []byte, id Identity) (s shape, sums [sections]uint32, err error) {
	h := b[:headerSize]
	if string(h[:8]) != magic {
		return s, sums, corrupt(0, "magic", "%q, want %q", h[:8], magic)
	}
	if v := binary.LittleEndian.Uint32(h[8:]); v != version {
		return s, sums, corrupt(8, "version", "%d, this program reads version %d", v, version)
	}
	if got, want := crc32.Checksum(h[:offCRC], castagnoli), binary.LittleEndian.Uint32(h[offCRC:]); got != want {
		return s, sums, corrupt(0, "checksum", "header %08x, want %08x", got, want)
	}
	got := Identity{binary.LittleEndian.Uint64(h[offSegment:]), binary.LittleEndian.Uint64(h[offToken:])}
	if got != id {
		return s, sums, corrupt(offSegment, "identity", "segment %d, token %016x, want %d, %016x", got.Segment, got.Token, id.Segment, id.Token)
	}
	get := func(at int, lo, hi int64) int {
		v := int64(binary.LittleEndian.Uint32(h[at:]))
		if err == nil && (v < lo || v > hi) {
			err = corrupt(int64(at), "value", "%d, want %d to %d", v, lo, hi)
		}
		return int(v)
	}
	// No list is empty, no chunk is, and a list has a chunk a window at most.
	get(12, headerSize, headerSize)
	s.rows = get(offRows, 0, maxRows)
	s.terms = get(offTerms, 0, maxTerms)
	s.postings = get(offPostings, int64(s.terms), min(maxPostings, int64(s.terms)*int64(s.rows)))
	s.chunks = get(offChunks, int64(s.terms), min(int64(s.postings), int64(s.terms)*int64(s.windows())))
	get(offWindow, windowRows, windowRows)
	if err != nil {
		return s, sums, err
	}
	offsets, lengths, _ := s.layout()
	for i := range sections {
		e := h[offSections+24*i:]
		at, length := binary.LittleEndian.Uint64(e), binary.LittleEndian.Uint64(e[8:])
		if at != uint64(offsets[i]) || length != uint64(lengths[i]) {
			return s, sums, corrupt(int64(offSections+24*i), "length", "section %s of %d bytes at %d, want %d at %d",
				sectionNames[i], length, at, lengths[i], offsets[i])
		}
		sums[i] = binary.LittleEndian.Uint32(e[16:])
	}
	return s, sums, nil
}

// littleEndian says that words lie in memory as they do in the file.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

type word interface {
	uint16 | uint32 | uint64 | float32
}

// words returns b, which holds whole words, as such: b itself where that is
// possible, else a copy.
func words[W word](b []byte) []W {
	var zero W
	size := int(unsafe.Sizeof(zero))
	n := len(b) / size
	if n == 0 {
		return nil
	}
	if p := unsafe.Pointer(unsafe.SliceData(b)); littleEndian && uintptr(p)%uintptr(size) == 0 {
		return unsafe.Slice((*W)(p), n)
	}
	w := make([]W, n)
	swap(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), n*size), b, size)
	return w
}

// bytesOf is the inverse of words.
func bytesOf[W word](w []W) []byte {
	if len(w) == 0 {
		return nil
	}
	size := int(unsafe.Sizeof(w[0]))
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), size*len(w))
	if littleEndian {
		return b
	}
	out := make([]byte, len(b))
	swap(out, b, size)
	return out
}

// swap copies words of size bytes from this machine's order to that of files,
// or back.
func swap(dst, src []byte, size int) {
	for i := range src {
		at := i
		if !littleEndian {
			at = i/size*size + size - 1 - i%size
		}
		dst[at] = src[i]
	}
}
