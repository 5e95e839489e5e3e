package wal

import "github.com/cockroachdb/pebble/v2/vfs"

// What tests need to make files by hand.

// TestFrame is a frame header with every field free.
type TestFrame struct {
	Kind       byte
	Length     uint32
	PayloadCRC uint32
	Salt       uint64
	LSN        uint64
	Durable    uint64
}

const (
	FileHeaderLen  = fileHeaderLen
	FrameHeaderLen = frameHeaderLen
	KindDataFrame  = kindData
	KindMarkFrame  = kindMark
	KindRotateEnd  = kindRotate
	FrameLengthAt  = frameLengthAt
	FrameLSNAt     = frameLSNAt
	FrameDurableAt = frameDurableAt
	FrameKindAt    = frameKindAt
)

var (
	Checksum  = checksum
	FrameSpan = frameSpan
	FileName  = fileName
)

// AppendFrame appends a frame header with a valid checksum for offset off.
func AppendFrame(dst []byte, off int64, f TestFrame) []byte {
	return appendFrameHeader(dst, off, frame{
		kind: f.Kind, length: f.Length, payloadCRC: f.PayloadCRC, salt: f.Salt, lsn: f.LSN, durable: f.Durable,
	})
}

// FrameAt tells whether a frame header of a file with that salt stands at the start of b, for offset off.
func FrameAt(b []byte, off int64, salt uint64) bool {
	_, ok := decodeFrameHeader(b, off, salt)
	return ok
}

// EncodeFileHeader makes a valid header block.
func EncodeFileHeader(seq, salt uint64, size int64, firstLSN, prevLSN uint64, prevEnd int64, prevChain uint32) []byte {
	h := fileHeader{
		seq: seq, salt: salt, size: size, firstLSN: firstLSN,
		prev: link{seq: seq - 1, lsn: prevLSN, end: prevEnd, chain: prevChain},
	}
	return h.encode()
}

// Layout lists the frames of a file image as they stand: offset, kind, span.
func Layout(image []byte) (frames []struct {
	Off, Span int64
	Kind      byte
},
) {
	h, err := decodeFileHeader(image)
	if err != nil {
		return nil
	}
	for off := int64(fileHeaderLen); off < int64(len(image)); {
		f, ok := decodeFrameHeader(image[off:], off, h.salt)
		if !ok {
			return frames
		}
		frames = append(frames, struct {
			Off, Span int64
			Kind      byte
		}{off, f.span(), f.kind})
		off += f.span()
	}
	return frames
}

// Resting tells whether the writer goroutine has nothing to do and nobody leads.
func Resting(l *Log) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.writing && !l.leading && len(l.queue) == 0
}

// FS is the log's file system.
func FS(l *Log) vfs.FS { return l.opts.FS }
