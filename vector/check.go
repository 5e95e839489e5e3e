package vector

import (
	"encoding/binary"
	"fmt"
	"math"
)

// HasNonFinite returns the index of the first NaN or infinite element of raw,
// or -1 when all are finite. For Sparse the index counts pairs; Int8 and
// Binary are always finite. Any number of rows may be given at once. Bytes
// left over after the last whole element are ignored.
//
// An element is non-finite when its exponent field is all ones. Adding one to
// that field then carries into the (masked out) sign bit, which tests two or
// four elements of an 8-byte word at once, at the speed of memory.
func HasNonFinite(e Element, raw []byte) int {
	switch e {
	case Float32:
		return firstCarry(raw, 0x7f8000007f800000, 0x0080000000800000, 0x8000000080000000, 4)
	case Float16:
		return firstCarry(raw, 0x7c007c007c007c00, 0x0400040004000400, 0x8000800080008000, 2)
	case BFloat16:
		return firstCarry(raw, 0x7f807f807f807f80, 0x0080008000800080, 0x8000800080008000, 2)
	case Sparse:
		return firstCarry(raw, 0x7f80000000000000, 0x0080000000000000, 0x8000000000000000, 8)
	}
	return -1
}

// firstCarry returns the first element of size bytes in which
// (word & exponent) + one reaches into the carry bits.
func firstCarry(raw []byte, exponent, one, carry uint64, size int) int {
	b := raw
	for len(b) >= 32 {
		c := (binary.LittleEndian.Uint64(b)&exponent + one) |
			(binary.LittleEndian.Uint64(b[8:])&exponent + one) |
			(binary.LittleEndian.Uint64(b[16:])&exponent + one) |
			(binary.LittleEndian.Uint64(b[24:])&exponent + one)
		if c&carry != 0 {
			break
		}
		b = b[32:]
	}
	// The last bytes, or the 32 that hold the culprit, an element at a time.
	for len(b) >= size {
		var w uint64
		for i := range size {
			w |= uint64(b[i]) << (8 * i)
		}
		low := carry & (math.MaxUint64 >> (64 - 8*size)) // this element's share
		if (w&exponent+one)&low != 0 {
			return (len(raw) - len(b)) / size
		}
		b = b[size:]
	}
	return -1
}

// CheckSparse says whether raw is a well-formed Sparse row: whole pairs,
// indices below 2^32-1 and strictly ascending, values finite. The empty row is
// well-formed. The error wraps ErrInvalid.
func CheckSparse(raw []byte) error {
	if len(raw)%sparsePair != 0 {
		return fmt.Errorf("%w: sparse vector of %d bytes, want a multiple of %d", ErrInvalid, len(raw), sparsePair)
	}
	next := uint64(0) // the least index allowed here
	for i := 0; i < len(raw); i += sparsePair {
		pair := binary.LittleEndian.Uint64(raw[i:])
		index := pair & math.MaxUint32
		switch {
		case index < next:
			return fmt.Errorf("%w: sparse vector: index %d at pair %d does not ascend", ErrInvalid, index, i/sparsePair)
		case index == math.MaxUint32:
			return fmt.Errorf("%w: sparse vector: index %d at pair %d, want at most %d",
				ErrInvalid, index, i/sparsePair, uint32(math.MaxUint32-1))
		case pair>>55&0xff == 0xff:
			return fmt.Errorf("%w: sparse vector: value at pair %d (index %d) is not finite", ErrInvalid, i/sparsePair, index)
		}
		next = index + 1
	}
	return nil
}
