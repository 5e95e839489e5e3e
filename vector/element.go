package vector

import "fmt"

// Limits of what a Query accepts. They are Milvus's, and they are what keeps
// the integer kernels exact: 32768 dimensions of int8 sum to less than 2^31.
const (
	MaxDim       = 32768     // dense vectors
	MaxBinaryDim = 8 * 32768 // binary vectors, in bits
)

// Element is the physical kind of a vector's elements. All kinds are
// little-endian and unaligned: a row may start at any byte.
type Element uint8

const (
	ElementInvalid Element = iota
	Float32                // IEEE 754 binary32
	Float16                // IEEE 754 binary16
	BFloat16               // the upper half of a binary32
	Int8                   // two's complement
	Binary                 // bits, the lowest bit of each byte first; dim counts bits
	Sparse                 // (uint32 index, float32 value) pairs, ascending by index
)

var elementNames = [...]string{"invalid", "float32", "float16", "bfloat16", "int8", "binary", "sparse"}

// String returns the lower-case name of the element kind.
func (e Element) String() string {
	if int(e) < len(elementNames) {
		return elementNames[e]
	}
	return fmt.Sprintf("Element(%d)", uint8(e))
}

// RowBytes returns the length in bytes of one row of dim elements, and 0 for
// kinds whose rows have no fixed length (Sparse). Binary dims are multiples
// of 8.
func (e Element) RowBytes(dim int) int {
	switch e {
	case Float32:
		return 4 * dim
	case Float16, BFloat16:
		return 2 * dim
	case Int8:
		return dim
	case Binary:
		return dim / 8
	}
	return 0
}

// Supports reports whether vectors of this kind can be compared by m.
func (e Element) Supports(m Metric) bool {
	switch e {
	case Float32, Float16, BFloat16, Int8:
		return m == L2 || m == IP || m == Cosine
	case Binary:
		return m == Hamming || m == Jaccard
	case Sparse:
		return m == IP || m == BM25
	}
	return false
}

// checkDim refuses dimensions that no row can have.
func (e Element) checkDim(dim int) error {
	switch e {
	case Float32, Float16, BFloat16, Int8:
		if dim < 1 || dim > MaxDim {
			return fmt.Errorf("%w: dimension %d, want 1 to %d", ErrInvalid, dim, MaxDim)
		}
	case Binary:
		if dim < 8 || dim > MaxBinaryDim || dim%8 != 0 {
			return fmt.Errorf("%w: binary dimension %d, want a multiple of 8 up to %d", ErrInvalid, dim, MaxBinaryDim)
		}
	case Sparse:
	default:
		return fmt.Errorf("%w: element kind %v", ErrInvalid, e)
	}
	return nil
}
