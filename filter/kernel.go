package filter

import "unsafe"

// integer is what a column of integers holds.
type integer interface{ int8 | int16 | int32 | int64 }

// float is what a column of floats holds.
type float interface{ float32 | float64 }

// view returns the bytes as values of T: in place, or copied to buf where they do not lie as T must. buf has room for them.
func view[T integer | float](b []byte, buf []int64) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	n := len(b) / size
	if n == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%unsafe.Alignof(zero) != 0 {
		p = unsafe.Pointer(unsafe.SliceData(buf))
		copy(unsafe.Slice((*byte)(p), n*size), b)
	}
	return unsafe.Slice((*T)(p), n)
}

// intsWithin sets bit i of t where lo <= v[i] <= lo+width. One comparison does for both bounds, since the subtraction wraps.
func intsWithin[T integer](t []uint64, v []T, lo int64, width uint64) {
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

// floatsWithin sets bit i of t where lo <= v[i] <= hi.
func floatsWithin[T float](t []uint64, v []T, lo, hi T) {
	for w := range t {
		var word uint64
		if len(v) >= 64 {
			b := v[:64:64]
			for j := 0; j < 64; j += 4 {
				x := b[j : j+4 : j+4]
				word |= (bit(x[0] >= lo)&bit(x[0] <= hi) |
					bit(x[1] >= lo)&bit(x[1] <= hi)<<1 |
					bit(x[2] >= lo)&bit(x[2] <= hi)<<2 |
					bit(x[3] >= lo)&bit(x[3] <= hi)<<3) << (j & 63)
			}
			v = v[64:]
		} else {
			for j, x := range v {
				word |= bit(x >= lo) & bit(x <= hi) << (j & 63)
			}
			v = nil
		}
		t[w] = word
	}
}

func invert(t []uint64) {
	for i := range t {
		t[i] = ^t[i]
	}
}
