package filter_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

// The oracle evaluates an expression row by row over Go values. It shares nothing with the package but the schema: expressions
// are built here as trees, which know their text and their truth in a row.

// row holds a Go value for each field, nil for null; JSON decoded with json.Number.
type row map[string]any

// truth is true, false, or nil for unknown.
type truth *bool

func is(b bool) truth { return &b }

// missing is the value of what is not there, as opposed to null.
type missing struct{}

// source is a tree with a value in each row: nil, missing, bool, int64, float64, string, or []any.
type source interface {
	text() string
	value(r row) any
}

// test is a tree with a truth in each row.
type test interface {
	text() string
	truth(r row) truth
}

type fieldSource struct{ f *schema.Field }

func (s fieldSource) text() string    { return s.f.Name }
func (s fieldSource) value(r row) any { return plain(r[s.f.Name]) }

// plain widens what a column holds.
func plain(v any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case float32:
		return float64(v)
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	}
	return v
}

type pathSource struct {
	field string
	bare  bool // a dynamic key by its name
	steps []any
}

func (s pathSource) text() string {
	var b strings.Builder
	steps := s.steps
	if s.bare {
		b.WriteString(steps[0].(string))
		steps = steps[1:]
	} else {
		b.WriteString(s.field)
	}
	for _, x := range steps {
		switch x := x.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", x)
		case string:
			fmt.Fprintf(&b, "['%s']", x)
		}
	}
	return b.String()
}

func (s pathSource) value(r row) any {
	v := r[s.field]
	if v == nil {
		if s.field == schema.MetaName {
			return missing{}
		}
		return nil
	}
	for _, x := range s.steps {
		switch x := x.(type) {
		case int:
			list, ok := v.([]any)
			if !ok || x >= len(list) {
				return missing{}
			}
			v = list[x]
		case string:
			object, ok := v.(map[string]any)
			if !ok {
				return missing{}
			}
			if v, ok = object[x]; !ok {
				return missing{}
			}
		}
	}
	if _, ok := v.(map[string]any); ok || v == nil {
		if ok {
			return v
		}
		return missing{}
	}
	return plain(v)
}

type elementSource struct {
	f *schema.Field
	i int
}

func (s elementSource) text() string { return fmt.Sprintf("%s[%d]", s.f.Name, s.i) }

func (s elementSource) value(r row) any {
	list, ok := r[s.f.Name].([]any)
	switch {
	case !ok:
		return nil
	case s.i >= len(list):
		return missing{}
	}
	return plain(list[s.i])
}

type lengthSource struct{ of source }

func (s lengthSource) text() string { return "array_length(" + s.of.text() + ")" }

func (s lengthSource) value(r row) any {
	switch v := s.of.value(r).(type) {
	case nil:
		return nil
	case []any:
		return int64(len(v))
	}
	return missing{}
}

type literal struct{ v any }

func (s literal) text() string  { return literalText(s.v) }
func (s literal) value(row) any { return s.v }

func literalText(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case float64:
		t := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(t, ".e") {
			t += ".0"
		}
		return t
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, literalText(x))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(v)
}

type arithSource struct {
	op   string
	l, r source
}

func (s arithSource) text() string { return "(" + s.l.text() + " " + s.op + " " + s.r.text() + ")" }

func (s arithSource) value(r row) any {
	l, q := s.l.value(r), s.r.value(r)
	if l == nil || q == nil {
		return nil
	}
	a, aInt := l.(int64)
	b, bInt := q.(int64)
	x, xOK := number(l)
	y, yOK := number(q)
	if !xOK || !yOK {
		return missing{}
	}
	if aInt && bInt {
		// Exact, in floats of many digits.
		if (s.op == "/" || s.op == "%") && b == 0 {
			return nil
		}
		switch s.op {
		case "&":
			return a & b
		case "|":
			return a | b
		case "^":
			return a ^ b
		}
		return exact(s.op, a, b)
	}
	var f float64
	switch s.op {
	case "+":
		f = x + y
	case "-":
		f = x - y
	case "*":
		f = x * y
	case "/":
		f = x / y
	default:
		return missing{}
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// compared gives the order of two values, and whether they have one.
func compared(a, b any) (int, bool) {
	switch a := a.(type) {
	case bool:
		if b, ok := b.(bool); ok {
			switch {
			case a == b:
				return 0, true
			case a:
				return 1, true
			}
			return -1, true
		}
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b), true
		}
	case []any:
		if b, ok := b.([]any); ok {
			if len(a) != len(b) {
				return 1, true
			}
			for i := range a {
				if o, ok := compared(a[i], b[i]); !ok || o != 0 {
					return 1, true
				}
			}
			return 0, true
		}
	case int64, float64:
		x, _ := number(a)
		if y, ok := number(b); ok {
			return bigCompare(a, b, x, y), true
		}
	}
	return 0, false
}

func holds(op string, order int) bool {
	switch op {
	case "==":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

type compareTest struct {
	op   string
	l, r source
	f32  bool // the constant is rounded to what the field holds
}

func (c compareTest) text() string { return c.l.text() + " " + c.op + " " + c.r.text() }

func (c compareTest) truth(r row) truth {
	a, b := c.l.value(r), c.r.value(r)
	if c.f32 {
		x, _ := number(b)
		b = float64(float32(x))
	}
	if a == nil || b == nil {
		return nil
	}
	order, ok := compared(a, b)
	return is(ok && holds(c.op, order))
}

type chainTest struct {
	lo, hi     any
	opLo, opHi string
	x          source
	f32        bool
	down       bool
}

func (c chainTest) text() string {
	if c.down {
		flip := map[string]string{"<": ">", "<=": ">="}
		return fmt.Sprintf("%s %s %s %s %s", literalText(c.hi), flip[c.opHi], c.x.text(), flip[c.opLo], literalText(c.lo))
	}
	return fmt.Sprintf("%s %s %s %s %s", literalText(c.lo), c.opLo, c.x.text(), c.opHi, literalText(c.hi))
}

func (c chainTest) truth(r row) truth {
	a := compareTest{c.opLo, literal{c.lo}, c.x, false}
	b := compareTest{c.opHi, c.x, literal{c.hi}, false}
	if c.f32 {
		a.l = literal{round32(c.lo)}
		b.r = literal{round32(c.hi)}
	}
	p, q := a.truth(r), b.truth(r)
	if p == nil || q == nil {
		return nil
	}
	return is(*p && *q)
}

func round32(v any) any {
	x, _ := number(v)
	return float64(float32(x))
}

type inTest struct {
	x    source
	list []any
	not  bool
	f32  bool
}

func (c inTest) text() string {
	if c.not {
		return c.x.text() + " not in " + literalText(c.list)
	}
	return c.x.text() + " in " + literalText(c.list)
}

func (c inTest) truth(r row) truth {
	v := c.x.value(r)
	if v == nil {
		return nil
	}
	found := false
	for _, e := range c.list {
		if c.f32 {
			e = round32(e)
		}
		if o, ok := compared(v, e); ok && o == 0 {
			found = true
		}
	}
	return is(found != c.not)
}

type likeTest struct {
	x       source
	pattern string // of letters, % and _ only
	not     bool
}

func (c likeTest) text() string {
	if c.not {
		return c.x.text() + " not like " + strconv.Quote(c.pattern)
	}
	return c.x.text() + " like " + strconv.Quote(c.pattern)
}

func (c likeTest) truth(r row) truth {
	v := c.x.value(r)
	if v == nil {
		return nil
	}
	s, ok := v.(string)
	return is(ok && likes([]rune(s), []rune(c.pattern)) != c.not || !ok && c.not)
}

// likes is the definition, in exponential time.
func likes(s, p []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == '%':
		for i := range len(s) + 1 {
			if likes(s[i:], p[1:]) {
				return true
			}
		}
		return false
	case len(s) == 0:
		return false
	}
	return (p[0] == '_' || p[0] == s[0]) && likes(s[1:], p[1:])
}

type containsTest struct {
	x    source
	mode string
	list []any
	f32  bool
	name string
}

func (c containsTest) text() string {
	arg := literalText(c.list)
	if c.mode == "" {
		arg = literalText(c.list[0])
	}
	return c.name + c.mode + "(" + c.x.text() + ", " + arg + ")"
}

func (c containsTest) truth(r row) truth {
	v := c.x.value(r)
	if v == nil {
		return nil
	}
	items, ok := v.([]any)
	if !ok {
		return is(false)
	}
	n := 0
	for _, e := range c.list {
		if c.f32 {
			e = round32(e)
		}
		for _, x := range items {
			if o, ok := compared(x, e); ok && o == 0 {
				n++
				break
			}
		}
	}
	if c.mode == "_all" {
		return is(n == len(c.list))
	}
	return is(n > 0)
}

type nullTest struct {
	f   string
	not bool
}

func (c nullTest) text() string {
	if c.not {
		return c.f + " is not null"
	}
	return c.f + " IS NULL"
}

func (c nullTest) truth(r row) truth { return is((r[c.f] == nil) != c.not) }

type existsTest struct {
	x    pathSource
	form string
}

func (c existsTest) text() string {
	switch c.form {
	case "exists":
		return "exists " + c.x.text()
	case "null":
		return c.x.text() + " is null"
	}
	return c.x.text() + " is not null"
}

func (c existsTest) truth(r row) truth {
	v := c.x.value(r)
	_, gone := v.(missing)
	return is((v == nil || gone) == (c.form == "null"))
}

type boolTest struct{ x source }

func (c boolTest) text() string { return c.x.text() }

func (c boolTest) truth(r row) truth {
	switch v := c.x.value(r).(type) {
	case nil:
		return nil
	case bool:
		return is(v)
	}
	return is(false)
}

type notTest struct {
	x    test
	word string
}

func (c notTest) text() string { return c.word + "(" + c.x.text() + ")" }

func (c notTest) truth(r row) truth {
	t := c.x.truth(r)
	if t == nil {
		return nil
	}
	return is(!*t)
}

type logicTest struct {
	and  bool
	word string
	args []test
}

func (c logicTest) text() string {
	var parts []string
	for _, a := range c.args {
		t := a.text()
		if l, ok := a.(logicTest); ok && (c.and || l.and == c.and) {
			t = "(" + t + ")"
		}
		parts = append(parts, t)
	}
	return strings.Join(parts, " "+c.word+" ")
}

func (c logicTest) truth(r row) truth {
	unknown := false
	for _, a := range c.args {
		switch t := a.truth(r); {
		case t == nil:
			unknown = true
		case *t != c.and:
			return t
		}
	}
	if unknown {
		return nil
	}
	return is(c.and)
}

// Every expression finds the rows that the oracle finds, prints as one that does, and is never pruned where a row matches.
func TestOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		batch, err := column.Build(w.schema, w.cols, column.BuildOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			x := w.aTest(3)
			e, err := filter.Parse(x.text(), w.schema, nil)
			if err != nil {
				t.Fatalf("%v", err)
			}
			again, err := filter.Parse(e.String(), w.schema, nil)
			if err != nil {
				t.Fatalf("%s\nprints as\n%v", x.text(), err)
			}
			if again.String() != e.String() {
				t.Fatalf("%s\nprints as\n%s\nand then as\n%s", x.text(), e, again)
			}
			block := batchBlock(batch, w.schema)
			got, reread := make([]uint64, (block.Rows+63)/64), make([]uint64, (block.Rows+63)/64)
			require.NoError(t, e.Eval(block, got))
			require.NoError(t, again.Eval(block, reread))
			require.Equal(t, got, reread, "%s prints as %s", x.text(), e)
			with, _ := indexed(t, e, block, w.schema)
			require.NoError(t, e.Eval(with, reread))
			require.Equal(t, got, reread, "%s by indexes", e)
			any, all := false, true
			keys, named := e.Keys()
			for i, r := range w.rows {
				want := x.truth(r)
				is := want != nil && *want
				if is != (got[i/64]>>(i%64)&1 != 0) {
					t.Fatalf("%s\nparsed as\n%s\nis %v for row %d: %v", x.text(), e, !is, i, r)
				}
				any, all = any || is, all && is
				if is && named {
					require.Contains(t, keys.Ints, int64(i), "%s", e)
				}
				if named && e.OnlyKeys() {
					require.Equal(t, is, contains(keys.Ints, int64(i)), "%s", e)
				}
			}
			stats := statsOf(w, batch)
			if any && (!e.CanMatch(stats) || e.AlwaysFalse()) {
				t.Fatalf("%s matches, but is pruned", e)
			}
			if !all && (e.MustMatch(stats) || e.AlwaysTrue()) {
				t.Fatalf("%s does not match all rows, but must", e)
			}
		}
	})
}

func contains(list []int64, v int64) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}
