package filter_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

// blockOf makes a block of columns, and the schema that they were checked against.
func blockOf(t testing.TB, s *schema.Schema, cols ...*column.Column) (*filter.Block, *schema.Schema) {
	t.Helper()
	s, err := s.Finish()
	require.NoError(t, err)
	b, err := column.Build(s, cols, column.BuildOptions{})
	require.NoError(t, err)
	return batchBlock(b, s), s
}

func batchBlock(b *column.Batch, s *schema.Schema) *filter.Block {
	return &filter.Block{Rows: b.Rows, Column: func(f *schema.Field) (column.Data, error) { return b.Cols[s.Index(f.Name)], nil }}
}

// rowsOf returns the rows that match.
func rowsOf(t require.TestingT, e *filter.Expr, b *filter.Block) []int {
	words := make([]uint64, (b.Rows+63)/64)
	require.NoError(t, e.Eval(b, words))
	rows := []int{}
	for i := range 64 * len(words) {
		if words[i/64]>>(i%64)&1 != 0 {
			rows = append(rows, i)
		}
	}
	return rows
}

func TestEvalScalars(t *testing.T) {
	s := schema.New("films").With(
		schema.Int64("id").PrimaryKey(), schema.Int32("year"), schema.Float("score").Nullable(),
		schema.VarChar("title", 100), schema.Bool("seen"), schema.FloatVector("v", 2))
	b, s := blockOf(t, s,
		column.Int64("id", []int64{1, 2, 3, 4, 5}),
		column.Int32("year", []int32{1941, 1958, 1974, 1982, 1995}),
		column.Float("score", []float32{0.1, 0.2, 0, 0.9, 1}).WithValid([]bool{true, true, false, true, true}),
		column.VarChar("title", []string{"a", "bb", "ccc", "", "bb"}),
		column.Bool("seen", []bool{true, false, true, false, true}),
		column.FloatVector("v", 2, [][]float32{{0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}}))
	for _, c := range []struct {
		expr string
		want []int
	}{
		{"", []int{0, 1, 2, 3, 4}},
		{"year > 1958", []int{2, 3, 4}},
		{"1958 <= year", []int{1, 2, 3, 4}},
		{"1958 < year <= 1982", []int{2, 3}},
		{"1982 >= year > 1958", []int{2, 3}},
		{"year != 1958", []int{0, 2, 3, 4}},
		{"score == 0.1", []int{0}},
		{"score < 0.2", []int{0}},
		{"not score < 0.2", []int{1, 3, 4}},
		{"score is null", []int{2}},
		{"score is not null and year > 1950", []int{1, 3, 4}},
		{"title == 'bb'", []int{1, 4}},
		{"title >= \"b\"", []int{1, 2, 4}},
		{"title in ['bb', '']", []int{1, 3, 4}},
		{"id in [1, 5, 7]", []int{0, 4}},
		{"id not in [1, 5, 1000000000000]", []int{1, 2, 3}},
		{"seen", []int{0, 2, 4}},
		{"not seen == true || id == 1", []int{0, 1, 3}},
		{"year % 2 == 0", []int{1, 2, 3}},
		{"year + id * 2 > 1990", []int{3 + 1}},
		{"id < score", []int{}},
		{"1 == 1", []int{0, 1, 2, 3, 4}},
		{"(year & 1) == 1", []int{0, 4}},
	} {
		e, err := filter.Parse(c.expr, s, nil)
		require.NoError(t, err, c.expr)
		require.Equal(t, c.want, rowsOf(t, e, b), "%s: %s", c.expr, e)
		again, err := filter.Parse(e.String(), s, nil)
		require.NoError(t, err, e.String())
		require.Equal(t, e.String(), again.String())
	}
}
