package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

const (
	magic      = "SELKBAK1"
	version    = 1
	headerLen  = 64
	recordHead = 32
	maxPayload = 1 << 20
	maxPath    = 1 << 10
	entryLen   = 2 + 8 + 8 + 4 + 1 // of a list entry, without its path
)

// Kinds of records.
const (
	kindFile  = 1 // a file begins
	kindData  = 2 // bytes of it
	kindZeros = 3 // zeros of it
	kindList  = 4 // files of the store
	kindEnd   = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrVersion is the error of a backup of a version that this program does not know.
var ErrVersion = errors.New("unknown version")

// CorruptionError tells that a backup is not what was written.
type CorruptionError struct {
	Offset int64  // of the header or the record
	Kind   string // "format", "checksum", "size", "sequence", "identity"
	Err    error
}

// Error names offset and kind.
func (e *CorruptionError) Error() string {
	return fmt.Sprintf("at offset %d: %s: %v", e.Offset, e.Kind, e.Err)
}

// Unwrap gives the cause.
func (e *CorruptionError) Unwrap() error { return e.Err }

func corrupt(at int64, kind, format string, args ...any) error {
	return &CorruptionError{Offset: at, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Header is what a backup says of itself at its beginning.
type Header struct {
	ID      uint64 // random, never 0; repeated in each record
	Base    uint64 // of the backup before it; 0 if it needs none
	LSN     uint64
	Created int64 // Unix nanoseconds
}

// Entry is a file of the store.
type Entry struct {
	Path     string // relative, with slashes
	Size     int64
	Identity uint64 // files of the same path, size and identity are the same; 0 if nothing is known
	Sum      uint32 // CRC-32C of its bytes
	Here     bool   // the backup holds it; else one before it does
}

func (h Header) encode() []byte {
	b := make([]byte, headerLen)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint64(b[16:], h.ID)
	binary.LittleEndian.PutUint64(b[24:], h.Base)
	binary.LittleEndian.PutUint64(b[32:], h.LSN)
	binary.LittleEndian.PutUint64(b[40:], uint64(h.Created))
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

func decodeHeader(b []byte) (Header, error) {
	if string(b[:8]) != magic {
		return Header{}, corrupt(0, "format", "not a backup")
	}
	if crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) {
		return Header{}, corrupt(0, "checksum", "the header's checksum does not match")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return Header{}, fmt.Errorf("%w: the backup has format version %d; this program reads %d", ErrVersion, v, version)
	}
	return Header{
		ID: binary.LittleEndian.Uint64(b[16:]), Base: binary.LittleEndian.Uint64(b[24:]), LSN: binary.LittleEndian.Uint64(b[32:]),
		Created: int64(binary.LittleEndian.Uint64(b[40:])),
	}, nil
}

// putRecordHead fills in the head of a record whose payload follows it.
func putRecordHead(rec []byte, kind byte, number, id uint64) {
	clear(rec[:recordHead])
	binary.LittleEndian.PutUint32(rec[4:], uint32(len(rec)-recordHead))
	binary.LittleEndian.PutUint64(rec[8:], number)
	binary.LittleEndian.PutUint64(rec[16:], id)
	rec[24] = kind
	binary.LittleEndian.PutUint32(rec, crc32.Checksum(rec[4:], castagnoli))
}

func appendPath(dst []byte, path string) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(path)))
	return append(dst, path...)
}

func (e Entry) append(dst []byte) []byte {
	dst = appendPath(dst, e.Path)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Size))
	dst = binary.LittleEndian.AppendUint64(dst, e.Identity)
	dst = binary.LittleEndian.AppendUint32(dst, e.Sum)
	if e.Here {
		return append(dst, 1)
	}
	return append(dst, 0)
}

var errShort = errors.New("record is too short")

func takePath(b []byte) (path string, rest []byte, err error) {
	if len(b) < 2 {
		return "", nil, errShort
	}
	n := int(binary.LittleEndian.Uint16(b))
	if b = b[2:]; n > len(b) {
		return "", nil, errShort
	}
	path = string(b[:n])
	return path, b[n:], checkPath(path)
}

func takeEntry(b []byte) (e Entry, rest []byte, err error) {
	if e.Path, b, err = takePath(b); err != nil {
		return e, nil, err
	}
	if len(b) < entryLen-2 {
		return e, nil, errShort
	}
	e.Size, e.Identity = int64(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint64(b[8:])
	e.Sum, e.Here = binary.LittleEndian.Uint32(b[16:]), b[20] == 1
	if e.Size < 0 || b[20] > 1 {
		return e, nil, fmt.Errorf("file %s of %d bytes", e.Path, e.Size)
	}
	return e, b[21:], nil
}

// checkPath refuses a path that could lead out of the directory that a backup is restored to.
func checkPath(path string) error {
	if path == "" || len(path) > maxPath {
		return fmt.Errorf("path of %d bytes", len(path))
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\\:\x00") {
			return fmt.Errorf("path %q", path)
		}
	}
	return nil
}
