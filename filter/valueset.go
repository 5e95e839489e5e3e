package filter

import "math"

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
