package vector

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// The plain Go integer kernels. Their sums are exact (MaxDim keeps them below
// 2^31) and are rounded once, to the nearest float32, at the end.

func l2Int8(q []int8, row []byte, _ float32) float32 {
	var s0, s1, s2, s3 int32
	for len(q) >= 8 && len(row) >= 8 {
		d0 := int32(q[0]) - int32(int8(row[0]))
		d1 := int32(q[1]) - int32(int8(row[1]))
		d2 := int32(q[2]) - int32(int8(row[2]))
		d3 := int32(q[3]) - int32(int8(row[3]))
		s0 += d0 * d0
		s1 += d1 * d1
		s2 += d2 * d2
		s3 += d3 * d3
		d0 = int32(q[4]) - int32(int8(row[4]))
		d1 = int32(q[5]) - int32(int8(row[5]))
		d2 = int32(q[6]) - int32(int8(row[6]))
		d3 = int32(q[7]) - int32(int8(row[7]))
		s0 += d0 * d0
		s1 += d1 * d1
		s2 += d2 * d2
		s3 += d3 * d3
		q, row = q[8:], row[8:]
	}
	for i, x := range q {
		d := int32(x) - int32(int8(row[i]))
		s0 += d * d
	}
	return float32(s0 + s1 + s2 + s3)
}

func dotInt8(q []int8, row []byte, _ float32) float32 {
	var s0, s1, s2, s3 int32
	for len(q) >= 8 && len(row) >= 8 {
		s0 += int32(q[0]) * int32(int8(row[0]))
		s1 += int32(q[1]) * int32(int8(row[1]))
		s2 += int32(q[2]) * int32(int8(row[2]))
		s3 += int32(q[3]) * int32(int8(row[3]))
		s0 += int32(q[4]) * int32(int8(row[4]))
		s1 += int32(q[5]) * int32(int8(row[5]))
		s2 += int32(q[6]) * int32(int8(row[6]))
		s3 += int32(q[7]) * int32(int8(row[7]))
		q, row = q[8:], row[8:]
	}
	for i, x := range q {
		s0 += int32(x) * int32(int8(row[i]))
	}
	return float32(s0 + s1 + s2 + s3)
}

func cosInt8(q []int8, row []byte, qq float32) float32 {
	var dot, rr int32
	row = row[:len(q)]
	for i, x := range q {
		r := int32(int8(row[i]))
		dot += int32(x) * r
		rr += r * r
	}
	return cosine(float32(dot), qq, float32(rr))
}

// hamming counts the bits that differ.
func hamming(q, row []byte, _ float32) float32 {
	n := 0
	row = row[:len(q)]
	for len(q) >= 8 && len(row) >= 8 {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(q) ^ binary.LittleEndian.Uint64(row))
		q, row = q[8:], row[8:]
	}
	for i, x := range q {
		n += bits.OnesCount8(x ^ row[i])
	}
	return float32(n)
}

// jaccard returns 1 - |and|/|or| as (|or|-|and|)/|or|: the counts are exact,
// so this rounds once. Two empty sets have distance 0.
func jaccard(q, row []byte, _ float32) float32 {
	and, or := 0, 0
	row = row[:len(q)]
	for len(q) >= 8 && len(row) >= 8 {
		a, b := binary.LittleEndian.Uint64(q), binary.LittleEndian.Uint64(row)
		and += bits.OnesCount64(a & b)
		or += bits.OnesCount64(a | b)
		q, row = q[8:], row[8:]
	}
	for i, x := range q {
		and += bits.OnesCount8(x & row[i])
		or += bits.OnesCount8(x | row[i])
	}
	return float32(or-and) / float32(max(or, 1))
}

// squareInt8 returns the exact squared norm of v.
func squareInt8(v []int8) float32 {
	var s int32
	for _, x := range v {
		s += int32(x) * int32(x)
	}
	return float32(s)
}

// clamp rounds a float64 score to a finite float32.
func clamp(s float64) float32 {
	return float32(max(-math.MaxFloat32, min(math.MaxFloat32, s)))
}
