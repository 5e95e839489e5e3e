package vector

import (
	"encoding/binary"
	"math"
)

// The plain Go float kernels. Element i of a row is added to lane i mod 4, in
// ascending order, without fused multiply-add; then (s0+s1)+(s2+s3). The
// conversions float32(a*b) forbid the compiler to fuse, so the bits are the
// same on every platform. With u = 2^-24 and d dimensions the error is at most
// (d/4+4)·u·Σ|a·b| for the inner product and (d/4+6)·u·Σ(a-b)² for L2.
//
// The lanes are plain variables, and what is left over is spelled out, because
// the compiler keeps neither arrays nor struct fields in registers. Two steps
// of four a turn halve what the loop itself costs.

func f32at(row []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(row[4*i:]))
}

func nonFinite(f float32) uint32 {
	if f-f != 0 {
		return 1
	}
	return 0
}

// cosine finishes a cosine score from the sums of products. Outside the range
// where neither product nor root has lost bits it returns NaN, which makes the
// caller compute the score in float64. For a row equal to the query all three
// sums are equal, and the result is exactly 1.
func cosine(dot, qq, rr float32) float32 {
	p := qq * rr
	if !(p >= cosineMin && p <= cosineMax) {
		return float32(math.NaN())
	}
	return max(-1, min(1, dot/float32(math.Sqrt(float64(p)))))
}

const (
	cosineMin = 0x1p-60
	cosineMax = 0x1p120
)

func l2Float32(q []float32, row []byte, _ float32) float32 {
	var s0, s1, s2, s3 float32
	for len(q) >= 8 && len(row) >= 32 {
		d0 := q[0] - f32at(row, 0)
		d1 := q[1] - f32at(row, 1)
		d2 := q[2] - f32at(row, 2)
		d3 := q[3] - f32at(row, 3)
		s0 += float32(d0 * d0)
		s1 += float32(d1 * d1)
		s2 += float32(d2 * d2)
		s3 += float32(d3 * d3)
		d0 = q[4] - f32at(row, 4)
		d1 = q[5] - f32at(row, 5)
		d2 = q[6] - f32at(row, 6)
		d3 = q[7] - f32at(row, 7)
		s0 += float32(d0 * d0)
		s1 += float32(d1 * d1)
		s2 += float32(d2 * d2)
		s3 += float32(d3 * d3)
		q, row = q[8:], row[32:]
	}
	if len(q) >= 4 && len(row) >= 16 {
		d0 := q[0] - f32at(row, 0)
		d1 := q[1] - f32at(row, 1)
		d2 := q[2] - f32at(row, 2)
		d3 := q[3] - f32at(row, 3)
		s0 += float32(d0 * d0)
		s1 += float32(d1 * d1)
		s2 += float32(d2 * d2)
		s3 += float32(d3 * d3)
		q, row = q[4:], row[16:]
	}
	if len(q) > 0 {
		d := q[0] - f32at(row, 0)
		s0 += float32(d * d)
	}
	if len(q) > 1 {
		d := q[1] - f32at(row, 1)
		s1 += float32(d * d)
	}
	if len(q) > 2 {
		d := q[2] - f32at(row, 2)
		s2 += float32(d * d)
	}
	return (s0 + s1) + (s2 + s3)
}

func dotFloat32(q []float32, row []byte, _ float32) float32 {
	var s0, s1, s2, s3 float32
	for len(q) >= 8 && len(row) >= 32 {
		s0 += float32(q[0] * f32at(row, 0))
		s1 += float32(q[1] * f32at(row, 1))
		s2 += float32(q[2] * f32at(row, 2))
		s3 += float32(q[3] * f32at(row, 3))
		s0 += float32(q[4] * f32at(row, 4))
		s1 += float32(q[5] * f32at(row, 5))
		s2 += float32(q[6] * f32at(row, 6))
		s3 += float32(q[7] * f32at(row, 7))
		q, row = q[8:], row[32:]
	}
	if len(q) >= 4 && len(row) >= 16 {
		s0 += float32(q[0] * f32at(row, 0))
		s1 += float32(q[1] * f32at(row, 1))
		s2 += float32(q[2] * f32at(row, 2))
		s3 += float32(q[3] * f32at(row, 3))
		q, row = q[4:], row[16:]
	}
	if len(q) > 0 {
		s0 += float32(q[0] * f32at(row, 0))
	}
	if len(q) > 1 {
		s1 += float32(q[1] * f32at(row, 1))
	}
	if len(q) > 2 {
		s2 += float32(q[2] * f32at(row, 2))
	}
	return (s0 + s1) + (s2 + s3)
}

// squareFloat32 is dotFloat32 of the row with itself.
func squareFloat32(row []byte) float32 {
	var s0, s1, s2, s3 float32
	for len(row) >= 32 {
		r0, r1, r2, r3 := f32at(row, 0), f32at(row, 1), f32at(row, 2), f32at(row, 3)
		s0 += float32(r0 * r0)
		s1 += float32(r1 * r1)
		s2 += float32(r2 * r2)
		s3 += float32(r3 * r3)
		r0, r1, r2, r3 = f32at(row, 4), f32at(row, 5), f32at(row, 6), f32at(row, 7)
		s0 += float32(r0 * r0)
		s1 += float32(r1 * r1)
		s2 += float32(r2 * r2)
		s3 += float32(r3 * r3)
		row = row[32:]
	}
	if len(row) >= 16 {
		r0, r1, r2, r3 := f32at(row, 0), f32at(row, 1), f32at(row, 2), f32at(row, 3)
		s0 += float32(r0 * r0)
		s1 += float32(r1 * r1)
		s2 += float32(r2 * r2)
		s3 += float32(r3 * r3)
		row = row[16:]
	}
	if len(row) >= 4 {
		s0 += float32(f32at(row, 0) * f32at(row, 0))
	}
	if len(row) >= 8 {
		s1 += float32(f32at(row, 1) * f32at(row, 1))
	}
	if len(row) >= 12 {
		s2 += float32(f32at(row, 2) * f32at(row, 2))
	}
	return (s0 + s1) + (s2 + s3)
}

func cosFloat32(q []float32, row []byte, qq float32) float32 {
	return cosine(dotFloat32(q, row, 0), qq, squareFloat32(row))
}

// The half-width kinds are widened in pieces and added up as the float32 row
// they stand for would be, so their scores have its bits.

// piece is a multiple of the number of lanes, so that an element's lane does
// not depend on its piece.
const piece = 64

// lanes carries the sums from piece to piece.
type lanes struct{ s0, s1, s2, s3 float32 }

func (l *lanes) sum() float32 { return (l.s0 + l.s1) + (l.s2 + l.s3) }

func (l *lanes) addL2(q, r []float32) {
	s0, s1, s2, s3 := l.s0, l.s1, l.s2, l.s3
	for len(q) >= 8 && len(r) >= 8 {
		d0, d1, d2, d3 := q[0]-r[0], q[1]-r[1], q[2]-r[2], q[3]-r[3]
		s0 += float32(d0 * d0)
		s1 += float32(d1 * d1)
		s2 += float32(d2 * d2)
		s3 += float32(d3 * d3)
		d0, d1, d2, d3 = q[4]-r[4], q[5]-r[5], q[6]-r[6], q[7]-r[7]
		s0 += float32(d0 * d0)
		s1 += float32(d1 * d1)
		s2 += float32(d2 * d2)
		s3 += float32(d3 * d3)
		q, r = q[8:], r[8:]
	}
	if len(q) >= 4 && len(r) >= 4 {
		d0, d1, d2, d3 := q[0]-r[0], q[1]-r[1], q[2]-r[2], q[3]-r[3]
		s0 += float32(d0 * d0)
		s1 += float32(d1 * d1)
		s2 += float32(d2 * d2)
		s3 += float32(d3 * d3)
		q, r = q[4:], r[4:]
	}
	if len(q) > 0 {
		d := q[0] - r[0]
		s0 += float32(d * d)
	}
	if len(q) > 1 {
		d := q[1] - r[1]
		s1 += float32(d * d)
	}
	if len(q) > 2 {
		d := q[2] - r[2]
		s2 += float32(d * d)
	}
	*l = lanes{s0, s1, s2, s3}
}

func (l *lanes) addDot(q, r []float32) {
	s0, s1, s2, s3 := l.s0, l.s1, l.s2, l.s3
	for len(q) >= 8 && len(r) >= 8 {
		s0 += float32(q[0] * r[0])
		s1 += float32(q[1] * r[1])
		s2 += float32(q[2] * r[2])
		s3 += float32(q[3] * r[3])
		s0 += float32(q[4] * r[4])
		s1 += float32(q[5] * r[5])
		s2 += float32(q[6] * r[6])
		s3 += float32(q[7] * r[7])
		q, r = q[8:], r[8:]
	}
	if len(q) >= 4 && len(r) >= 4 {
		s0 += float32(q[0] * r[0])
		s1 += float32(q[1] * r[1])
		s2 += float32(q[2] * r[2])
		s3 += float32(q[3] * r[3])
		q, r = q[4:], r[4:]
	}
	if len(q) > 0 {
		s0 += float32(q[0] * r[0])
	}
	if len(q) > 1 {
		s1 += float32(q[1] * r[1])
	}
	if len(q) > 2 {
		s2 += float32(q[2] * r[2])
	}
	*l = lanes{s0, s1, s2, s3}
}

func l2Float16(q []float32, row []byte, _ float32) float32 {
	var l lanes
	var buf [piece]float32
	for len(q) > 0 {
		n := min(piece, len(q))
		decodeFloat16(buf[:n], row)
		l.addL2(q[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return l.sum()
}

func dotFloat16(q []float32, row []byte, _ float32) float32 {
	var l lanes
	var buf [piece]float32
	for len(q) > 0 {
		n := min(piece, len(q))
		decodeFloat16(buf[:n], row)
		l.addDot(q[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return l.sum()
}

func cosFloat16(q []float32, row []byte, qq float32) float32 {
	var l, norm lanes
	var buf [piece]float32
	for len(q) > 0 {
		n := min(piece, len(q))
		decodeFloat16(buf[:n], row)
		l.addDot(q[:n], buf[:n])
		norm.addDot(buf[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return cosine(l.sum(), qq, norm.sum())
}

func l2BFloat16(q []float32, row []byte, _ float32) float32 {
	var l lanes
	var buf [piece]float32
	for len(q) > 0 {
		n := min(piece, len(q))
		decodeBFloat16(buf[:n], row)
		l.addL2(q[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return l.sum()
}

func dotBFloat16(q []float32, row []byte, _ float32) float32 {
	var l lanes
	var buf [piece]float32
	for len(q) > 0 {
		n := min(piece, len(q))
		decodeBFloat16(buf[:n], row)
		l.addDot(q[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return l.sum()
}

func cosBFloat16(q []float32, row []byte, qq float32) float32 {
	var l, norm lanes
	var buf [piece]float32
	for len(q) > 0 {
		n := min(piece, len(q))
		decodeBFloat16(buf[:n], row)
		l.addDot(q[:n], buf[:n])
		norm.addDot(buf[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return cosine(l.sum(), qq, norm.sum())
}

// decodeFloat16 is Float16ToFloat32 for finite elements only, which spares the
// test for those that are not.
func decodeFloat16(dst []float32, row []byte) {
	row = row[:2*len(dst)]
	for i := range dst {
		h := uint32(binary.LittleEndian.Uint16(row[2*i:]))
		f := math.Float32frombits(h&0x7fff<<13) * 0x1p112
		dst[i] = math.Float32frombits(math.Float32bits(f) | h&0x8000<<16)
	}
}

func decodeBFloat16(dst []float32, row []byte) {
	row = row[:2*len(dst)]
	for i := range dst {
		dst[i] = BFloat16ToFloat32(binary.LittleEndian.Uint16(row[2*i:]))
	}
}
