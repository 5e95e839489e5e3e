//go:build !purego

package filter

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// wide says that the kernels in kernel_amd64.s can be used.
var wide = cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW

// Each compares 64 values a word, of so many bits, with [lo, lo+width], which lies within what values of so many bits can be.

//go:noescape
func within8(t *uint64, v unsafe.Pointer, words int, lo, width uint64)

//go:noescape
func within16(t *uint64, v unsafe.Pointer, words int, lo, width uint64)

//go:noescape
func within32(t *uint64, v unsafe.Pointer, words int, lo, width uint64)

//go:noescape
func within64(t *uint64, v unsafe.Pointer, words int, lo, width uint64)

// These compare floats by order32 and order64.

//go:noescape
func floatsWithin32(t *uint64, v unsafe.Pointer, words int, lo, width uint64)

//go:noescape
func floatsWithin64(t *uint64, v unsafe.Pointer, words int, lo, width uint64)

// wideInts compares whole words of values of so many bytes, and returns how many words it did.
func wideInts(t []uint64, v unsafe.Pointer, rows int, size uintptr, lo int64, width uint64) int {
	words := rows / 64
	if !wide || words == 0 {
		return 0
	}
	if size < 8 { // what values of the type cannot be is left out of the range
		least, most := int64(-1)<<(8*size-1), int64(1)<<(8*size-1)-1
		hi := min(int64(uint64(lo)+width), most)
		lo = max(lo, least)
		if lo > hi {
			clear(t[:words])
			return words
		}
		width = uint64(hi - lo)
	}
	switch size {
	case 1:
		within8(&t[0], v, words, uint64(lo), width)
	case 2:
		within16(&t[0], v, words, uint64(lo), width)
	case 4:
		within32(&t[0], v, words, uint64(lo), width)
	default:
		within64(&t[0], v, words, uint64(lo), width)
	}
	return words
}

// wideFloats is wideInts for floats, whose range is that of their order.
func wideFloats(t []uint64, v unsafe.Pointer, rows int, size uintptr, lo, width uint64) int {
	words := rows / 64
	if !wide || words == 0 {
		return 0
	}
	if size == 4 {
		floatsWithin32(&t[0], v, words, lo, width)
	} else {
		floatsWithin64(&t[0], v, words, lo, width)
	}
	return words
}
