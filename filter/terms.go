package filter

import (
	"math"
	"sync"

	"github.com/selkiedb/selkie/schema"
)

// Term is a condition on the values of one field that an index of the field can answer: a comparison with constants, in, like, a regular
// expression, is null, or array_contains and its kin.
type Term struct {
	Field *schema.Field
	Path  string // of JSON: the place in the field, as Path.String writes it; Cast are the values there that can match
	Cast  Cast
	Null  bool // the rows whose value is null; nothing of what follows holds then

	// A row matches if its value lies in one of the ranges, and fits, if Fits is not nil; of an array one element must. All has a row match
	// only if each range holds one of its elements.
	Ranges []KeyRange
	Texts  []TextRange // of VarChar, in place of Ranges
	Fits   func(text []byte) bool
	All    bool

	Not bool // a row matches that has a value, and does not match otherwise
}

// KeyRange is a range of numbers or truth values by their keys, both ends inside.
type KeyRange struct{ Lo, Hi uint64 }

// TextRange is a range of strings. An end that is not there bounds nothing.
type TextRange struct {
	Lo, Hi         string
	HasLo, HasHi   bool
	LoOpen, HiOpen bool // the end itself is outside
}

// Keys of an integer and a float: they have the order of the numbers, and -0 comes right before 0.
func intKey(i int64) uint64       { return uint64(i) ^ 1<<63 }
func floatOrder(f float64) uint64 { return order64(f) ^ 1<<63 }

// Key returns the key of a stored value that is no string: what ranges are made of. REQUIRES: the type is Bool, an integer or a float.
func Key(t schema.DataType, raw []byte) uint64 {
	switch s := decode(t, raw); s.kind {
	case kindInt:
		return intKey(int64(s.num))
	case kindFloat:
		return floatOrder(math.Float64frombits(s.num))
	default:
		return s.num
	}
}

// EachItem calls fn with the elements of a stored array as they would be stored by themselves.
func EachItem(elem schema.DataType, raw []byte, fn func(raw []byte)) {
	if w := elem.Width(); w > 0 {
		n := arrayLength(raw)
		for at := 4; n > 0 && at+w <= len(raw); at += w {
			fn(raw[at : at+w])
			n--
		}
		return
	}
	arrayItems(elem, raw, func(s scalar) bool {
		fn(s.raw)
		return true
	})
}

// Terms returns the conditions of the expression that an index can answer, and whether there are no others. The caller must not change them.
func (e *Expr) Terms() (terms []*Term, all bool) {
	if e.terms == nil {
		return nil, false
	}
	e.terms.once.Do(func() { e.terms.find(e.root) })
	return e.terms.list, e.terms.only
}

// termSet holds the terms of an expression, once somebody has asked for them.
type termSet struct {
	once sync.Once
	list []*Term
	of   map[pred]int // the place of a predicate in list
	only bool         // the expression is made of nothing else
}

// find notes the terms among the predicates that are evaluated.
func (s *termSet) find(root pred) {
	s.only = true
	s.of = map[pred]int{}
	var walk func(p pred)
	walk = func(p pred) {
		switch p := p.(type) {
		case *logic:
			for _, a := range p.order {
				walk(a)
			}
			return
		case *not:
			walk(p.x)
			return
		}
		t := termOf(p)
		if t == nil {
			s.only = false
			return
		}
		s.of[p] = len(s.list)
		s.list = append(s.list, t)
	}
	walk(root)
}

// termOf returns the term that a predicate is, nil if it is none.
func termOf(p pred) *Term {
	switch p := p.(type) {
	case *isNull:
		if p.x.field.Type != schema.TypeJSON {
			return &Term{Field: p.x.field, Null: true}
		}
	case *within:
		if c, ok := p.x.(*columnOp); ok {
			return p.term(c.field)
		}
	case *member:
		if c, ok := p.x.(*columnOp); ok {
			return p.term(c.field)
		}
	case *pattern:
		if c, ok := p.x.(*columnOp); ok && c.field.Type == schema.TypeVarChar {
			t := &Term{Field: c.field}
			p.fill(t)
			return t
		}
	case *contains:
		if c, ok := p.x.(*columnOp); ok && c.field.Type == schema.TypeArray {
			return p.term(c.field)
		}
	}
	return pathTerm(p)
}

// fill gives a term the strings that a pattern is true of.
func (p *pattern) fill(t *Term) {
	t.Texts, t.Not = []TextRange{{}}, p.op == opNotMatch
	if p.op == opLike {
		t.Texts[0] = prefixRange(p.head)
	}
	if !p.only || p.op != opLike {
		t.Fits = p.fits
	}
}

// prefixRange holds the strings that begin with a text.
func prefixRange(head string) TextRange {
	if head == "" {
		return TextRange{}
	}
	r := TextRange{Lo: head, HasLo: true}
	hi := []byte(head)
	for i := len(hi) - 1; i >= 0; i-- {
		if hi[i] != 0xff {
			hi[i]++
			r.Hi, r.HasHi, r.HiOpen = string(hi[:i+1]), true, true
			break
		}
	}
	return r
}

func (v interval) texts() TextRange {
	return TextRange{
		Lo: v.lo.str, HasLo: v.lo.kind != kindNone, LoOpen: v.loOpen,
		Hi: v.hi.str, HasHi: v.hi.kind != kindNone, HiOpen: v.hiOpen,
	}
}

func (p *within) term(f *schema.Field) *Term {
	t := &Term{Field: f, Not: p.iv.not}
	switch kindOf(f.Type) {
	case kindBool:
		k := uint64(0)
		if p.iv.lo.bool() {
			k = 1
		}
		t.Ranges = []KeyRange{{k, k}}
	case kindInt:
		if !p.empty {
			t.Ranges = []KeyRange{{intKey(p.lo), intKey(int64(uint64(p.lo) + p.width))}}
		}
	case kindFloat:
		if !p.empty {
			t.Ranges = []KeyRange{{p.floats.lo64 ^ 1<<63, (p.floats.lo64 + p.floats.width64) ^ 1<<63}}
		}
	case kindString:
		t.Texts = []TextRange{p.iv.texts()}
	default:
		return nil
	}
	return t
}

func (m *member) term(f *schema.Field) *Term {
	t := &Term{Field: f}
	for _, v := range m.sorted {
		if !t.add(kindOf(f.Type), v) {
			return nil
		}
	}
	return t
}

func (c *contains) term(f *schema.Field) *Term {
	t := &Term{Field: f, All: c.mode == containsAll}
	for _, v := range c.list {
		if f.ElementType == schema.TypeFloat {
			v = rounded(v)
		}
		if !t.add(kindOf(f.ElementType), v) {
			return nil
		}
	}
	return t
}

// add adds the range of one value. It returns false for what has no key of the kind.
func (t *Term) add(k kind, v value) bool {
	switch {
	case k == kindString && v.kind == kindString:
		t.Texts = append(t.Texts, TextRange{Lo: v.str, HasLo: true, Hi: v.str, HasHi: true})
	case k == kindBool && v.kind == kindBool:
		t.Ranges = append(t.Ranges, KeyRange{v.num & 1, v.num & 1})
	case k == kindInt && v.kind == kindInt:
		t.Ranges = append(t.Ranges, KeyRange{intKey(v.int()), intKey(v.int())})
	case k == kindFloat && v.isNumber():
		f := v.float()
		if v.kind == kindInt && int64(f) != v.int() {
			return false // rounded: the index must not be more generous than a comparison
		}
		lo, hi := f, f
		if f == 0 {
			lo, hi = math.Copysign(0, -1), 0
		}
		t.Ranges = append(t.Ranges, KeyRange{floatOrder(lo), floatOrder(hi)})
	default:
		return false
	}
	return true
}

// Answer is what an index says of a term: bit i%64 of word i/64 stands for row i of the segment.
type Answer struct {
	Yes   []uint64 // the rows where the term is true
	Known []uint64 // those where it is true or false; nil: all
}

// eval is p.eval, unless an index has answered.
func (r *run) eval(p pred, want, t, k []uint64) {
	a := r.answer(p)
	if a == nil {
		p.eval(r, want, t, k)
		return
	}
	at := (r.block.First + r.from) / 64
	copy(t, a.Yes[at:])
	if a.Known == nil {
		fill(k)
	} else {
		copy(k, a.Known[at:])
	}
}

func (r *run) answer(p pred) *Answer {
	if r.block.Answers == nil {
		return nil
	}
	if i, ok := r.expr.terms.of[p]; ok {
		return r.block.Answers[i]
	}
	return nil
}

// answeredFirst puts the predicates that an index has answered before the others.
func (r *run) answeredFirst(order []pred) []pred {
	if r.block.Answers == nil {
		return order
	}
	out := make([]pred, 0, len(order))
	for _, p := range order {
		if r.answer(p) != nil {
			out = append(out, p)
		}
	}
	for _, p := range order {
		if r.answer(p) == nil {
			out = append(out, p)
		}
	}
	return out
}
