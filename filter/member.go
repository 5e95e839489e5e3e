package filter

import (
	"math"
	"slices"
	"sort"

	"github.com/selkiedb/selkie/schema"
)

// member is true where an operand's value is in a list of constants.
type member struct {
	x    operand
	list []value   // as written
	ints *intSet   // of a plain field of integers or floats
	set  *valueSet // of other operands

	sorted []value // of a plain field: what can be in the list, ascending
}

func newMember(x operand, list []value) *member {
	m := &member{x: x, list: list}
	c, ok := x.(*columnOp)
	if !ok || !c.kind().isNumber() {
		m.set = newValueSet(roundedFor(x, list))
	}
	if !ok {
		return m
	}
	m.sorted = slices.Clone(list)
	if c.field.Type == schema.TypeFloat {
		for i, v := range m.sorted {
			m.sorted[i] = rounded(v)
		}
	}
	slices.SortFunc(m.sorted, orderOf)
	switch c.kind() {
	case kindInt:
		lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
		if c.field.Type != schema.TypeInt64 {
			lo, hi = c.field.Type.IntRange()
		}
		keys := make([]int64, 0, len(list))
		for _, v := range list {
			if i := v.int(); i >= lo && i <= hi {
				keys = append(keys, i)
			}
		}
		m.ints = newIntSet(keys)
	case kindFloat:
		keys := make([]int64, len(list))
		for i, v := range m.sorted {
			keys[i] = floatKey(v.float())
		}
		m.ints = newIntSet(keys)
	}
	return m
}

// orderOf orders constants that can be compared.
func orderOf(a, b value) int {
	order, _ := compareValues(a, b)
	return order
}

// floatKey is the same for equal floats.
func floatKey(f float64) int64 {
	return int64(math.Float64bits(f + 0)) // -0 + 0 is 0
}

func (m *member) bind(b *binder)            { m.x.bind(b) }
func (m *member) cost() int                 { return m.x.cost() }
func (m *member) append(b []byte) []byte    { return m.write(b, " in ") }
func (m *member) appendNot(b []byte) []byte { return m.write(b, " not in ") }

func (m *member) write(b []byte, in string) []byte {
	b = append(appendSide(b, m.x), in...)
	return listValue(m.list).appendTo(b)
}

func (m *member) eval(r *run, want, t, k []uint64) {
	c, ok := m.x.(*columnOp)
	if !ok || m.ints == nil && c.kind() != kindString {
		eachRow(want, t, k, func(i int) tri {
			switch s := m.x.at(r, i); s.kind {
			case kindNull:
				return isUnknown
			case kindNone:
				return isFalse
			default:
				return triOf(m.set.find(s) >= 0)
			}
		})
		return
	}
	d, ok := r.column(c.col)
	if !ok {
		fail(t, k)
		return
	}
	buf := r.ints.get(r.rows)
	defer r.ints.drop(1)
	switch c.field.Type {
	case schema.TypeInt8:
		intsIn(m.ints, t, view[int8](d.Fixed, buf))
	case schema.TypeInt16:
		intsIn(m.ints, t, view[int16](d.Fixed, buf))
	case schema.TypeInt32:
		intsIn(m.ints, t, view[int32](d.Fixed, buf))
	case schema.TypeInt64:
		intsIn(m.ints, t, view[int64](d.Fixed, buf))
	case schema.TypeFloat:
		floatsIn(m.ints, t, view[float32](d.Fixed, buf))
	case schema.TypeDouble:
		floatsIn(m.ints, t, view[float64](d.Fixed, buf))
	case schema.TypeVarChar:
		eachString(want, t, d.Offs, d.Bytes, m.set.hasText)
	}
	known(d, t, k)
}

func (m *member) outcomes(s *chunk) outcome {
	c, ok := m.x.(*columnOp)
	if !ok || c.kind() == kindJSON {
		return canBe
	}
	lo, hi, nulls, empty, ok := s.bounds(c.field)
	switch {
	case !ok:
		return nullable(c.field)
	case empty:
		return canUnknown
	}
	at := sort.Search(len(m.sorted), func(i int) bool { return orderOf(m.sorted[i], lo) >= 0 })
	inside := at < len(m.sorted) && (hi.kind == kindNone || orderOf(m.sorted[at], hi) <= 0)
	point := hi.kind != kindNone && equalValues(lo, hi)
	return outcomeOf(inside, !(inside && point), nulls)
}
