package backup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// zeroStep is the granularity in which zeros at the end of a piece are left out.
const zeroStep = 512

var zeros [64 << 10]byte

// Writer writes a backup. After an error it is of no more use.
type Writer struct {
	w       io.Writer
	id      uint64
	number  uint64
	written int64
	buf     []byte
	files   []Entry
	stored  int
}

// NewWriter begins a backup.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	x := &Writer{w: w, id: h.ID, buf: make([]byte, recordHead+maxPayload)}
	return x, x.write(h.encode())
}

func (w *Writer) write(b []byte) error {
	n, err := w.w.Write(b)
	w.written += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// record writes the record whose payload lies in buf behind the head.
func (w *Writer) record(kind byte, payload int) error {
	rec := w.buf[:recordHead+payload]
	w.number++
	putRecordHead(rec, kind, w.number, w.id)
	return w.write(rec)
}

// Written is the number of bytes written so far.
func (w *Writer) Written() int64 { return w.written }

// Files are the files so far.
func (w *Writer) Files() []Entry { return w.files }

// Stored is the number of files that the backup holds itself.
func (w *Writer) Stored() int { return w.stored }

// Earlier lists a file that an earlier backup holds.
func (w *Writer) Earlier(e Entry) {
	e.Here = false
	w.files = append(w.files, e)
}

// File stores a file of a given size.
func (w *Writer) File(ctx context.Context, path string, identity uint64, size int64, r io.Reader) error {
	if err := checkPath(path); err != nil {
		return err
	}
	b := appendPath(w.buf[:recordHead], path)
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	if err := w.record(kindFile, len(b)-recordHead); err != nil {
		return err
	}
	var sum uint32
	var skipped int64 // zeros not yet written
	for left := size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		piece := w.buf[recordHead:][:min(maxPayload, left)]
		if _, err := io.ReadFull(r, piece); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("%s ends before byte %d", path, size)
			}
			return err
		}
		left -= int64(len(piece))
		sum = crc32.Update(sum, castagnoli, piece)
		n := withoutZeros(piece)
		if n > 0 && skipped > 0 {
			if err := w.zeros(&skipped); err != nil {
				return err
			}
		}
		if n > 0 {
			if err := w.record(kindData, n); err != nil {
				return err
			}
		}
		skipped += int64(len(piece) - n)
	}
	if skipped > 0 {
		if err := w.zeros(&skipped); err != nil {
			return err
		}
	}
	w.files = append(w.files, Entry{Path: path, Size: size, Identity: identity, Sum: sum, Here: true})
	w.stored++
	return nil
}

// zeros writes how many zeros come next. buf may hold a piece meanwhile.
func (w *Writer) zeros(n *int64) error {
	var rec [recordHead + 8]byte
	binary.LittleEndian.PutUint64(rec[recordHead:], uint64(*n))
	*n = 0
	w.number++
	putRecordHead(rec[:], kindZeros, w.number, w.id)
	return w.write(rec[:])
}

// Close writes the list of files and the end. It does not close what it writes to.
func (w *Writer) Close() error {
	b := w.buf[:recordHead]
	for _, e := range w.files {
		if len(b)+entryLen+len(e.Path) > len(w.buf) {
			if err := w.record(kindList, len(b)-recordHead); err != nil {
				return err
			}
			b = w.buf[:recordHead]
		}
		b = e.append(b)
	}
	if len(b) > recordHead {
		if err := w.record(kindList, len(b)-recordHead); err != nil {
			return err
		}
	}
	b = binary.LittleEndian.AppendUint64(w.buf[:recordHead], uint64(len(w.files)))
	b = binary.LittleEndian.AppendUint64(b, uint64(w.written))
	return w.record(kindEnd, len(b)-recordHead)
}

// withoutZeros is how many bytes of a piece are left without the zeros at its end, in steps.
func withoutZeros(b []byte) int {
	n := len(b)
	for n > 0 {
		step := min(n, len(zeros))
		if !isZero(b[n-step : n]) {
			break
		}
		n -= step
	}
	for n > 0 {
		step := min(n, zeroStep)
		if !isZero(b[n-step : n]) {
			break
		}
		n -= step
	}
	return n
}

func isZero(b []byte) bool { return string(b) == string(zeros[:len(b)]) }
