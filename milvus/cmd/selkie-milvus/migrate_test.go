package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// From a directory to a server by a port, and back to another directory.
func TestMigrateThereAndBack(t *testing.T) {
	dir := t.TempDir()
	first, second, third := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	eng, err := engine.Open(first, nil)
	require.NoError(t, err)
	coll, err := eng.CreateCollection(t.Context(), schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	_, err = coll.Insert(t.Context(), column.Int64("id", []int64{1, 2, 3}), column.FloatVectorFlat("v", 2, []float32{1, 2, 3, 4, 5, 6}))
	require.NoError(t, err)
	require.NoError(t, eng.Close())

	addr := start(t, "-addr", "127.0.0.1:0", second)
	position := filepath.Join(dir, "position")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"migrate", "-from", first, "-to", addr, "-position", position}, &out))
	require.Contains(t, out.String(), "pass 1: 1 collections, 3 rows read, 3 written, 0 deleted")
	require.Contains(t, out.String(), "pass 2: 1 collections, 3 rows read, 0 written, 0 deleted")
	require.Contains(t, out.String(), "verification: 3 rows compared, 0 missing or other, 0 too many")
	require.NoError(t, run(t.Context(), []string{"migrate", "-from", addr, "-to", third, "-position", position}, &out))

	eng, err = engine.Open(third, &engine.Options{ReadOnly: true})
	require.NoError(t, err)
	coll, err = eng.Collection("c")
	require.NoError(t, err)
	rows, err := coll.Get(t.Context(), column.IntKeys(1, 2, 3), "v")
	require.NoError(t, err)
	require.Equal(t, []float32{1, 2, 3, 4, 5, 6}, rows.Column("v").FloatVectors())
	require.NoError(t, eng.Close())
	require.ErrorContains(t, run(t.Context(), []string{"migrate", "-from", first}, &out), "-from and -to")
}
