// Package filtertest holds the conformance table of the filter language: rows of every type, and expressions with the rows that they find.
// Whatever evaluates filters can be held to it.
package filtertest

import (
	_ "embed" // the table
	"math"
	"strings"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

//go:embed language.txt
var table string

// Case is a line of the table.
type Case struct {
	Expr    string
	Rows    string // the rows that it finds, by their numbers, with a blank between; "!": it is refused
	Printed string // the form that it prints as; "" where the line is not about that
}

// Cases returns the lines of the table.
func Cases() (cases []Case) {
	for line := range strings.Lines(table) {
		if line = strings.TrimRight(line, "\r\n"); strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		at := strings.LastIndex(line, " | ")
		if strings.HasSuffix(line, " |") {
			at = len(line) - 2
		}
		rows, printed, _ := strings.Cut(line[at+2:], " = ")
		cases = append(cases, Case{strings.TrimSpace(line[:at]), strings.TrimSpace(rows), strings.TrimSpace(printed)})
	}
	return cases
}

// Templates are what the table's templates stand for.
func Templates() map[string]any {
	return map[string]any{"n": 3, "list": []int32{1, 3}, "word": "ab", "yes": true, "half": float32(0.5), "mixed": []any{1, "one"}}
}

// Rows are the table's rows: row i has the primary key FirstKey + i.
func Rows() (*schema.Schema, []*column.Column) {
	null := func(c *column.Column, rows ...int) *column.Column {
		valid := make([]bool, c.Len())
		for i := range valid {
			valid[i] = true
		}
		for _, i := range rows {
			valid[i] = false
		}
		return c.WithValid(valid)
	}
	texts := func(s ...string) [][]byte {
		out := make([][]byte, len(s))
		for i := range s {
			out[i] = []byte(s[i])
		}
		return out
	}
	sch := schema.New("language").With(
		schema.Int64("id").PrimaryKey(),
		schema.Int8("i8"),
		schema.Int32("i32").Nullable(),
		schema.Float("f").Nullable(),
		schema.Double("d"),
		schema.Bool("b").Nullable(),
		schema.VarChar("s", 100).Nullable(),
		schema.VarChar("txt", 100),
		schema.JSON("meta").Nullable(),
		schema.Array("tags", schema.TypeVarChar, 8).MaxElementLength(10).Nullable(),
		schema.Array("nums", schema.TypeInt32, 8),
		schema.Array("flags", schema.TypeBool, 8),
		schema.Array("reals", schema.TypeFloat, 8),
		schema.FloatVector("vec", 2),
	).EnableDynamicField()
	return sch, []*column.Column{
		column.Int64("id", []int64{FirstKey, 11, 12, 13, 14, 15}),
		column.Int8("i8", []int8{-128, -1, 0, 1, 2, 127}),
		null(column.Int32("i32", []int32{1, 0, 3, 4, 5, 6}), 1),
		null(column.Float("f", []float32{0.1, 0.5, 0, float32(math.Copysign(0, -1)), 1, 1e10}), 2),
		column.Double("d", []float64{0.1, 0.5, -1, math.Copysign(0, -1), 1, 1e300}),
		null(column.Bool("b", []bool{true, false, false, true, false, true}), 2),
		null(column.VarChar("s", []string{"", "a", "ab", "a%b", "", "Straße_é"}), 4),
		column.VarChar("txt", []string{"The quick brown fox", "quick quick", "brown the quick", "", "Fox, quick-brown!", "Ünïcode ЁЖ 東京"}),
		null(column.JSON("meta", texts(
			`{"a":1,"b":["x","y"],"n":null}`,
			`{"a":"one","deep":{"k":[1,2,{"z":true}]}}`,
			`{}`,
			`{"a":1.0,"b":[1,2.5,"x",[1,2],true]}`,
			`{"a":{"x":1},"b":[],"twice":{"x":1},"twice":2}`,
			`{"a":2, "a" : true,"q\"k":5,"big":9223372036854775808}`,
		)), 2),
		null(column.Array("tags", [][]string{{"x", "y"}, {}, {}, {"y"}, {"x", "x", "z"}, {"%"}}), 2),
		column.Array("nums", [][]int32{{1, 2, 3}, {}, {0}, {-1, 5}, {2}, {1, 1}}),
		column.Array("flags", [][]bool{{true}, {}, {false, true}, {false}, {}, {}}),
		column.Array("reals", [][]float32{{0.1, 1}, {1}, {}, {}, {}, {}}),
		column.FloatVectorFlat("vec", 2, make([]float32, 12)),
		null(column.JSON("$meta", texts(
			`{"color":"red","size":3}`, `{}`, `{"color":null}`, `{"color":"blue","in":1}`, `{"Color":"red","box":{"w":[1,2]}}`, `{"size":"3"}`,
		)), 1),
	}
}

// FirstKey is the primary key of row 0.
const FirstKey = 10
