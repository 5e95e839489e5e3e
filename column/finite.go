package column

import (
	"encoding/binary"

	"github.com/selkiedb/selkie/schema"
)

// exponent describes how to find NaN and infinities in packed floats, eight bytes at a time: both have all bits of the
// exponent set, so that adding the exponent's lowest bit to the masked value carries into the sign bit, and only then.
type exponent struct {
	mask, one, sign uint64 // the exponent's bits, its lowest bit, and the sign bit, in every lane of a word
	width           int
}

var (
	exp64  = exponent{0x7ff0 << 48, 0x0010 << 48, 1 << 63, 8}
	exp32  = exponent{0x7f800000_7f800000, 0x00800000_00800000, 0x80000000_80000000, 4}
	exp16  = exponent{0x7c00_7c00_7c00_7c00, 0x0400_0400_0400_0400, 0x8000_8000_8000_8000, 2}
	expB16 = exponent{0x7f80_7f80_7f80_7f80, 0x0080_0080_0080_0080, 0x8000_8000_8000_8000, 2}
)

// exponentOf returns how floats of the type are packed; ok is false when it has none to check.
func exponentOf(t schema.DataType) (e exponent, ok bool) {
	switch t {
	case schema.TypeDouble:
		return exp64, true
	case schema.TypeFloat, schema.TypeFloatVector:
		return exp32, true
	case schema.TypeFloat16Vector:
		return exp16, true
	case schema.TypeBFloat16Vector:
		return expB16, true
	}
	return e, false
}

// firstNonFinite returns the position of the first NaN or infinity among packed floats, -1 when there is none.
func (e exponent) firstNonFinite(packed []byte) int {
	le := binary.LittleEndian
	at := 0
	for ; len(packed)-at >= 64; at += 64 {
		w := packed[at : at+64 : at+64]
		a := (le.Uint64(w[0:])&e.mask + e.one) | (le.Uint64(w[8:])&e.mask + e.one)
		b := (le.Uint64(w[16:])&e.mask + e.one) | (le.Uint64(w[24:])&e.mask + e.one)
		c := (le.Uint64(w[32:])&e.mask + e.one) | (le.Uint64(w[40:])&e.mask + e.one)
		d := (le.Uint64(w[48:])&e.mask + e.one) | (le.Uint64(w[56:])&e.mask + e.one)
		if (a|b|c|d)&e.sign != 0 {
			break
		}
	}
	for ; at+e.width <= len(packed); at += e.width {
		var word [8]byte
		copy(word[:], packed[at:at+e.width])
		if (le.Uint64(word[:])&e.mask+e.one)&e.sign&(1<<(8*e.width-1)) != 0 {
			return at / e.width
		}
	}
	return -1
}
