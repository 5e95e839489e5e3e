package filter

import (
	"fmt"
	"strings"

	"github.com/selkiedb/selkie/schema"
)

// checker turns syntax into predicates and operands of known kinds, and folds what is constant.
type checker struct {
	schema *schema.Schema
	meta   *schema.Field // "$meta", nil if there is none
}

func newChecker(s *schema.Schema) *checker {
	c := &checker{schema: s}
	if f, ok := s.Field(schema.MetaName); ok && f.IsDynamic {
		c.meta = f
	}
	return c
}

// term is a piece of an expression: a predicate or an operand.
type term struct {
	p pred
	x operand
}

func (t term) constant() (value, bool) {
	if c, ok := t.x.(*constant); ok {
		return c.value, true
	}
	return value{}, false
}

// predicate checks a piece that has to be true or false.
func (c *checker) predicate(n *node) (pred, error) {
	t, err := c.term(n)
	if err != nil {
		return nil, err
	}
	return c.asPredicate(n, t)
}

func (c *checker) asPredicate(n *node, t term) (pred, error) {
	if t.p != nil {
		return t.p, nil
	}
	if v, ok := t.constant(); ok && v.kind == kindBool {
		return constPred(v.bool()), nil
	}
	switch t.x.kind() {
	case kindBool:
		return isTrueOf(t.x), nil
	case kindJSON:
		return nil, failf(n.at, `%s is no condition, compare it: "== true"`, describe(t.x))
	}
	return nil, failf(n.at, "%s is no condition", describe(t.x))
}

// operand checks a piece that has to have a value.
func (c *checker) operand(n *node) (operand, error) {
	t, err := c.term(n)
	if err != nil {
		return nil, err
	}
	if t.x == nil {
		return nil, failf(n.at, "a condition stands where a value is needed")
	}
	return t.x, nil
}

func (c *checker) term(n *node) (term, error) {
	switch n.op {
	case opConst, opList:
		v, err := constantOf(n)
		return term{x: &constant{v}}, err
	case opName:
		x, err := c.name(n)
		if p, ok := x.(*path); ok && p.field.IsDynamic && len(p.steps) == 0 {
			return term{}, failf(n.at, `$meta is looked at by key: $meta["key"]`)
		}
		return term{x: x}, err
	case opIndex:
		x, err := c.index(n)
		return term{x: x}, err
	case opNeg, opPlus, opInvert:
		return c.sign(n)
	case opPow, opMul, opDiv, opMod, opAdd, opSub, opShiftLeft, opShiftRight, opBitAnd, opBitXor, opBitOr:
		return c.arithmetic(n)
	case opNot:
		p, err := c.predicate(n.args[0])
		if err != nil {
			return term{}, err
		}
		return term{p: newNot(p)}, nil
	case opAnd, opOr:
		args := make([]pred, len(n.args))
		for i, a := range n.args {
			var err error
			if args[i], err = c.predicate(a); err != nil {
				return term{}, err
			}
		}
		return term{p: newLogic(n.op == opAnd, args)}, nil
	case opEqual, opNotEqual, opLess, opLessEqual, opGreater, opGreaterEqual:
		return c.compare(n)
	case opChain:
		return c.chain(n)
	case opIn:
		return c.in(n)
	case opIsNull:
		return c.isNull(n)
	case opExists:
		return c.exists(n)
	case opLike, opMatch, opNotMatch:
		return c.pattern(n)
	case opCall:
		return c.call(n)
	}
	return term{}, failf(n.mark, "%s is not supported", n.op)
}

// name finds a field, or makes a dynamic key of what is none.
func (c *checker) name(n *node) (operand, error) {
	f, ok := c.schema.Field(n.text)
	switch {
	case ok && f.Type.IsVector():
		return nil, failField(n.at, f, "field %q (%s) is a vector, which filters cannot look at", f.Name, f.Type)
	case ok && f.Type == schema.TypeJSON:
		return &path{field: f}, nil
	case ok:
		return &columnOp{field: f}, nil
	case c.meta != nil && n.text != schema.MetaName:
		return &path{field: c.meta, steps: []step{{key: n.text, index: -1}}}, nil
	case n.text == schema.MetaName:
		return nil, failf(n.at, "there is no $meta, the collection has no dynamic field")
	}
	e := failf(n.at, "field %q does not exist%s", n.text, c.similar(n.text))
	e.(*fault).field = n.text
	return nil, e
}

// similar suggests a field whose name differs in case or by one letter.
func (c *checker) similar(name string) string {
	for _, f := range c.schema.Fields {
		if strings.EqualFold(f.Name, name) || oneEdit(f.Name, name) {
			return fmt.Sprintf("; is it %q?", f.Name)
		}
	}
	return ""
}

// oneEdit tells whether two names differ by one letter that is changed, added, left out, or exchanged with its neighbour.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || len(a) < 3 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	if i == len(a) {
		return true
	}
	return a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

func (c *checker) index(n *node) (operand, error) {
	var x operand
	var err error
	if n.args[0].op == opName {
		x, err = c.name(n.args[0])
	} else {
		x, err = c.operand(n.args[0])
	}
	if err != nil {
		return nil, err
	}
	switch x := x.(type) {
	case *path:
		s := step{index: -1, key: n.val.str}
		if n.val.kind == kindInt {
			s.index = n.val.int()
		}
		steps := append(x.steps[:len(x.steps):len(x.steps)], s)
		return &path{field: x.field, steps: steps}, nil
	case *columnOp:
		if x.kind() != kindArray {
			break
		}
		if n.val.kind != kindInt {
			return nil, failField(n.mark, x.field, "%s is indexed by an integer, not %s", describe(x), n.val.show())
		}
		return &element{field: x.field, index: n.val.int()}, nil
	}
	return nil, failf(n.at, "%s has no elements to index", describe(x))
}

func (c *checker) isNull(n *node) (term, error) {
	x, err := c.operand(n.args[0])
	if err != nil {
		return term{}, err
	}
	switch x := x.(type) {
	case *columnOp:
		return term{p: nullOf(x)}, nil
	case *path:
		if len(x.steps) > 0 {
			return term{p: newNot(&exists{x})}, nil
		}
		return term{p: nullOf(&columnOp{field: x.field})}, nil
	}
	return term{}, failf(n.args[0].at, `"is null" asks for a field or a JSON path, not %s`, describe(x))
}

func nullOf(x *columnOp) pred {
	if !x.field.IsNullable {
		return constPred(false)
	}
	return &isNull{x}
}

func (c *checker) exists(n *node) (term, error) {
	x, err := c.operand(n.args[0])
	if err != nil {
		return term{}, err
	}
	p, ok := x.(*path)
	if !ok {
		return term{}, failf(n.args[0].at, `"exists" asks for a JSON path or a dynamic key, not %s`, describe(x))
	}
	return term{p: &exists{p}}, nil
}

// sign checks -x, +x and ~x. What is not constant becomes x * -1 and x ^ -1.
func (c *checker) sign(n *node) (term, error) {
	if x := n.args[0]; x.op == opConst {
		v, err := constantOf(n)
		return term{x: &constant{v}}, err
	}
	x, err := c.operand(n.args[0])
	if err != nil {
		return term{}, err
	}
	if v, ok := x.(*constant); ok {
		folded, err := foldSign(n, v.value)
		return term{x: &constant{folded}}, err
	}
	switch n.op {
	case opPlus:
		if k := x.kind(); !k.isNumber() && k != kindJSON {
			return term{}, failf(n.mark, "+ cannot be applied to %s", describe(x))
		}
		return term{x: x}, nil
	case opNeg:
		return c.combine(n, opMul, x, &constant{intValue(-1)})
	}
	return c.combine(n, opBitXor, x, &constant{intValue(-1)})
}

func (c *checker) arithmetic(n *node) (term, error) {
	for _, a := range n.args {
		if a.op >= opEqual && a.op <= opGreaterEqual && !a.paren {
			return term{}, failf(n.mark, "%s binds more tightly than %s: write (a %s b) %s c", a.op, n.op, n.op, a.op)
		}
	}
	l, err := c.operand(n.args[0])
	if err != nil {
		return term{}, err
	}
	r, err := c.operand(n.args[1])
	if err != nil {
		return term{}, err
	}
	return c.combine(n, n.op, l, r)
}

func (c *checker) combine(n *node, o op, l, r operand) (term, error) {
	lv, lc := l.(*constant)
	rv, rc := r.(*constant)
	if lc && rc {
		v, err := foldArithmetic(n, lv.value, rv.value)
		return term{x: &constant{v}}, err
	}
	lk, rk := l.kind(), r.kind()
	numeric := func(k kind) bool { return k.isNumber() || k == kindJSON }
	switch {
	case !numeric(lk) || !numeric(rk):
		return term{}, c.mismatch(n.mark, l, r, "%s cannot be applied to %s and %s", n.op, describe(l), describe(r))
	case needsInts(o) && (lk == kindFloat || rk == kindFloat):
		return term{}, c.mismatch(n.mark, l, r, "%s takes integers, not %s and %s", n.op, describe(l), describe(r))
	case isShift(o) || o == opPow:
		return term{}, c.mismatch(n.mark, l, r, "%s takes constants, not %s and %s", n.op, describe(l), describe(r))
	case (o == opDiv || o == opMod) && rc && rv.value.float() == 0:
		return term{}, failf(n.mark, "division by zero")
	}
	a := &arith{op: o, l: l, r: r, of: kindInt}
	switch {
	case lk == kindJSON || rk == kindJSON:
		a.of = kindJSON
	case lk == kindFloat || rk == kindFloat:
		a.of = kindFloat
	}
	return term{x: a}, nil
}

// mismatch is an error about two operands. It names the field if one of them is about one.
func (c *checker) mismatch(at span, l, r operand, format string, args ...any) error {
	f := fieldOf(l)
	if f == nil {
		f = fieldOf(r)
	}
	if f == nil {
		return failf(at, format, args...)
	}
	return failField(at, f, format, args...)
}
