package graph

import "unsafe"

const (
	cacheLine = 64
	hugePage  = 2 << 20
)

// alignedBytes returns n zero bytes that begin at a multiple of 64. From a few
// huge pages on they begin at a multiple of those, and the system is asked to
// back them so: a search touches memory at random, and most of what a miss
// costs is the walk through the page tables. The memory is the collector's;
// it holds no pointers, so it is never scanned.
func alignedBytes(n int) []byte {
	align := cacheLine
	if n >= 4*hugePage {
		align = hugePage
	}
	b := make([]byte, n+align)
	at := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & uintptr(align-1))
	b = b[at : at+n : at+n]
	if align == hugePage {
		adviseHuge(b[:n&^(hugePage-1)])
	}
	return b
}

func alignedUint32(n int) []uint32 {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(alignedBytes(4*n)))), n)
}
