package filter

import (
	"regexp"
	"strings"
)

// pattern checks like, =~ and !~.
func (c *checker) pattern(n *node) (term, error) {
	x, err := c.operand(n.args[0])
	if err != nil {
		return term{}, err
	}
	text, err := c.text(n.args[1], "a pattern")
	if err != nil {
		return term{}, err
	}
	_, computed := x.(*arith)
	if k := x.kind(); k != kindString && k != kindJSON || computed {
		return term{}, c.mismatch(n.args[0].at, x, x, "%s looks at strings, not at %s", n.op, describe(x))
	}
	p := &pattern{x: x, op: n.op, text: text}
	if n.op == opLike {
		g, ok := parseGlob(text)
		if !ok {
			return term{}, failf(n.args[1].at, "the pattern ends in a backslash, which takes the meaning from nothing")
		}
		p.fits = g.matcher()
		p.head, p.only = g.prefix()
		switch text, kind := g.simple(); kind {
		case ' ', '%':
			p.begins = newHead(text, kind == ' ')
		case 'i':
			p.holds = []byte(text)
		}
	} else {
		if len(text) > MaxRegexp {
			return term{}, tooLarge(n.args[1].at, "the regular expression has %d bytes, at most %d are allowed", len(text), MaxRegexp)
		}
		re, err := regexp.Compile(text)
		if err != nil {
			return term{}, failf(n.args[1].at, "%s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
		p.fits = re.Match
	}
	if v, ok := x.(*constant); ok {
		fits := p.fits([]byte(v.value.str)) != (n.op == opNotMatch)
		return term{x: &constant{boolValue(fits)}}, nil
	}
	return term{p: p}, nil
}

// text checks a piece that has to be a constant string.
func (c *checker) text(n *node, what string) (string, error) {
	x, err := c.operand(n)
	if err != nil {
		return "", err
	}
	if v, ok := x.(*constant); ok && v.value.kind == kindString {
		return v.value.str, nil
	}
	return "", failf(n.at, "%s is a string in quotes, not %s", what, describe(x))
}

// call checks a function.
func (c *checker) call(n *node) (term, error) {
	name := n.text
	if strings.HasPrefix(name, "json_") || strings.HasPrefix(name, "array_contains") {
		return c.contains(n, name[strings.Index(name, "contains")+len("contains"):])
	}
	switch name {
	case "array_length":
		return c.arrayLength(n)
	case "text_match":
		return c.textMatch(n)
	case "phrase_match":
		return c.phraseMatch(n)
	case "random_sample":
		return term{}, failf(n.mark, "random_sample stands alone, or is joined to the rest by and")
	}
	return term{}, failf(n.mark, "there is no function %q", name)
}

func (c *checker) arguments(n *node, least, most int, usage string) error {
	if len(n.args) < least || len(n.args) > most {
		return failf(n.at, "%s takes %s", n.text, usage)
	}
	return nil
}

func (c *checker) unnamed(n *node) error {
	if len(n.named) > 0 {
		return failf(n.named[0].at, "%s has no argument %q", n.text, n.named[0].name)
	}
	return nil
}

func (c *checker) contains(n *node, suffix string) (term, error) {
	usage := "an array and a value"
	if suffix != "" {
		usage = "an array and a list of values"
	}
	if err := c.arguments(n, 2, 2, usage); err != nil {
		return term{}, err
	}
	if err := c.unnamed(n); err != nil {
		return term{}, err
	}
	x, err := c.operand(n.args[0])
	if err != nil {
		return term{}, err
	}
	p := &contains{x: x}
	second := n.args[1]
	switch suffix {
	case "":
		y, err := c.operand(second)
		if err != nil {
			return term{}, err
		}
		v, ok := y.(*constant)
		if !ok {
			return term{}, failf(second.at, "%s looks for a constant, not for %s", n.text, describe(y))
		}
		p.list = []value{v.value}
	default:
		v, err := c.list(second)
		if err != nil {
			return term{}, err
		}
		p.list = v.list
		p.mode = containsAny
		if suffix == "_all" {
			p.mode = containsAll
		}
	}
	switch x := x.(type) {
	case *path:
	case *columnOp:
		if x.kind() != kindArray {
			return term{}, failField(n.args[0].at, x.field, "%s looks into arrays, not into %s", n.text, describe(x))
		}
		one := &element{field: x.field}
		for i, v := range p.list {
			at := second.at
			if p.mode != containsOne {
				at = second.spot(i)
			}
			if k := one.kind(); k != v.kind && !(k == kindFloat && v.kind == kindInt) {
				return term{}, failField(at, x.field, "%s cannot hold %s", describe(x), v.show())
			}
		}
		p.set = newValueSet(roundedFor(one, p.list))
		return term{p: p}, nil
	default:
		return term{}, failf(n.args[0].at, "%s looks into arrays, not into %s", n.text, describe(x))
	}
	p.set = newValueSet(p.list)
	return term{p: p}, nil
}

// roundedFor returns the constants as values of x would be stored.
func roundedFor(x operand, list []value) []value {
	if !fieldIsFloat(x) {
		return list
	}
	out := make([]value, len(list))
	for i, v := range list {
		out[i] = rounded(v)
	}
	return out
}

func (c *checker) arrayLength(n *node) (term, error) {
	if err := c.arguments(n, 1, 1, "an array"); err != nil {
		return term{}, err
	}
	if err := c.unnamed(n); err != nil {
		return term{}, err
	}
	x, err := c.operand(n.args[0])
	if err != nil {
		return term{}, err
	}
	if _, ok := x.(*path); !ok && x.kind() != kindArray {
		return term{}, c.mismatch(n.args[0].at, x, x, "%s counts the elements of arrays, not of %s", n.text, describe(x))
	}
	return term{x: &length{x}}, nil
}

// textField checks the first argument of text_match and phrase_match.
func (c *checker) textField(n *node) (*columnOp, error) {
	x, err := c.operand(n.args[0])
	if err != nil {
		return nil, err
	}
	f, ok := x.(*columnOp)
	if !ok || f.kind() != kindString {
		return nil, c.mismatch(n.args[0].at, x, x, "%s looks at VarChar fields, not at %s", n.text, describe(x))
	}
	return f, nil
}

func (c *checker) textMatch(n *node) (term, error) {
	if err := c.arguments(n, 2, 3, "a VarChar field, a query, and minimum_should_match, which may be left out"); err != nil {
		return term{}, err
	}
	x, err := c.textField(n)
	if err != nil {
		return term{}, err
	}
	query, err := c.text(n.args[1], "a query")
	if err != nil {
		return term{}, err
	}
	least := int64(1)
	switch at := n.option("minimum_should_match", 2); {
	case len(n.named) > 0 && (n.named[0].name != "minimum_should_match" || len(n.named) > 1 || len(n.args) > 2):
		return term{}, failf(n.named[len(n.named)-1].at, "text_match has no argument %q here", n.named[len(n.named)-1].name)
	case at != nil:
		if least, err = c.integer(at, "minimum_should_match", 1, MaxShouldMatch); err != nil {
			return term{}, err
		}
	}
	return term{p: newTextMatch(x, query, int(least))}, nil
}

func (c *checker) phraseMatch(n *node) (term, error) {
	if err := c.arguments(n, 2, 3, "a VarChar field, a query, and slop, which may be left out"); err != nil {
		return term{}, err
	}
	x, err := c.textField(n)
	if err != nil {
		return term{}, err
	}
	query, err := c.text(n.args[1], "a query")
	if err != nil {
		return term{}, err
	}
	slop := int64(0)
	switch at := n.option("slop", 2); {
	case len(n.named) > 0 && (n.named[0].name != "slop" || len(n.named) > 1 || len(n.args) > 2):
		return term{}, failf(n.named[len(n.named)-1].at, "phrase_match has no argument %q here", n.named[len(n.named)-1].name)
	case at != nil:
		if slop, err = c.integer(at, "slop", 0, MaxSlop); err != nil {
			return term{}, err
		}
	}
	return term{p: newPhrase(x, query, slop)}, nil
}

// option returns an argument that may be given by its name or as number at, nil if it is not given.
func (n *node) option(name string, at int) *node {
	if len(n.args) > at {
		return n.args[at]
	}
	for _, a := range n.named {
		if a.name == name {
			return a.val
		}
	}
	return nil
}

func (c *checker) integer(n *node, what string, least, most int64) (int64, error) {
	x, err := c.operand(n)
	if err != nil {
		return 0, err
	}
	v, ok := x.(*constant)
	if !ok || v.value.kind != kindInt || v.value.int() < least || v.value.int() > most {
		return 0, failf(n.at, "%s is an integer from %d to %d, not %s", what, least, most, describe(x))
	}
	return v.value.int(), nil
}

// whole checks an expression as a whole. random_sample may stand there alone, or joined to the rest by and.
func (c *checker) whole(n *node) (pred, error) {
	if isSample(n) {
		return c.sample(n)
	}
	if n.op != opAnd {
		return c.predicate(n)
	}
	args := make([]pred, len(n.args))
	for i, a := range n.args {
		var err error
		if isSample(a) {
			args[i], err = c.sample(a)
		} else {
			args[i], err = c.predicate(a)
		}
		if err != nil {
			return nil, err
		}
	}
	return newLogic(true, args), nil
}

func isSample(n *node) bool { return n.op == opCall && n.text == "random_sample" }

func (c *checker) sample(n *node) (pred, error) {
	if err := c.arguments(n, 1, 1, "a share between 0 and 1"); err != nil {
		return nil, err
	}
	if err := c.unnamed(n); err != nil {
		return nil, err
	}
	x, err := c.operand(n.args[0])
	if err != nil {
		return nil, err
	}
	v, ok := x.(*constant)
	if !ok || v.value.kind != kindFloat || v.value.float() <= 0 || v.value.float() >= 1 {
		return nil, failf(n.args[0].at, "random_sample takes a share between 0 and 1, not %s", describe(x))
	}
	return newSample(v.value.float()), nil
}
