package filter_test

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

var templates = map[string]any{"n": 3, "list": []int32{1, 3}, "word": "ab", "yes": true, "half": float32(0.5), "mixed": []any{1, "one"}}

// languageRows are the rows of testdata/language.txt.
func languageRows(t testing.TB) (*filter.Block, *schema.Schema) {
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
	return blockOf(t, schema.New("language").With(
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
	).EnableDynamicField(),
		column.Int64("id", []int64{10, 11, 12, 13, 14, 15}),
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
	)
}

// languageCases returns the lines of testdata/language.txt: expression, rows, and the printed form or "".
func languageCases(t testing.TB) (cases [][3]string) {
	file, err := os.Open("testdata/language.txt")
	require.NoError(t, err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		at := strings.LastIndex(line, " | ")
		if strings.HasSuffix(line, " |") {
			at = len(line) - 2
		}
		rows, printed, _ := strings.Cut(line[at+2:], " = ")
		cases = append(cases, [3]string{strings.TrimSpace(line[:at]), strings.TrimSpace(rows), strings.TrimSpace(printed)})
	}
	return cases
}

func TestLanguage(t *testing.T) {
	b, s := languageRows(t)
	for _, c := range languageCases(t) {
		e, err := filter.Parse(c[0], s, templates)
		if c[1] == "!" {
			require.Error(t, err, c[0])
			continue
		}
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if got := strings.Trim(fmt.Sprint(rowsOf(t, e, b)), "[]"); got != c[1] {
			t.Errorf("%s\nfinds rows %s, want %s (%s)", c[0], got, c[1], e)
		}
		if c[2] != "" && e.String() != c[2] {
			t.Errorf("%s\nprints as %s, want %s", c[0], e, c[2])
		}
		again, err := filter.Parse(e.String(), s, nil)
		if err != nil {
			t.Errorf("%s\nprints as\n%v", c[0], err)
			continue
		}
		if again.String() != e.String() {
			t.Errorf("%s\nprints as\n%s\nand then as\n%s", c[0], e, again)
		}
	}
}
