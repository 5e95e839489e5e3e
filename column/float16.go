package column

import "math"

// toFloat16 rounds to the nearest IEEE 754 half, ties to even. Beyond ±65504 (from 65520 on) it returns an infinity, which
// Build refuses; NaN stays NaN.
func toFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	mant := b & 0x7fffff
	exp := int(b>>23&0xff) - 127 + 15
	switch {
	case exp == 255-127+15 && mant != 0:
		return sign | 0x7e00
	case exp >= 31:
		return sign | 0x7c00
	case exp < -10:
		return sign
	case exp <= 0: // a subnormal half: the implicit one becomes explicit
		mant |= 0x800000
		return sign | uint16(roundShift(mant, uint(14-exp)))
	}
	return sign + uint16(roundShift(uint32(exp)<<23|mant, 13)) // a carry out of the mantissa raises the exponent
}

// roundShift returns v >> n, rounded to nearest, ties to even.
func roundShift(v uint32, n uint) uint32 {
	q, rest, half := v>>n, v&(1<<n-1), uint32(1)<<(n-1)
	if rest > half || rest == half && q&1 == 1 {
		q++
	}
	return q
}

// fromFloat16 is exact.
func fromFloat16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h>>10) & 0x1f
	mant := uint32(h & 0x3ff)
	switch {
	case exp == 31:
		return math.Float32frombits(sign | 0x7f800000 | mant<<13)
	case exp == 0: // zero and subnormals: mant * 2^-24
		f := float32(mant) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(f))
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | mant<<13)
}

// toBFloat16 rounds to the nearest bfloat16, ties to even. Values above the largest one become an infinity; NaN stays NaN.
func toBFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// fromBFloat16 is exact.
func fromBFloat16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }
