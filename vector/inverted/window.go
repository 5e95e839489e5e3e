package inverted

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/selkiedb/selkie/vector"
)

// addBounds adds the bound of each posting to its row.
func addBounds(bounds *[windowRows]uint16, locals []uint16, weights []byte, scale uint32) {
	weights = weights[:len(locals)]
	for i, r := range locals {
		bounds[r%windowRows] += uint16(boundOf(scale, weights[i]))
	}
}

// addProducts adds the product of each posting's value and the query's to its
// row. Products of two float32 are exact in float64, so fusing would not change
// the bits.
func addProducts(sums *[windowRows]float64, locals []uint16, values []float32, q float64) {
	values = values[:len(locals)]
	for i, r := range locals {
		sums[r%windowRows] += q * float64(values[i])
	}
}

// Four bounds make a word: a lane's highest bit gets set where a bound, which
// is below limit, and limit-least reach it together.
const ones, highest = 0x0001000100010001, 0x8000800080008000

// collect appends to dst the live rows whose bounds are at least least, which
// is from 1 to limit.
func collect(dst []uint16, bounds *[windowRows]uint16, live *[windowRows / 64]uint64, least uint32) []uint16 {
	add := uint64(limit-least) * ones
	quads := (*[windowRows / 4]uint64)(unsafe.Pointer(bounds))
	for i := 0; i < len(quads); i += 4 {
		q := (*[4]uint64)(quads[i:])
		if ((q[0]+add)|(q[1]+add)|(q[2]+add)|(q[3]+add))&highest == 0 {
			continue
		}
		alive := live[i/16] >> (i % 16 * 4)
		for j, quad := range q {
			for m := (quad + add) & highest; m != 0; m &= m - 1 {
				if row := j*4 + laneOf(m); alive>>row&1 != 0 {
					dst = append(dst, uint16(i*4+row))
				}
			}
		}
	}
	return dst
}

// best pushes the live rows whose bounds are the greatest.
func best(top *vector.TopK, bounds *[windowRows]uint16, live *[windowRows / 64]uint64) {
	add := uint64(limit-1) * ones
	quads := (*[windowRows / 4]uint64)(unsafe.Pointer(bounds))
	for i := 0; i < len(quads); i += 4 {
		q := (*[4]uint64)(quads[i:])
		if ((q[0]+add)|(q[1]+add)|(q[2]+add)|(q[3]+add))&highest == 0 {
			continue
		}
		alive := live[i/16] >> (i % 16 * 4)
		for j, quad := range q {
			for m := (quad + add) & highest; m != 0; m &= m - 1 {
				if row := j*4 + laneOf(m); alive>>row&1 != 0 {
					top.Push(float32(bounds[i*4+row]), uint32(i*4+row))
				}
			}
		}
		if worst, full := top.Threshold(); full {
			add = uint64(limit-1-uint32(worst)) * ones
		}
	}
}

// laneOf returns the row, of a word's four, whose highest bit is m's lowest.
// Bounds lie in memory in the machine's order.
func laneOf(m uint64) int {
	lane := bits.TrailingZeros64(m) / 16
	if !littleEndian {
		lane = 3 - lane
	}
	return lane
}

// seek returns the number of rows of a chunk before r, which is where r is if
// it is there. Rows mostly lie evenly in a window, so it looks where r would
// then be, and from there on in growing steps: that touches fewer cache lines
// than halving.
func seek(locals []uint16, r uint16) int {
	n := len(locals)
	lo, hi := 0, n // the answer is from lo to hi
	at, step := int(r%windowRows)*n/windowRows, 16
	if locals[at] < r {
		lo = at + 1
		for end := at + step; end < n; end += step {
			if locals[end] >= r {
				hi = end
				break
			}
			lo = end + 1
			step *= 2
		}
	} else {
		hi = at
		for end := at - step; end >= 0; end -= step {
			if locals[end] < r {
				lo = end + 1
				break
			}
			hi = end
			step *= 2
		}
	}
	for lo < hi {
		middle := int(uint(lo+hi) / 2)
		if locals[middle] < r {
			lo = middle + 1
		} else {
			hi = middle
		}
	}
	return lo
}

// clamp rounds a sum to a finite float32, as package vector does.
func clamp(s float64) float32 {
	f := float32(s)
	if f-f != 0 {
		f = float32(math.Copysign(math.MaxFloat32, s))
	}
	return f
}
