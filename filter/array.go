package filter

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/selkiedb/selkie/schema"
)

// decode returns a stored value.
func decode(t schema.DataType, raw []byte) scalar {
	le := binary.LittleEndian
	switch t {
	case schema.TypeBool:
		return scalar{kind: kindBool, num: uint64(raw[0] & 1)}
	case schema.TypeInt8:
		return scalar{kind: kindInt, num: uint64(int64(int8(raw[0])))}
	case schema.TypeInt16:
		return scalar{kind: kindInt, num: uint64(int64(int16(le.Uint16(raw))))}
	case schema.TypeInt32:
		return scalar{kind: kindInt, num: uint64(int64(int32(le.Uint32(raw))))}
	case schema.TypeInt64:
		return scalar{kind: kindInt, num: le.Uint64(raw)}
	case schema.TypeFloat:
		return scalar{kind: kindFloat, num: math.Float64bits(float64(math.Float32frombits(le.Uint32(raw))))}
	case schema.TypeDouble:
		return scalar{kind: kindFloat, num: le.Uint64(raw)}
	case schema.TypeVarChar:
		return scalar{kind: kindString, raw: raw}
	case schema.TypeArray:
		return scalar{kind: kindArray, raw: raw}
	}
	return scalar{}
}

// arrayLength returns the number of elements of a stored array.
func arrayLength(raw []byte) int64 {
	if len(raw) < 4 {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(raw))
}

// arrayItem returns an element of a stored array; kindNone if it has none there.
func arrayItem(elem schema.DataType, raw []byte, index int64) scalar {
	if index >= arrayLength(raw) {
		return scalar{}
	}
	if w := elem.Width(); w > 0 {
		if index >= int64((len(raw)-4)/w) {
			return scalar{}
		}
		at := 4 + int(index)*w
		return decode(elem, raw[at:at+w])
	}
	found := scalar{}
	n := int64(0)
	arrayItems(elem, raw, func(s scalar) bool {
		if n == index {
			found = s
		}
		n++
		return n <= index
	})
	return found
}

// arrayItems calls fn with the elements of a stored array until it returns false.
func arrayItems(elem schema.DataType, raw []byte, fn func(scalar) bool) {
	n := arrayLength(raw)
	if w := elem.Width(); w > 0 {
		for at := 4; n > 0 && at+w <= len(raw) && fn(decode(elem, raw[at:at+w])); at += w {
			n--
		}
		return
	}
	at := 4
	for range n {
		if at+4 > len(raw) {
			return
		}
		size := binary.LittleEndian.Uint32(raw[at:])
		at += 4
		if uint64(size) > uint64(len(raw)-at) || !fn(scalar{kind: kindString, raw: raw[at : at+int(size)]}) {
			return
		}
		at += int(size)
	}
}

// element is one element of an array field.
type element struct {
	field *schema.Field
	index int64
	col   int
}

func (e *element) kind() kind     { return kindOf(e.field.ElementType) }
func (e *element) bind(b *binder) { e.col = b.column(e.field) }
func (e *element) cost() int      { return costArray }

func (e *element) append(b []byte) []byte {
	b = append(append(b, e.field.Name...), '[')
	return append(strconv.AppendInt(b, e.index, 10), ']')
}

func (e *element) at(r *run, i int) scalar {
	d, ok := r.column(e.col)
	if !ok || d.IsNull(i) {
		return scalar{kind: kindNull}
	}
	return arrayItem(e.field.ElementType, d.Value(i), e.index)
}

func (e *element) ints(r *run, want []uint64, n *numbers) []int64 { return rowInts(e, r, want, n) }

func (e *element) floats(r *run, want []uint64, n *numbers) []float64 {
	return rowFloats(e, r, want, n)
}

// length is the number of elements of an array field or a JSON array.
type length struct{ of operand }

func (l *length) kind() kind     { return kindInt }
func (l *length) bind(b *binder) { l.of.bind(b) }
func (l *length) cost() int      { return l.of.cost() }

func (l *length) append(b []byte) []byte {
	b = append(b, "array_length("...)
	return append(l.of.append(b), ')')
}

func (l *length) at(r *run, i int) scalar {
	switch s := l.of.at(r, i); s.kind {
	case kindArray:
		return scalar{kind: kindInt, num: uint64(arrayLength(s.raw))}
	case kindItems:
		n := uint64(0)
		items(s.raw, func(scalar) bool { n++; return true })
		return scalar{kind: kindInt, num: n}
	case kindNull:
		return s
	}
	return scalar{}
}

func (l *length) ints(r *run, want []uint64, n *numbers) []int64 { return rowInts(l, r, want, n) }

func (l *length) floats(r *run, want []uint64, n *numbers) []float64 {
	return rowFloats(l, r, want, n)
}
