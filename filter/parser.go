package filter

import (
	"strconv"
	"strings"
)

// parser turns tokens into a syntax tree by operator precedence (V. Pratt: Top down operator precedence, POPL 1973): what
// may begin a term is read by prefix, and what may follow one by the loop of expr, as long as it binds at least as tightly
// as is asked for.
type parser struct {
	lexer
	tok    token
	values map[string]any
	depth  int // of calls of expr
	nodes  int
}

// How tightly operators bind. The order is that of Milvus's grammar, with three exceptions, which docs/filter.md lists: not
// binds more loosely than comparisons, exists and is null more tightly.
const (
	bindOr = iota + 1
	bindAnd
	bindNot
	bindBitOr
	bindBitXor
	bindBitAnd
	bindEqual
	bindLess
	bindIn
	bindShift
	bindAdd
	bindMul
	bindSign
	bindPow
	bindLike
	bindPath
)

// infix is an operator between two terms.
type infix struct {
	op   op
	bind int
}

func infixOf(t token) infix {
	switch t.kind {
	case tokWord:
		switch t.text {
		case "or":
			return infix{opOr, bindOr}
		case "and":
			return infix{opAnd, bindAnd}
		case "in", "not":
			return infix{opIn, bindIn}
		case "like":
			return infix{opLike, bindLike}
		case "is":
			return infix{opIsNull, bindLike}
		}
	case tokSymbol:
		switch t.text {
		case "||":
			return infix{opOr, bindOr}
		case "&&":
			return infix{opAnd, bindAnd}
		case "|":
			return infix{opBitOr, bindBitOr}
		case "^":
			return infix{opBitXor, bindBitXor}
		case "&":
			return infix{opBitAnd, bindBitAnd}
		case "==":
			return infix{opEqual, bindEqual}
		case "!=":
			return infix{opNotEqual, bindEqual}
		case "<":
			return infix{opLess, bindLess}
		case "<=":
			return infix{opLessEqual, bindLess}
		case ">":
			return infix{opGreater, bindLess}
		case ">=":
			return infix{opGreaterEqual, bindLess}
		case "<<":
			return infix{opShiftLeft, bindShift}
		case ">>":
			return infix{opShiftRight, bindShift}
		case "+":
			return infix{opAdd, bindAdd}
		case "-":
			return infix{opSub, bindAdd}
		case "*":
			return infix{opMul, bindMul}
		case "/":
			return infix{opDiv, bindMul}
		case "%":
			return infix{opMod, bindMul}
		case "**":
			return infix{opPow, bindPow}
		case "=~":
			return infix{opMatch, bindLike}
		case "!~":
			return infix{opNotMatch, bindLike}
		case "[":
			return infix{opIndex, bindPath}
		}
	}
	return infix{}
}

// parse reads a whole expression; nil for one that holds nothing.
func parse(src string, values map[string]any) (*node, error) {
	if len(src) > MaxLength {
		return nil, tooLarge(span{}, "the expression has %d bytes, at most %d are allowed", len(src), MaxLength)
	}
	p := &parser{lexer: lexer{src: src}, values: values}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind == tokEnd {
		return nil, nil
	}
	n, err := p.expr(bindOr)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.unexpected("an operator")
	}
	return n, nil
}

func (p *parser) advance() (err error) {
	p.tok, err = p.next()
	return err
}

func (p *parser) unexpected(wanted string) error {
	switch {
	case p.tok.kind == tokSymbol && (p.tok.text == ">" || p.tok.text == "<"):
		wanted += `; "not equal" is "!="`
	case wanted == `")"` && p.tok.is(","):
		wanted += "; lists stand in square brackets"
	case p.tok.kind == tokName && infixOfName(p.tok.text) != "":
		wanted += `, such as "` + infixOfName(p.tok.text) + `"`
	}
	return failf(p.tok.at, "unexpected %s, expected %s", p.tok.describe(), wanted)
}

// infixOfName guesses which operator someone meant who comes from another language.
func infixOfName(name string) string {
	switch strings.ToLower(name) {
	case "between":
		return "1 < x <= 5"
	case "eq", "equals":
		return "=="
	case "contains", "regexp", "ilike", "matches":
		return `like "%…%"`
	case "xor", "div", "mod":
		return "%"
	}
	return ""
}

func (p *parser) expect(symbol string) (token, error) {
	t := p.tok
	if !t.is(symbol) {
		return t, p.unexpected(strconv.Quote(symbol))
	}
	return t, p.advance()
}

// make counts the node and its depth.
func (p *parser) make(n node) (*node, error) {
	p.nodes++
	if p.nodes > MaxNodes {
		return nil, tooLarge(n.mark, "the expression has more than %d operators and operands", MaxNodes)
	}
	for _, a := range n.args {
		n.depth = max(n.depth, a.depth)
	}
	for _, a := range n.named {
		n.depth = max(n.depth, a.val.depth)
	}
	n.depth++
	if n.depth > MaxDepth {
		return nil, p.tooDeep(n.mark)
	}
	return &n, nil
}

func (p *parser) tooDeep(at span) error {
	return tooLarge(at, "the expression is nested more than %d deep", MaxDepth)
}

// expr reads a term and all that follows it with operators that bind at least as tightly as min.
func (p *parser) expr(min int) (*node, error) {
	p.depth++
	if p.depth > MaxDepth {
		return nil, p.tooDeep(p.tok.at)
	}
	defer func() { p.depth-- }()
	left, err := p.prefix()
	if err != nil {
		return nil, err
	}
	return p.rest(left, min)
}

// rest reads what follows left.
func (p *parser) rest(left *node, min int) (*node, error) {
	for {
		in := infixOf(p.tok)
		if in.op == opNone || in.bind < min {
			return left, nil
		}
		var err error
		if left, err = p.infix(left, in); err != nil {
			return nil, err
		}
	}
}

// prefix reads a term without the operators behind it.
func (p *parser) prefix() (*node, error) {
	t := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch t.kind {
	case tokLiteral:
		return p.make(node{op: opConst, at: t.at, mark: t.at, val: t.value})
	case tokTemplate:
		return p.template(t)
	case tokName:
		if p.tok.is("(") {
			return nil, failf(t.at, "there is no function %q", t.text)
		}
		return p.make(node{op: opName, at: t.at, mark: t.at, text: t.text})
	case tokSymbol:
		switch t.text {
		case "(":
			n, err := p.expr(bindOr)
			if err != nil {
				return nil, err
			}
			end, err := p.expect(")")
			if err != nil {
				return nil, err
			}
			n.at = t.at.to(end.at)
			n.paren = true
			return n, nil
		case "[":
			return p.list(t)
		case "-":
			return p.unary(opNeg, t, bindSign)
		case "+":
			return p.unary(opPlus, t, bindSign)
		case "~":
			return p.unary(opInvert, t, bindSign)
		case "!":
			return p.unary(opNot, t, bindNot)
		}
	case tokWord:
		switch t.text {
		case "not":
			return p.unary(opNot, t, bindNot)
		case "exists":
			return p.unary(opExists, t, bindPath)
		case "true", "false":
			return p.make(node{op: opConst, at: t.at, mark: t.at, val: boolValue(t.text == "true")})
		case "null":
			return nil, failf(t.at, `there is no null to compare with, write "is null" behind a field`)
		case "interval", "iso":
			return nil, failf(t.at, "%q belongs to timestamps, which Selkie has not", t.text)
		}
		if strings.HasPrefix(t.text, "st_") {
			return nil, failf(t.at, "%q belongs to geometries, which Selkie has not", t.text)
		}
		if strings.Contains(t.text, "_") {
			return p.call(t)
		}
	}
	p.tok = t // what was read is not what may stand here
	return nil, p.unexpected("a value, a field or \"(\"")
}

func (p *parser) unary(o op, t token, bind int) (*node, error) {
	x, err := p.expr(bind)
	if err != nil {
		return nil, err
	}
	return p.make(node{op: o, at: t.at.to(x.at), mark: t.at, args: []*node{x}})
}

// infix reads the operator that stands behind left, and what belongs to it.
func (p *parser) infix(left *node, in infix) (*node, error) {
	t := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	negated := false
	switch in.op {
	case opIndex:
		return p.index(left)
	case opIsNull:
		if p.tok.is("not") {
			negated = true
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
		end, err := p.expect("null")
		if err != nil {
			return nil, err
		}
		n, err := p.make(node{op: opIsNull, at: left.at.to(end.at), mark: t.at.to(end.at), args: []*node{left}})
		return p.negate(n, negated, err)
	case opIn:
		if t.text == "not" {
			negated = true
			switch {
			case p.tok.is("like"):
				in = infix{opLike, bindLike}
			case !p.tok.is("in"):
				return nil, p.unexpected(`"in" or "like"`)
			}
			t.at = t.at.to(p.tok.at)
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
	}
	right, err := p.expr(in.bind + 1)
	if err != nil {
		return nil, err
	}
	n := node{op: in.op, at: left.at.to(right.at), mark: t.at, args: []*node{left, right}}
	switch in.op {
	case opAnd, opOr:
		return p.logical(n)
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		if isOrder(left.op) && !left.paren {
			return p.chain(n)
		}
		if left.op == opChain && !left.paren {
			return nil, failf(t.at, "a range has two bounds")
		}
	}
	made, err := p.make(n)
	return p.negate(made, negated, err)
}

func (p *parser) negate(n *node, negated bool, err error) (*node, error) {
	if err != nil || !negated {
		return n, err
	}
	return p.make(node{op: opNot, at: n.at, mark: n.mark, args: []*node{n}})
}

func isOrder(o op) bool { return o >= opLess && o <= opGreaterEqual }

// chain makes a range of two comparisons: (a < b) < c.
func (p *parser) chain(n node) (*node, error) {
	first := n.args[0]
	up := func(o op) bool { return o == opLess || o == opLessEqual }
	if up(first.op) != up(n.op) {
		return nil, failf(n.mark, "a range goes one way: %s after %s", n.op, first.op)
	}
	return p.make(node{
		op: opChain, at: n.at, mark: n.mark, ops: [2]op{first.op, n.op},
		args: []*node{first.args[0], first.args[1], n.args[1]},
	})
}

// logical makes one node of a run of the same connective, so that long runs are not deep.
func (p *parser) logical(n node) (*node, error) {
	left, right := n.args[0], n.args[1]
	if left.op != n.op {
		return p.make(n)
	}
	left.at, left.paren = n.at, false
	left.args = append(left.args, right)
	left.depth = max(left.depth, right.depth+1)
	if left.depth > MaxDepth {
		return nil, p.tooDeep(n.mark)
	}
	return left, nil
}

// index reads the rest of x[key].
func (p *parser) index(x *node) (*node, error) {
	key, err := p.expr(bindOr)
	if err != nil {
		return nil, err
	}
	end, err := p.expect("]")
	if err != nil {
		return nil, err
	}
	v, err := constantOf(key)
	switch {
	case err != nil:
		return nil, err
	case v.kind == kindInt && v.int() < 0:
		return nil, failf(key.at, "index %d is negative, the first element is 0", v.int())
	case v.kind != kindInt && v.kind != kindString:
		return nil, failf(key.at, "an index is a string or an integer, not %s", v.show())
	}
	return p.make(node{op: opIndex, at: x.at.to(end.at), mark: key.at, args: []*node{x}, val: v})
}

// list reads the rest of [a, b, …]. Its elements are constants, and kept as such.
func (p *parser) list(open token) (*node, error) {
	n := node{op: opList, val: value{kind: kindList}}
	for !p.tok.is("]") {
		if len(n.val.list) > 0 {
			if _, err := p.expect(","); err != nil {
				return nil, err
			}
		}
		at := p.tok.at
		v, depth, err := p.element()
		if err != nil {
			return nil, err
		}
		if len(n.val.list) == MaxList {
			return nil, tooLarge(at, "the list has more than %d elements", MaxList)
		}
		n.depth = max(n.depth, depth)
		n.val.list = append(n.val.list, v)
		n.spots = append(n.spots, uint32(at.pos))
	}
	n.at = open.at.to(p.tok.at)
	n.mark = n.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	return p.make(n)
}

// element reads one element of a list, and returns how deep it was nested.
func (p *parser) element() (v value, depth int, err error) {
	nodes := p.nodes
	t := p.tok
	var x *node
	if t.kind == tokLiteral && t.value.kind != kindBig {
		if err := p.advance(); err != nil {
			return v, 0, err
		}
		if p.tok.is(",") || p.tok.is("]") {
			return t.value, 1, nil // as it is nearly always
		}
		if x, err = p.make(node{op: opConst, at: t.at, mark: t.at, val: t.value}); err == nil {
			x, err = p.rest(x, bindOr)
		}
	} else {
		x, err = p.expr(bindOr)
	}
	if err != nil {
		return v, 0, err
	}
	p.nodes = nodes // what an element is made of is not kept
	v, err = constantOf(x)
	return v, x.depth, err
}

func (p *parser) template(t token) (*node, error) {
	given, ok := p.values[t.text]
	if !ok {
		return nil, failf(t.at, "no value is given for template {%s}", t.text)
	}
	v, err := templateValue(given)
	if err != nil {
		var large bool
		if f, ok := err.(*fault); ok {
			large = f.large
		}
		return nil, &fault{at: t.at, reason: "template {" + t.text + "} " + err.Error(), large: large}
	}
	o := opConst
	if v.kind == kindList {
		o = opList
	}
	return p.make(node{op: o, at: t.at, mark: t.at, val: v})
}

// call reads the rest of name(a, b, key=c).
func (p *parser) call(name token) (*node, error) {
	if _, err := p.expect("("); err != nil {
		return nil, err
	}
	n := node{op: opCall, mark: name.at, text: name.text}
	for !p.tok.is(")") {
		if len(n.args)+len(n.named) > 0 {
			if _, err := p.expect(","); err != nil {
				return nil, err
			}
		}
		if p.tok.kind == tokName {
			key := p.tok
			l := p.lexer
			for l.at < len(l.src) && isSpace(l.src[l.at]) {
				l.at++
			}
			if strings.HasPrefix(l.src[l.at:], "=") && !strings.HasPrefix(l.src[l.at:], "==") && !strings.HasPrefix(l.src[l.at:], "=~") {
				p.lexer.at = l.at + 1
				if err := p.advance(); err != nil {
					return nil, err
				}
				x, err := p.expr(bindOr)
				if err != nil {
					return nil, err
				}
				n.named = append(n.named, namedArg{key.text, key.at, x})
				continue
			}
		}
		if len(n.named) > 0 {
			return nil, p.unexpected("a named argument")
		}
		x, err := p.expr(bindOr)
		if err != nil {
			return nil, err
		}
		n.args = append(n.args, x)
		if len(n.args) > maxArgs {
			return nil, failf(x.at, "%s takes at most %d arguments", name.text, maxArgs)
		}
	}
	n.at = name.at.to(p.tok.at)
	if err := p.advance(); err != nil {
		return nil, err
	}
	return p.make(n)
}

const maxArgs = 3
