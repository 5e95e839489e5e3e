package filter

import "github.com/selkiedb/selkie/schema"

// contains is true where an array holds a constant, or any or all of a list.
type contains struct {
	x    operand // a path or a plain array field
	mode containsMode
	list []value
	set  *valueSet
}

type containsMode uint8

const (
	containsOne containsMode = iota
	containsAny
	containsAll
)

func (c *contains) bind(b *binder)          { c.x.bind(b) }
func (c *contains) cost() int               { return c.x.cost() }
func (c *contains) outcomes(*chunk) outcome { return canBe }

func (c *contains) append(b []byte) []byte {
	if c.x.kind() == kindJSON {
		b = append(b, "json_contains"...)
	} else {
		b = append(b, "array_contains"...)
	}
	b = append(b, [...]string{"", "_any", "_all"}[c.mode]...)
	b = append(c.x.append(append(b, '(')), ", "...)
	if c.mode == containsOne {
		b = c.list[0].appendTo(b)
	} else {
		b = listValue(c.list).appendTo(b)
	}
	return append(b, ')')
}

func (c *contains) eval(r *run, want, t, k []uint64) {
	elem := schema.TypeNone
	if f, ok := c.x.(*columnOp); ok {
		elem = f.field.ElementType
	}
	// One bit for each different constant: which have been found.
	found := make([]uint64, (c.set.n+63)/64)
	var left int
	all := c.mode == containsAll
	find := func(s scalar) bool {
		n := c.set.find(s)
		if n < 0 || found[n/64]>>(n%64)&1 != 0 {
			return true
		}
		found[n/64] |= 1 << (n % 64)
		left--
		return all && left > 0
	}
	eachRow(want, t, k, func(i int) tri {
		s := c.x.at(r, i)
		left = 1
		if all {
			left = c.set.n
		}
		clear(found)
		switch s.kind {
		case kindNull:
			return isUnknown
		case kindItems:
			if left > 0 {
				items(s.raw, find)
			}
		case kindArray:
			if left > 0 {
				arrayItems(elem, s.raw, find)
			}
		default:
			return isFalse
		}
		return triOf(left == 0)
	})
}
