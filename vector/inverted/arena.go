package inverted

import "unsafe"

const hugePage = 2 << 20

// aligned returns n zero words that begin at a multiple of 64 bytes. From a few
// huge pages on they begin at a multiple of those, and the system is asked to
// back them so: a search reads dozens of lists side by side, and the walks
// through the page tables add up. The memory is the collector's; it holds no
// pointers, so it is never scanned.
func aligned[W word | byte](n int) []W {
	if n == 0 {
		return nil
	}
	var zero W
	size := n * int(unsafe.Sizeof(zero))
	align := alignment
	if size >= 4*hugePage {
		align = hugePage
	}
	b := make([]byte, size+align)
	at := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & uintptr(align-1))
	b = b[at : at+size : at+size]
	if align == hugePage {
		adviseHuge(b[:size&^(hugePage-1)])
	}
	return unsafe.Slice((*W)(unsafe.Pointer(unsafe.SliceData(b))), n)
}
