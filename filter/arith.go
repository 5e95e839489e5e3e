package filter

import (
	"math"
	"math/bits"

	"github.com/selkiedb/selkie/schema"
)

// begin sets n to all rows known and here, in buffers of r.bits. The caller drops two of them.
func (n *numbers) begin(r *run) {
	n.known, n.here = r.bits.get(r.words), r.bits.get(r.words)
	fill(n.known)
	fill(n.here)
}

// rowInts fills a tile row by row.
func rowInts(x operand, r *run, want []uint64, n *numbers) []int64 {
	v := r.ints.get(r.rows)
	for w, word := range want {
		for ; word != 0; word &= word - 1 {
			b := uint64(1) << bits.TrailingZeros64(word)
			i := w*64 + bits.TrailingZeros64(word)
			switch s := x.at(r, i); s.kind {
			case kindInt:
				v[i] = int64(s.num)
			case kindNull:
				n.known[w] &^= b
			default:
				n.here[w] &^= b
			}
		}
	}
	return v
}

func rowFloats(x operand, r *run, want []uint64, n *numbers) []float64 {
	v := r.floats.get(r.rows)
	for w, word := range want {
		for ; word != 0; word &= word - 1 {
			b := uint64(1) << bits.TrailingZeros64(word)
			i := w*64 + bits.TrailingZeros64(word)
			switch s := x.at(r, i); s.kind {
			case kindInt, kindFloat:
				v[i] = s.value().float()
			case kindNull:
				n.known[w] &^= b
			default:
				n.here[w] &^= b
			}
		}
	}
	return v
}

func (c *columnOp) ints(r *run, _ []uint64, n *numbers) []int64 {
	v := r.ints.get(r.rows)
	d, ok := r.column(c.col)
	if !ok {
		clear(n.known)
		return v
	}
	narrow(d.Valid, n)
	buf := r.ints.get(r.rows)
	defer r.ints.drop(1)
	switch c.field.Type {
	case schema.TypeInt8:
		widen(v, view[int8](d.Fixed, buf))
	case schema.TypeInt16:
		widen(v, view[int16](d.Fixed, buf))
	case schema.TypeInt32:
		widen(v, view[int32](d.Fixed, buf))
	case schema.TypeInt64:
		copy(v, view[int64](d.Fixed, buf))
	}
	return v
}

func (c *columnOp) floats(r *run, want []uint64, n *numbers) []float64 {
	v := r.floats.get(r.rows)
	if c.kind() == kindInt {
		ints := c.ints(r, want, n)
		widen(v, ints)
		r.ints.drop(1)
		return v
	}
	d, ok := r.column(c.col)
	if !ok {
		clear(n.known)
		return v
	}
	narrow(d.Valid, n)
	buf := r.ints.get(r.rows)
	defer r.ints.drop(1)
	if c.field.Type == schema.TypeFloat {
		widen(v, view[float32](d.Fixed, buf))
	} else {
		copy(v, view[float64](d.Fixed, buf))
	}
	return v
}

func widen[T integer | float, U int64 | float64](to []U, from []T) {
	to = to[:len(from)]
	for i, x := range from {
		to[i] = U(x)
	}
}

// narrow takes the nulls out of the known rows.
func narrow(valid []byte, n *numbers) {
	if valid == nil {
		return
	}
	for w := range n.known {
		row := valid[w*64:]
		var word [1]uint64
		packBytes(word[:], row[:min(64, len(row))])
		n.known[w] &= word[0]
	}
}

func (c *constant) ints(r *run, _ []uint64, _ *numbers) []int64 {
	v := r.ints.get(r.rows)
	for i := range v {
		v[i] = c.value.int()
	}
	return v
}

func (c *constant) floats(r *run, _ []uint64, _ *numbers) []float64 {
	v := r.floats.get(r.rows)
	f := c.value.float()
	for i := range v {
		v[i] = f
	}
	return v
}

// arith is l op r. of is kindInt, kindFloat, or kindJSON where a side is a JSON path; the numbers then differ from row to row.
// An integer that does not fit, a division by zero and a float that is not finite are unknown.
type arith struct {
	op   op
	l, r operand
	of   kind
}

func (a *arith) kind() kind { return a.of }
func (a *arith) cost() int  { return max(a.l.cost(), a.r.cost()) }

func (a *arith) bind(b *binder) {
	a.l.bind(b)
	a.r.bind(b)
}

func (a *arith) append(b []byte) []byte {
	b = appendSide(b, a.l)
	b = append(b, ' ')
	b = append(b, a.op.String()...)
	b = append(b, ' ')
	return appendSide(b, a.r)
}

// appendSide writes an operand of an operator, in brackets if it is one itself.
func appendSide(b []byte, x operand) []byte {
	if _, ok := x.(*arith); !ok {
		return x.append(b)
	}
	return append(x.append(append(b, '(')), ')')
}

func (a *arith) at(r *run, i int) scalar {
	x, y := a.l.at(r, i), a.r.at(r, i)
	switch {
	case x.kind == kindNull || y.kind == kindNull:
		return scalar{kind: kindNull}
	case !x.kind.isNumber() || !y.kind.isNumber():
		return scalar{}
	case x.kind == kindInt && y.kind == kindInt:
		c, ok := intArithmetic(a.op, int64(x.num), int64(y.num))
		if !ok {
			return scalar{kind: kindNull}
		}
		return scalar{kind: kindInt, num: uint64(c)}
	case needsInts(a.op):
		return scalar{}
	}
	f := floatArithmetic(a.op, x.value().float(), y.value().float())
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return scalar{kind: kindNull}
	}
	return scalar{kind: kindFloat, num: math.Float64bits(f)}
}

func (a *arith) ints(r *run, want []uint64, n *numbers) []int64 {
	x := a.l.(numeric).ints(r, want, n)
	if c, ok := a.r.(*constant); ok && a.withConstant(x, c.value.int(), n) {
		return x
	}
	y := a.r.(numeric).ints(r, want, n)
	defer r.ints.drop(1)
	y = y[:len(x)]
	if a.op == opAdd {
		for i, p := range x {
			q := y[i]
			s := p + q
			if (p^s)&(q^s) < 0 {
				n.known[i/64] &^= 1 << (i % 64)
			}
			x[i] = s
		}
		return x
	}
	for i, p := range x {
		c, ok := intArithmetic(a.op, p, y[i])
		if !ok {
			n.known[i/64] &^= 1 << (i % 64)
		}
		x[i] = c
	}
	return x
}

// withConstant does x op c in place for the operators that are often used so; false if it has done nothing.
func (a *arith) withConstant(x []int64, c int64, n *numbers) bool {
	o := a.op
	if o == opSub && c != math.MinInt64 {
		o, c = opAdd, -c
	}
	switch {
	case o == opAdd:
		for i, p := range x {
			s := p + c
			if (p^s)&(c^s) < 0 {
				n.known[i/64] &^= 1 << (i % 64)
			}
			x[i] = s
		}
	case o == opBitAnd:
		for i := range x {
			x[i] &= c
		}
	case o == opMod && c > 0 && c <= math.MaxUint32:
		modulo(x, uint64(c))
	default:
		return false
	}
	return true
}

// modulo takes two multiplications in place of a division for values within 32 bits (D. Lemire, O. Kaser, N. Kurz: Faster remainder
// by direct computation, 2019).
func modulo(x []int64, m uint64) {
	inverse := math.MaxUint64/m + 1
	for i, v := range x {
		sign := v >> 63
		size := uint64((v ^ sign) - sign)
		if size > math.MaxUint32 {
			x[i] = v % int64(m)
			continue
		}
		rest, _ := bits.Mul64(inverse*size, m)
		x[i] = (int64(rest) ^ sign) - sign
	}
}

func (a *arith) floats(r *run, want []uint64, n *numbers) []float64 {
	if a.of == kindInt {
		v := r.floats.get(r.rows)
		widen(v, a.ints(r, want, n))
		r.ints.drop(1)
		return v
	}
	x := a.l.(numeric).floats(r, want, n)
	y := a.r.(numeric).floats(r, want, n)
	defer r.floats.drop(1)
	y = y[:len(x)]
	switch a.op {
	case opAdd:
		for i := range x {
			x[i] += y[i]
		}
	case opSub:
		for i := range x {
			x[i] -= y[i]
		}
	case opMul:
		for i := range x {
			x[i] *= y[i]
		}
	case opDiv:
		for i := range x {
			x[i] /= y[i]
		}
	}
	for i, f := range x {
		if f-f != 0 { // infinite, or no number
			n.known[i/64] &^= 1 << (i % 64)
			x[i] = 0
		}
	}
	return x
}
