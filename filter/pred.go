package filter

import (
	"math/bits"
	"slices"
)

// pred is true, false or unknown in each row.
type pred interface {
	bind(b *binder)
	eval(r *run, want, t, k []uint64) // see run
	outcomes(s *chunk) outcome        // what it can be in the rows of a chunk
	append(b []byte) []byte
	cost() int
}

// tri is a truth value.
type tri uint8

const (
	isFalse tri = iota
	isTrue
	isUnknown
)

func triOf(b bool) tri { return tri(bit(b)) }

// eachRow sets t and k for the wanted rows, one at a time.
func eachRow(want, t, k []uint64, f func(i int) tri) {
	for w, word := range want {
		var yes, sure uint64
		for ; word != 0; word &= word - 1 {
			j := bits.TrailingZeros64(word)
			switch f(w*64 + j) {
			case isTrue:
				yes |= 1 << j
				sure |= 1 << j
			case isFalse:
				sure |= 1 << j
			}
		}
		t[w], k[w] = yes, sure
	}
}

// constPred is true or false in every row.
type constPred bool

func (c constPred) bind(*binder)           {}
func (c constPred) cost() int              { return 0 }
func (c constPred) append(b []byte) []byte { return boolValue(bool(c)).appendTo(b) }
func (c constPred) outcomes(*chunk) outcome {
	if c {
		return canTrue
	}
	return canFalse
}

func (c constPred) eval(_ *run, _, t, k []uint64) {
	clear(t)
	if c {
		fill(t)
	}
	fill(k)
}

// logic is and, or: of two or more.
type logic struct {
	and   bool
	args  []pred // as written
	order []pred // the cheap ones first
}

// newLogic folds constants away and joins runs of the same connective.
func newLogic(and bool, args []pred) pred {
	l := &logic{and: and}
	for _, a := range args {
		switch a := a.(type) {
		case constPred:
			if bool(a) != and {
				return a // false and x, true or x, whatever x is
			}
		case *logic:
			if a.and == and {
				l.args = append(l.args, a.args...)
			} else {
				l.args = append(l.args, a)
			}
		default:
			l.args = append(l.args, a)
		}
	}
	switch len(l.args) {
	case 0:
		return constPred(and)
	case 1:
		return l.args[0]
	}
	l.order = slices.Clone(l.args)
	if !and {
		l.order = joinPoints(l.order)
	}
	slices.SortStableFunc(l.order, func(a, b pred) int { return a.cost() - b.cost() })
	return l
}

// joinPoints makes one list of comparisons of an operand with ==, and of in, that are joined by or: machines write long runs of
// them. It is for evaluation only; what is printed stays as it was.
func joinPoints(args []pred) []pred {
	if len(args) < 3 {
		return args
	}
	type run struct {
		at   int
		list []value
		x    operand
	}
	runs := map[string]*run{}
	out := args[:0]
	for _, a := range args {
		x, list := pointsOf(a)
		if x == nil {
			out = append(out, a)
			continue
		}
		name := string(x.append(nil))
		if r := runs[name]; r != nil {
			r.list = append(r.list, list...)
			continue
		}
		runs[name] = &run{len(out), slices.Clone(list), x}
		out = append(out, a)
	}
	for _, r := range runs {
		if _, list := pointsOf(out[r.at]); len(r.list) > len(list) {
			out[r.at] = newMember(r.x, r.list)
		}
	}
	return out
}

// pointsOf returns what x == c and x in [...] compare, a nil operand for other predicates.
func pointsOf(p pred) (x operand, list []value) {
	switch p := p.(type) {
	case *within:
		if p.iv.isPoint() && !p.iv.not {
			return p.x, []value{p.iv.lo}
		}
	case *member:
		return p.x, p.list
	}
	return nil, nil
}

func (l *logic) bind(b *binder) {
	for _, a := range l.args {
		a.bind(b)
	}
}

func (l *logic) cost() int {
	c := 0
	for _, a := range l.args {
		c = max(c, a.cost())
	}
	return c
}

func (l *logic) append(b []byte) []byte {
	for i, a := range l.args {
		if i > 0 && l.and {
			b = append(b, " and "...)
		} else if i > 0 {
			b = append(b, " or "...)
		}
		if o, ok := a.(*logic); ok && !o.and {
			b = append(o.append(append(b, '(')), ')')
		} else {
			b = a.append(b)
		}
	}
	return b
}

// eval asks each side only for the rows that those before it leave open: for and those that are not false yet, for or those
// that are not true.
func (l *logic) eval(r *run, want, t, k []uint64) {
	open, tt, kk := r.bits.get(r.words), r.bits.get(r.words), r.bits.get(r.words)
	defer r.bits.drop(3)
	copy(open, want)
	if l.and {
		// t: true so far; k: known to be false
		fill(t)
		clear(k)
		for _, a := range r.answeredFirst(l.order) {
			r.eval(a, open, tt, kk)
			any := uint64(0)
			for i := range t {
				t[i] &= tt[i]
				k[i] |= kk[i] &^ tt[i]
				open[i] &^= k[i]
				any |= open[i]
			}
			if any == 0 {
				break
			}
		}
		for i := range t {
			t[i] &= open[i]
			k[i] |= t[i]
		}
		return
	}
	clear(t)
	fill(k) // known to be false, unless true
	for _, a := range r.answeredFirst(l.order) {
		r.eval(a, open, tt, kk)
		any := uint64(0)
		for i := range t {
			t[i] |= tt[i]
			k[i] &= kk[i] // of rows that are true already, put right below
			open[i] &^= tt[i]
			any |= open[i]
		}
		if any == 0 {
			break
		}
	}
	for i := range t {
		k[i] |= t[i]
	}
}

// outcomes takes the sides to be independent, which can only add some.
func (l *logic) outcomes(s *chunk) outcome {
	decides := canTrue
	if l.and {
		decides = canFalse
	}
	all, any := canBe, outcome(0)
	for _, a := range l.args {
		o := a.outcomes(s)
		if o == decides {
			return o
		}
		all &= o
		any |= o
	}
	if l.and {
		return all&canTrue | any&(canFalse|canUnknown)
	}
	return all&canFalse | any&(canTrue|canUnknown)
}

// not is the opposite; of unknown, unknown.
type not struct{ x pred }

func newNot(x pred) pred {
	switch x := x.(type) {
	case constPred:
		return !x
	case *not:
		return x.x
	}
	return &not{x}
}

func (n *not) bind(b *binder) { n.x.bind(b) }
func (n *not) cost() int      { return n.x.cost() }

func (n *not) append(b []byte) []byte {
	if x, ok := n.x.(interface{ appendNot([]byte) []byte }); ok {
		return x.appendNot(b)
	}
	return append(n.x.append(append(b, "not ("...)), ')')
}

func (n *not) eval(r *run, want, t, k []uint64) {
	r.eval(n.x, want, t, k)
	for i := range t {
		t[i] = k[i] &^ t[i]
	}
}

func (n *not) outcomes(s *chunk) outcome {
	o := n.x.outcomes(s)
	out := o & canUnknown
	if o&canTrue != 0 {
		out |= canFalse
	}
	if o&canFalse != 0 {
		out |= canTrue
	}
	return out
}

// isNull is true where a field has no value.
type isNull struct{ x *columnOp }

func (n *isNull) bind(b *binder)            { n.x.bind(b) }
func (n *isNull) cost() int                 { return costFixed }
func (n *isNull) append(b []byte) []byte    { return append(n.x.append(b), " is null"...) }
func (n *isNull) appendNot(b []byte) []byte { return append(n.x.append(b), " is not null"...) }

func (n *isNull) eval(r *run, _, t, k []uint64) {
	fill(k)
	d, ok := r.column(n.x.col)
	if !ok || d.Valid == nil {
		clear(t)
		return
	}
	packBytes(t, d.Valid)
	invert(t)
}

func (n *isNull) outcomes(s *chunk) outcome {
	st, ok := s.of(n.x.field)
	switch {
	case !ok:
		return canTrue | canFalse
	case st.Nulls == 0:
		return canFalse
	case st.Nulls == st.Rows:
		return canTrue
	}
	return canTrue | canFalse
}

// exists is true where a JSON path leads to a value that is not JSON's null. It is never unknown.
type exists struct{ x *path }

func (e *exists) bind(b *binder)            { e.x.bind(b) }
func (e *exists) cost() int                 { return costJSON }
func (e *exists) append(b []byte) []byte    { return e.x.append(append(b, "exists "...)) }
func (e *exists) appendNot(b []byte) []byte { return e.append(append(b, "not "...)) }
func (e *exists) outcomes(*chunk) outcome   { return canTrue | canFalse }

func (e *exists) eval(r *run, want, t, k []uint64) {
	eachRow(want, t, k, func(i int) tri {
		s := e.x.at(r, i)
		return triOf(s.kind != kindNone && s.kind != kindNull)
	})
}

// isTrueOf is the predicate that an operand of kindBool is by itself.
func isTrueOf(x operand) pred {
	v := boolValue(true)
	return newWithin(x, interval{lo: v, hi: v})
}
