package filter_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/filter/filtertest"
	"github.com/selkiedb/selkie/filter/index"
	"github.com/selkiedb/selkie/schema"
)

var templates = filtertest.Templates()

func languageRows(t testing.TB) (*filter.Block, *schema.Schema) {
	s, cols := filtertest.Rows()
	return blockOf(t, s, cols...)
}

// blockSource gives a block's values of a field to the build of an index.
type blockSource struct {
	b    *filter.Block
	f    *schema.Field
	path *filter.Path
	cast filter.Cast
}

func (s blockSource) Field() *schema.Field { return s.f }
func (s blockSource) Rows() int            { return s.b.Rows }

func (s blockSource) Path() (*filter.Path, filter.Cast) { return s.path, s.cast }

func (s blockSource) Each(_ context.Context, visit func(uint32, column.Data) error) error {
	d, err := s.b.Column(s.f)
	if err != nil {
		return err
	}
	return visit(0, d)
}

// indexed returns the block with the answers of indexes of all fields that may have one, and how many terms they answered.
func indexed(t require.TestingT, e *filter.Expr, b *filter.Block, s *schema.Schema) (*filter.Block, int) {
	terms, _ := e.Terms()
	with := *b
	with.Answers = make([]*filter.Answer, len(terms))
	n := 0
	for i, term := range terms {
		src := blockSource{b: b, f: term.Field, cast: term.Cast}
		if term.Path != "" {
			var err error
			src.path, err = filter.ParsePath(term.Path, s)
			require.NoError(t, err)
			require.Equal(t, term.Path, src.path.String())
		}
		ix, err := index.Build(context.Background(), src, 0)
		require.NoError(t, err)
		yes, ok := ix.Answer(term)
		if !ok {
			continue
		}
		n++
		with.Answers[i] = &filter.Answer{Yes: yes}
		if !term.Null {
			with.Answers[i].Known = ix.Present()
		}
	}
	if _, all := e.Terms(); all && n == len(terms) {
		with.Column = func(f *schema.Field) (column.Data, error) { return column.Data{}, fmt.Errorf("%s is read", f.Name) }
	}
	return &with, n
}

func TestLanguage(t *testing.T) {
	b, s := languageRows(t)
	answered := 0
	for _, c := range filtertest.Cases() {
		e, err := filter.Parse(c.Expr, s, templates)
		if c.Rows == "!" {
			require.Error(t, err, c.Expr)
			continue
		}
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if got := strings.Trim(fmt.Sprint(rowsOf(t, e, b)), "[]"); got != c.Rows {
			t.Errorf("%s\nfinds rows %s, want %s (%s)", c.Expr, got, c.Rows, e)
		}
		with, n := indexed(t, e, b, s)
		if got := strings.Trim(fmt.Sprint(rowsOf(t, e, with)), "[]"); got != c.Rows {
			t.Errorf("%s\nfinds rows %s by indexes, want %s (%s)", c.Expr, got, c.Rows, e)
		}
		answered += n
		if c.Printed != "" && e.String() != c.Printed {
			t.Errorf("%s\nprints as %s, want %s", c.Expr, e, c.Printed)
		}
		again, err := filter.Parse(e.String(), s, nil)
		if err != nil {
			t.Errorf("%s\nprints as\n%v", c.Expr, err)
			continue
		}
		if again.String() != e.String() {
			t.Errorf("%s\nprints as\n%s\nand then as\n%s", c.Expr, e, again)
		}
	}
	require.Greater(t, answered, 150, "terms that indexes answered")
}
