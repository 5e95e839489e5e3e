package backup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Sink takes what a backup holds.
type Sink interface {
	// Begin is told of the header before anything else.
	Begin(h Header) error
	// Create begins a file; it is closed when all of it was written.
	Create(path string, size int64) (io.WriteCloser, error)
}

// Contents is what was in a backup.
type Contents struct {
	Header
	Files []Entry
	Bytes int64 // of the backup
}

// Read reads a backup to its end and gives its files to the sink. An error that is a *CorruptionError or wraps ErrVersion tells of the backup,
// others are those of r, of the sink, or of ctx.
func Read(ctx context.Context, r io.Reader, sink Sink) (Contents, error) {
	x := &reader{r: r, sink: sink}
	err := x.read(ctx)
	if x.file != nil {
		err = errors.Join(err, x.file.Close())
	}
	return x.found, err
}

type reader struct {
	r      io.Reader
	sink   Sink
	found  Contents
	at     int64 // offset of the record that is being read
	next   int64 // of the one behind it
	number uint64
	buf    []byte

	file   io.WriteCloser // that is being written
	stored []Entry
	left   int64 // of the file
	sum    uint32
	ended  bool
}

func (x *reader) corrupt(kind, format string, args ...any) error {
	return corrupt(x.at, kind, format, args...)
}

func (x *reader) fill(b []byte) error {
	n, err := io.ReadFull(x.r, b)
	x.next += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return x.corrupt("size", "the backup is cut off at %d", x.next)
	}
	return err
}

func (x *reader) read(ctx context.Context) error {
	x.buf = make([]byte, recordHead+maxPayload)
	if err := x.fill(x.buf[:headerLen]); err != nil {
		return err
	}
	h, err := decodeHeader(x.buf[:headerLen])
	if err != nil {
		return err
	}
	x.found.Header = h
	if err := x.sink.Begin(h); err != nil {
		return err
	}
	for !x.ended {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind, payload, err := x.record()
		if err != nil {
			return err
		}
		if err := x.take(kind, payload); err != nil {
			return err
		}
	}
	x.at = x.next
	switch n, err := io.ReadFull(x.r, x.buf[:1]); {
	case n > 0:
		return x.corrupt("size", "something follows the end")
	case !errors.Is(err, io.EOF):
		return err
	}
	x.found.Bytes = x.next
	return nil
}

func (x *reader) record() (kind byte, payload []byte, err error) {
	x.at = x.next
	head := x.buf[:recordHead]
	if err := x.fill(head); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[4:])
	if n > maxPayload {
		return 0, nil, x.corrupt("checksum", "a record of %d bytes", n)
	}
	rec := x.buf[:recordHead+int(n)]
	if err := x.fill(rec[recordHead:]); err != nil {
		return 0, nil, err
	}
	if crc32.Checksum(rec[4:], castagnoli) != binary.LittleEndian.Uint32(rec) {
		return 0, nil, x.corrupt("checksum", "the record's checksum does not match")
	}
	if id := binary.LittleEndian.Uint64(rec[16:]); id != x.found.ID {
		return 0, nil, x.corrupt("identity", "a record of backup %016x in %016x", id, x.found.ID)
	}
	x.number++
	if number := binary.LittleEndian.Uint64(rec[8:]); number != x.number {
		return 0, nil, x.corrupt("sequence", "record %d in the place of %d", number, x.number)
	}
	return rec[24], rec[recordHead:], nil
}

func (x *reader) take(kind byte, b []byte) error {
	if x.left > 0 && kind != kindData && kind != kindZeros {
		return x.corrupt("format", "%d bytes of a file are missing", x.left)
	}
	switch kind {
	case kindFile:
		return x.begin(b)
	case kindData:
		return x.data(b)
	case kindZeros:
		if len(b) != 8 {
			return x.corrupt("format", "%d bytes for a number of zeros", len(b))
		}
		return x.zeros(binary.LittleEndian.Uint64(b))
	case kindList:
		return x.list(b)
	case kindEnd:
		return x.end(b)
	}
	return x.corrupt("format", "record of kind %d", kind)
}

func (x *reader) begin(b []byte) error {
	path, b, err := takePath(b)
	if err == nil && len(b) != 8 {
		err = errShort
	}
	if err != nil {
		return x.corrupt("format", "file: %w", err)
	}
	if len(x.found.Files) > 0 {
		return x.corrupt("format", "file %s behind the list", path)
	}
	size := int64(binary.LittleEndian.Uint64(b))
	if size < 0 {
		return x.corrupt("format", "file %s of %d bytes", path, size)
	}
	if x.file, err = x.sink.Create(path, size); err != nil {
		return err
	}
	x.stored = append(x.stored, Entry{Path: path, Size: size})
	x.left, x.sum = size, 0
	return x.finish()
}

// finish closes the file when all of it is there.
func (x *reader) finish() error {
	if x.left > 0 {
		return nil
	}
	x.stored[len(x.stored)-1].Sum = x.sum
	f := x.file
	x.file = nil
	return f.Close()
}

func (x *reader) data(b []byte) error {
	if x.file == nil || int64(len(b)) > x.left || len(b) == 0 {
		return x.corrupt("format", "%d bytes where %d are missing", len(b), x.left)
	}
	x.left -= int64(len(b))
	x.sum = crc32.Update(x.sum, castagnoli, b)
	if _, err := x.file.Write(b); err != nil {
		return err
	}
	return x.finish()
}

func (x *reader) zeros(n uint64) error {
	if x.file == nil || n > uint64(x.left) || n == 0 {
		return x.corrupt("format", "%d zeros where %d bytes are missing", n, x.left)
	}
	x.left -= int64(n)
	for n > 0 {
		b := make([]byte, min(n, uint64(len(zeros)))) // anew: the file may keep what it is given
		n -= uint64(len(b))
		x.sum = crc32.Update(x.sum, castagnoli, b)
		if _, err := x.file.Write(b); err != nil {
			return err
		}
	}
	return x.finish()
}

func (x *reader) list(b []byte) error {
	for len(b) > 0 {
		e, rest, err := takeEntry(b)
		if err != nil {
			return x.corrupt("format", "list: %w", err)
		}
		b = rest
		if e.Here {
			if len(x.stored) == 0 {
				return x.corrupt("format", "file %s is listed and not there", e.Path)
			}
			s := x.stored[0]
			x.stored = x.stored[1:]
			if s.Path != e.Path || s.Size != e.Size || s.Sum != e.Sum {
				return x.corrupt("format", "file %s of %d bytes is listed as %s of %d, or with another checksum", s.Path, s.Size, e.Path, e.Size)
			}
		} else if x.found.Base == 0 {
			return x.corrupt("format", "file %s is in an earlier backup, and there is none", e.Path)
		}
		x.found.Files = append(x.found.Files, e)
	}
	return nil
}

func (x *reader) end(b []byte) error {
	if len(b) != 16 {
		return x.corrupt("format", "end: %w", errShort)
	}
	files, bytes := binary.LittleEndian.Uint64(b), int64(binary.LittleEndian.Uint64(b[8:]))
	if files != uint64(len(x.found.Files)) || len(x.stored) > 0 || bytes != x.at {
		return x.corrupt("format", "end of %d files in %d bytes, %d and %d found", files, bytes, len(x.found.Files), x.at)
	}
	x.ended = true
	return nil
}

// Discard is a sink for checking a backup.
type Discard struct{}

// Begin takes every backup.
func (Discard) Begin(Header) error { return nil }

// Create takes every file.
func (Discard) Create(string, int64) (io.WriteCloser, error) { return nopCloser{io.Discard}, nil }

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// String names a backup.
func (h Header) String() string { return fmt.Sprintf("%016x", h.ID) }
