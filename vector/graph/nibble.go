package graph

import (
	"math"
	"slices"

	"github.com/selkiedb/selkie/vector"
)

// An index of 4-bit codes is built by 8-bit ones and keeps half of them: once
// its graph is finished its rows are coded anew, from the 8-bit codes, which
// are so much finer that nothing is lost by the detour. Only queries meet the
// coarse codes, so elements may have steps of their own, which a query takes
// upon itself:
//
//	x[j] ≈ center[j] + (c - 7½)·steps[j],  c from 0 to 15

// nibbleMiddle is what a 4-bit code of an element in the middle would be.
const nibbleMiddle = 7.5

// Bounds of the sample of codes by which steps are chosen.
const (
	nibbleRows     = 256
	nibbleElements = 1 << 21
)

// nibbleShares are the shares of an element's range that the 16 codes may span.
var nibbleShares = [...]float64{1, .93, .87, .8, .74, .68, .62, .56, .5, .44, .38}

// finer reads elements of 8-bit rows, in steps from the center: the mean of an
// element's copies.
type finer struct {
	*quantizer
	values []float32
}

func (f *finer) read(code []byte) []float32 {
	if f.copies == 1 {
		for j, c := range code[:f.dim] {
			f.values[j] = float32(int32(c) - 128)
		}
		return f.values
	}
	clear(f.values)
	for k := range f.copies { // the shifts of all copies add up to nothing
		for j, c := range code[k*f.dim:][:f.dim] {
			f.values[j] += float32(int32(c) - 128)
		}
	}
	for j := range f.values {
		f.values[j] /= float32(f.copies)
	}
	return f.values
}

// crowdedNibbles is the share of the squared distance to a row's near
// neighbours from which the error that 4-bit codes give it is too much. Words
// have .02; .13 cost a quarter of the recall.
const crowdedNibbles = 0.06

// nibbles makes of ix, which has 8-bit codes, an index of 4-bit codes, unless
// its rows get no smaller by that or could not be told from their neighbours.
func (ix *Index) nibbles(workers int) {
	old, rows := ix.quantizer, ix.codedRows
	if old.finalBytes(4) == old.rowBytes() {
		return
	}
	z := &quantizer{
		metric: old.metric, dim: old.dim, bits: 4, step: 1,
		centered: old.centered,
		center:   make([]float32, old.dim), steps: make([]float32, old.dim),
	}
	z.fillRow()
	middles := z.chooseSteps(old, rows)
	if z.crowded(old, ix.neighbourSquare()) {
		return
	}
	z.step = z.squareUnit()
	coded := &codedRows{n: rows.n, stride: z.rowBytes(), codes: alignedBytes(rows.n * z.rowBytes()), norm: rows.norm}
	if coded.norm == nil {
		coded.square = make([]int32, rows.n)
	}
	type worker struct {
		finer
		codes []uint8
	}
	inverse := make([]float32, z.dim)
	weights := make([]float64, z.dim)
	for j, s := range z.steps {
		inverse[j] = float32(old.step / float64(s))
		weights[j] = float64(s) / z.step * (float64(s) / z.step)
	}
	all := make([]*worker, workers)
	for i := range all {
		all[i] = &worker{finer{old, make([]float32, old.dim)}, make([]uint8, z.codeDim())}
	}
	each(workers, rows.n, 256, func(i, lo, hi int) {
		w := all[i]
		for label := uint32(lo); label < uint32(hi); label++ {
			values := w.read(rows.at(label))
			sum := 0.0
			for k := range z.copies {
				part, shift := w.codes[k*z.dim:(k+1)*z.dim], z.shift(k)+nibbleMiddle+.5
				for j, v := range values {
					c := int32(max(float32((v-middles[j])*inverse[j])+shift, 0))
					c = min(c, 15)
					part[j] = uint8(c)
					y := float64(c) - nibbleMiddle
					sum += float64(y * y * weights[j])
				}
			}
			if coded.square != nil {
				coded.square[label] = int32(sum)
			}
			vector.Code4.Pack(coded.at(label), w.codes)
		}
	})
	ix.quantizer, ix.codedRows = z, coded
	ix.setMaxSquare()
	if !ix.Flat() {
		ix.setEntries(ix.entries)
	}
}

// crowded reports that 4-bit codes are too coarse for rows whose neighbours have
// that squared distance in steps of old: a row's error e, of which each element
// has a step's standard deviation, makes |q-x|² wrong by 2·(q-x)·e.
func (z *quantizer) crowded(old *quantizer, square float64) bool {
	sum := 0.0
	for _, s := range z.steps {
		sum += float64(float64(s) * float64(s))
	}
	e := 2 * math.Sqrt(sum/12/float64(z.dim*z.copies)) / old.step
	return e > crowdedNibbles*math.Sqrt(square)
}

// neighbourSquare returns the median, over some rows, of the squared distance
// to about the tenth nearest row, by 8-bit codes and in their steps.
func (ix *Index) neighbourSquare() float64 {
	const probes, rank, size = 64, 10, 48
	w := ix.newWalker()
	var squares []float64
	for i := range min(probes, ix.n) {
		w.useCode(ix, ix.at(uint32(int64(i)*int64(ix.n)/int64(min(probes, ix.n)))))
		n := min(size, ix.n)
		if ix.Flat() {
			w.scan(ix, n)
		} else {
			n = w.walk(ix, n)
		}
		// The nearest is the row itself.
		d := int64(vector.KeyDistance(w.pool[min(rank, n-1)])) - int64(vector.KeyDistance(w.pool[0]))
		if d > 0 {
			squares = append(squares, float64(d)/float64(ix.copies))
		}
	}
	if len(squares) == 0 {
		return 0
	}
	slices.Sort(squares)
	return squares[len(squares)/2]
}

// chooseSteps sets center and steps so that they have the least square error
// over a sample of the rows, which old coded. It returns the centers in steps
// of old, from the center of old.
func (z *quantizer) chooseSteps(old *quantizer, rows *codedRows) []float32 {
	f := finer{old, make([]float32, old.dim)}
	count := min(rows.n, max(nibbleRows, nibbleElements/z.dim))
	var histogram [256]int32
	middles := make([]float32, z.dim)
	// Some elements at a time, as a histogram for each would take much memory.
	const strip = 64
	var strips [strip][256]int32
	for lo := 0; lo < z.dim; lo += strip {
		hi := min(lo+strip, z.dim)
		clear(strips[:])
		for i := range count {
			code := rows.at(uint32(int64(i) * int64(rows.n) / int64(count)))
			if old.copies == 1 {
				for j, c := range code[lo:hi] {
					strips[j][c]++
				}
				continue
			}
			for j, v := range f.read(code)[lo:hi] {
				strips[j][uint8(int32(v+128.5))]++
			}
		}
		for j := lo; j < hi; j++ {
			histogram = strips[j-lo]
			middle, step := nibbleStep(&histogram)
			middles[j] = middle
			z.center[j] = float32(float64(old.center[j]) + float64(float64(middle)*old.step))
			z.steps[j] = float32(max(step*old.step, leastStep))
		}
	}
	return middles
}

// nibbleStep returns the middle, from 128, and the step that code the values
// of a histogram best.
func nibbleStep(histogram *[256]int32) (middle float32, step float64) {
	lo, hi := 0, 255
	for lo < 255 && histogram[lo] == 0 {
		lo++
	}
	for hi > lo && histogram[hi] == 0 {
		hi--
	}
	sum, count := 0.0, 0.0
	for v := lo; v <= hi; v++ {
		sum += float64(v) * float64(histogram[v])
		count += float64(histogram[v])
	}
	if lo >= hi {
		return float32(lo - 128), 1
	}
	mean := sum / count
	least := math.Inf(1)
	var bestMiddle float64
	for _, share := range nibbleShares {
		// The span shrinks towards the mean.
		a := mean - float64((mean-float64(lo))*share)
		b := mean + float64((float64(hi)-mean)*share)
		m, s := (a+b)/2, (b-a)/15
		e := 0.0
		for v := lo; v <= hi; v++ {
			if histogram[v] != 0 {
				y := (float64(v) - m) / s
				c := min(max(math.Floor(y+8), 0), 15) - nibbleMiddle
				d := (y - c) * s
				e += float64(d * d * float64(histogram[v]))
			}
		}
		if e < least {
			least, bestMiddle, step = e, m, s
		}
	}
	return float32(bestMiddle - 128), step
}

// squareUnit returns the unit of length in which no row's square is beyond 30
// bits.
func (z *quantizer) squareUnit() float64 {
	sum := 0.0
	for _, s := range z.steps {
		sum += float64(float64(s) * float64(s))
	}
	return math.Sqrt(sum*float64(z.copies)*nibbleMiddle*nibbleMiddle/(1<<30)) * (1 + 1e-9)
}

// prepareNibbles is prepare for 4-bit codes; q is normalised where it has to be.
//
//	|q-x|² = |q'|² + step²·square - 2·Σ q'[j]·steps[j]·(c-7½),  q' = q - center
func (z *quantizer) prepareNibbles(p *preparedQuery, q []float32, maxSquare int32) {
	value := func(j int, x float32) float64 {
		v := float64(x)
		if z.centered {
			v -= float64(z.center[j])
		}
		return v
	}
	largest := 0.0
	for j, x := range q {
		largest = max(largest, math.Abs(value(j, x)*float64(z.steps[j])))
	}
	scale := 1.0
	if largest > 0 {
		scale = 127 / largest
	}
	if z.centered && maxSquare > 0 {
		scale = min(scale, (1<<31)/(float64(maxSquare)*z.step*z.step))
	}
	sum := int64(0)
	for k := range z.copies {
		part, add := p.signed[k*z.dim:][:len(q)], z.shift(k)
		for j, x := range q {
			s := signedByte(float32(value(j, x)*float64(z.steps[j])*scale) + add)
			part[j] = s
			sum += int64(s)
		}
	}
	p.offset = 0
	if z.centered {
		p.weight = float32(scale / 2 * z.step * z.step)
		for j, x := range q {
			v := value(j, x)
			p.offset += v * v
		}
		p.slope = 2 / scale / float64(z.copies)
	} else {
		p.weight = 0
		for j, x := range q {
			p.offset += float64(x) * float64(z.center[j])
		}
		p.slope = -1 / scale / float64(z.copies)
	}
	p.offset += p.slope * nibbleMiddle * float64(sum)
}
