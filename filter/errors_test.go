package filter_test

import (
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

var rewrite = flag.Bool("rewrite", false, "write the error texts to testdata/errors.txt instead of comparing them")

// testdata/errors.txt holds expressions, each behind a line of dashes, and the errors that they give.
func TestErrors(t *testing.T) {
	_, s := languageRows(t)
	const name, rule = "testdata/errors.txt", "----\n"
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	head, rest, _ := strings.Cut(string(text), rule)
	out := head
	for _, c := range strings.Split(rest, rule) {
		expr, want, _ := strings.Cut(c, "=>\n")
		expr = strings.TrimSuffix(expr, "\n")
		_, err := filter.Parse(expr, s, templates)
		if err == nil {
			t.Errorf("%s\nis no error", expr)
			continue
		}
		require.ErrorIs(t, err, schema.ErrInvalid)
		var e *filter.Error
		require.True(t, errors.As(err, &e))
		require.Equal(t, expr, e.Expr)
		out += rule + expr + "\n=>\n" + err.Error() + "\n"
		if !*rewrite {
			require.Equal(t, strings.TrimSuffix(want, "\n"), err.Error(), expr)
		}
	}
	if *rewrite {
		require.NoError(t, os.WriteFile(name, []byte(out), 0o644))
	}
}

func TestErrorField(t *testing.T) {
	_, s := languageRows(t)
	for expr, field := range map[string]string{`i8 == "x"`: "i8", `"x" == i8`: "i8", `vec == 1`: "vec", `i8 == d + "x"`: "d", `i8 + 1 == "x"`: "", `i8 ==`: ""} {
		_, err := filter.Parse(expr, s, nil)
		var e *filter.Error
		require.True(t, errors.As(err, &e), expr)
		require.Equal(t, field, e.Field, expr)
	}
	plain, err := schema.New("plain").With(schema.Int64("id").PrimaryKey(), schema.VarChar("title", 9), schema.FloatVector("v", 2)).Finish()
	require.NoError(t, err)
	for expr, text := range map[string]string{
		"tilte == 'x'":  `filter, column 1: field "tilte" does not exist; is it "title"?` + "\n    tilte == 'x'\n    ^~~~~",
		"$meta['a']==1": `filter, column 1: there is no $meta, the collection has no dynamic field` + "\n    $meta['a']==1\n    ^~~~~",
		"id == 1 and\nTITLE == 'x'": `filter, line 2, column 1: field "TITLE" does not exist; is it "title"?` +
			"\n    TITLE == 'x'\n    ^~~~~",
		strings.Repeat("id == 1 or ", 50) + "nope" + strings.Repeat(" or id == 1", 50): `filter, column 551: field "nope" does not exist` +
			"\n    … or id == 1 or id == 1 or id == 1 or id == 1 or nope or id == 1 or id == 1 or id == 1 or id == 1…" +
			"\n                                                     ^~~~",
	} {
		_, err := filter.Parse(expr, plain, nil)
		require.EqualError(t, err, text)
	}
}

// Beyond a limit is an error that wraps ErrTooLarge; at the limit is none.
func TestLimits(t *testing.T) {
	_, s := languageRows(t)
	nested := func(n int) string { return strings.Repeat("(", n) + "id == 1" + strings.Repeat(")", n) }
	nots := func(n int) string { return strings.Repeat("not ", n) + "id == 1" }
	sum := func(n int) string { return "id" + strings.Repeat(" + 1", n) + " == 1" }
	ors := func(n int) string { return "id == 1" + strings.Repeat(" or id == 1", n) }
	paths := func(n int) string {
		var b strings.Builder
		b.WriteString("meta[0] == 1")
		for i := range n - 1 {
			b.WriteString(" or meta[" + strconv.Itoa(i+1) + "] == 1")
		}
		return b.String()
	}
	list := func(n int) string { return "id in [1" + strings.Repeat(",1", n-1) + "]" }
	for _, c := range []struct {
		name      string
		good, bad string
		text      string
	}{
		{"length", strings.Repeat(" ", filter.MaxLength-7) + "id == 1", strings.Repeat(" ", filter.MaxLength-6) + "id == 1", "the expression has 16777217 bytes, at most 16777216 are allowed"},
		{"brackets", nested(200), nested(100000), "nested more than 256 deep"},
		{"not", nots(200), nots(100000), "nested more than 256 deep"},
		{"sum", sum(200), sum(100000), "nested more than 256 deep"},
		{"steps", "meta" + strings.Repeat("[0]", 200) + " == 1", "meta" + strings.Repeat("[0]", 100000) + " == 1", "nested more than 256 deep"},
		{"lists", strings.Repeat("[", 200) + strings.Repeat("]", 200) + " == [1]", strings.Repeat("[", 100000), "nested more than 256 deep"},
		{"nodes", ors(16000), ors(30000), "more than 65536 operators and operands"},
		{"paths", paths(filter.MaxPaths), paths(filter.MaxPaths + 1), "257 different JSON paths, at most 256"},
		{"list", list(filter.MaxList), list(filter.MaxList + 1), "the list has more than 1048576 elements"},
		{"regexp", "s =~ '" + strings.Repeat("a", filter.MaxRegexp) + "'", "s =~ '" + strings.Repeat("a", filter.MaxRegexp+1) + "'", "4097 bytes, at most 4096"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := filter.Parse(c.good, s, nil)
			require.NoError(t, err)
			_, err = filter.Parse(c.bad, s, nil)
			require.ErrorIs(t, err, schema.ErrTooLarge)
			require.ErrorIs(t, err, schema.ErrInvalid)
			require.ErrorContains(t, err, c.text)
			require.Less(t, len(err.Error()), 500)
		})
	}
	_, err := filter.Parse("id in {x}", s, map[string]any{"x": make([]int64, filter.MaxList+1)})
	require.ErrorIs(t, err, schema.ErrTooLarge)
	cycle := []any{nil}
	cycle[0] = cycle
	_, err = filter.Parse("id in {x}", s, map[string]any{"x": cycle})
	require.ErrorContains(t, err, "template {x} holds lists more than 16 deep")
}

func TestTemplateErrors(t *testing.T) {
	_, s := languageRows(t)
	type text string
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, `template {x} is nil; "is null" finds rows without a value`},
		{struct{}{}, "template {x} is a struct {}; it may be a bool, a number, a string or a slice of these"},
		{uint64(1 << 63), "template {x} holds 9223372036854775808, which is out of the range of Int64"},
		{math.NaN(), "template {x} is NaN, which is no finite number"},
		{[]any{1, struct{}{}}, "template {x} is a struct {}; it may be"},
	} {
		_, err := filter.Parse("id == {x}", s, map[string]any{"x": c.v})
		require.ErrorContains(t, err, c.want)
		require.ErrorIs(t, err, schema.ErrInvalid)
	}
	for _, v := range []any{12, int8(12), uint(12), int64(12), json.Number("12")} {
		e, err := filter.Parse("id == {x}", s, map[string]any{"x": v})
		require.NoError(t, err)
		require.Equal(t, "id == 12", e.String())
	}
	for _, v := range []any{"ab", []byte("ab"), text("ab"), json.RawMessage("ab")} {
		e, err := filter.Parse("s == {x}", s, map[string]any{"x": v})
		require.NoError(t, err)
		require.Equal(t, `s == "ab"`, e.String())
	}
	e, err := filter.Parse("meta['a'] in {x}", s, map[string]any{"x": [3]any{1, "a", []bool{true}}})
	require.NoError(t, err)
	require.Equal(t, `meta["a"] in [1, "a", [true]]`, e.String())
}
