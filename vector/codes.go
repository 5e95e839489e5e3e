package vector

import "fmt"

// CodeKind is a layout of quantized rows: unsigned codes of 8 or 4 bits, the
// rows padded with zeros to whole 64 bytes. Layout and scores are the same on
// every machine, so codes may be stored.
type CodeKind uint8

const (
	// Code8 has one byte for each element: element j in byte j.
	Code8 CodeKind = iota
	// Code4 has 64 bytes for 128 elements: of each 128, element j < 64 in the
	// lower half of byte j, element j+64 in its upper half.
	Code4
)

// Stride returns the length in bytes of one row of dim codes.
func (k CodeKind) Stride(dim int) int {
	if k == Code4 {
		return (dim + 127) / 128 * 64
	}
	return pad(dim)
}

// Max returns the greatest code.
func (k CodeKind) Max() uint8 {
	if k == Code4 {
		return 15
	}
	return 255
}

// Pack writes codes, each at most Max, as one row into row[:Stride(len(codes))].
func (k CodeKind) Pack(row, codes []uint8) {
	row = row[:k.Stride(len(codes))]
	if k == Code8 {
		clear(row[copy(row, codes):])
		return
	}
	clear(row)
	for j, c := range codes {
		row[j/128*64+j%64] |= c & 15 << (j % 128 / 64 * 4)
	}
}

// CodeQuery is one prepared query of signed bytes against rows of codes: its
// scores are the exact integers Σ code·q, the same in every class. It is not
// safe to Reset while in use; Scan and Gather may run concurrently.
type CodeQuery struct {
	kind   CodeKind
	stride int
	q      []int8 // padded with zeros to the number of codes in a row
	kernel codeKernel
}

// codeKernel is the kernel type of codes. Its q has a byte for each code of a
// row, padding included; the rest is as for kernel.
type codeKernel struct {
	scan   func(q []int8, rows []byte, stride, n int, out []int32) uint32
	gather func(q []int8, rows []byte, stride int, idx []uint32, out []int32) uint32
}

// The columns of class.codes. A query whose elements all lie in
// [-smallMax, smallMax] may use the kernels of codes8Small, which are faster
// on AVX2 and the same elsewhere; the scores are equal.
const (
	codes8 = iota
	codes8Small
	codes4

	smallMax = 64
)

// NewCodeQuery prepares q, one signed byte for each element.
func NewCodeQuery(k CodeKind, q []int8) *CodeQuery {
	c := &CodeQuery{}
	c.Reset(k, q)
	return c
}

// Reset prepares c for another query, keeping its memory. It panics when q is
// empty or longer than MaxDim, beyond which sums could overflow.
func (c *CodeQuery) Reset(k CodeKind, q []int8) { c.reset(active, k, q) }

func (c *CodeQuery) reset(cl *class, k CodeKind, q []int8) {
	if len(q) < 1 || len(q) > MaxDim {
		panic(fmt.Sprintf("vector: code query of %d elements", len(q))) // REQUIRES: 1 <= len(q) <= MaxDim
	}
	c.kind, c.stride = k, k.Stride(len(q))
	n := c.stride
	column := codes8Small
	if k == Code4 {
		n *= 2
		column = codes4
	} else {
		for _, x := range q {
			if x > smallMax || x < -smallMax {
				column = codes8
				break
			}
		}
	}
	c.q = append(c.q[:0], q...)
	for len(c.q) < n {
		c.q = append(c.q, 0)
	}
	c.kernel = cl.codes[column]
}

// Scan scores the n rows that lie one after another from the start of rows
// into out[:n]. It panics when rows or out is too short.
func (c *CodeQuery) Scan(rows []byte, n int, out []int32) {
	c.kernel.scan(c.q, rows[:n*c.stride], c.stride, n, out[:n])
}

// Gather scores the listed rows: out[i] belongs to row idx[i]. It panics when
// a row lies outside rows or out is shorter than idx.
func (c *CodeQuery) Gather(rows []byte, idx []uint32, out []int32) {
	if c.kernel.gather(c.q, rows, c.stride, idx, out[:len(idx)]) == outside {
		panic(outOfRange(idx, len(rows)/c.stride)) // REQUIRES: every row lies within rows
	}
}

// goCodeKernel makes a kernel of a function that scores one row.
func goCodeKernel(score func(q []int8, row []byte) int32) codeKernel {
	return codeKernel{
		scan: func(q []int8, rows []byte, stride, n int, out []int32) uint32 {
			for i := range out[:n] {
				out[i] = score(q, rows[i*stride:(i+1)*stride])
			}
			return 0
		},
		gather: func(q []int8, rows []byte, stride int, idx []uint32, out []int32) uint32 {
			n := uint32(len(rows) / stride)
			for i, r := range idx {
				if r >= n {
					return outside
				}
				at := int(r) * stride
				out[i] = score(q, rows[at:at+stride])
			}
			return 0
		},
	}
}

func dotCodes8(q []int8, row []byte) int32 {
	var s0, s1, s2, s3 int32
	for len(q) >= 8 && len(row) >= 8 {
		s0 += int32(q[0]) * int32(row[0])
		s1 += int32(q[1]) * int32(row[1])
		s2 += int32(q[2]) * int32(row[2])
		s3 += int32(q[3]) * int32(row[3])
		s0 += int32(q[4]) * int32(row[4])
		s1 += int32(q[5]) * int32(row[5])
		s2 += int32(q[6]) * int32(row[6])
		s3 += int32(q[7]) * int32(row[7])
		q, row = q[8:], row[8:]
	}
	return s0 + s1 + s2 + s3
}

func dotCodes4(q []int8, row []byte) int32 {
	var s0, s1 int32
	for len(q) >= 128 && len(row) >= 64 {
		low, high := q[:64], q[64:128]
		for j, b := range row[:64] {
			s0 += int32(low[j]) * int32(b&15)
			s1 += int32(high[j]) * int32(b>>4)
		}
		q, row = q[128:], row[64:]
	}
	return s0 + s1
}
