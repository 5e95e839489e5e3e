package graph

import "unsafe"

// region is scratch memory of a build, given away piece by piece and returned
// to the system as a whole: a build's steps need much of it, one after another,
// and what the collector has not yet got to would be added to its peak.
//
// Nothing points into a region that outlives it. A nil region is empty.
type region struct {
	b      []byte
	at     int
	mapped bool
}

// newRegion returns a region of n zero bytes and what n pieces may waste.
func newRegion(n, pieces int) *region {
	n += pieces * cacheLine
	if n >= hugePage/2 {
		if b := mapMemory(n); b != nil {
			if n >= 4*hugePage {
				adviseHuge(b)
			}
			return &region{b: b, mapped: true}
		}
	}
	return &region{b: alignedBytes(n)}
}

// free gives the memory back. It may be called again.
func (r *region) free() {
	if r == nil {
		return
	}
	b, mapped := r.b, r.mapped
	*r = region{}
	if mapped {
		unmapMemory(b)
	}
}

// carveOut returns the next n elements of r, at a multiple of 64 bytes.
func carveOut[E uint16 | uint32 | uint64](r *region, n int) []E {
	if n == 0 {
		return nil
	}
	size := n * int(unsafe.Sizeof(*new(E)))
	piece := r.b[r.at : r.at+size]
	r.at += (size + cacheLine - 1) / cacheLine * cacheLine
	return unsafe.Slice((*E)(unsafe.Pointer(unsafe.SliceData(piece))), n)
}
