package filter_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
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

// world is a random schema, rows, and a generator of expressions about them.
type world struct {
	t      *rapid.T
	schema *schema.Schema
	rows   []row
	cols   []*column.Column
	rnd    *rand.Rand
}

var (
	someInts    = []int64{0, 1, -1, 2, 3, 5, 7, 100, -100, math.MaxInt8, math.MinInt8, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64, 1 << 53, 1<<53 + 1}
	someFloats  = []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0.5, -2.5, 3, 1e10, 1e-3, 0.30000000000000004, 1 << 53, 1e19, -1e19, math.MaxFloat32}
	someStrings = []string{"", "a", "b", "ab", "abc", "aab", "ba", "é", "aéb", "aa", "a long one, of more than a few bytes", "x\"y\\z\n"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func newWorld(t *rapid.T) *world {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))}
	n := rapid.IntRange(1, 200).Draw(t, "rows")
	if rapid.IntRange(0, 19).Draw(t, "big") == 0 {
		n += 4096
	}
	s := schema.New("world").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2))
	if rapid.Bool().Draw(t, "dynamic") {
		s.EnableDynamicField()
	}
	w.rows = make([]row, n)
	for i := range w.rows {
		w.rows[i] = row{"id": int64(i)}
	}
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(i)
	}
	w.cols = []*column.Column{column.Int64("id", ids), column.FloatVectorFlat("v", 2, make([]float32, 2*n))}
	for i := range rapid.IntRange(1, 6).Draw(t, "fields") {
		w.addField(s, fmt.Sprintf("f%d", i), rapid.IntRange(0, 13).Draw(t, "type"), n)
	}
	if s.Dynamic {
		c := jsonColumn(w, schema.MetaName, n, true)
		w.cols = append(w.cols, c)
	}
	finished, err := s.Finish()
	if err != nil {
		t.Fatal(err)
	}
	w.schema = finished
	return w
}

// fill makes n values, some of them null, and keeps them with the rows.
func fill[T any](w *world, name string, n int, nullable bool, one func() (T, any)) ([]T, []bool) {
	values, valid := make([]T, n), make([]bool, n)
	for i := range values {
		v, shown := one()
		values[i], valid[i] = v, true
		if nullable && w.rnd.IntN(4) == 0 {
			valid[i], shown = false, nil
		}
		w.rows[i][name] = shown
	}
	return values, valid
}

func same[T any](one func() T) func() (T, any) {
	return func() (T, any) { v := one(); return v, v }
}

func (w *world) addField(s *schema.Schema, name string, typ, n int) {
	nullable := w.rnd.IntN(2) == 0
	var f *schema.Field
	var c *column.Column
	var valid []bool
	switch typ {
	case 0:
		f = schema.Bool(name)
		v, ok := fill(w, name, n, nullable, same(func() bool { return w.rnd.IntN(2) == 0 }))
		c, valid = column.Bool(name, v), ok
	case 1:
		f = schema.Int8(name)
		v, ok := fill(w, name, n, nullable, same(func() int8 { return int8(pick(w.rnd, someInts)) }))
		c, valid = column.Int8(name, v), ok
	case 2:
		f = schema.Int16(name)
		v, ok := fill(w, name, n, nullable, same(func() int16 { return int16(pick(w.rnd, someInts)) }))
		c, valid = column.Int16(name, v), ok
	case 3:
		f = schema.Int32(name)
		v, ok := fill(w, name, n, nullable, same(func() int32 { return int32(pick(w.rnd, someInts)) }))
		c, valid = column.Int32(name, v), ok
	case 4, 5:
		f = schema.Int64(name)
		v, ok := fill(w, name, n, nullable, same(func() int64 { return pick(w.rnd, someInts) }))
		c, valid = column.Int64(name, v), ok
	case 6:
		f = schema.Float(name)
		v, ok := fill(w, name, n, nullable, same(func() float32 { return float32(pick(w.rnd, someFloats)) }))
		c, valid = column.Float(name, v), ok
	case 7:
		f = schema.Double(name)
		v, ok := fill(w, name, n, nullable, same(func() float64 { return pick(w.rnd, someFloats) }))
		c, valid = column.Double(name, v), ok
	case 8, 9:
		f = schema.VarChar(name, 100)
		v, ok := fill(w, name, n, nullable, same(func() string { return pick(w.rnd, someStrings) }))
		c, valid = column.VarChar(name, v), ok
	case 10:
		f = schema.Array(name, schema.TypeInt16, 8)
		v, ok := fill(w, name, n, nullable, func() ([]int16, any) { return listOf(w.rnd, func() int16 { return int16(pick(w.rnd, someInts)) }) })
		c, valid = column.Array(name, v), ok
	case 11:
		f = schema.Array(name, schema.TypeFloat, 8)
		v, ok := fill(w, name, n, nullable, func() ([]float32, any) {
			return listOf(w.rnd, func() float32 { return float32(pick(w.rnd, someFloats)) })
		})
		c, valid = column.Array(name, v), ok
	case 12:
		f = schema.Array(name, schema.TypeVarChar, 8).MaxElementLength(100)
		v, ok := fill(w, name, n, nullable, func() ([]string, any) { return listOf(w.rnd, func() string { return pick(w.rnd, someStrings) }) })
		c, valid = column.Array(name, v), ok
	default:
		s.With(schema.JSON(name).Nullable())
		w.cols = append(w.cols, jsonColumn(w, name, n, false))
		return
	}
	if nullable {
		f.Nullable()
		c.WithValid(valid)
	}
	s.With(f)
	w.cols = append(w.cols, c)
}

func listOf[T any](r *rand.Rand, one func() T) ([]T, any) {
	list, shown := []T{}, []any{}
	for range r.IntN(4) {
		v := one()
		list, shown = append(list, v), append(shown, v)
	}
	return list, shown
}

func jsonColumn(w *world, name string, n int, object bool) *column.Column {
	texts, valid := fill(w, name, n, true, func() ([]byte, any) {
		v := w.jsonValue(0, object)
		text, err := json.Marshal(v)
		if err != nil {
			w.t.Fatal(err)
		}
		if w.rnd.IntN(3) == 0 {
			text = []byte(strings.ReplaceAll(strings.ReplaceAll(string(text), `"a":`, ` "\u0061" : `), ",", " ,\n"))
			// A comma within a string must stay as it was.
			if !json.Valid(text) {
				text, _ = json.Marshal(v)
			}
		}
		var shown any
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		if err := d.Decode(&shown); err != nil {
			w.t.Fatal(err)
		}
		if shown == nil {
			shown = missing{} // JSON's null, which is not the field's
		}
		return text, shown
	})
	return column.JSON(name, texts).WithValid(valid)
}

// jsonValue makes a value of few keys, so that paths often lead somewhere.
func (w *world) jsonValue(depth int, object bool) any {
	k := w.rnd.IntN(10)
	if object {
		k = 9
	}
	switch {
	case depth > 2 || k == 0:
		return pick(w.rnd, someInts)
	case k == 1:
		return pick(w.rnd, someFloats)
	case k == 2:
		return pick(w.rnd, someStrings)
	case k == 3:
		return w.rnd.IntN(2) == 0
	case k == 4:
		return nil
	case k <= 6:
		list := []any{}
		for range w.rnd.IntN(4) {
			list = append(list, w.jsonValue(depth+1, false))
		}
		return list
	}
	m := map[string]any{}
	for _, key := range []string{"a", "b", "c"} {
		if w.rnd.IntN(3) > 0 {
			m[key] = w.jsonValue(depth+1, false)
		}
	}
	return m
}

func (w *world) draw(n int, what string) int { return rapid.IntRange(0, n-1).Draw(w.t, what) }

func (w *world) aPath(f string) pathSource {
	p := pathSource{field: f}
	least := 0
	if f == schema.MetaName {
		least = 1
	}
	for range least + w.draw(3, "steps") {
		if (len(p.steps) > 0 || least == 0) && w.draw(3, "index") == 0 {
			p.steps = append(p.steps, w.draw(3, "at"))
		} else {
			p.steps = append(p.steps, rapid.SampledFrom([]string{"a", "b", "c", "zz"}).Draw(w.t, "key"))
		}
	}
	if f == schema.MetaName {
		p.bare = w.draw(2, "bare") == 0
	}
	return p
}

func (w *world) aLiteral(kind string) any {
	switch kind {
	case "int":
		if w.draw(2, "wide") == 0 {
			return int64(w.draw(10, "n") - 3)
		}
		return rapid.SampledFrom(someInts).Draw(w.t, "int")
	case "float":
		if w.draw(3, "whole") == 0 {
			return int64(w.draw(4, "n"))
		}
		return rapid.SampledFrom(someFloats).Draw(w.t, "float")
	case "string":
		return rapid.SampledFrom(someStrings).Draw(w.t, "string")
	case "bool":
		return w.draw(2, "bool") == 0
	}
	return w.aLiteral(rapid.SampledFrom([]string{"int", "float", "string", "bool"}).Draw(w.t, "kind"))
}

func (w *world) aList(kind string) []any {
	list := []any{}
	for range w.draw(6, "elements") {
		if kind == "json" && w.draw(6, "nested") == 0 {
			list = append(list, w.aList("int"))
			continue
		}
		list = append(list, w.aLiteral(kind))
	}
	return list
}

// kindOf says what a field holds, and of an array what its elements are.
func kindOf(t schema.DataType) string {
	switch {
	case t == schema.TypeBool:
		return "bool"
	case t.IsInt():
		return "int"
	case t.IsFloat():
		return "float"
	case t == schema.TypeVarChar:
		return "string"
	case t == schema.TypeJSON:
		return "json"
	case t == schema.TypeArray:
		return "array"
	}
	return ""
}

// aSource makes something to compare, with its kind, and whether it holds 32-bit floats.
func (w *world) aSource() (s source, kind string, f32 bool) {
	f := w.aField()
	switch kind := kindOf(f.Type); kind {
	case "json":
		p := w.aPath(f.Name)
		switch w.draw(8, "of json") {
		case 0:
			return lengthSource{p}, "int", false
		case 1:
			return w.anArith(p, "json"), "json number", false
		}
		return p, kind, false
	case "array":
		if w.draw(3, "length") == 0 {
			return lengthSource{fieldSource{f}}, "int", false
		}
		return elementSource{f, w.draw(4, "element")}, kindOf(f.ElementType), f.ElementType == schema.TypeFloat
	case "int":
		if w.draw(3, "arith") == 0 {
			return w.anArith(fieldSource{f}, kind), kind, false
		}
		return fieldSource{f}, kind, false
	case "float":
		if w.draw(3, "arith") == 0 {
			return w.anArith(fieldSource{f}, kind), kind, false
		}
		return fieldSource{f}, kind, f.Type == schema.TypeFloat
	default:
		return fieldSource{f}, kind, false
	}
}

func (w *world) aField() *schema.Field {
	var fields []*schema.Field
	for _, f := range w.schema.Fields {
		if !f.Type.IsVector() {
			fields = append(fields, f)
		}
	}
	return fields[w.draw(len(fields), "field")]
}

func (w *world) anArith(x source, kind string) source {
	ops := []string{"+", "-", "*", "/"}
	if kind != "float" {
		ops = append(ops, "%", "&", "|", "^")
	}
	op := rapid.SampledFrom(ops).Draw(w.t, "op")
	lit := w.aLiteral("int")
	if (kind == "float" || kind == "json" && strings.Contains("+-*/", op)) && w.draw(2, "float") == 0 {
		lit = w.aLiteral("float")
	}
	if n, _ := number(lit); n == 0 && (op == "/" || op == "%") {
		lit = int64(3)
	}
	if w.draw(3, "left") == 0 && op != "/" && op != "%" {
		x = arithSource{op, literal{lit}, x}
	} else {
		x = arithSource{op, x, literal{lit}}
	}
	if w.draw(4, "more") == 0 {
		return w.anArith(x, kind)
	}
	return x
}

func (w *world) aTest(depth int) test {
	if depth > 0 {
		switch w.draw(4, "logic") {
		case 0:
			return notTest{w.aTest(depth - 1), rapid.SampledFrom([]string{"not ", "!", "NOT "}).Draw(w.t, "not")}
		case 1, 2:
			l := logicTest{and: w.draw(2, "and") == 0}
			l.word = rapid.SampledFrom([]string{"or", "OR", "||"}).Draw(w.t, "word")
			if l.and {
				l.word = rapid.SampledFrom([]string{"and", "AND", "&&"}).Draw(w.t, "word")
			}
			for range 2 + w.draw(3, "args") {
				l.args = append(l.args, w.aTest(depth-1))
			}
			return l
		}
	}
	switch w.draw(8, "special") {
	case 0:
		f := w.aField()
		if f.Type != schema.TypeJSON || !f.IsDynamic {
			return nullTest{f.Name, w.draw(2, "not") == 0}
		}
	case 1:
		if f := w.aField(); f.Type == schema.TypeJSON {
			p := w.aPath(f.Name)
			if len(p.steps) > 0 {
				return existsTest{p, rapid.SampledFrom([]string{"exists", "null", "not null"}).Draw(w.t, "form")}
			}
		}
	case 2:
		f := w.aField()
		mode := rapid.SampledFrom([]string{"", "_any", "_all"}).Draw(w.t, "mode")
		kind, name := "json", "json_contains"
		var x source
		switch f.Type {
		case schema.TypeJSON:
			x = w.aPath(f.Name)
		case schema.TypeArray:
			x, kind, name = fieldSource{f}, kindOf(f.ElementType), "ARRAY_CONTAINS"
		}
		if x != nil {
			list := w.aList(kind)
			if mode == "" {
				list = []any{w.aLiteral(kind)}
			}
			if name == "ARRAY_CONTAINS" {
				mode = strings.ToUpper(mode)
			}
			c := containsTest{x, mode, list, f.ElementType == schema.TypeFloat, name}
			return upperMode{c}
		}
	}
	x, kind, f32 := w.aSource()
	numeric := kind == "int" || kind == "float"
	lit := kind
	if kind == "json number" {
		lit = rapid.SampledFrom([]string{"int", "float"}).Draw(w.t, "lit")
	}
	choice := w.draw(10, "choice")
	switch {
	case kind == "bool":
		switch choice % 3 {
		case 0:
			return boolTest{x}
		case 1:
			return inTest{x, w.aList("bool"), choice > 5, false}
		}
		return compareTest{rapid.SampledFrom([]string{"==", "!="}).Draw(w.t, "op"), x, literal{w.aLiteral("bool")}, false}
	case choice < 2:
		list := w.aList(lit)
		if choice == 1 && kind == "int" {
			for i := range 40 {
				list = append(list, int64(i)*1e12)
			}
		}
		return inTest{x, list, w.draw(2, "not") == 0, f32}
	case choice < 4 && (kind == "string" || kind == "json"):
		return likeTest{x, rapid.StringOfN(rapid.SampledFrom([]rune("ab%_é")), 0, 5, -1).Draw(w.t, "pattern"), w.draw(2, "not") == 0}
	case choice < 5 && kind != "json":
		lo, hi := w.aLiteral(lit), w.aLiteral(lit)
		order, ok := compared(lo, hi)
		if ok && order != 0 {
			if order > 0 {
				lo, hi = hi, lo
			}
			ops := []string{"<", "<="}
			return chainTest{lo, hi, rapid.SampledFrom(ops).Draw(w.t, "lo"), rapid.SampledFrom(ops).Draw(w.t, "hi"), x, f32, w.draw(2, "down") == 0}
		}
	case choice < 6 && kind != "json" && kind != "json number":
		y, other, _ := w.aSource()
		if other == kind || numeric && (other == "int" || other == "float") {
			return compareTest{w.anOp(), x, y, false}
		}
	}
	v := w.aLiteral(lit)
	op := w.anOp()
	if _, ok := v.(bool); ok {
		op = "!="
	}
	if kind == "json" && w.draw(8, "list") == 0 {
		v, op = w.aList("json"), "=="
	}
	if f32 || op == "==" || w.draw(3, "left") > 0 {
		return compareTest{op, x, literal{v}, f32}
	}
	return compareTest{op, literal{v}, x, false}
}

// upperMode evaluates a test whose mode is written in capitals.
type upperMode struct{ containsTest }

func (u upperMode) truth(r row) truth {
	c := u.containsTest
	c.mode = strings.ToLower(c.mode)
	return c.truth(r)
}

func (w *world) anOp() string {
	return rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(w.t, "op")
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
