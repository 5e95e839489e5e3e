package filter

import "cmp"

// versus compares two operands that differ from row to row: two numbers, two strings or two truth values.
type versus struct {
	op   op
	l, r operand
}

func (v *versus) bind(b *binder) {
	v.l.bind(b)
	v.r.bind(b)
}

func (v *versus) cost() int { return max(v.l.cost(), v.r.cost()) }

func (v *versus) append(b []byte) []byte {
	b = appendCompared(b, v.l)
	b = append(b, ' ')
	b = append(b, v.op.String()...)
	b = append(b, ' ')
	return appendCompared(b, v.r)
}

func (v *versus) outcomes(*chunk) outcome { return canBe }

func (v *versus) eval(r *run, want, t, k []uint64) {
	l, lok := v.l.(numeric)
	q, rok := v.r.(numeric)
	lk, rk := v.l.kind(), v.r.kind()
	if !lok || !rok || !lk.isNumber() {
		v.evalRows(r, want, t, k)
		return
	}
	var n numbers
	n.begin(r)
	switch {
	case lk == kindInt && rk == kindInt:
		compareTiles(t, v.op, l.ints(r, want, &n), q.ints(r, want, &n), cmp.Compare[int64])
		r.ints.drop(2)
	case lk == kindInt:
		compareTiles(t, v.op, l.ints(r, want, &n), q.floats(r, want, &n), compareIntFloat)
		r.ints.drop(1)
		r.floats.drop(1)
	case rk == kindInt:
		compareTiles(t, v.op.flip(), q.ints(r, want, &n), l.floats(r, want, &n), compareIntFloat)
		r.ints.drop(1)
		r.floats.drop(1)
	default:
		compareTiles(t, v.op, l.floats(r, want, &n), q.floats(r, want, &n), cmp.Compare[float64])
		r.floats.drop(2)
	}
	n.apply(t, k)
	r.bits.drop(2)
}

// accepts tells whether the operator holds for an order of -1, 0 or 1.
func (o op) accepts(order int) bool {
	switch o {
	case opEqual:
		return order == 0
	case opNotEqual:
		return order != 0
	case opLess:
		return order < 0
	case opLessEqual:
		return order <= 0
	case opGreater:
		return order > 0
	}
	return order >= 0
}

func compareTiles[T, U any](t []uint64, o op, x []T, y []U, order func(T, U) int) {
	less, same, more := bit(o.accepts(-1)), bit(o.accepts(0)), bit(o.accepts(1))
	truth := less | same<<1 | more<<2
	for w := range t {
		var word uint64
		for i := w * 64; i < min(w*64+64, len(x)); i++ {
			word |= truth >> ((order(x[i], y[i]) + 1) & 3) & 1 << (i & 63)
		}
		t[w] = word
	}
}

func (v *versus) evalRows(r *run, want, t, k []uint64) {
	eachRow(want, t, k, func(i int) tri {
		x, y := v.l.at(r, i), v.r.at(r, i)
		switch {
		case x.kind == kindNull || y.kind == kindNull:
			return isUnknown
		case x.kind == kindNone || y.kind == kindNone:
			return isFalse
		case x.kind == kindBool:
			return triOf(v.op.accepts(int(x.num) - int(y.num)))
		case x.kind == kindString:
			return triOf(v.op.accepts(cmp.Compare(string(x.raw), string(y.raw))))
		}
		return triOf(v.op.accepts(compareNumbers(x.value(), y.value())))
	})
}
