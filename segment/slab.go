package segment

import "unsafe"

// Memory that has never been used costs as much as filling it: the system hands it out and clears it page by page, at the first
// write to each. So a growing segment that has become large takes it in large pieces, and asks for large pages.

const (
	slabShare     = 8       // a slab is at most this part of what its column holds already, so that little is taken in vain
	largestSlab   = 4 << 20 // two large pages
	hugePage      = 2 << 20
	leastHugeSlab = 1 << 20 // slabs of this size and more are put on large pages
)

// alignedBytes allocates n bytes that begin at a multiple of eight, so that any element type may be read in place.
func alignedBytes(n int) []byte {
	if n == 0 {
		return nil
	}
	words := make([]uint64, (n+7)/8)
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n)
	if n >= leastHugeSlab {
		adviseHuge(unsafe.Pointer(&b[0]), n)
	}
	return b
}

// piece cuts the next chunk of the given size off the slab, and takes a new slab if it is used up. held is the number of chunks so far.
func (c *chunks) piece(size, held int) (chunk []byte, grown int64) {
	if len(c.slab) < size {
		n := max(1, min(held/slabShare, largestSlab/size))
		c.slab = alignedBytes(n * size)
		grown = int64(n * size)
	}
	chunk, c.slab = c.slab[:size:size], c.slab[size:]
	return chunk, grown
}
