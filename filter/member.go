package filter

import (
	"math"
	"math/bits"
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

// intSet is a set of integers, as bits if they lie close together, else as a table with open addressing.
type intSet struct {
	lo     int64
	dense  []uint64 // bit v-lo, with a zero word at the end
	table  []int64
	shift  uint
	mask   uint64
	absent int64 // not in the set; fills what is empty in table
}

// maxDense bounds the bits of a dense set; below it they fit in a near cache.
const maxDense = 1 << 18

func newIntSet(keys []int64) *intSet {
	keys = slices.Clone(keys)
	slices.Sort(keys)
	keys = slices.Compact(keys)
	s := &intSet{}
	if len(keys) == 0 {
		s.dense = make([]uint64, 1)
		return s
	}
	span := uint64(keys[len(keys)-1]) - uint64(keys[0])
	if span < maxDense {
		s.lo = keys[0]
		s.dense = make([]uint64, span/64+2)
		for _, v := range keys {
			at := uint64(v - s.lo)
			s.dense[at/64] |= 1 << (at % 64)
		}
		return s
	}
	size := 16
	for size < 4*len(keys) {
		size *= 2
	}
	// A value that is not in the set stands for an empty place.
	for i := 0; i < len(keys) && keys[i] <= s.absent; i++ {
		if keys[i] == s.absent {
			s.absent++
		}
	}
	s.table = make([]int64, size)
	for i := range s.table {
		s.table[i] = s.absent
	}
	s.mask, s.shift = uint64(size-1), uint(64-bits.TrailingZeros(uint(size)))
	for _, v := range keys {
		at := s.place(v)
		for s.table[at&s.mask] != s.absent {
			at++
		}
		s.table[at&s.mask] = v
	}
	return s
}

// place is where the search for v begins (D. Knuth: The Art of Computer Programming 3, 6.4, multiplicative hashing).
func (s *intSet) place(v int64) uint64 {
	return uint64(v) * 0x9e3779b97f4a7c15 >> (s.shift & 63)
}

func (s *intSet) contains(v int64) bool {
	for at := s.place(v); ; at++ {
		switch s.table[at&s.mask] {
		case s.absent:
			return false
		case v:
			return true
		}
	}
}

func intsIn[T integer](s *intSet, t []uint64, v []T) {
	for w := range t {
		row := v[min(w*64, len(v)):min(w*64+64, len(v))]
		var word uint64
		if s.dense != nil {
			last := uint64(len(s.dense) - 1)
			for j, x := range row {
				at := min(uint64(int64(x)-s.lo), last*64)
				word |= s.dense[at/64] >> (at & 63) & 1 << (j & 63)
			}
		} else {
			for j, x := range row {
				word |= bit(s.contains(int64(x))) << (j & 63)
			}
		}
		t[w] = word
	}
}

func floatsIn[T float](s *intSet, t []uint64, v []T) {
	for w := range t {
		row := v[min(w*64, len(v)):min(w*64+64, len(v))]
		var word uint64
		for j, x := range row {
			word |= bit(s.hasKey(floatKey(float64(x)))) << (j & 63)
		}
		t[w] = word
	}
}

func (s *intSet) hasKey(v int64) bool {
	if s.dense == nil {
		return s.contains(v)
	}
	at := min(uint64(v-s.lo), uint64(len(s.dense)-1)*64)
	return s.dense[at/64]>>(at&63)&1 != 0
}

// valueSet numbers the different constants of a list.
type valueSet struct {
	ints    map[int64]int
	floats  map[float64]int // those that are no Int64
	strings map[string]int
	bools   [2]int // plus one, 0 for absent
	lists   []value
	listIDs []int
	n       int
	lengths [4]uint64 // the lengths of the strings that are below 256
	longer  bool      // there are others
}

func newValueSet(list []value) *valueSet {
	s := &valueSet{}
	for _, v := range list {
		if s.findValue(v) >= 0 {
			continue
		}
		switch v.kind {
		case kindBool:
			s.bools[v.num&1] = s.n + 1
		case kindInt, kindFloat:
			i, f, whole := wholeNumber(v)
			if whole {
				if s.ints == nil {
					s.ints = map[int64]int{}
				}
				s.ints[i] = s.n
			} else {
				if s.floats == nil {
					s.floats = map[float64]int{}
				}
				s.floats[f] = s.n
			}
		case kindString:
			if s.strings == nil {
				s.strings = map[string]int{}
			}
			s.strings[v.str] = s.n
			if n := len(v.str); n < 256 {
				s.lengths[n/64] |= 1 << (n % 64)
			} else {
				s.longer = true
			}
		case kindList:
			s.lists = append(s.lists, v)
			s.listIDs = append(s.listIDs, s.n)
		}
		s.n++
	}
	return s
}

// wholeNumber returns a number as an Int64 if it is one, else as a float.
func wholeNumber(v value) (i int64, f float64, whole bool) {
	if v.kind == kindInt {
		return v.int(), 0, true
	}
	f = v.float()
	if f >= -1<<63 && f < 1<<63 && f == math.Trunc(f) {
		return int64(f), 0, true
	}
	return 0, f, false
}

func (s *valueSet) findValue(v value) int {
	if v.kind == kindList {
		for i, l := range s.lists {
			if equalValues(l, v) {
				return s.listIDs[i]
			}
		}
		return -1
	}
	return s.find(scalar{kind: v.kind, num: v.num, raw: []byte(v.str)})
}

// find returns the number of the constant that equals the value, -1 if none does.
func (s *valueSet) find(v scalar) int {
	switch v.kind {
	case kindBool:
		return s.bools[v.num&1] - 1
	case kindInt, kindFloat:
		i, f, whole := wholeNumber(v.value())
		if whole {
			if n, ok := s.ints[i]; ok {
				return n
			}
		} else if n, ok := s.floats[f]; ok {
			return n
		}
	case kindString:
		if n, ok := s.strings[string(v.text(nil))]; ok {
			return n
		}
	case kindItems:
		for i, l := range s.lists {
			if equalItems(v.raw, l.list) {
				return s.listIDs[i]
			}
		}
	}
	return -1
}

func (s *valueSet) hasText(b []byte) bool {
	if n := len(b); n < 256 {
		if s.lengths[n/64]>>(n%64)&1 == 0 {
			return false
		}
	} else if !s.longer {
		return false
	}
	_, ok := s.strings[string(b)]
	return ok
}
