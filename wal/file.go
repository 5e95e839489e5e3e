package wal

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	fileHeaderLen = 4096 // one block, so that the header shares no disk sector with frames
	fileMagic     = "SELKWAL\n"
	fileVersion   = 1

	fileSuffix = ".wal"
	tempSuffix = ".wal.tmp"

	// tailReserve is kept free behind the last record of a file: a mark written after an interval sync, the mark
	// of Close and the rotate frame, so that none of them ever needs a new file.
	tailReserve = 3 * frameHeaderLen
)

// Field offsets inside a file header.
const (
	headerMagicAt     = 0    // 8 bytes
	headerVersionAt   = 8    // u32, then u32 zero
	headerSeqAt       = 16   // u64: this file's sequence
	headerSaltAt      = 24   // u64: random, repeated in each frame
	headerSizeAt      = 32   // u64: the file's size
	headerFirstAt     = 40   // u64: LSN of the first record, if there is one
	headerPrevSeqAt   = 48   // u64: sequence of the file before; 0: none
	headerPrevLSNAt   = 56   // u64: last LSN before this file
	headerPrevEndAt   = 64   // u64: offset at which the file before validly ends
	headerPrevChainAt = 72   // u32: chain of the file before at that offset
	headerCRCAt       = 4092 // u32: crc32c of bytes 0..4091; bytes not named here are zero
)

// link is what a file's header says about the file before it.
type link struct {
	seq   uint64
	lsn   uint64 // last LSN in that file or before
	end   int64  // offset behind its last frame
	chain uint32 // over all its frames
}

// fileHeader is a decoded file header.
type fileHeader struct {
	seq      uint64
	salt     uint64
	size     int64
	firstLSN uint64
	prev     link
	crc      uint32 // of the header block; set by decode and encode
}

// encode returns the header block and sets h.crc.
func (h *fileHeader) encode() []byte {
	b := make([]byte, fileHeaderLen)
	copy(b[headerMagicAt:], fileMagic)
	binary.LittleEndian.PutUint32(b[headerVersionAt:], fileVersion)
	binary.LittleEndian.PutUint64(b[headerSeqAt:], h.seq)
	binary.LittleEndian.PutUint64(b[headerSaltAt:], h.salt)
	binary.LittleEndian.PutUint64(b[headerSizeAt:], uint64(h.size))
	binary.LittleEndian.PutUint64(b[headerFirstAt:], h.firstLSN)
	binary.LittleEndian.PutUint64(b[headerPrevSeqAt:], h.prev.seq)
	binary.LittleEndian.PutUint64(b[headerPrevLSNAt:], h.prev.lsn)
	binary.LittleEndian.PutUint64(b[headerPrevEndAt:], uint64(h.prev.end))
	binary.LittleEndian.PutUint32(b[headerPrevChainAt:], h.prev.chain)
	h.crc = checksum(b[:headerCRCAt])
	binary.LittleEndian.PutUint32(b[headerCRCAt:], h.crc)
	return b
}

// decodeFileHeader checks b, a whole header block. It does not judge whether the values fit the file or the chain.
func decodeFileHeader(b []byte) (fileHeader, error) {
	if len(b) < fileHeaderLen {
		return fileHeader{}, fmt.Errorf("%d bytes instead of %d", len(b), fileHeaderLen)
	}
	b = b[:fileHeaderLen]
	if string(b[:len(fileMagic)]) != fileMagic {
		return fileHeader{}, fmt.Errorf("magic is %q", b[:len(fileMagic)])
	}
	crc := checksum(b[:headerCRCAt])
	if got := binary.LittleEndian.Uint32(b[headerCRCAt:]); got != crc {
		return fileHeader{}, fmt.Errorf("checksum is %08x, computed %08x", got, crc)
	}
	if v := binary.LittleEndian.Uint32(b[headerVersionAt:]); v != fileVersion {
		return fileHeader{}, fmt.Errorf("%w %d, this code reads %d", ErrVersion, v, fileVersion)
	}
	h := fileHeader{
		seq:      binary.LittleEndian.Uint64(b[headerSeqAt:]),
		salt:     binary.LittleEndian.Uint64(b[headerSaltAt:]),
		size:     int64(binary.LittleEndian.Uint64(b[headerSizeAt:])),
		firstLSN: binary.LittleEndian.Uint64(b[headerFirstAt:]),
		prev: link{
			seq:   binary.LittleEndian.Uint64(b[headerPrevSeqAt:]),
			lsn:   binary.LittleEndian.Uint64(b[headerPrevLSNAt:]),
			end:   int64(binary.LittleEndian.Uint64(b[headerPrevEndAt:])),
			chain: binary.LittleEndian.Uint32(b[headerPrevChainAt:]),
		},
		crc: crc,
	}
	if h.firstLSN <= h.prev.lsn {
		return fileHeader{}, fmt.Errorf("first lsn %d does not follow %d", h.firstLSN, h.prev.lsn)
	}
	if h.seq == 0 || h.prev.seq != h.seq-1 {
		return fileHeader{}, fmt.Errorf("sequence %d does not follow %d", h.seq, h.prev.seq)
	}
	return h, nil
}

// newSalt returns a random salt. It is never zero: zeroed space must not look like a frame.
func newSalt() uint64 {
	for {
		if s := rand.Uint64(); s != 0 {
			return s
		}
	}
}

// fileName is the name of the file with that sequence.
func fileName(seq uint64) string { return fmt.Sprintf("%06d%s", seq, fileSuffix) }

// parseFileName is the inverse of fileName; ok is false for any other spelling.
func parseFileName(name string) (seq uint64, ok bool) {
	digits, found := strings.CutSuffix(name, fileSuffix)
	if !found {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, err == nil && seq > 0 && fileName(seq) == name
}

// file is one log file: prepared (zeroed or recycled, still under its temporary name), then active (being written), then
// finished. Finished files have no open handle. Those that are no longer needed are removed, or one of them becomes the next file.
type file struct {
	seq  uint64
	path string // final name
	temp string // temporary name, until active
	size int64

	f      vfs.File // owned by the writer once active, by the log before
	zeroed int64    // bytes written when it was prepared

	recycled bool // it was another file before

	rotated bool // replay found a rotate frame behind its end

	// Guarded by Log.mu.
	off     int64  // where the next frame will be placed
	lastLSN uint64 // of the records placed here; before the first, the last LSN before the file
	entered bool   // the writer was told to make it active
	shared  bool   // there may be hard links to it
	active  bool   // it has its final name and a header
}

// room is the number of bytes left for records and the marks charged to them. REQUIRES: Log.mu.
func (f *file) room() int64 { return max(0, f.size-tailReserve-f.off) }
