package filter

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/selkiedb/selkie/schema"
)

// kind is what an operand's values are.
type kind uint8

const (
	kindNone   kind = iota
	kindBool        // of constants: num is 0 or 1
	kindInt         // num holds an int64
	kindFloat       // num holds the bits of a finite float64
	kindString      // bytes, UTF-8 as a rule
	kindList        // a list of constants
	kindBig         // 1<<63, which is a number only behind a minus sign
	kindJSON        // what a path leads to: of no kind before a row is looked at
	kindArray       // a whole array field
)

// String returns the name that errors use, which is a field type's where there is one.
func (k kind) String() string {
	switch k {
	case kindBool:
		return "Bool"
	case kindInt, kindBig:
		return "Int64"
	case kindFloat:
		return "Double"
	case kindString:
		return "VarChar"
	case kindList:
		return "list"
	case kindJSON:
		return "JSON"
	case kindArray:
		return "Array"
	}
	return "nothing"
}

func (k kind) isNumber() bool { return k == kindInt || k == kindFloat }

// kindOf returns the kind of a field's values; kindNone for vectors.
func kindOf(t schema.DataType) kind {
	switch {
	case t == schema.TypeBool:
		return kindBool
	case t.IsInt():
		return kindInt
	case t.IsFloat():
		return kindFloat
	case t == schema.TypeVarChar:
		return kindString
	case t == schema.TypeJSON:
		return kindJSON
	case t == schema.TypeArray:
		return kindArray
	}
	return kindNone
}

// value is a constant.
type value struct {
	kind kind
	num  uint64
	str  string
	list []value
}

func boolValue(b bool) value     { return value{kind: kindBool, num: bit(b)} }
func intValue(i int64) value     { return value{kind: kindInt, num: uint64(i)} }
func floatValue(f float64) value { return value{kind: kindFloat, num: math.Float64bits(f)} }
func stringValue(s string) value { return value{kind: kindString, str: s} }
func listValue(vs []value) value { return value{kind: kindList, list: vs} }
func (v value) bool() bool       { return v.num != 0 }
func (v value) int() int64       { return int64(v.num) }
func (v value) isNumber() bool   { return v.kind.isNumber() }
func bit(b bool) (x uint64) {
	if b {
		x = 1
	}
	return x
}

// float returns a number as a float64, rounded to the nearest if it is an integer beyond 2^53.
func (v value) float() float64 {
	if v.kind == kindInt {
		return float64(v.int())
	}
	return math.Float64frombits(v.num)
}

// compareValues orders two constants: numbers by size, strings by bytes, false before true. ok is false where they cannot
// be compared.
func compareValues(a, b value) (order int, ok bool) {
	switch {
	case a.isNumber() && b.isNumber():
		return compareNumbers(a, b), true
	case a.kind != b.kind:
		return 0, false
	case a.kind == kindString:
		return strings.Compare(a.str, b.str), true
	case a.kind == kindBool:
		return cmp.Compare(a.num, b.num), true
	}
	return 0, false
}

func compareNumbers(a, b value) int {
	switch {
	case a.kind == kindInt && b.kind == kindInt:
		return cmp.Compare(a.int(), b.int())
	case a.kind == kindInt:
		return compareIntFloat(a.int(), b.float())
	case b.kind == kindInt:
		return -compareIntFloat(b.int(), a.float())
	}
	return cmp.Compare(a.float(), b.float())
}

// compareIntFloat compares without rounding the integer. f is not NaN.
func compareIntFloat(i int64, f float64) int {
	switch {
	case f >= 1<<63:
		return -1
	case f < -1<<63:
		return 1
	}
	whole := math.Trunc(f)
	if c := cmp.Compare(i, int64(whole)); c != 0 {
		return c
	}
	return cmp.Compare(whole, f)
}

// equalValues compares constants of any kind; different kinds are different, but for the two kinds of numbers.
func equalValues(a, b value) bool {
	if a.kind == kindList && b.kind == kindList {
		if len(a.list) != len(b.list) {
			return false
		}
		for i := range a.list {
			if !equalValues(a.list[i], b.list[i]) {
				return false
			}
		}
		return true
	}
	order, ok := compareValues(a, b)
	return ok && order == 0
}

// String returns the constant as it is written in an expression.
func (v value) String() string { return string(v.appendTo(nil)) }

func (v value) appendTo(b []byte) []byte {
	switch v.kind {
	case kindBool:
		return strconv.AppendBool(b, v.bool())
	case kindInt:
		return strconv.AppendInt(b, v.int(), 10)
	case kindBig:
		return strconv.AppendUint(b, v.num, 10)
	case kindFloat:
		start := len(b)
		b = strconv.AppendFloat(b, v.float(), 'g', -1, 64)
		if !strings.ContainsAny(string(b[start:]), ".e") {
			b = append(b, ".0"...)
		}
		return b
	case kindString:
		return appendQuoted(b, v.str)
	case kindList:
		b = append(b, '[')
		for i, x := range v.list {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = x.appendTo(b)
		}
		return append(b, ']')
	}
	return b
}

// appendQuoted writes a string literal that reads back as s, whatever bytes s holds.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < ' ' || r == 0x7f || r == utf8.RuneError && n == 1:
			b = append(b, '\\', 'x', hex[s[0]>>4], hex[s[0]&15])
		default:
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return append(b, '"')
}

const shownBytes = 60 // of a constant in an error

// show returns the constant for an error's text, with its type, cut if it is long.
func (v value) show() string {
	if v.kind == kindList {
		return "a list of " + strconv.Itoa(len(v.list))
	}
	s := v.String()
	if len(s) > shownBytes {
		n := shownBytes
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "…"
	}
	return s + " (" + v.kind.String() + ")"
}
