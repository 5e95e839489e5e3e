package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/filter/filtertest"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// The conformance table of the filter language, row by row: in a growing segment, in a sealed one, in one with indexes of all fields that may
// have one, and in that one opened again.
func TestLanguage(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	open := func() (*engine.Engine, *engine.Collection) {
		eng, err := engine.Open("db", &engine.Options{FS: fs, CompactBytes: -1})
		require.NoError(t, err)
		if eng.HasCollection("language") {
			c, err := eng.Collection("language")
			require.NoError(t, err)
			return eng, c
		}
		s, cols := filtertest.Rows()
		c, err := eng.CreateCollection(ctx, s)
		require.NoError(t, err)
		_, err = c.Insert(ctx, cols...)
		require.NoError(t, err)
		return eng, c
	}
	eng, c := open()
	ways := map[string]int{}
	check := func(t *testing.T) {
		clear(ways)
		for _, x := range filtertest.Cases() {
			var r query.Receipt
			rows, err := c.Query(ctx, query.Where(x.Expr, filtertest.Templates()).Explain(&r))
			if x.Rows == "!" {
				require.ErrorIs(t, err, engine.ErrInvalid, x.Expr)
				continue
			}
			require.NoError(t, err, x.Expr)
			var got []int64
			for _, row := range rows.All() {
				got = append(got, row.Int64("id")-filtertest.FirstKey)
			}
			require.Equal(t, x.Rows, strings.Trim(fmt.Sprint(got), "[]"), "%s\n%s", x.Expr, &r)
			ways[r.Segments[0].Matching]++
		}
	}
	t.Run("growing", check)
	require.Equal(t, 0, ways["index"])
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	t.Run("sealed", check)
	require.Equal(t, 0, ways["index"]+ways["index and values"])
	eng.Close()

	eng, c = open() // without the row sets that were kept
	for _, f := range []string{"i8", "i32", "f", "d", "b", "s", "txt", "tags", "nums", "flags", "reals"} {
		require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: f}))
	}
	paths := 0
	for _, place := range []string{`meta["a"]`, `meta["b"]`, `meta["twice"]`, `meta["big"]`, `meta["deep"]["k"]`, `color`, `$meta["size"]`} {
		field := "meta"
		if !strings.HasPrefix(place, "meta") {
			field = "$meta"
		}
		for _, cast := range []string{"BOOL", "DOUBLE", "VARCHAR", "ARRAY_BOOL", "ARRAY_DOUBLE", "ARRAY_VARCHAR"} {
			paths++
			require.NoError(t, c.CreateIndex(ctx, schema.Index{
				Name: fmt.Sprintf("path%d", paths), Field: field, Params: map[string]string{"json_path": place, "json_cast_type": cast},
			}))
		}
	}
	require.NoError(t, c.WaitIndexed(ctx))
	t.Run("indexed", check)
	require.Greater(t, ways["index"], 120)
	require.Greater(t, ways["index and values"], 2)
	require.NoError(t, eng.Close())

	eng, c = open()
	require.NoError(t, c.WaitIndexed(ctx))
	require.EqualValues(t, 11+paths, eng.Metrics().IndexLoads)
	t.Run("opened again", check)
	require.Greater(t, ways["index"], 120)
	require.NoError(t, eng.Close())
}
