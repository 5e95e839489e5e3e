package index

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"unsafe"
)

// CorruptionError says what is wrong with a file.
type CorruptionError struct {
	Offset int64  // where in the file; -1 if that is not known
	Kind   string // "length", "checksum", "format", "identity", "version"
	Text   string
}

// Error names the place.
func (e *CorruptionError) Error() string {
	return fmt.Sprintf("scalar index: %s at %d: %s", e.Kind, e.Offset, e.Text)
}

func corrupt(at int64, kind, format string, args ...any) error {
	return &CorruptionError{at, kind, fmt.Sprintf(format, args...)}
}

const (
	magic      = "SELKSCX\n"
	version    = 1
	headerSize = 256
	alignment  = 64

	flagTexts = 1
	flagMulti = 2
	flagLossy = 4
)

// The sections, in order.
const (
	secKeys = iota // of numbers: keys; of texts: offsets
	secBytes
	secStarts
	secPostings
	secSteps
	secPresent
	sections
)

var sectionNames = [sections]string{"keys", "bytes", "starts", "postings", "steps", "present"}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// lengths are those of the sections of an index with so many rows, values, bytes of text and postings.
func lengths(rows, values, texts, postings uint64, flags uint32) (n [sections]uint64) {
	words := 8 * ((rows + 63) / 64)
	n[secKeys] = 8 * values
	if flags&flagTexts != 0 {
		n[secKeys] = 4 * (values + 1)
	}
	n[secBytes], n[secStarts], n[secPostings], n[secPresent] = texts, 4*(values+1), 4*postings, words
	if flags&flagMulti == 0 {
		n[secSteps] = stepCount * words
	}
	return n
}

func padded(n uint64) uint64 { return (n + alignment - 1) / alignment * alignment }

// Save writes the index, in one pass. Syncing it is the caller's.
func (ix *Index) Save(w io.Writer, id Identity) error {
	var flags uint32
	keys := bytesOf(ix.keys)
	if ix.texts {
		flags |= flagTexts
		keys = bytesOf(ix.offs)
	}
	if ix.multi {
		flags |= flagMulti
	}
	if ix.lossy {
		flags |= flagLossy
	}
	data := [sections][]byte{keys, ix.bytes, bytesOf(ix.starts), bytesOf(ix.postings), bytesOf(ix.steps), bytesOf(ix.present)}
	h := make([]byte, 0, headerSize)
	h = append(h, magic...)
	h = binary.LittleEndian.AppendUint32(h, version)
	h = binary.LittleEndian.AppendUint32(h, headerSize)
	h = binary.LittleEndian.AppendUint64(h, id.Segment)
	h = binary.LittleEndian.AppendUint64(h, id.Token)
	h = binary.LittleEndian.AppendUint32(h, uint32(ix.rows))
	h = binary.LittleEndian.AppendUint32(h, flags)
	h = binary.LittleEndian.AppendUint32(h, uint32(ix.values()))
	h = binary.LittleEndian.AppendUint32(h, uint32(len(ix.bytes)))
	h = binary.LittleEndian.AppendUint32(h, uint32(len(ix.postings)))
	h = binary.LittleEndian.AppendUint32(h, stepCount)
	var zeros [alignment]byte
	pad := func(b []byte) []byte { return zeros[:padded(uint64(len(b)))-uint64(len(b))] }
	for _, b := range data {
		h = binary.LittleEndian.AppendUint32(h, crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, pad(b)))
	}
	h = append(h, make([]byte, headerSize-4-len(h))...)
	h = binary.LittleEndian.AppendUint32(h, crc32.Checksum(h, castagnoli))
	if _, err := w.Write(h); err != nil {
		return err
	}
	for _, b := range data {
		if _, err := w.Write(b); err != nil {
			return err
		}
		if _, err := w.Write(pad(b)); err != nil {
			return err
		}
	}
	return nil
}

// Open makes an index of the bytes that Save wrote. Where b begins at a multiple of 8 (mapped files do) it is used in place: it must not change,
// and must stay as long as the index is in use. Every length, checksum and value is checked first; damage of any kind is a *CorruptionError, as is
// an identity other than id.
func Open(b []byte, id Identity) (*Index, error) {
	if len(b) < headerSize {
		return nil, corrupt(0, "length", "%d bytes, want %d for the header alone", len(b), headerSize)
	}
	le := binary.LittleEndian
	h := b[:headerSize]
	if string(h[:8]) != magic {
		return nil, corrupt(0, "format", "it begins with %q", h[:8])
	}
	if v := le.Uint32(h[8:]); v != version {
		return nil, corrupt(8, "version", "version %d, want %d", v, version)
	}
	if sum := le.Uint32(h[headerSize-4:]); sum != crc32.Checksum(h[:headerSize-4], castagnoli) {
		return nil, corrupt(0, "checksum", "of the header")
	}
	if got := (Identity{le.Uint64(h[16:]), le.Uint64(h[24:])}); got != id {
		return nil, corrupt(16, "identity", "of segment %d, token %x, want %d, %x", got.Segment, got.Token, id.Segment, id.Token)
	}
	rows, flags, values := le.Uint32(h[32:]), le.Uint32(h[36:]), le.Uint32(h[40:])
	texts, postings, steps := le.Uint32(h[44:]), le.Uint32(h[48:]), le.Uint32(h[52:])
	if le.Uint32(h[12:]) != headerSize || rows > math.MaxInt32 || flags > flagTexts|flagMulti|flagLossy || postings > maxEntries || values > postings ||
		texts > math.MaxInt32 || flags&flagTexts == 0 && texts > 0 || steps != stepCount || flags&flagMulti == 0 && postings > rows {
		return nil, corrupt(12, "format", "%d rows, %d values, %d bytes, %d postings, %d steps, flags %x", rows, values, texts, postings, steps, flags)
	}
	size := lengths(uint64(rows), uint64(values), uint64(texts), uint64(postings), flags)
	at := uint64(headerSize)
	var data [sections][]byte
	for i, n := range size {
		end := at + padded(n)
		if end > uint64(len(b)) {
			return nil, corrupt(int64(len(b)), "length", "%d bytes, the section %s ends at %d", len(b), sectionNames[i], end)
		}
		if want, got := le.Uint32(h[56+4*i:]), crc32.Checksum(b[at:end], castagnoli); got != want {
			return nil, corrupt(int64(at), "checksum", "section %s %08x, want %08x", sectionNames[i], got, want)
		}
		data[i] = b[at : at+n : at+n]
		at = end
	}
	if at != uint64(len(b)) {
		return nil, corrupt(int64(at), "length", "%d bytes, want %d", len(b), at)
	}
	ix := &Index{
		rows: int(rows), texts: flags&flagTexts != 0, multi: flags&flagMulti != 0, lossy: flags&flagLossy != 0, bytes: data[secBytes],
		starts: words[uint32](data[secStarts]), postings: words[uint32](data[secPostings]),
		steps: words[uint64](data[secSteps]), present: words[uint64](data[secPresent]),
	}
	if ix.texts {
		ix.offs = words[uint32](data[secKeys])
	} else {
		ix.keys = words[uint64](data[secKeys])
	}
	ix.count()
	return ix, ix.validate()
}

// validate checks that nothing in the index leads out of it.
func (ix *Index) validate() error {
	climb := func(name string, v []uint32, end int) error {
		if v[0] != 0 || int(v[len(v)-1]) != end {
			return corrupt(-1, "format", "%s run from %d to %d, want 0 to %d", name, v[0], v[len(v)-1], end)
		}
		for i := range v[1:] {
			if v[i] > v[i+1] {
				return corrupt(-1, "format", "%s %d is above the next", name, i)
			}
		}
		return nil
	}
	if err := climb("start", ix.starts, len(ix.postings)); err != nil {
		return err
	}
	if ix.texts {
		if err := climb("offset", ix.offs, len(ix.bytes)); err != nil {
			return err
		}
	}
	for i, row := range ix.postings {
		if int(row) >= ix.rows {
			return corrupt(-1, "format", "posting %d is of row %d of %d", i, row, ix.rows)
		}
	}
	return nil
}

// Load reads what Save wrote, size bytes from r, and opens it.
func Load(r io.ReaderAt, size int64, id Identity) (*Index, error) {
	if size < headerSize || size > math.MaxInt-8 {
		return nil, corrupt(0, "length", "%d bytes, want %d for the header alone", size, headerSize)
	}
	// The header's own checks bound what is allocated: by the size that the file really has.
	b := bytesOf(make([]uint64, (size+7)/8))[:size]
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), b); err != nil {
		return nil, fmt.Errorf("read %d bytes: %w", size, err)
	}
	return Open(b, id)
}

// word is what sections are made of.
type word interface{ uint32 | uint64 }

// bytesOf is the memory of v: files are little-endian, as are the machines that this package is built for; see words.
func bytesOf[T word](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

// words is the inverse of bytesOf: in place, or copied where b does not lie as T must.
func words[T word](b []byte) []T {
	var zero T
	n := len(b) / int(unsafe.Sizeof(zero))
	if n == 0 {
		return nil
	}
	if uintptr(unsafe.Pointer(&b[0]))%unsafe.Alignof(zero) == 0 {
		return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n)
	}
	out := make([]T, n)
	copy(bytesOf(out), b)
	return out
}
