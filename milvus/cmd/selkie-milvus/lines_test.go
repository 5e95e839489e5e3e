package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

func TestExportAndImport(t *testing.T) {
	dir := t.TempDir()
	store, file := filepath.Join(dir, "store"), filepath.Join(dir, "rows.jsonl")
	eng, err := engine.Open(store, nil)
	require.NoError(t, err)
	for _, name := range []string{"a", "b"} {
		_, err := eng.CreateCollection(t.Context(), schema.New(name).With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)))
		require.NoError(t, err)
	}
	a, err := eng.Collection("a")
	require.NoError(t, err)
	_, err = a.Insert(t.Context(), column.Int64("id", []int64{1, 2}), column.FloatVectorFlat("v", 2, []float32{1, 2, 3, 4}))
	require.NoError(t, err)
	require.NoError(t, eng.Close())
	require.NoError(t, run(t.Context(), []string{"export", "-collection", "a", "-to", file, store}, io.Discard))
	require.ErrorContains(t, run(t.Context(), []string{"export", "-collection", "a", "-to", file, store}, io.Discard), "there already")
	require.NoError(t, run(t.Context(), []string{"import", "-collection", "b", "-from", file, store}, io.Discard))
	require.NoError(t, os.WriteFile(file, []byte("{\"id\":3,\"v\":[1,2]}\nwrong\n"), 0o600))
	require.ErrorContains(t, run(t.Context(), []string{"import", "-collection", "b", "-from", file, "-batch", "1", store}, io.Discard), "go on with -skip 1")
	eng, err = engine.Open(store, &engine.Options{ReadOnly: true})
	require.NoError(t, err)
	b, err := eng.Collection("b")
	require.NoError(t, err)
	rows, err := b.Get(t.Context(), column.IntKeys(1, 2, 3), "v")
	require.NoError(t, err)
	require.Equal(t, []float32{1, 2, 3, 4, 1, 2}, rows.Column("v").FloatVectors())
	require.NoError(t, eng.Close())
}
