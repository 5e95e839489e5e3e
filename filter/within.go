package filter

import (
	"math"

	"github.com/selkiedb/selkie/schema"
)

// interval is what a comparison with constants allows. A bound of kindNone bounds nothing.
type interval struct {
	lo, hi         value
	loOpen, hiOpen bool // the bound itself is outside
	not            bool // what has another value than lo, which is hi
}

// intervalOf returns what x op c allows.
func intervalOf(o op, c value) interval {
	switch o {
	case opLess, opLessEqual:
		return interval{hi: c, hiOpen: o == opLess}
	case opGreater, opGreaterEqual:
		return interval{lo: c, loOpen: o == opGreater}
	}
	return interval{lo: c, hi: c, not: o == opNotEqual}
}

// isPoint tells whether the interval is of == or !=.
func (v interval) isPoint() bool {
	return v.lo.kind != kindNone && v.hi.kind != kindNone && !v.loOpen && !v.hiOpen && equalValues(v.lo, v.hi)
}

func (v interval) append(b []byte, x operand) []byte {
	bound := func(o op, c value) {
		b = append(b, ' ')
		b = append(b, o.String()...)
		b = append(b, ' ')
		b = c.appendTo(b)
	}
	below := func(open bool) op {
		if open {
			return opLess
		}
		return opLessEqual
	}
	switch {
	case v.isPoint():
		b = appendCompared(b, x)
		if v.not {
			bound(opNotEqual, v.lo)
		} else {
			bound(opEqual, v.lo)
		}
	case v.lo.kind == kindNone:
		b = appendCompared(b, x)
		bound(below(v.hiOpen), v.hi)
	case v.hi.kind == kindNone:
		b = appendCompared(b, x)
		bound(below(v.loOpen).flip(), v.lo)
	default:
		b = v.lo.appendTo(b)
		b = append(b, ' ')
		b = append(b, below(v.loOpen).String()...)
		b = append(b, ' ')
		b = appendCompared(b, x)
		bound(below(v.hiOpen), v.hi)
	}
	return b
}

// appendCompared writes a side of a comparison. Operators on bits bind more loosely than those that compare.
func appendCompared(b []byte, x operand) []byte {
	if a, ok := x.(*arith); ok && (a.op == opBitAnd || a.op == opBitXor || a.op == opBitOr) {
		return appendSide(b, x)
	}
	return x.append(b)
}

// admits tells whether the value of a row, which is neither null nor missing, lies in the interval. buf is for strings.
func (v interval) admits(s scalar, buf *[]byte) bool {
	if v.lo.kind == kindList {
		return s.kind == kindItems && equalItems(s.raw, v.lo.list) != v.not
	}
	var text []byte
	if s.kind == kindString {
		text = s.text(*buf)
		if s.esc {
			*buf = text
		}
	}
	above, ok := true, true
	if v.lo.kind != kindNone {
		var order int
		if order, ok = compareScalar(s, text, v.lo); !ok {
			return false
		}
		if v.isPoint() {
			return (order == 0) != v.not
		}
		above = order > 0 || order == 0 && !v.loOpen
	}
	if !above || v.hi.kind == kindNone {
		return above
	}
	order, ok := compareScalar(s, text, v.hi)
	return ok && (order < 0 || order == 0 && !v.hiOpen)
}

// compareScalar orders the value of a row and a constant; ok is false where they cannot be compared. text is the string.
func compareScalar(s scalar, text []byte, c value) (order int, ok bool) {
	switch {
	case s.kind == kindString && c.kind == kindString:
		return compareText(text, c.str), true
	case s.kind.isNumber() && c.isNumber():
		return compareNumbers(s.value(), c), true
	case s.kind == kindBool && c.kind == kindBool:
		return int(s.num) - int(c.num), true
	}
	return 0, false
}

func compareText(a []byte, b string) int {
	switch {
	case string(a) < b:
		return -1
	case string(a) == b:
		return 0
	}
	return 1
}

// equalItems tells whether a JSON array's elements are the constants.
func equalItems(raw []byte, list []value) bool {
	n, equal := 0, true
	items(raw, func(s scalar) bool {
		equal = n < len(list) && equalScalar(s, list[n])
		n++
		return equal
	})
	return equal && n == len(list)
}

// equalScalar tells whether a value and a constant are equal; values of different kinds are not, but for numbers.
func equalScalar(s scalar, c value) bool {
	if c.kind == kindList {
		return s.kind == kindItems && equalItems(s.raw, c.list)
	}
	var text []byte
	if s.kind == kindString {
		text = s.text(nil)
	}
	order, ok := compareScalar(s, text, c)
	return ok && order == 0
}

// within compares an operand with constants.
type within struct {
	x  operand
	iv interval

	// What the kernels take, by the kind of x.
	empty  bool // nothing can lie in the interval
	whole  bool // the bounds are integers, or there are none: lo and width hold
	lo     int64
	width  uint64
	floats floatRange
	head   *head // of == and != with a string
}

// newWithin prepares the kernels. The constants are of the operand's kind, if that is not JSON.
func newWithin(x operand, iv interval) *within {
	w := &within{x: x, iv: iv}
	switch x.kind() {
	case kindInt:
		w.setInts()
	case kindJSON:
		integer := func(v value) bool { return v.kind == kindInt || v.kind == kindNone }
		if integer(iv.lo) && integer(iv.hi) {
			w.setInts()
		}
	case kindString:
		if iv.isPoint() {
			w.head = newHead(iv.lo.str, true)
		}
	case kindFloat:
		// The bounds are inside: an open one moves to the next float.
		lo, hi := math.Inf(-1), math.Inf(1)
		lo32, hi32 := float32(lo), float32(hi)
		if iv.lo.kind != kindNone {
			lo = iv.lo.float()
			lo32 = float32(lo)
			if iv.loOpen {
				lo = math.Nextafter(lo, math.Inf(1))
				lo32 = math.Nextafter32(lo32, float32(math.Inf(1)))
			}
		}
		if iv.hi.kind != kindNone {
			hi = iv.hi.float()
			hi32 = float32(hi)
			if iv.hiOpen {
				hi = math.Nextafter(hi, math.Inf(-1))
				hi32 = math.Nextafter32(hi32, float32(math.Inf(-1)))
			}
		}
		if fieldIsFloat(x) { // the values are rounded, and the constants with them
			lo, hi = float64(lo32), float64(hi32)
		} else {
			lo32, hi32 = 0, 0
		}
		w.floats = newFloatRange(lo, hi, lo32, hi32)
		w.empty = w.floats.empty
	}
	return w
}

// setInts prepares lo and width, which are inside.
func (w *within) setInts() {
	w.whole = true
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	if iv := w.iv; iv.lo.kind != kindNone {
		lo = iv.lo.int()
		w.empty = iv.loOpen && lo == math.MaxInt64
		if iv.loOpen && !w.empty {
			lo++
		}
	}
	if iv := w.iv; iv.hi.kind != kindNone {
		hi = iv.hi.int()
		w.empty = w.empty || iv.hiOpen && hi == math.MinInt64
		if iv.hiOpen && hi != math.MinInt64 {
			hi--
		}
	}
	w.empty = w.empty || lo > hi
	w.lo, w.width = lo, uint64(hi)-uint64(lo)
}

// fieldIsFloat tells whether an operand's values are those of 32-bit floats.
func fieldIsFloat(x operand) bool {
	switch x := x.(type) {
	case *columnOp:
		return x.field.Type == schema.TypeFloat
	case *element:
		return x.field.ElementType == schema.TypeFloat
	}
	return false
}

func (p *within) bind(b *binder)         { p.x.bind(b) }
func (p *within) append(b []byte) []byte { return p.iv.append(b, p.x) }
func (p *within) cost() int              { return p.x.cost() }

func (p *within) eval(r *run, want, t, k []uint64) {
	if c, ok := p.x.(*columnOp); ok {
		p.evalColumn(r, c, want, t, k)
		return
	}
	if x, ok := p.x.(numeric); ok {
		switch p.x.kind() {
		case kindInt:
			var n numbers
			n.begin(r)
			v := x.ints(r, want, &n)
			p.within(t, v)
			n.apply(t, k)
			r.ints.drop(1)
			r.bits.drop(2)
			return
		case kindFloat:
			var n numbers
			n.begin(r)
			v := x.floats(r, want, &n)
			if p.empty {
				clear(t)
			} else {
				p.floats.doublesWithin(t, v)
			}
			if p.iv.not {
				invert(t)
			}
			n.apply(t, k)
			r.floats.drop(1)
			r.bits.drop(2)
			return
		}
	}
	if x, ok := p.x.(*path); ok {
		p.evalPath(r, x, want, t, k)
		return
	}
	var buf []byte
	eachRow(want, t, k, func(i int) tri {
		switch s := p.x.at(r, i); s.kind {
		case kindNull:
			return isUnknown
		case kindNone:
			return isFalse
		default:
			return triOf(p.iv.admits(s, &buf))
		}
	})
}

// evalPath takes the short way where both the value and the constants are integers.
func (p *within) evalPath(r *run, x *path, want, t, k []uint64) {
	tile := &r.docs[x.doc]
	d, ok := r.column(tile.plan.col)
	if !ok {
		fail(t, k)
		return
	}
	ofNull := isUnknown
	if x.field.IsDynamic {
		ofNull = isFalse // a row without dynamic keys
	}
	var buf []byte
	eachRow(want, t, k, func(i int) tri {
		if d.IsNull(i) {
			return ofNull
		}
		raw := d.Value(i)
		v := &tile.row(i, raw)[x.slot]
		switch {
		case v.kind == kindInt && p.whole:
			return triOf((!p.empty && v.num-uint64(p.lo) <= p.width) != p.iv.not)
		case v.kind == kindNone:
			return isFalse
		}
		return triOf(p.iv.admits(v.scalar(raw), &buf))
	})
}

// apply makes what is compared false where there is no number, and unknown where it is null.
func (n *numbers) apply(t, k []uint64) {
	for i := range t {
		t[i] &= n.known[i] & n.here[i]
		k[i] = n.known[i]
	}
}

func (p *within) within(t []uint64, v []int64) {
	if p.empty {
		clear(t)
	} else {
		intsWithin(t, v, p.lo, p.width)
	}
	if p.iv.not {
		invert(t)
	}
}

func (p *within) evalColumn(r *run, c *columnOp, want, t, k []uint64) {
	d, ok := r.column(c.col)
	if !ok {
		fail(t, k)
		return
	}
	buf := r.ints.get(r.rows)
	defer r.ints.drop(1)
	switch typ := c.field.Type; {
	case p.empty:
		clear(t)
	case typ == schema.TypeBool:
		packBytes(t, d.Fixed)
		if !p.iv.lo.bool() {
			invert(t)
		}
	case typ == schema.TypeInt8:
		intsWithin(t, view[int8](d.Fixed, buf), p.lo, p.width)
	case typ == schema.TypeInt16:
		intsWithin(t, view[int16](d.Fixed, buf), p.lo, p.width)
	case typ == schema.TypeInt32:
		intsWithin(t, view[int32](d.Fixed, buf), p.lo, p.width)
	case typ == schema.TypeInt64:
		intsWithin(t, view[int64](d.Fixed, buf), p.lo, p.width)
	case typ == schema.TypeFloat:
		p.floats.floatsWithin(t, view[float32](d.Fixed, buf))
	case typ == schema.TypeDouble:
		p.floats.doublesWithin(t, view[float64](d.Fixed, buf))
	case typ == schema.TypeVarChar && p.iv.isPoint():
		p.head.find(want, t, d.Offs, d.Bytes)
	case typ == schema.TypeVarChar:
		eachString(want, t, d.Offs, d.Bytes, p.iv.admitsText)
	}
	if p.iv.not {
		invert(t)
	}
	known(d, t, k)
}

// admitsText is admits for strings, without not.
func (v interval) admitsText(s []byte) bool {
	if v.lo.kind != kindNone {
		if c := compareText(s, v.lo.str); c < 0 || c == 0 && v.loOpen {
			return false
		}
	}
	if v.hi.kind != kindNone {
		if c := compareText(s, v.hi.str); c > 0 || c == 0 && v.hiOpen {
			return false
		}
	}
	return true
}
