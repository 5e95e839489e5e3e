package filter_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"pgregory.net/rapid"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

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
