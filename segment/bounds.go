package segment

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// Bounds are the least and the greatest value of a chunk in an encoding that sorts as the values do: signed integers as eight bytes
// big-endian with the sign flipped, floats as the eight bytes of the double with the order of negatives turned, Bool as one byte,
// VarChar as its bytes. Long strings that are no primary key are cut to boundBytes and the upper one rounded up.
// An empty Max bounds nothing from above.
type Bounds struct{ Min, Max []byte }

const boundBytes = 64

// hasOrder reports whether chunks of the type carry bounds.
func hasOrder(t schema.DataType) bool {
	switch t {
	case schema.TypeBool, schema.TypeInt8, schema.TypeInt16, schema.TypeInt32, schema.TypeInt64,
		schema.TypeFloat, schema.TypeDouble, schema.TypeVarChar:
		return true
	}
	return false
}

// appendOrdered appends the order-preserving encoding of one raw value.
func appendOrdered(dst []byte, t schema.DataType, raw []byte) []byte {
	switch t {
	case schema.TypeBool:
		return append(dst, raw[0])
	case schema.TypeInt8:
		return appendOrderedInt(dst, int64(int8(raw[0])))
	case schema.TypeInt16:
		return appendOrderedInt(dst, int64(int16(binary.LittleEndian.Uint16(raw))))
	case schema.TypeInt32:
		return appendOrderedInt(dst, int64(int32(binary.LittleEndian.Uint32(raw))))
	case schema.TypeInt64:
		return appendOrderedInt(dst, int64(binary.LittleEndian.Uint64(raw)))
	case schema.TypeFloat:
		return appendOrderedFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
	case schema.TypeDouble:
		return appendOrderedFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
	}
	return append(dst, raw...)
}

func appendOrderedInt(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^1<<63)
}

func appendOrderedFloat(dst []byte, v float64) []byte {
	if v == 0 {
		v = 0 // the two zeros are equal
	}
	b := math.Float64bits(v)
	if b>>63 != 0 {
		b = ^b
	} else {
		b |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(dst, b)
}

// boundsOf finds the bounds of a chunk, and how many of its values are null.
func boundsOf(f *schema.Field, d column.Data) (b Bounds, nulls int) {
	ordered := hasOrder(f.Type)
	var lo, hi []byte
	var enc [2][]byte
	for i := range d.Rows {
		if d.IsNull(i) {
			nulls++
			continue
		}
		if !ordered {
			continue
		}
		raw := d.Value(i)
		if f.Type == schema.TypeVarChar {
			if lo == nil || bytes.Compare(raw, lo) < 0 {
				lo = nonNil(raw)
			}
			if hi == nil || bytes.Compare(raw, hi) > 0 {
				hi = nonNil(raw)
			}
			continue
		}
		enc[0] = appendOrdered(enc[0][:0], f.Type, raw)
		if lo == nil || bytes.Compare(enc[0], lo) < 0 {
			lo = append(lo[:0], enc[0]...)
		}
		if hi == nil || bytes.Compare(enc[0], hi) > 0 {
			hi = append(hi[:0], enc[0]...)
		}
	}
	if f.Type == schema.TypeVarChar && !f.IsPrimaryKey {
		lo, hi = cutLow(lo), cutHigh(hi)
	}
	return Bounds{Min: bytes.Clone(lo), Max: bytes.Clone(hi)}, nulls
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func cutLow(b []byte) []byte {
	if len(b) > boundBytes {
		return b[:boundBytes]
	}
	return b
}

// cutHigh returns a string of at most boundBytes that is not below b; empty if there is none.
func cutHigh(b []byte) []byte {
	if len(b) <= boundBytes {
		return b
	}
	out := bytes.Clone(b[:boundBytes])
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] != 0xff {
			out[i]++
			return out[:i+1]
		}
	}
	return nil
}
