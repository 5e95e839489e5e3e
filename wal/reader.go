package wal

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// readChunk is how much is read at once; records larger than that make the buffer grow.
const readChunk = 1 << 20

// window reads a file through one buffer that slides forward. Its memory is bounded by readChunk and the largest
// request, and a request is bounded by the file's size.
type window struct {
	f    vfs.File
	size int64
	buf  []byte // holds the file's bytes from base on
	base int64  // multiple of frameAlign, so that aligned file offsets are aligned in memory
}

// reset makes the window read another file, keeping the buffer.
func (w *window) reset(f vfs.File, size int64) {
	w.f, w.size, w.base = f, size, 0
	w.buf = w.buf[:0]
}

// at returns n bytes from file offset off. They are valid until the next call.
// REQUIRES: off is a multiple of frameAlign and off+n <= size.
func (w *window) at(off, n int64) ([]byte, error) {
	if off >= w.base && off+n <= w.base+int64(len(w.buf)) {
		return w.buf[off-w.base:][:n], nil
	}
	want := min(max(n, readChunk), w.size-off)
	if int64(cap(w.buf)) < want {
		// Twice what is asked for would be wasteful for records of hundreds of MiB.
		w.buf = make([]byte, max(want, min(readChunk, w.size)))
	}
	w.buf, w.base = w.buf[:want], off
	if _, err := w.f.ReadAt(w.buf, off); err != nil && !errors.Is(err, io.EOF) {
		w.buf = w.buf[:0]
		return nil, err
	} else if err != nil {
		// A short read at the end of the file is not possible: want ends at the size. The file shrank meanwhile.
		w.buf = w.buf[:0]
		return nil, io.ErrUnexpectedEOF
	}
	return w.buf[:n], nil
}

// remainder is what stands behind the valid end of a file.
type remainder struct {
	covering int64 // offset of a frame that knew bytes beyond the end to be durable; -1: none
	durable  uint64
	nonZero  bool // something was written there
}

// scanRest looks at everything from off, where no valid frame stands, to the end of the file.
func (w *window) scanRest(off int64, salt uint64) (remainder, error) {
	rest := remainder{covering: -1}
	for at := off; at < w.size; {
		n := min(readChunk, w.size-at)
		b, err := w.at(at, n)
		if err != nil {
			return rest, err
		}
		zero := allZero(b)
		rest.nonZero = rest.nonZero || !zero
		for i := int64(0); !zero && i+frameHeaderLen <= n; i += frameAlign {
			if binary.LittleEndian.Uint64(b[i+frameSaltAt:]) != salt {
				continue
			}
			if f, ok := decodeFrameHeader(b[i:], at+i, salt); ok && f.durable > uint64(off) {
				rest.covering, rest.durable = at+i, f.durable
				return rest, nil
			}
		}
		if at+n >= w.size {
			break
		}
		// Frames may straddle two chunks: step back by a header, less one step.
		at += n - (frameHeaderLen - frameAlign)
	}
	return rest, nil
}
