package graph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"unsafe"

	"github.com/selkiedb/selkie/vector"
)

// The file format is drawn in docs/format/index.md: a header, then the
// sections in the order below, each from a multiple of 64 bytes, each under a
// CRC-32C that covers its padding.
const (
	magic      = "SELKIDX\n"
	version    = 1
	headerSize = 512

	offSegment  = 16
	offToken    = 24
	offRows     = 32
	offMetric   = 36
	offDim      = 40
	offCopies   = 48
	offStride   = 52
	offDegree   = 56
	offEntries  = 60
	offCentered = 64
	offVectors  = 68
	offStep     = 72
	offBits     = 88
	offReach    = 92
	offSections = 128 // 24 bytes each: offset, length, CRC, zero
	offCRC      = headerSize - 4
)

// section numbers.
const (
	secCenter = iota
	secCodes
	secTerms
	secNeighbours
	secRows
	secLabels
	secEntries
	secAbsent
	secSteps
	sections
)

var sectionNames = [sections]string{"center", "codes", "terms", "neighbours", "rows", "labels", "entries", "absent", "steps"}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Identity ties an index file to its segment: an index of other rows would
// find wrong ones. What the numbers mean is the caller's business.
type Identity struct {
	Segment, Token uint64
}

// ErrCorrupt is wrapped by every error about the bytes of an index file: those
// of *CorruptionError.
var ErrCorrupt = errors.New("corrupt index")

// CorruptionError says what is wrong with an index file.
type CorruptionError struct {
	// Offset is where the header or the section begins that is wrong.
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
	z       quantizer // without center
	rows    int
	vectors int // rows that have one
	degree  int // 0 without a graph
	entries int
	reach   int // 0 in files of programs that did not measure it
}

// layout returns where each section begins and its length, and the size of the
// file.
func (s *shape) layout() (offsets, lengths [sections]int64, size int64) {
	n := int64(s.vectors)
	lengths = [sections]int64{
		secCenter: 4 * int64(s.z.dim),
		secCodes:  n * int64(s.z.rowBytes()),
		secTerms:  4 * n,
	}
	if s.degree > 0 {
		lengths[secNeighbours] = 4 * n * int64(s.degree)
		lengths[secEntries] = 4 * int64(s.entries)
	}
	if s.z.bits == 4 {
		lengths[secSteps] = 4 * int64(s.z.dim)
	}
	if s.vectors < s.rows {
		lengths[secAbsent] = 8 * int64((s.rows+63)/64)
	}
	if s.degree > 0 || s.vectors < s.rows {
		lengths[secRows] = 4 * n
		lengths[secLabels] = 4 * int64(s.rows)
	}
	at := int64(headerSize)
	for i, l := range lengths {
		offsets[i] = at
		at += (l + cacheLine - 1) / cacheLine * cacheLine
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
	put(offVectors, s.vectors)
	put(offBits, s.z.bits)
	put(offMetric, int(s.z.metric))
	put(offDim, s.z.dim)
	put(offCopies, s.z.copies)
	put(offStride, s.z.rowBytes())
	put(offDegree, s.degree)
	put(offEntries, s.entries)
	put(offReach, s.reach)
	if s.z.centered {
		put(offCentered, 1)
	}
	binary.LittleEndian.PutUint64(h[offStep:], math.Float64bits(s.z.step))
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
		return s, sums, corrupt(0, "version", "%d, this program reads version %d", v, version)
	}
	if got, want := crc32.Checksum(h[:offCRC], castagnoli), binary.LittleEndian.Uint32(h[offCRC:]); got != want {
		return s, sums, corrupt(0, "checksum", "header %08x, want %08x", got, want)
	}
	got := Identity{binary.LittleEndian.Uint64(h[offSegment:]), binary.LittleEndian.Uint64(h[offToken:])}
	if got != id {
		return s, sums, corrupt(0, "identity", "segment %d, token %016x, want %d, %016x", got.Segment, got.Token, id.Segment, id.Token)
	}
	get := func(at, lo, hi int) int {
		v := binary.LittleEndian.Uint32(h[at:])
		if err == nil && (int64(v) < int64(lo) || int64(v) > int64(hi)) {
			err = corrupt(int64(at), "value", "%d, want %d to %d", v, lo, hi)
		}
		return int(v)
	}
	s.rows = get(offRows, 0, maxRows)
	s.vectors = get(offVectors, 0, s.rows)
	s.z.metric = vector.Metric(get(offMetric, int(vector.L2), int(vector.Cosine)))
	s.z.dim = get(offDim, 1, vector.MaxDim)
	s.z.copies = get(offCopies, 1, maxCopies)
	if s.z.bits = get(offBits, 4, 8); err == nil && s.z.bits != 4 && s.z.bits != 8 {
		err = corrupt(offBits, "value", "codes of %d bits, want 4 or 8", s.z.bits)
	}
	if err != nil {
		return s, sums, err
	}
	get(offStride, s.z.rowBytes(), s.z.rowBytes())
	s.degree = get(offDegree, 0, maxDegree)
	if s.degree > 0 {
		s.entries = get(offEntries, 1, min(s.vectors, maxEntries))
		if s.z.metric != vector.IP {
			s.reach = get(offReach, 0, maxReach)
		}
	} else {
		get(offEntries, 0, 0)
		get(offReach, 0, 0)
	}
	s.z.centered = get(offCentered, 0, 1) == 1
	s.z.step = math.Float64frombits(binary.LittleEndian.Uint64(h[offStep:]))
	switch {
	case err != nil:
	case s.z.codeDim() > vector.MaxDim:
		err = corrupt(offDim, "value", "rows of %d codes, want at most %d", s.z.codeDim(), vector.MaxDim)
	case !(s.z.step > 0 && s.z.step <= math.MaxFloat64):
		err = corrupt(offStep, "value", "step %v", s.z.step)
	case s.z.centered != (s.z.metric == vector.L2) && s.z.metric != vector.Cosine:
		err = corrupt(offCentered, "value", "centered %v for %v", s.z.centered, s.z.metric)
	}
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

// word is what sections are made of.
type word interface {
	uint32 | int32 | float32 | uint64
}

// words returns b, whose length is a multiple of a word's, as words: b itself
// where that is possible, else a copy.
func words[W word](b []byte) []W {
	size := int(unsafe.Sizeof(*new(W)))
	n := len(b) / size
	if n == 0 {
		return nil
	}
	if p := unsafe.Pointer(unsafe.SliceData(b)); littleEndian && uintptr(p)%uintptr(size) == 0 {
		return unsafe.Slice((*W)(p), n)
	}
	w := make([]W, n)
	swap(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), len(b)), b, size)
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

// swap copies src to dst, in words of size bytes from one order, that of the
// file or that of the machine, to the other.
func swap(dst, src []byte, size int) {
	copy(dst, src)
	if littleEndian {
		return
	}
	for lo := 0; lo < len(dst); lo += size {
		slices.Reverse(dst[lo : lo+size])
	}
}
