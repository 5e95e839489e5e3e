package vector

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"
)

// littleEndian says that elements lie in memory as they do in rows.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// Float16ToFloat32 widens an IEEE binary16. It is exact; NaN payloads keep
// their upper bits and become quiet, as the hardware's conversion does it.
func Float16ToFloat32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	// With its exponent field moved into place the number is too small by
	// 2^112, subnormals included: one multiplication puts all of them right.
	f := math.Float32frombits(uint32(h&0x7fff)<<13) * 0x1p112
	bits := math.Float32bits(f)
	if h&0x7c00 == 0x7c00 {
		bits = 0x7f800000 | uint32(h&0x03ff)<<13
		if h&0x03ff != 0 {
			bits |= 0x00400000
		}
	}
	return math.Float32frombits(sign | bits)
}

// Float32ToFloat16 rounds to the nearest binary16, ties to even. Numbers of
// magnitude 65520 and more become infinite.
func Float32ToFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	bits &= 0x7fffffff
	switch {
	case bits > 0x7f800000: // NaN: quiet, upper payload bits kept
		return sign | 0x7e00 | uint16(bits>>13&0x03ff)
	case bits >= 0x477ff000: // rounds to 2^16 or beyond
		return sign | 0x7c00
	case bits < 0x38800000: // below 2^-14: a subnormal or zero
		// Adding 0.5 makes the float adder itself round at 2^-24, the
		// subnormals' unit; the low bits of the sum are the result.
		sum := math.Float32frombits(bits) + 0.5
		return sign | uint16(math.Float32bits(sum)-0x3f000000)
	}
	// Round to nearest even at bit 13; a carry runs into the exponent, which
	// is what rounding up to the next power of two means.
	bits += 0x0fff + bits>>13&1
	return sign | uint16(bits>>13-(127-15)<<10)
}

// BFloat16ToFloat32 widens a bfloat16. It is exact.
func BFloat16ToFloat32(b uint16) float32 {
	return math.Float32frombits(uint32(b) << 16)
}

// Float32ToBFloat16 rounds to the nearest bfloat16, ties to even. NaNs become
// quiet.
func Float32ToBFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x0040
	}
	bits += 0x7fff + bits>>16&1
	return uint16(bits >> 16)
}

// AppendFloat32 appends src to dst as a Float32 row.
func AppendFloat32(dst []byte, src []float32) []byte {
	for _, f := range src {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
	}
	return dst
}

// AppendFloat16 appends src to dst as a Float16 row, rounding each element.
func AppendFloat16(dst []byte, src []float32) []byte {
	for _, f := range src {
		dst = binary.LittleEndian.AppendUint16(dst, Float32ToFloat16(f))
	}
	return dst
}

// AppendBFloat16 appends src to dst as a BFloat16 row, rounding each element.
func AppendBFloat16(dst []byte, src []float32) []byte {
	for _, f := range src {
		dst = binary.LittleEndian.AppendUint16(dst, Float32ToBFloat16(f))
	}
	return dst
}

// AppendDecoded appends the elements of raw, a Float32, Float16, BFloat16 or
// Int8 row (or several of them), to dst as float32. Other kinds append
// nothing. Bytes left over after the last whole element are ignored.
func AppendDecoded(dst []float32, e Element, raw []byte) []float32 {
	switch e {
	case Float32:
		at := len(dst)
		dst = slices.Grow(dst, len(raw)/4)[:at+len(raw)/4]
		if littleEndian {
			copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst[at:]))), len(raw)/4*4), raw)
			break
		}
		for i := range dst[at:] {
			dst[at+i] = f32at(raw, i)
		}
	case Float16:
		for ; len(raw) >= 2; raw = raw[2:] {
			dst = append(dst, Float16ToFloat32(binary.LittleEndian.Uint16(raw)))
		}
	case BFloat16:
		for ; len(raw) >= 2; raw = raw[2:] {
			dst = append(dst, BFloat16ToFloat32(binary.LittleEndian.Uint16(raw)))
		}
	case Int8:
		for _, b := range raw {
			dst = append(dst, float32(int8(b)))
		}
	}
	return dst
}
