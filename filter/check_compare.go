package filter

// compare checks ==, !=, <, <=, > and >=.
func (c *checker) compare(n *node) (term, error) {
	l, err := c.term(n.args[0])
	if err != nil {
		return term{}, err
	}
	r, err := c.term(n.args[1])
	if err != nil {
		return term{}, err
	}
	lv, lc := l.constant()
	rv, rc := r.constant()
	switch {
	case l.p != nil || r.p != nil:
		return c.compareTruth(n, l, r)
	case lc && rc:
		truth, err := foldCompare(n, n.op, lv, rv)
		return term{x: &constant{boolValue(truth)}}, err
	case lc:
		return c.withConstant(n, n.op.flip(), r.x, lv, n.args[0])
	case rc:
		return c.withConstant(n, n.op, l.x, rv, n.args[1])
	}
	return c.withOperand(n, l.x, r.x)
}

// compareTruth checks p == true and the like.
func (c *checker) compareTruth(n *node, l, r term) (term, error) {
	p, other, side := l.p, r, n.args[1]
	if p == nil {
		p, other, side = r.p, l, n.args[0]
	}
	v, ok := other.constant()
	if !ok || v.kind != kindBool || n.op != opEqual && n.op != opNotEqual {
		what := "a condition"
		if other.x != nil {
			what = describe(other.x)
		}
		return term{}, failf(side.at, "a condition can be compared with true and false only, not by %s with %s", n.op, what)
	}
	if v.bool() != (n.op == opEqual) {
		p = newNot(p)
	}
	return term{p: p}, nil
}

func foldCompare(n *node, o op, l, r value) (bool, error) {
	if o == opEqual || o == opNotEqual {
		if l.kind == r.kind || l.isNumber() && r.isNumber() {
			return equalValues(l, r) == (o == opEqual), nil
		}
	} else if order, ok := compareValues(l, r); ok && l.kind != kindBool {
		switch o {
		case opLess:
			return order < 0, nil
		case opLessEqual:
			return order <= 0, nil
		case opGreater:
			return order > 0, nil
		}
		return order >= 0, nil
	}
	return false, failf(n.mark, "cannot compare %s with %s by %s", l.show(), r.show(), o)
}

// withConstant checks x o v. at is where v stands.
func (c *checker) withConstant(n *node, o op, x operand, v value, at *node) (term, error) {
	if x.kind() == kindArray {
		return term{}, c.mismatch(n.mark, x, x, "%s cannot be compared as a whole, only its elements or by array_contains", describe(x))
	}
	if err := c.castable(x, v, at.at, o.String()); err != nil {
		return term{}, err
	}
	if o != opEqual && o != opNotEqual && (v.kind == kindBool || v.kind == kindList) {
		return term{}, c.mismatch(n.mark, x, x, "%s has no order, %s cannot be compared by %s", v.show(), describe(x), o)
	}
	return term{p: newWithin(x, intervalOf(o, v))}, nil
}

// castable refuses a constant that is of another kind than the values of x.
func (c *checker) castable(x operand, v value, at span, doing string) error {
	_, computed := x.(*arith)
	switch k := x.kind(); {
	case k == kindJSON && (!computed || v.isNumber()), k == v.kind && k != kindArray, k == kindFloat && v.kind == kindInt:
		return nil
	case k == kindInt && v.kind == kindFloat:
		return c.mismatch(at, x, x, "%s takes integers, %s cannot be one", describe(x), v.show())
	}
	return c.mismatch(at, x, x, "%s cannot be compared with %s by %s", describe(x), v.show(), doing)
}

// withOperand checks the comparison of two operands that differ from row to row.
func (c *checker) withOperand(n *node, l, r operand) (term, error) {
	lk, rk := l.kind(), r.kind()
	switch {
	case lk == kindJSON || rk == kindJSON:
		return term{}, c.mismatch(n.mark, l, r, "%s cannot be compared with %s: JSON can be compared with constants only", describe(l), describe(r))
	case lk == kindArray || rk == kindArray:
		return term{}, c.mismatch(n.mark, l, r, "%s cannot be compared with %s: arrays cannot be compared as a whole", describe(l), describe(r))
	case lk != rk && !(lk.isNumber() && rk.isNumber()):
		return term{}, c.mismatch(n.mark, l, r, "%s cannot be compared with %s", describe(l), describe(r))
	case lk == kindBool && n.op != opEqual && n.op != opNotEqual:
		return term{}, c.mismatch(n.mark, l, r, "Bool has no order, %s cannot be compared by %s", describe(l), n.op)
	}
	return term{p: &versus{op: n.op, l: l, r: r}}, nil
}

// chain checks lo < x <= hi, and the same downwards.
func (c *checker) chain(n *node) (term, error) {
	a, x, b := n.args[0], n.args[1], n.args[2]
	ops := n.ops
	if ops[0] == opGreater || ops[0] == opGreaterEqual {
		a, b = b, a
		ops[0], ops[1] = ops[1].flip(), ops[0].flip()
	}
	lo, err := c.operand(a)
	if err != nil {
		return term{}, err
	}
	hi, err := c.operand(b)
	if err != nil {
		return term{}, err
	}
	mid, err := c.operand(x)
	if err != nil {
		return term{}, err
	}
	lov, ok := lo.(*constant)
	if !ok {
		return term{}, failf(a.at, "a bound of a range is a constant, not %s", describe(lo))
	}
	hiv, ok := hi.(*constant)
	if !ok {
		return term{}, failf(b.at, "a bound of a range is a constant, not %s", describe(hi))
	}
	iv := interval{lo: lov.value, hi: hiv.value, loOpen: ops[0] == opLess, hiOpen: ops[1] == opLess}
	order, ok := compareValues(iv.lo, iv.hi)
	switch {
	case !ok || iv.lo.kind == kindBool:
		return term{}, failf(n.mark, "%s and %s cannot bound a range", iv.lo.show(), iv.hi.show())
	case order > 0 || order == 0 && (iv.loOpen || iv.hiOpen):
		return term{}, failf(n.mark, "the range is empty: its lower bound %s is not below its upper bound %s", iv.lo, iv.hi)
	}
	if v, ok := mid.(*constant); ok {
		if _, ok := compareValues(v.value, iv.lo); !ok {
			return term{}, failf(x.at, "%s cannot be compared with %s", v.value.show(), iv.lo.show())
		}
		return term{x: &constant{boolValue(iv.holds(v.value))}}, nil
	}
	if mid.kind() == kindArray {
		return term{}, c.mismatch(x.at, mid, mid, "%s cannot be compared as a whole", describe(mid))
	}
	if err := c.castable(mid, iv.lo, a.at, "a range"); err != nil {
		return term{}, err
	}
	if err := c.castable(mid, iv.hi, b.at, "a range"); err != nil {
		return term{}, err
	}
	return term{p: newWithin(mid, iv)}, nil
}

// in checks x in [list].
func (c *checker) in(n *node) (term, error) {
	x, err := c.operand(n.args[0])
	if err != nil {
		return term{}, err
	}
	list, err := c.list(n.args[1])
	if err != nil {
		return term{}, err
	}
	if v, ok := x.(*constant); ok {
		for _, e := range list.list {
			if equalValues(e, v.value) {
				return term{x: &constant{boolValue(true)}}, nil
			}
		}
		return term{x: &constant{boolValue(false)}}, nil
	}
	if x.kind() == kindArray {
		return term{}, c.mismatch(n.args[0].at, x, x, "%s cannot be compared as a whole, only its elements or by array_contains", describe(x))
	}
	for i, v := range list.list {
		if err := c.castable(x, v, n.args[1].spot(i), `"in"`); err != nil {
			return term{}, err
		}
	}
	if f, ok := x.(*columnOp); ok && len(list.list) == 0 && !f.field.IsNullable {
		return term{p: constPred(false)}, nil
	}
	return term{p: newMember(x, list.list)}, nil
}

// list checks a piece that has to be a list of constants.
func (c *checker) list(n *node) (value, error) {
	x, err := c.operand(n)
	if err != nil {
		return value{}, err
	}
	v, ok := x.(*constant)
	if !ok || v.value.kind != kindList {
		return value{}, failf(n.at, "expected a list, such as [1, 2], not %s", describe(x))
	}
	return v.value, nil
}

// spot is where element i of a list begins; the whole list if it is not written down.
func (n *node) spot(i int) span {
	if i < len(n.spots) {
		at := int(n.spots[i])
		return span{at, at + 1}
	}
	return n.at
}
