package vector

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Query is one prepared query vector: decoded, checked, and with what its
// metric needs taken once. It holds no reference to the bytes it was made of
// and is safe for concurrent use.
//
// A row's score does not depend on the method that computes it, on the row's
// address, or on its neighbours: it is the same to the bit.
type Query struct {
	metric  Metric
	element Element
	dim     int
	stride  int // bytes of a row; 0 for Sparse

	// One of these is set, by the element kind.
	floats []float32
	int8s  []int8
	bytes  []byte
	sparse sparseQuery
	bm25   *bm25 // of a BM25 query, beside sparse

	// The kernel of metric and element, in the field of its query type.
	kf kernel[float32]
	ki kernel[int8]
	kb kernel[byte]

	// goKernels says that the kernels are those of plain Go, which take a row's length for its distance from the next.
	goKernels bool

	// qq is the squared norm that cosine kernels want, norm the exact one.
	qq   float32
	norm float64
}

// NewQuery prepares raw, which has the layout of a row of the given element
// kind and dimension. dim is ignored for Sparse. The error wraps ErrInvalid:
// wrong length, NaN or infinite elements, a metric that the kind does not
// support, a malformed sparse vector.
func NewQuery(m Metric, e Element, dim int, raw []byte) (*Query, error) {
	return newQuery(active, m, e, dim, raw)
}

func newQuery(c *class, m Metric, e Element, dim int, raw []byte) (*Query, error) {
	if err := e.checkDim(dim); err != nil {
		return nil, err
	}
	if !e.Supports(m) {
		return nil, fmt.Errorf("%w: metric %v of %v vectors", ErrInvalid, m, e)
	}
	if e == Sparse {
		if err := CheckSparse(raw); err != nil {
			return nil, err
		}
		if n := len(raw) / sparsePair; n > maxSparsePairs {
			return nil, fmt.Errorf("%w: sparse query of %d pairs, want at most %d", ErrInvalid, n, maxSparsePairs)
		}
		return &Query{metric: m, element: e, sparse: newSparseQuery(raw)}, nil
	}
	if want := e.RowBytes(dim); len(raw) != want {
		return nil, fmt.Errorf("%w: query of %d bytes, want %d (%d dimensions of %v)", ErrInvalid, len(raw), want, dim, e)
	}
	if i := HasNonFinite(e, raw); i >= 0 {
		return nil, fmt.Errorf("%w: query element %d is not finite", ErrInvalid, i)
	}
	if e != Binary && dim < vectorDim {
		c = plain
	}
	q := &Query{metric: m, element: e, dim: dim, stride: len(raw), goKernels: c.name == "go" || e == Binary}
	switch e {
	case Float32:
		q.kf = c.float32[column(m)]
	case Float16:
		q.kf = c.float16[column(m)]
	case BFloat16:
		q.kf = c.bfloat16[column(m)]
	case Int8:
		q.int8s = make([]int8, dim, pad(dim))
		for i, b := range raw {
			q.int8s[i] = int8(b)
		}
		q.ki = c.int8[column(m)]
		q.qq = squareInt8(q.int8s)
	case Binary:
		q.bytes = append(make([]byte, 0, pad(len(raw))), raw...)
		q.kb = c.binary[column(m)]
	}
	if q.kf.scan != nil {
		q.floats = AppendDecoded(make([]float32, 0, dim), e, raw)
	}
	if m == Cosine {
		q.norm = Norm(e, raw)
		if q.kf.scan != nil && q.norm > 0 {
			q.prepareCosine(c)
		}
	}
	return q, nil
}

// prepareCosine scales the query by a power of two so that its largest
// element lies in [1, 2): the similarity is unchanged, and sums of products
// with it stay within range. Its squared norm is then taken by the kernels'
// own arithmetic, so that a row equal to the query scores exactly 1.
func (q *Query) prepareCosine(c *class) {
	largest := float32(0)
	for _, x := range q.floats {
		largest = max(largest, float32(math.Abs(float64(x))))
	}
	_, exp := math.Frexp(float64(largest))
	scale := math.Ldexp(1, 1-exp)
	for i, x := range q.floats {
		q.floats[i] = float32(float64(x) * scale)
	}
	q.norm *= scale
	out := [1]float32{}
	c.float32[column(IP)].scan(q.floats, AppendFloat32(make([]byte, 0, 4*q.dim), q.floats), 4*q.dim, 1, 0, out[:])
	q.qq = out[0]
}

// Metric returns the metric q was made for.
func (q *Query) Metric() Metric { return q.metric }

// Element returns the kind of rows q can be compared with.
func (q *Query) Element() Element { return q.element }

// Dim returns the dimension q was made with; 0 for Sparse.
func (q *Query) Dim() int { return q.dim }

// AppendFloats appends the query's elements to dst as float32. Under Cosine they may be scaled by a power of two. Binary and Sparse append
// nothing.
func (q *Query) AppendFloats(dst []float32) []float32 {
	for _, x := range q.int8s {
		dst = append(dst, float32(x))
	}
	return append(dst, q.floats...)
}

// Pairs returns the pairs of a Sparse query; nil for all others. They must not be changed.
func (q *Query) Pairs() []byte { return q.sparse.raw }

// Scan scores the n rows that lie one after another from the start of rows,
// which has RowBytes·n bytes at least, into out[:n]. The rows' elements must
// be finite. It panics when rows or out is too short, and for Sparse.
func (q *Query) Scan(rows []byte, n int, out []float32) {
	q.mustBeDense()
	rows, out = rows[:n*q.stride], out[:n]
	result := uint32(0)
	switch {
	case q.kf.scan != nil:
		result = q.kf.scan(q.floats, rows, q.stride, n, q.qq, out)
	case q.ki.scan != nil:
		result = q.ki.scan(q.int8s, rows, q.stride, n, q.qq, out)
	default:
		result = q.kb.scan(q.bytes, rows, q.stride, n, 0, out)
	}
	if result != odd {
		return
	}
	for i, s := range out {
		if nonFinite(s) != 0 {
			out[i] = q.exact(rows[i*q.stride : (i+1)*q.stride])
		}
	}
}

// Gather scores the listed rows of the block that Scan would score whole:
// out[i] belongs to row idx[i]. Rows may repeat and come in any order. It
// panics when a row lies outside rows, when out is shorter than idx, and for
// Sparse.
func (q *Query) Gather(rows []byte, idx []uint32, out []float32) {
	q.mustBeDense()
	out = out[:len(idx)]
	result := uint32(0)
	switch {
	case q.kf.gather != nil:
		result = q.kf.gather(q.floats, rows, q.stride, idx, q.qq, out)
	case q.ki.gather != nil:
		result = q.ki.gather(q.int8s, rows, q.stride, idx, q.qq, out)
	default:
		result = q.kb.gather(q.bytes, rows, q.stride, idx, 0, out)
	}
	switch result {
	case outside:
		panic(outOfRange(idx, len(rows)/q.stride)) // REQUIRES: every row lies within rows
	case odd:
		for i, s := range out {
			if nonFinite(s) != 0 {
				r := int(idx[i])
				out[i] = q.exact(rows[r*q.stride : (r+1)*q.stride])
			}
		}
	}
}

// GatherAt scores rows that lie anywhere in a block: row i begins at byte offs[i] and ends within the block. Several at a time cost much less than
// a call of Scan for each. It panics when a row does not lie within the block, when out is shorter than offs, and for Sparse.
func (q *Query) GatherAt(block []byte, offs []uint32, out []float32) {
	q.mustBeDense()
	out = out[:len(offs)]
	if len(offs) == 0 {
		return
	}
	if q.goKernels {
		for i, at := range offs {
			q.Scan(block[at:len(block):len(block)], 1, out[i:i+1])
		}
		return
	}
	starts := block[:len(block)-q.stride+1] // rows a byte apart
	result := uint32(0)
	if q.kf.gather != nil {
		result = q.kf.gather(q.floats, starts, 1, offs, q.qq, out)
	} else {
		result = q.ki.gather(q.int8s, starts, 1, offs, q.qq, out)
	}
	switch result {
	case outside:
		panic(outOfRange(offs, len(starts))) // REQUIRES: every row lies within the block
	case odd:
		for i, s := range out {
			if nonFinite(s) != 0 {
				out[i] = q.exact(block[offs[i]:][:q.stride])
			}
		}
	}
}

// ScanSparse scores the len(offs)-1 rows data[offs[i]:offs[i+1]], each
// well-formed in the sense of CheckSparse, into out. It panics when out is
// too short or when q is not Sparse.
func (q *Query) ScanSparse(offs []uint32, data []byte, out []float32) {
	q.mustBeSparse()
	if len(offs) < 2 {
		return
	}
	out = out[:len(offs)-1]
	for i := range out {
		out[i] = q.scoreSparse(data[offs[i]:offs[i+1]])
	}
}

// GatherSparse scores the listed rows of the block that ScanSparse would
// score whole: out[i] belongs to row idx[i].
func (q *Query) GatherSparse(offs []uint32, data []byte, idx []uint32, out []float32) {
	q.mustBeSparse()
	out = out[:len(idx)]
	for i, r := range idx {
		out[i] = q.scoreSparse(data[offs[r]:offs[r+1]])
	}
}

// outOfRange words the panic of a list that names a row beyond the n there
// are.
func outOfRange(idx []uint32, n int) string {
	return fmt.Sprintf("vector: row %d of a block of %d rows", slices.Max(idx), n)
}

// pad rounds up to what integer kernels read of a query at a time.
func pad(n int) int { return (n + wide - 1) / wide * wide }

func (q *Query) mustBeDense() {
	if q.element == Sparse {
		panic("vector: sparse query on dense rows") // REQUIRES: a dense query
	}
}

func (q *Query) mustBeSparse() {
	if q.element != Sparse {
		panic("vector: dense query on sparse rows") // REQUIRES: a sparse query
	}
}

// exact scores one row of a float kind in float64, where no sum overflows,
// for the rows whose float32 kernel gave up. The result is finite. An Int8
// row comes here only to be recognised as zero.
func (q *Query) exact(row []byte) float32 {
	var dot, rr, l2 float64
	for i, x := range q.floats {
		var r float32
		switch q.element {
		case Float32:
			r = f32at(row, i)
		case Float16:
			r = Float16ToFloat32(binary.LittleEndian.Uint16(row[2*i:]))
		case BFloat16:
			r = BFloat16ToFloat32(binary.LittleEndian.Uint16(row[2*i:]))
		}
		a, b := float64(x), float64(r)
		dot += float64(a * b)
		rr += float64(b * b)
		l2 += float64((a - b) * (a - b))
	}
	switch {
	case q.metric == L2:
		return clamp(l2)
	case q.metric == IP:
		return clamp(dot)
	case rr == 0 || q.norm == 0:
		return 0
	}
	return float32(max(-1, min(1, dot/(math.Sqrt(rr)*q.norm))))
}
