package column

import "unsafe"

// number is what a fixed-width column holds.
type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// bytesOf returns the memory of v as bytes. It allocates nothing.
func bytesOf[T number | ~bool](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(v[0])))
}

// viewOf returns the bytes as values of T, in place when they lie at a multiple of T's alignment, else as a copy. Bytes of
// a table's block may lie anywhere.
func viewOf[T number](b []byte) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	n := len(b) / size
	if n == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%unsafe.Alignof(zero) == 0 {
		return unsafe.Slice((*T)(p), n)
	}
	c := make([]T, n)
	copy(bytesOf(c), b)
	return c
}

// aligned allocates n zero bytes at a multiple of eight.
func aligned(n int) []byte {
	return bytesOf(make([]uint64, (n+7)/8))[:n:n]
}

// sizeOf returns the bytes of one T.
func sizeOf[T number]() int {
	var zero T
	return int(unsafe.Sizeof(zero))
}
