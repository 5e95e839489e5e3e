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
type lanes struct{ s0, s1, s2, s3 float32 }

func (l *lanes) sum() float32 { return (l.s0 + l.s1) + (l.s2 + l.s3) }

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
	var l lanes
	for len(q) >= 4 && len(row) >= 16 {
		d0 := q[0] - f32at(row, 0)
		d1 := q[1] - f32at(row, 1)
		d2 := q[2] - f32at(row, 2)
		d3 := q[3] - f32at(row, 3)
		l.s0 += float32(d0 * d0)
		l.s1 += float32(d1 * d1)
		l.s2 += float32(d2 * d2)
		l.s3 += float32(d3 * d3)
		q, row = q[4:], row[16:]
	}
	tail := [3]*float32{&l.s0, &l.s1, &l.s2}
	for i, x := range q {
		d := x - f32at(row, i)
		*tail[i] += float32(d * d)
	}
	return l.sum()
}

func dotFloat32(q []float32, row []byte, _ float32) float32 {
	var l lanes
	for len(q) >= 4 && len(row) >= 16 {
		l.s0 += float32(q[0] * f32at(row, 0))
		l.s1 += float32(q[1] * f32at(row, 1))
		l.s2 += float32(q[2] * f32at(row, 2))
		l.s3 += float32(q[3] * f32at(row, 3))
		q, row = q[4:], row[16:]
	}
	tail := [3]*float32{&l.s0, &l.s1, &l.s2}
	for i, x := range q {
		*tail[i] += float32(x * f32at(row, i))
	}
	return l.sum()
}

func cosFloat32(q []float32, row []byte, qq float32) float32 {
	var l, n lanes
	for len(q) >= 4 && len(row) >= 16 {
		r0, r1, r2, r3 := f32at(row, 0), f32at(row, 1), f32at(row, 2), f32at(row, 3)
		l.s0 += float32(q[0] * r0)
		l.s1 += float32(q[1] * r1)
		l.s2 += float32(q[2] * r2)
		l.s3 += float32(q[3] * r3)
		n.s0 += float32(r0 * r0)
		n.s1 += float32(r1 * r1)
		n.s2 += float32(r2 * r2)
		n.s3 += float32(r3 * r3)
		q, row = q[4:], row[16:]
	}
	tail := [3]*float32{&l.s0, &l.s1, &l.s2}
	tailN := [3]*float32{&n.s0, &n.s1, &n.s2}
	for i, x := range q {
		r := f32at(row, i)
		*tail[i] += float32(x * r)
		*tailN[i] += float32(r * r)
	}
	return cosine(l.sum(), qq, n.sum())
}

// The half-width kinds are decoded chunk by chunk and scored as the float32
// row they decode to, so the bits are those of the float32 kernels.

// chunk is a multiple of the number of lanes, so that an element's lane does
// not depend on its chunk.
const chunk = 64

func (l *lanes) addL2(q, r []float32) {
	for len(q) >= 4 && len(r) >= 4 {
		d0, d1, d2, d3 := q[0]-r[0], q[1]-r[1], q[2]-r[2], q[3]-r[3]
		l.s0 += float32(d0 * d0)
		l.s1 += float32(d1 * d1)
		l.s2 += float32(d2 * d2)
		l.s3 += float32(d3 * d3)
		q, r = q[4:], r[4:]
	}
	tail := [3]*float32{&l.s0, &l.s1, &l.s2}
	for i, x := range q {
		d := x - r[i]
		*tail[i] += float32(d * d)
	}
}

func (l *lanes) addDot(q, r []float32) {
	for len(q) >= 4 && len(r) >= 4 {
		l.s0 += float32(q[0] * r[0])
		l.s1 += float32(q[1] * r[1])
		l.s2 += float32(q[2] * r[2])
		l.s3 += float32(q[3] * r[3])
		q, r = q[4:], r[4:]
	}
	tail := [3]*float32{&l.s0, &l.s1, &l.s2}
	for i, x := range q {
		*tail[i] += float32(x * r[i])
	}
}

func l2Float16(q []float32, row []byte, _ float32) float32 {
	var l lanes
	var buf [chunk]float32
	for len(q) > 0 {
		n := min(chunk, len(q))
		decodeFloat16(buf[:n], row)
		l.addL2(q[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return l.sum()
}

func dotFloat16(q []float32, row []byte, _ float32) float32 {
	var l lanes
	var buf [chunk]float32
	for len(q) > 0 {
		n := min(chunk, len(q))
		decodeFloat16(buf[:n], row)
		l.addDot(q[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return l.sum()
}

func cosFloat16(q []float32, row []byte, qq float32) float32 {
	var l, norm lanes
	var buf [chunk]float32
	for len(q) > 0 {
		n := min(chunk, len(q))
		decodeFloat16(buf[:n], row)
		l.addDot(q[:n], buf[:n])
		norm.addDot(buf[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return cosine(l.sum(), qq, norm.sum())
}

func l2BFloat16(q []float32, row []byte, _ float32) float32 {
	var l lanes
	var buf [chunk]float32
	for len(q) > 0 {
		n := min(chunk, len(q))
		decodeBFloat16(buf[:n], row)
		l.addL2(q[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return l.sum()
}

func dotBFloat16(q []float32, row []byte, _ float32) float32 {
	var l lanes
	var buf [chunk]float32
	for len(q) > 0 {
		n := min(chunk, len(q))
		decodeBFloat16(buf[:n], row)
		l.addDot(q[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return l.sum()
}

func cosBFloat16(q []float32, row []byte, qq float32) float32 {
	var l, norm lanes
	var buf [chunk]float32
	for len(q) > 0 {
		n := min(chunk, len(q))
		decodeBFloat16(buf[:n], row)
		l.addDot(q[:n], buf[:n])
		norm.addDot(buf[:n], buf[:n])
		q, row = q[n:], row[2*n:]
	}
	return cosine(l.sum(), qq, norm.sum())
}

func decodeFloat16(dst []float32, row []byte) {
	row = row[:2*len(dst)]
	for i := range dst {
		dst[i] = Float16ToFloat32(binary.LittleEndian.Uint16(row[2*i:]))
	}
}

func decodeBFloat16(dst []float32, row []byte) {
	row = row[:2*len(dst)]
	for i := range dst {
		dst[i] = BFloat16ToFloat32(binary.LittleEndian.Uint16(row[2*i:]))
	}
}
