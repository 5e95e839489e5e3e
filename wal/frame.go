package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// A frame is a header of frameHeaderLen bytes, the payload and zero padding up to a multiple of frameAlign.
// docs/format/wal.md draws it.
const (
	frameHeaderLen = 40
	frameAlign     = 8
)

// Frame kinds. Zero is none, so that zeroed space is not a frame.
const (
	kindData   = 1 // payload is a record
	kindMark   = 2 // no payload: carries a durable offset past the last group
	kindRotate = 3 // no payload: the file with the next sequence exists
)

// Field offsets inside a frame header.
const (
	frameCRCAt        = 0  // u32: crc32c of the frame's file offset (u64) and header bytes 4..39
	frameLengthAt     = 4  // u32: payload bytes
	frameSaltAt       = 8  // u64: the file's salt
	frameLSNAt        = 16 // u64: of the record; in other kinds, of the last record before
	frameDurableAt    = 24 // u64: bytes of this file known to be durable when the frame was written
	framePayloadCRCAt = 32 // u32: crc32c of the payload
	frameKindAt       = 36 // u8, then three zero bytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// frame is a decoded frame header.
type frame struct {
	kind       byte
	length     uint32 // of the payload, without padding
	payloadCRC uint32
	salt       uint64
	lsn        uint64
	durable    uint64
}

// span is the number of file bytes of the whole frame: header, payload and padding.
func (f frame) span() int64 { return frameSpan(int64(f.length)) }

// frameSpan is the number of file bytes of a frame with n payload bytes.
func frameSpan(n int64) int64 {
	return frameHeaderLen + (n+frameAlign-1)&^(frameAlign-1)
}

// appendFrameHeader appends the header of a frame that will stand at file offset off.
func appendFrameHeader(dst []byte, off int64, f frame) []byte {
	var h [frameHeaderLen]byte
	binary.LittleEndian.PutUint32(h[frameLengthAt:], f.length)
	binary.LittleEndian.PutUint64(h[frameSaltAt:], f.salt)
	binary.LittleEndian.PutUint64(h[frameLSNAt:], f.lsn)
	binary.LittleEndian.PutUint64(h[frameDurableAt:], f.durable)
	binary.LittleEndian.PutUint32(h[framePayloadCRCAt:], f.payloadCRC)
	h[frameKindAt] = f.kind
	binary.LittleEndian.PutUint32(h[frameCRCAt:], frameHeaderCRC(&h, off))
	return append(dst, h[:]...)
}

// decodeFrameHeader decodes the header at the start of src, which stands at file offset off. ok says that the salt
// and the header's checksum are right: such bytes were written by this log, for this place.
func decodeFrameHeader(src []byte, off int64, salt uint64) (f frame, ok bool) {
	if len(src) < frameHeaderLen || binary.LittleEndian.Uint64(src[frameSaltAt:]) != salt {
		return frame{}, false
	}
	h := (*[frameHeaderLen]byte)(src)
	if binary.LittleEndian.Uint32(h[frameCRCAt:]) != frameHeaderCRC(h, off) {
		return frame{}, false
	}
	return frame{
		kind:       h[frameKindAt],
		length:     binary.LittleEndian.Uint32(h[frameLengthAt:]),
		payloadCRC: binary.LittleEndian.Uint32(h[framePayloadCRCAt:]),
		salt:       salt,
		lsn:        binary.LittleEndian.Uint64(h[frameLSNAt:]),
		durable:    binary.LittleEndian.Uint64(h[frameDurableAt:]),
	}, true
}

// frameHeaderCRC covers the frame's own offset too: a frame copied to another place, for instance inside a payload
// that holds a piece of a log file, is not taken for a frame.
func frameHeaderCRC(h *[frameHeaderLen]byte, off int64) uint32 {
	var at [8]byte
	binary.LittleEndian.PutUint64(at[:], uint64(off))
	return crc32.Update(checksum(at[:]), castagnoli, h[frameLengthAt:])
}

// chainFrame extends a file's chain, which starts with the checksum of the file header, by a frame header. Since
// the header holds the payload's checksum, the chain stands for everything up to that frame.
func chainFrame(chain uint32, header []byte) uint32 {
	return crc32.Update(chain, castagnoli, header[:frameHeaderLen])
}

// allZero tells whether b holds nothing but zero bytes.
func allZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
