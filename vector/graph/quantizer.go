package graph

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/selkiedb/selkie/vector"
)

// quantizer turns vectors into rows of unsigned bytes, and queries into signed
// bytes that are compared with them.
//
// Element j of a row is stored as c = 128 + round((x - center[j]) / step),
// clipped to ±amplitude around 128. The step is the same for all dimensions:
// then the integer distance between two codes is the distance of the vectors,
// so one set of codes serves both to build the graph and to search it. It
// also loses less than a step for each dimension would, where dimensions
// spread differently: that spends the query's few bits on dimensions that
// hardly count.
//
// For IP it is the rows' directions that are coded, with their lengths beside
// them: the graph is that of COSINE. Rows near by direction are the way to a
// great product, and any length is as easy to come by; in a space where great
// products are small distances (Bachrach et al., RecSys 2014) queries are far
// from all rows, and long rows are nobody's neighbours.
//
// Where a vector's elements do not fill a row's 64 bytes they are stored
// several times, rounded after different fractions of a step were added, so
// that the copies together have a finer step.
type quantizer struct {
	metric vector.Metric
	dim    int // elements of a vector
	copies int // of each element in a row
	bits   int // of a code: 8, or 4, see Index.nibbles
	// centered says that distances to queries are those of differences: see
	// preparedQuery.
	centered bool
	step     float64
	center   []float32
	steps    []float32 // 4 bits: each element's; step is then the unit of squares
}

// wideDim is the most elements for which codes may use all their range; sums
// over more of them are kept within 31 bits by using half of it.
const wideDim = 8192

// clipShares are the shares of a sample's elements that each candidate step
// clips; the best is chosen per segment.
var clipShares = []float64{0, 1e-4, 5e-4, 2e-3, 8e-3}

// Bounds of the training sample.
const (
	sampleRows     = 4096
	sampleElements = 1 << 20
)

// crowded is the share of the distance 1-cos between neighbours in a sample from
// which the error of a coded row, a step's standard deviation, is too much.
const crowded = 0.01

// nearestSquare returns the median, over some unit rows of a sample, of the
// squared distance to the nearest other row that is not the same.
func nearestSquare(sample []float32, d int) float64 {
	const probes = 24
	n := len(sample) / d
	var nearest []float64
	for p := range min(probes, n) {
		at := p * n / min(probes, n)
		row := sample[at*d : (at+1)*d]
		least := math.Inf(1)
		for i := range n {
			s := float32(0)
			for j, x := range sample[i*d : (i+1)*d] {
				y := x - row[j]
				s += float32(y * y)
			}
			if s > 1e-9 {
				least = min(least, float64(s))
			}
		}
		if !math.IsInf(least, 1) {
			nearest = append(nearest, least)
		}
	}
	if len(nearest) == 0 {
		return 0
	}
	slices.Sort(nearest)
	return nearest[len(nearest)/2]
}

// maxCopies bounds the copies of an element.
const maxCopies = 16

// codeDim returns the number of elements of a coded row.
func (z *quantizer) codeDim() int { return z.dim * z.copies }

// fillRow sets copies to as many as fit the least row.
func (z *quantizer) fillRow() {
	z.copies = min(max(1, 512/z.bits/z.dim), maxCopies)
}

// shift returns what is added to copy k of an element before it is rounded.
func (z *quantizer) shift(k int) float32 {
	return (float32(k)+0.5)/float32(z.copies) - 0.5
}

// rowBytes returns the bytes of a coded row.
func (z *quantizer) rowBytes() int { return z.kind().Stride(z.codeDim()) }

// finalBytes returns the bytes of a row of bits in a finished index, of which
// z is the quantizer while it is built.
func (z *quantizer) finalBytes(bits int) int {
	if bits == 4 {
		f := quantizer{dim: z.dim, bits: 4}
		f.fillRow()
		return min(f.rowBytes(), z.rowBytes())
	}
	return z.rowBytes()
}

// kind is the layout of rows.
func (z *quantizer) kind() vector.CodeKind {
	if z.bits == 4 {
		return vector.Code4
	}
	return vector.Code8
}

// amplitude is the greatest distance of a code from 128.
func (z *quantizer) amplitude() float64 {
	if z.dim > wideDim {
		return 63
	}
	return 127
}

// train chooses center and step by a sample of evenly spread rows.
func train(ctx context.Context, src Source, m vector.Metric) (*quantizer, error) {
	n, d := src.Rows(), src.Dim()
	z := &quantizer{metric: m, dim: d, bits: 8, step: 1, center: make([]float32, d), centered: m == vector.L2}
	z.fillRow()
	if n == 0 {
		return z, nil
	}
	count := min(n, sampleRows, max(16, sampleElements/d))
	sample, err := readSample(ctx, src, count)
	if err != nil {
		return nil, err
	}
	if m != vector.L2 {
		for i := range count {
			vector.Normalize(sample[i*d : (i+1)*d])
		}
	}
	mean := make([]float64, d)
	for i, x := range sample {
		mean[i%d] += float64(x)
	}
	for j := range mean {
		z.center[j] = float32(mean[j] / float64(count))
	}
	away := make([]float32, len(sample))
	for i, x := range sample {
		away[i] = float32(math.Abs(float64(x) - float64(z.center[i%d])))
	}
	slices.Sort(away)
	z.step = bestStep(away, z.amplitude())
	if m == vector.Cosine {
		z.centered = z.copies > 1 || z.step/math.Sqrt(12) > crowded*nearestSquare(sample, d)/2
	}
	return z, nil
}

// readSample reads count rows spread evenly over src, a few neighbours at a
// time so that a source that reads chunks is not made to read all of them.
func readSample(ctx context.Context, src Source, count int) ([]float32, error) {
	const group = 8
	n, d := src.Rows(), src.Dim()
	sample := make([]float32, count*d)
	for i := 0; i < count; i += group {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		k := min(group, count-i)
		lo := min(int(int64(i)*int64(n)/int64(count)), n-k)
		if err := src.Read(lo, lo+k, sample[i*d:(i+k)*d]); err != nil {
			return nil, fmt.Errorf("read rows %d to %d: %w", lo, lo+k-1, err)
		}
	}
	for i, x := range sample {
		if x-x != 0 {
			return nil, fmt.Errorf("%w: element %d of a row is not finite", ErrInvalid, i%d)
		}
	}
	return sample, nil
}

// bestStep returns the step with the least square error over the sorted
// distances from the center: rounding within the range, clipping beyond it.
func bestStep(away []float32, amplitude float64) float64 {
	best, bestError := 0.0, math.Inf(1)
	for _, share := range clipShares {
		kept := len(away) - int(share*float64(len(away)))
		reach := float64(away[kept-1])
		if reach == 0 {
			continue
		}
		step := reach / amplitude
		e := step * step / 12 * float64(kept)
		for _, x := range away[kept:] {
			e += float64((float64(x) - reach) * (float64(x) - reach))
		}
		if e < bestError {
			best, bestError = step, e
		}
	}
	if best == 0 {
		return 1
	}
	return max(best, leastStep)
}

// leastStep is the least step whose inverse a float32 can hold. Rows that
// differ by less are alike.
const leastStep = 1e-37

// encoder holds what encoding rows needs beside the quantizer.
type encoder struct {
	*quantizer
	inverse float32
	amp     float32
	unit    []float32 // COSINE, IP: the row, normalised
	zero    []float32 // and what stands for a zero vector
}

func newEncoder(z *quantizer) *encoder {
	e := &encoder{quantizer: z, inverse: float32(1 / z.step), amp: float32(z.amplitude())}
	if z.metric != vector.L2 {
		e.unit = make([]float32, z.dim)
		e.zero = z.standIn()
	}
	return e
}

// standIn returns what is coded in place of a zero vector where rows are
// normalised: the direction opposite to the center. Zero itself would lie in the
// middle of all, often nearer to each row than any other row, and fill up all
// neighbours.
func (z *quantizer) standIn() []float32 {
	x := make([]float32, z.dim)
	for j, c := range z.center {
		x[j] = -c
	}
	if !vector.Normalize(x) {
		x[0] = 1
	}
	return x
}

// encode writes the code of row x into code, which has stride bytes, and
// returns Σy² and Σy with y the codes less 128. The same x gives the same code
// on every machine: no operation is fused.
func (e *encoder) encode(x []float32, code []byte) (square, sum int32) {
	if e.unit != nil {
		copy(e.unit, x)
		x = e.unit
		if !vector.Normalize(x) {
			x = e.zero
		}
	}
	center := e.center[:len(x)]
	for k := range e.copies {
		part, shift := code[k*e.dim:(k+1)*e.dim], e.shift(k)
		for j, v := range x {
			y := float32(float32(v-center[j])*e.inverse) + shift
			y = min(max(y, -e.amp), e.amp)
			c := int32(y+128.5) - 128
			part[j] = byte(c + 128)
			square += c * c
			sum += c
		}
	}
	clear(code[e.codeDim():e.rowBytes()])
	return square, sum
}

// preparedQuery is a query in the codes' terms. The order of rows is that of
//
//	distance = Σy²·weight - dot     (centered)
//	distance = -dot                 (else)
//	distance = -(dot+bias)·scale·|x| (IP)
//
// with dot the integer product of signed and the row's code. L2 needs the
// first. COSINE may take either, as its rows have length 1. The
// first has the smaller error, for only the difference of query and row counts
// as rounded and not all of the row; the second is faster and mostly enough.
type preparedQuery struct {
	signed      []int8
	unit        []float32
	zeros       []float32
	weight      float32 // 0 for the second
	bias, scale float32 // of the third; scale is 0 for the others
	// score = offset + slope·distance estimates the metric's value.
	offset, slope float64
}

// prepare fills p for query q of dim elements. maxSquare is the greatest square
// of the rows, maxNorm for IP the greatest norm.
func (z *quantizer) prepare(p *preparedQuery, q []float32, maxSquare int32, maxNorm float32) {
	p.signed = slices.Grow(p.signed[:0], z.codeDim())[:z.codeDim()]
	clear(p.signed)
	if z.metric == vector.Cosine {
		p.unit = append(p.unit[:0], q...)
		q = p.unit
		vector.Normalize(q)
	}
	if z.bits == 4 {
		z.prepareNibbles(p, q, maxSquare)
	} else {
		z.prepareBytes(p, q, maxSquare)
	}
	p.bias, p.scale = 0, 0
	if z.metric == vector.IP {
		p.scaleBy(maxNorm)
	}
	if z.centered && z.metric == vector.Cosine { // |q-x|² = 2 - 2·cos
		p.offset, p.slope = 1-p.offset/2, -p.slope/2
	}
}

// scaleBy makes the second kind of distance, of the rows' directions, the third,
// for rows of up to that length.
func (p *preparedQuery) scaleBy(maxNorm float32) {
	// The direction's product is offset + slope·distance, with slope < 0.
	bias := -p.offset / p.slope
	most := math.Abs(bias)
	for _, s := range p.signed {
		most += 255 * math.Abs(float64(s))
	}
	scale := math.Inf(1)
	if maxNorm > 0 {
		scale = (1 << 30) / (most + 1) / float64(maxNorm)
	}
	scale = min(max(scale, 1e-37), 1e37)
	p.bias, p.scale = float32(bias), float32(scale)
	p.offset, p.slope = 0, p.slope/float64(p.scale)
}

// prepareBytes is prepare for 8-bit codes; q is normalised where it has to be.
func (z *quantizer) prepareBytes(p *preparedQuery, q []float32, maxSquare int32) {
	center := z.center
	if !z.centered {
		p.zeros = slices.Grow(p.zeros[:0], z.dim)[:z.dim]
		center = p.zeros // nothing ever writes to it
	}
	largest := float64(farthest(q, center[:len(q)]))
	if largest > math.MaxFloat32 { // beyond float32
		largest = 0
		for j, x := range q {
			largest = max(largest, math.Abs(float64(x)-float64(center[j])))
		}
	}
	if z.centered {
		largest /= z.step
	}
	scale := 1.0
	if largest > 0 {
		scale = 127 / largest
	}
	if z.centered && maxSquare > 0 {
		scale = min(scale, (1<<31)/float64(maxSquare))
	}
	factor := scale
	if z.centered {
		factor /= z.step
	}
	sum := int64(0)
	for k := range z.copies {
		part, add := p.signed[k*z.dim:][:len(q)], z.shift(k)
		switch f := float32(factor); {
		case f == 0 || f-f != 0: // beyond float32
			for j, x := range q {
				v := float64(x) - float64(center[j])
				part[j] = signedByte(float32(v*factor) + add)
			}
		case z.copies == 1:
			signBytes(part, q, center[:len(q)], f)
		default:
			for j, x := range q {
				part[j] = signedByte((x-center[j])*f + add)
			}
		}
		for _, s := range part {
			sum += int64(s)
		}
	}
	if z.centered {
		p.weight = float32(scale / 2)
		p.offset = squareFrom(q, center)
		p.slope = 2 / scale * z.step * z.step / float64(z.copies)
	} else {
		p.weight = 0
		p.offset = 0
		for j, x := range q {
			p.offset += float64(x) * float64(z.center[j])
		}
		p.slope = -z.step / scale / float64(z.copies)
	}
	p.offset += p.slope * 128 * float64(sum)
}

// farthest returns the greatest distance of an element from center's.
func farthest(q, center []float32) float32 {
	center = center[:len(q)]
	most := uint32(0) // the bits of numbers that are not negative order as they do
	for j, x := range q {
		most = max(most, math.Float32bits(x-center[j])&^(1<<31))
	}
	return math.Float32frombits(most)
}

// signBytes rounds the differences from center times f, which rounding errors may
// have carried a little beyond ±127, but not to 127.5.
func signBytes(part []int8, q, center []float32, f float32) {
	center, part = center[:len(q)], part[:len(q)]
	for j, x := range q {
		part[j] = int8(int32(float32((x-center[j])*f)+128.5) - 128)
	}
}

// squareFrom returns the squared distance of q from center.
func squareFrom(q, center []float32) float64 {
	center = center[:len(q)]
	var a, b, c, d float64 // four sums, as each add waits for the last
	for len(q) >= 4 {
		v, w, x, y := float64(q[0]-center[0]), float64(q[1]-center[1]), float64(q[2]-center[2]), float64(q[3]-center[3])
		a, b, c, d = a+v*v, b+w*w, c+x*x, d+y*y
		q, center = q[4:], center[4:]
	}
	for j, x := range q {
		v := float64(x) - float64(center[j])
		a += v * v
	}
	return a + b + c + d
}

// signedByte rounds v, which rounding errors may have carried beyond ±127.
func signedByte(v float32) int8 {
	return int8(int32(min(max(v, -127), 127)+128.5) - 128)
}
