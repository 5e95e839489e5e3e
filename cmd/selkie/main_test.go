package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// makeStore makes a store with five entities in a segment and one in the log.
func makeStore(t *testing.T) string {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "store")
	eng, err := engine.Open(dir, nil)
	require.NoError(t, err)
	c, err := eng.CreateCollection(ctx, schema.New("docs").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	_, err = c.Insert(ctx, column.Int64("id", []int64{1, 2, 3, 4, 5}), column.FloatVectorFlat("v", 2, make([]float32, 10)))
	require.NoError(t, err)
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	_, err = c.Insert(ctx, column.Int64("id", []int64{6}), column.FloatVectorFlat("v", 2, make([]float32, 2)))
	require.NoError(t, err)
	require.NoError(t, eng.Close())
	return dir
}

func selkie(args ...string) (code int, out, diag string) {
	var o, d bytes.Buffer
	code = run(context.Background(), args, &o, &d)
	return code, o.String(), d.String()
}

func TestCommands(t *testing.T) {
	dir := makeStore(t)
	code, out, _ := selkie("check", dir)
	require.Equal(t, allWell, code)
	require.Contains(t, out, "6 live entities")
	require.Contains(t, out, "no problems")

	code, out, _ = selkie("inspect", "-segments", "-log", dir)
	require.Equal(t, allWell, code)
	require.Contains(t, out, "collection docs (id Int64, v FloatVector)")
	require.Contains(t, out, "5 entities sealed in 1 segments")
	require.Contains(t, out, "000001 sealed rows=5 live=5")
	require.Contains(t, out, "log: LSN ")

	tables, err := filepath.Glob(filepath.Join(dir, "seg", "*", "rows.sst"))
	require.NoError(t, err)
	require.Len(t, tables, 1)
	raw, err := os.ReadFile(tables[0])
	require.NoError(t, err)
	raw[10] ^= 1
	require.NoError(t, os.WriteFile(tables[0], raw, 0o644))

	code, out, _ = selkie("check", "-json", dir)
	require.Equal(t, damaged, code)
	var report engine.CheckReport
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Equal(t, tables[0], report.Problems[0].Path)

	fresh := filepath.Join(t.TempDir(), "new")
	code, out, diag := selkie("repair", "-copy", dir, fresh)
	require.Equal(t, allWell, code, "%s%s", out, diag)
	require.Contains(t, out, "nothing is lost")
	code, out, _ = selkie("check", fresh)
	require.Equal(t, allWell, code)
	require.Contains(t, out, "6 live entities")
}

func TestMisuse(t *testing.T) {
	for _, args := range [][]string{nil, {"mend"}, {"check"}, {"repair", "a"}, {"inspect", "-what", "x"}, {"check", filepath.Join(t.TempDir(), "none")}} {
		code, out, diag := selkie(args...)
		require.Equal(t, failed, code, "%q", args)
		require.Empty(t, out)
		require.NotEmpty(t, diag)
	}
	code, _, diag := selkie("check", "-h")
	require.Equal(t, allWell, code)
	require.Contains(t, diag, "-samples")
}
