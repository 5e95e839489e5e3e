package filter

import (
	"math"
	"runtime"
	"unsafe"
)

// integer is what a column of integers holds.
type integer interface{ int8 | int16 | int32 | int64 }

// float is what a column of floats holds.
type float interface{ float32 | float64 }

// anywhere says that the processor reads numbers wherever they lie. Values of a table's block often lie at odd places.
const anywhere = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

// view returns the bytes as values of T: in place, or copied to buf where they do not lie as the processor wants T to. buf has room for them.
func view[T integer | float](b []byte, buf []int64) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	n := len(b) / size
	if n == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if !anywhere && uintptr(p)%unsafe.Alignof(zero) != 0 {
		p = unsafe.Pointer(unsafe.SliceData(buf))
		copy(unsafe.Slice((*byte)(p), n*size), b)
	}
	return unsafe.Slice((*T)(p), n)
}

// intsWithin sets bit i of t where lo <= v[i] <= lo+width. One comparison does for both bounds, since the subtraction wraps.
func intsWithin[T integer](t []uint64, v []T, lo int64, width uint64) {
	n := wideInts(t, unsafe.Pointer(unsafe.SliceData(v)), len(v), unsafe.Sizeof(*new(T)), lo, width)
	t, v = t[n:], v[64*n:]
	for w := range t {
		var word uint64
		if len(v) >= 64 {
			b := v[:64:64]
			for j := 0; j < 64; j += 8 {
				x := b[j : j+8 : j+8]
				word |= (bit(uint64(int64(x[0])-lo) <= width) |
					bit(uint64(int64(x[1])-lo) <= width)<<1 |
					bit(uint64(int64(x[2])-lo) <= width)<<2 |
					bit(uint64(int64(x[3])-lo) <= width)<<3 |
					bit(uint64(int64(x[4])-lo) <= width)<<4 |
					bit(uint64(int64(x[5])-lo) <= width)<<5 |
					bit(uint64(int64(x[6])-lo) <= width)<<6 |
					bit(uint64(int64(x[7])-lo) <= width)<<7) << (j & 63)
			}
			v = v[64:]
		} else {
			for j, x := range v {
				word |= bit(uint64(int64(x)-lo) <= width) << (j & 63)
			}
			v = nil
		}
		t[w] = word
	}
}

// floatRange is a closed range of floats, as integers in the same order (order32, order64), so that one comparison does for both
// bounds here too.
type floatRange struct {
	lo32, width32 uint32
	lo64, width64 uint64
	empty         bool
}

// newFloatRange takes closed bounds; lo32 and hi32 are those for columns of 32 bits.
func newFloatRange(lo, hi float64, lo32, hi32 float32) floatRange {
	// The two zeros are equal: the bounds take in both.
	if lo == 0 {
		lo = math.Copysign(0, -1)
	}
	if hi == 0 {
		hi = 0
	}
	if lo32 == 0 {
		lo32 = float32(math.Copysign(0, -1))
	}
	if hi32 == 0 {
		hi32 = 0
	}
	r := floatRange{lo32: order32(lo32), lo64: order64(lo), empty: lo > hi || lo32 > hi32}
	r.width32, r.width64 = order32(hi32)-r.lo32, order64(hi)-r.lo64
	return r
}

// order64 keeps the order of floats: the bits of those below zero are turned around.
func order64(f float64) uint64 {
	b := int64(math.Float64bits(f))
	return uint64(b ^ b>>63&math.MaxInt64)
}

func order32(f float32) uint32 {
	b := int32(math.Float32bits(f))
	return uint32(b ^ b>>31&math.MaxInt32)
}

// floatsWithin sets bit i of t where v[i] lies in the range.
func (r *floatRange) floatsWithin(t []uint64, v []float32) {
	lo, width := r.lo32, r.width32
	n := wideFloats(t, unsafe.Pointer(unsafe.SliceData(v)), len(v), 4, uint64(lo), uint64(width))
	t, v = t[n:], v[64*n:]
	for w := range t {
		row := v[min(w*64, len(v)):min(w*64+64, len(v))]
		var word uint64
		if len(row) == 64 {
			for j := 0; j < 64; j += 4 {
				x := row[j : j+4 : j+4]
				word |= (bit(order32(x[0])-lo <= width) |
					bit(order32(x[1])-lo <= width)<<1 |
					bit(order32(x[2])-lo <= width)<<2 |
					bit(order32(x[3])-lo <= width)<<3) << (j & 63)
			}
		} else {
			for j, x := range row {
				word |= bit(order32(x)-lo <= width) << (j & 63)
			}
		}
		t[w] = word
	}
}

// doublesWithin is floatsWithin for 64 bits.
func (r *floatRange) doublesWithin(t []uint64, v []float64) {
	lo, width := r.lo64, r.width64
	n := wideFloats(t, unsafe.Pointer(unsafe.SliceData(v)), len(v), 8, lo, width)
	t, v = t[n:], v[64*n:]
	for w := range t {
		row := v[min(w*64, len(v)):min(w*64+64, len(v))]
		var word uint64
		if len(row) == 64 {
			for j := 0; j < 64; j += 4 {
				x := row[j : j+4 : j+4]
				word |= (bit(order64(x[0])-lo <= width) |
					bit(order64(x[1])-lo <= width)<<1 |
					bit(order64(x[2])-lo <= width)<<2 |
					bit(order64(x[3])-lo <= width)<<3) << (j & 63)
			}
		} else {
			for j, x := range row {
				word |= bit(order64(x)-lo <= width) << (j & 63)
			}
		}
		t[w] = word
	}
}

func invert(t []uint64) {
	for i := range t {
		t[i] = ^t[i]
	}
}
