package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus/bulk"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// twoCollections makes a store with a collection of five rows, a, and an empty one, b.
func twoCollections(t *testing.T, store string) {
	t.Helper()
	eng, err := engine.Open(store, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	for _, name := range []string{"a", "b"} {
		_, err := eng.CreateCollection(t.Context(), schema.New(name).With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)))
		require.NoError(t, err)
	}
	a, err := eng.Collection("a")
	require.NoError(t, err)
	_, err = a.Insert(t.Context(), column.Int64("id", []int64{0, 1, 2, 3, 4}), column.FloatVectorFlat("v", 2, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}))
	require.NoError(t, err)
}

// held gives the vectors of a collection in the order of their keys.
func held(t *testing.T, store, collection string) []float32 {
	t.Helper()
	eng, err := engine.Open(store, &engine.Options{ReadOnly: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	c, err := eng.Collection(collection)
	require.NoError(t, err)
	rows, err := c.Query(t.Context(), query.All().Output("v"))
	require.NoError(t, err)
	return rows.Column("v").FloatVectors()
}

func TestExportAndImport(t *testing.T) {
	for _, c := range []struct{ name, format string }{
		{"rows.jsonl", ""},
		{"rows", ""},
		{"rows.parquet", ""},
		{"rows", "parquet"},
		{"rows.fvecs", ""},
		{"rows.npy", ""},
		{"folder", "npy"},
	} {
		t.Run(c.name+"_"+c.format, func(t *testing.T) {
			dir := t.TempDir()
			store, file := filepath.Join(dir, "store"), filepath.Join(dir, c.name)
			twoCollections(t, store)
			do := func(command, flag, collection string, more ...string) error {
				args := append([]string{command, "-collection", collection, flag, file, "-format", c.format}, more...)
				return run(t.Context(), append(args, store), io.Discard)
			}
			require.NoError(t, os.WriteFile(file+".part", []byte("of an export that was killed"), 0o600))
			require.NoError(t, do("export", "-to", "a"))
			require.NoFileExists(t, file+".part")
			require.ErrorContains(t, do("export", "-to", "a"), "is there already")
			require.NoError(t, do("import", "-from", "b"))
			require.Equal(t, held(t, store, "a"), held(t, store, "b"))

			// One flipped bit in what is exported is noticed before anything is written.
			damaged := file
			if info, err := os.Stat(file); err == nil && info.IsDir() {
				damaged = filepath.Join(file, "v.npy")
			}
			b, err := os.ReadFile(damaged)
			require.NoError(t, err)
			b[len(b)-1] ^= 1
			require.NoError(t, os.WriteFile(damaged, b, 0o600))
			err = do("import", "-from", "b")
			require.ErrorIs(t, err, bulk.ErrDamaged)
			require.ErrorContains(t, err, damaged)
		})
	}
}

// An import that ends on the way says how it goes on, and with a position the same command does.
func TestImportGoesOn(t *testing.T) {
	dir := t.TempDir()
	store, file, position := filepath.Join(dir, "store"), filepath.Join(dir, "rows.jsonl"), filepath.Join(dir, "position")
	twoCollections(t, store)
	write := func(last string) {
		require.NoError(t, os.WriteFile(file, []byte("{\"id\":3,\"v\":[1,2]}\n{\"id\":4,\"v\":[3,4]}\n"+last), 0o600))
	}
	in := func(out io.Writer, more ...string) error {
		return run(t.Context(), append(append([]string{"import", "-collection", "b", "-from", file, "-batch", "1"}, more...), store), out)
	}
	write("wrong\n")
	err := in(io.Discard, "-position", position)
	require.ErrorContains(t, err, file+": line 3")
	require.ErrorContains(t, err, "go on with -skip 2")
	require.FileExists(t, position)
	write("{\"id\":5,\"v\":[5,6]}\n")
	require.NoError(t, os.WriteFile(file, bytes.Replace(must(os.ReadFile(file)), []byte(`"id":3`), []byte(`"id":9`), 1), 0o600)) // which is not read again
	require.ErrorContains(t, run(t.Context(), []string{"import", "-collection", "b", "-from", file + "x", "-position", position, store}, io.Discard), "no such file")
	var out bytes.Buffer
	require.NoError(t, in(&out, "-position", position))
	require.Contains(t, out.String(), "3 rows of "+file+" are in the store")
	require.NoFileExists(t, position)
	require.Equal(t, []float32{1, 2, 3, 4, 5, 6}, held(t, store, "b"))

	require.NoError(t, os.WriteFile(position, []byte(`{"file":"other","rows":1}`), 0o600))
	require.ErrorContains(t, in(io.Discard, "-position", position), "that of an import of other")
	require.ErrorContains(t, in(io.Discard, "-format", "csv"), `no format "csv"`)
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
