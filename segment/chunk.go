package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// A chunk is a run of one field's values as one table value:
//
//	rows uint32 | bytes uint32 | flags uint32 | 0 uint32 | fixed values, or (rows+1) x uint32 offsets and the bytes | validity bytes
//
// all little-endian. bytes counts the fixed values, or the variable ones without their offsets. Flag 1: a byte a row follows,
// 1 = has a value.
const (
	chunkHeader    = 16
	chunkHasValid  = 1
	maxChunkValue  = 1 << 30
	maxChunkRows   = 1 << 24
	scalarMaxChunk = 128 << 10
	keyMaxChunk    = 32 << 10 // chunks of the primary key are shorter: a filter's false positive costs the reading of one
)

// chunkLimit is the most bytes of values in a chunk of the field, unless it is one value.
func chunkLimit(f *schema.Field) int {
	switch {
	case f.IsPrimaryKey:
		return keyMaxChunk
	case f.Type.IsVector():
		return chunkBytes
	}
	return scalarMaxChunk
}

// appendChunk appends the chunk of the values. d must begin at offset 0 of its bytes.
func appendChunk(dst []byte, d column.Data) []byte {
	size := len(d.Fixed)
	if d.Width == 0 {
		size = int(d.Offs[d.Rows] - d.Offs[0])
	}
	var flags uint32
	if d.Valid != nil {
		flags |= chunkHasValid
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(d.Rows))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(size))
	dst = binary.LittleEndian.AppendUint32(dst, flags)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	if d.Width > 0 {
		dst = append(dst, d.Fixed...)
	} else {
		for _, o := range d.Offs {
			dst = binary.LittleEndian.AppendUint32(dst, o-d.Offs[0])
		}
		dst = append(dst, d.Bytes[d.Offs[0]:d.Offs[d.Rows]]...)
	}
	return append(dst, d.Valid...)
}

var errBadChunk = errors.New("malformed chunk")

// decodeChunk gives the values of a chunk without copying them.
func decodeChunk(b []byte, width int) (column.Data, error) {
	if len(b) < chunkHeader {
		return column.Data{}, fmt.Errorf("%w: %d bytes, at least %d expected", errBadChunk, len(b), chunkHeader)
	}
	rows, size := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	flags := binary.LittleEndian.Uint32(b[8:])
	if rows == 0 || rows > maxChunkRows || size > maxChunkValue || flags&^chunkHasValid != 0 || binary.LittleEndian.Uint32(b[12:]) != 0 {
		return column.Data{}, fmt.Errorf("%w: %d rows, %d bytes, flags %#x", errBadChunk, rows, size, flags)
	}
	want := chunkHeader + int(size)
	if width == 0 {
		want += 4 * (int(rows) + 1)
	} else if int(size) != int(rows)*width {
		return column.Data{}, fmt.Errorf("%w: %d bytes for %d values of %d", errBadChunk, size, rows, width)
	}
	if flags&chunkHasValid != 0 {
		want += int(rows)
	}
	if len(b) != want {
		return column.Data{}, fmt.Errorf("%w: %d bytes, %d expected", errBadChunk, len(b), want)
	}
	d := column.Data{Width: width, Rows: int(rows)}
	b = b[chunkHeader:]
	if width > 0 {
		d.Fixed, b = b[:size:size], b[size:]
	} else {
		d.Offs = unsafe.Slice((*uint32)(unsafe.Pointer(&b[0])), int(rows)+1)
		b = b[4*(int(rows)+1):]
		d.Bytes, b = b[:size:size], b[size:]
		if d.Offs[0] != 0 || d.Offs[rows] != size {
			return column.Data{}, fmt.Errorf("%w: offsets run from %d to %d in %d bytes", errBadChunk, d.Offs[0], d.Offs[rows], size)
		}
		for i := range rows {
			if d.Offs[i] > d.Offs[i+1] {
				return column.Data{}, fmt.Errorf("%w: offset %d is above the next", errBadChunk, i)
			}
		}
	}
	if flags&chunkHasValid != 0 {
		d.Valid = b[:rows:rows]
	}
	return d, nil
}

// Table keys: one letter for the kind, then big-endian numbers, so that the chunks of a field lie together in order.
const (
	kindChunk    = 'c' // c field:uint32 chunk:uint32
	kindFilter   = 'f' // f 0:uint32 piece:uint32
	kindIdentity = 'i' // i 0 0: segment and token, in every table of the segment
	kindMeta     = 'm' // m 0 0
)

func tableKey(dst []byte, kind byte, field, n uint32) []byte {
	dst = append(dst[:0], kind)
	dst = binary.BigEndian.AppendUint32(dst, field)
	return binary.BigEndian.AppendUint32(dst, n)
}

func parseTableKey(k []byte) (kind byte, field, n uint32) {
	if len(k) != 9 {
		return 0, 0, 0
	}
	return k[0], binary.BigEndian.Uint32(k[1:]), binary.BigEndian.Uint32(k[5:])
}
