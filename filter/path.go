package filter

import (
	"math"
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// Cast says which values of a JSON field an index is of.
type Cast uint8

// The casts. CastArray is added to another one for the elements of an array.
const (
	CastBool Cast = iota + 1
	CastDouble
	CastVarChar
	CastArray Cast = 8
)

// Path is a place in a JSON field, or in the dynamic one, as it is written in an expression: meta["director"]["born"]. It never changes and may
// be used by many goroutines at a time.
type Path struct {
	p    *path
	expr *Expr // reads p
}

// ParsePath reads a path. The error is an *Error, which wraps schema.ErrInvalid.
func ParsePath(text string, s *schema.Schema) (*Path, error) {
	n, err := parse(text, nil)
	if err != nil {
		return nil, locate(err, text)
	}
	if n == nil {
		return nil, schema.Invalid("", text, "a path in a JSON field is wanted")
	}
	x, err := newChecker(s).operand(n)
	if err != nil {
		return nil, locate(err, text)
	}
	p, ok := x.(*path)
	if !ok {
		return nil, locate(failf(n.at, "%s is no path in a JSON field", describe(x)), text)
	}
	var b binder
	p.bind(&b)
	return &Path{p, &Expr{root: constPred(false), fields: b.fields, docs: b.docs, tile: 1024}}, nil
}

// Field is the field that the path leads into.
func (p *Path) Field() *schema.Field { return p.p.field }

// String gives the path in one form for all that lead to the same place.
func (p *Path) String() string { return string(p.p.append(nil)) }

// EachKey calls fn with the values that the path leads to in the rows of d, as far as they are of the cast: their keys, or of strings their text,
// which is valid during the call. exact is false if a number was left out because its key would be that of another.
func (p *Path) EachKey(d column.Data, c Cast, fn func(row int, key uint64, text []byte)) (exact bool, err error) {
	exact = true
	r := newRun(p.expr, &Block{Rows: d.Rows, Column: func(*schema.Field) (column.Data, error) { return d, nil }})
	defer r.close()
	var buf []byte
	one := func(row int, s scalar) {
		switch {
		case s.kind == kindBool && c&^CastArray == CastBool:
			fn(row, s.num&1, nil)
		case s.kind == kindString && c&^CastArray == CastVarChar:
			text := s.text(buf)
			if s.esc {
				buf = text
			}
			fn(row, 0, text)
		case s.kind.isNumber() && c&^CastArray == CastDouble:
			if f, ok := double(s.value()); ok {
				fn(row, floatOrder(f), nil)
			} else {
				exact = false
			}
		}
	}
	for from := 0; from < d.Rows; from += p.expr.tile {
		r.start(from, min(p.expr.tile, d.Rows-from))
		for i := range r.rows {
			s := p.p.at(r, i)
			if c&CastArray == 0 {
				one(from+i, s)
			} else if s.kind == kindItems {
				items(s.raw, func(e scalar) bool {
					one(from+i, e)
					return true
				})
			}
		}
		if r.err != nil {
			return exact, r.err
		}
	}
	return exact, nil
}

// double returns a number as a float; ok is false if that is another number.
func double(v value) (f float64, ok bool) {
	f = v.float()
	if v.kind == kindInt {
		return f, compareIntFloat(v.int(), f) == 0
	}
	return f, v.kind == kindFloat
}

// castOf returns the cast that holds all of the constants.
func castOf(list ...value) (c Cast, ok bool) {
	for i, v := range list {
		var this Cast
		switch {
		case v.kind == kindBool:
			this = CastBool
		case v.kind == kindString:
			this = CastVarChar
		case v.isNumber():
			this = CastDouble
			if _, ok := double(v); !ok {
				return 0, false
			}
		default:
			return 0, false
		}
		if i > 0 && this != c {
			return 0, false
		}
		c = this
	}
	return c, len(list) > 0
}

// pathTerm returns the term that a comparison of a path with constants is.
func pathTerm(p pred) *Term {
	at := func(x operand, c Cast, list ...value) (*Term, bool) {
		j, ok := x.(*path)
		if !ok {
			return nil, false
		}
		cast, ok := castOf(list...)
		if !ok {
			return nil, false
		}
		return &Term{Field: j.field, Path: string(j.append(nil)), Cast: cast | c}, true
	}
	switch p := p.(type) {
	case *within:
		ends := slices.DeleteFunc([]value{p.iv.lo, p.iv.hi}, func(v value) bool { return v.kind == kindNone })
		t, ok := at(p.x, 0, ends...)
		if !ok {
			return nil
		}
		t.Not = p.iv.not
		switch t.Cast {
		case CastVarChar:
			t.Texts = []TextRange{p.iv.texts()}
		case CastBool:
			t.Ranges = []KeyRange{{p.iv.lo.num & 1, p.iv.lo.num & 1}}
		default:
			lo, hi := math.Inf(-1), math.Inf(1)
			if p.iv.lo.kind != kindNone {
				lo = p.iv.lo.float()
			}
			if p.iv.hi.kind != kindNone {
				hi = p.iv.hi.float()
			}
			if lo == 0 { // the two zeros are equal: an open end leaves both out, a closed one takes both in
				lo = math.Copysign(0, map[bool]float64{true: 1, false: -1}[p.iv.loOpen])
			}
			if hi == 0 {
				hi = math.Copysign(0, map[bool]float64{true: -1, false: 1}[p.iv.hiOpen])
			}
			r := KeyRange{floatOrder(lo), floatOrder(hi)}
			if p.iv.loOpen && p.iv.lo.kind != kindNone {
				r.Lo++
			}
			if p.iv.hiOpen && p.iv.hi.kind != kindNone {
				r.Hi--
			}
			if r.Lo <= r.Hi {
				t.Ranges = []KeyRange{r}
			}
		}
		return t
	case *member:
		if t, ok := at(p.x, 0, p.list...); ok && t.addAll(p.list) {
			return t
		}
	case *contains:
		if t, ok := at(p.x, CastArray, p.list...); ok && t.addAll(p.list) {
			t.All = p.mode == containsAll
			return t
		}
	case *pattern:
		if t, ok := at(p.x, 0, stringValue("")); ok {
			p.fill(t)
			return t
		}
	}
	return nil
}

// addAll adds the ranges of constants of the term's cast.
func (t *Term) addAll(list []value) bool {
	k := map[Cast]kind{CastBool: kindBool, CastDouble: kindFloat, CastVarChar: kindString}[t.Cast&^CastArray]
	for _, v := range list {
		if !t.add(k, v) {
			return false
		}
	}
	return true
}
