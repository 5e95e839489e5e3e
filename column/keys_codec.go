package column

import (
	"encoding/binary"

	"github.com/selkiedb/selkie/schema"
)

// The layout is drawn in docs/format/batch.md.
const (
	keysHeader = 16
	keysInts   = 1
	keysStrs   = 2
)

// AppendEncode appends the list to dst, for DecodeKeys: a multiple of 8 bytes. The caller puts it under a checksum.
func (k Keys) AppendEncode(dst []byte) []byte {
	le := binary.LittleEndian
	n := k.Len()
	if !k.Str {
		dst = append(dst, 'S', 'L', 'K', keysInts)
		dst = le.AppendUint32(dst, uint32(n))
		dst = le.AppendUint64(dst, uint64(8*n))
		return append(dst, bytesOf(k.Ints)...)
	}
	d := k.Data()
	if len(d.Offs) == 0 {
		d.Offs = []uint32{0}
	}
	dst = append(dst, 'S', 'L', 'K', keysStrs)
	dst = le.AppendUint32(dst, uint32(n))
	dst = le.AppendUint64(dst, uint64(d.payload()))
	return d.appendBlock(dst)
}

// DecodeKeys reads what AppendEncode wrote and returns what follows it in buf. The list shares buf's memory where
// alignment allows. The errors wrap schema.ErrCorrupt.
func DecodeKeys(buf []byte) (k Keys, rest []byte, err error) {
	le := binary.LittleEndian
	if len(buf) < keysHeader || string(buf[:3]) != "SLK" {
		return Keys{}, nil, corrupt("keys", "no mark in %d bytes", len(buf))
	}
	kind, n, size := buf[3], le.Uint32(buf[4:]), le.Uint64(buf[8:])
	body := buf[keysHeader:]
	if n > maxRows {
		return Keys{}, nil, corrupt("keys", "%d keys", n)
	}
	width := uint32(8)
	switch kind {
	case keysInts:
	case keysStrs:
		width = 0
	default:
		return Keys{}, nil, corrupt("keys", "unknown kind %d", kind)
	}
	d, used, err := decodeBlock(body, int(n), width, size, 0)
	if err != nil {
		return Keys{}, nil, corrupt("keys", "%d keys of kind %d in %d bytes do not fit %d bytes", n, kind, size, len(body))
	}
	f := schema.Field{Type: schema.TypeInt64}
	if kind == keysStrs {
		f.Type = schema.TypeVarChar
	}
	return KeysOf(&f, d), body[used:], nil
}
