package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
)

// repairImage repairs a damaged store, and opens what came of it. The damaged one must stay as it is.
func repairImage(t *testing.T, m image) (*engine.RepairReport, *engine.Engine) {
	t.Helper()
	fs := m.fs()
	r, err := engine.Repair(context.Background(), imageDir, "data/new", &engine.RepairOptions{FS: fs})
	require.NoError(t, err)
	require.True(t, r.Check.OK(), "%v", r)
	opts := tiny(fs)
	eng, err := engine.Open("data/new", opts)
	require.NoError(t, err, "%v", r)
	require.Equal(t, m, capture(t, fs))
	return r, eng
}

// TestRepair damages each file of a store and repairs it: the new store is whole, has nothing that was never written, and if the
// report tells of no loss, it has everything.
func TestRepair(t *testing.T) {
	eachLife(t, func(t *testing.T, l lived, rng *rand.Rand) {
		everything, lossy := 0, 0
		for _, name := range l.names() {
			whole := l.image[name]
			damaged := map[string][]byte{"missing": nil, "cut": whole[:len(whole)/2], "empty": {}}
			tries := 6
			switch {
			case *long:
				tries = 300
			case testing.Short():
				tries = 1
			}
			for range tries {
				b := bytes.Clone(whole)
				at := rng.IntN(len(b))
				b[at] ^= 1 << rng.IntN(8)
				damaged[fmt.Sprintf("byte %d", at)] = b
			}
			for what, b := range damaged {
				m := l.with(name, b)
				r, eng := repairImage(t, m)
				errs, wrong := probe(context.Background(), eng, l.want)
				require.Empty(t, errs, "%s: %s", name, what)
				if r.OK() && len(r.Notes) == 0 {
					require.NoError(t, wrong, "%s: %s: nothing is said to be lost: %v", name, what, r)
					everything++
				} else {
					lossy++
				}
				require.NoError(t, eng.Close())
			}
		}
		figures(t, "%d stores repaired whole, %d with losses that were told", everything, lossy)
	})
}

// TestRepairFromTheLog loses a segment whose writes are in the log: nothing is lost.
func TestRepairFromTheLog(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	opts := engine.Options{CompactBytes: -1, LogFileBytes: 1 << 20}
	eng, c := indexStore(t, fs, opts)
	data := clustered(rand.New(rand.NewPCG(1, 2)), 600)
	insertVectors(t, c, 0, data[:300*indexDim])
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	insertVectors(t, c, 300, data[300*indexDim:])
	_, err = c.Delete(ctx, column.IntKeys(5, 310))
	require.NoError(t, err)
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	_, err = c.Delete(ctx, column.IntKeys(6, 311))
	require.NoError(t, err)
	want := rowsOf(t, c)
	require.Len(t, want, 596)
	require.NoError(t, eng.Close())
	names, err := fs.List("db/seg")
	require.NoError(t, err)
	slices.Sort(names)
	require.Len(t, names, 2)

	require.NoError(t, fs.Rename("db/seg/"+names[1]+"/rows.sst", "db/seg/"+names[1]+"/gone"))
	r, err := engine.Repair(ctx, "db", "new", &engine.RepairOptions{FS: fs})
	require.NoError(t, err)
	require.Equal(t, 1, r.Replayed, "%v", r)
	require.True(t, r.OK(), "%v", r)
	require.Equal(t, want, idsIn(t, fs, "new"))
}

// TestRepairWithoutCatalogue loses the list of what exists: the rows are there under other names, the newest of each key.
func TestRepairWithoutCatalogue(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, c := indexStore(t, fs, engine.Options{CompactBytes: -1})
	data := clustered(rand.New(rand.NewPCG(1, 2)), 400)
	insertVectors(t, c, 0, data[:300*indexDim])
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	part, err := c.Partition(engine.DefaultPartition)
	require.NoError(t, err)
	_, err = part.Upsert(ctx, column.Int64("id", []int64{7, 8}), column.FloatVectorFlat("v", indexDim, data[300*indexDim:302*indexDim]))
	require.NoError(t, err)
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	insertVectors(t, c, 300, data[300*indexDim:]) // in the log only
	require.NoError(t, eng.Close())
	names, err := fs.List("db")
	require.NoError(t, err)
	for _, n := range names {
		if strings.HasPrefix(n, "CATALOGUE") {
			require.NoError(t, fs.Remove("db/"+n))
		}
	}
	r, err := engine.Repair(ctx, "db", "new", &engine.RepairOptions{FS: fs})
	require.NoError(t, err)
	require.False(t, r.OK())
	require.Equal(t, 2, r.Adopted, "%v", r)
	require.True(t, r.Check.OK(), "%v", r)

	eng, err = engine.Open("new", &engine.Options{FS: fs})
	require.NoError(t, err)
	defer eng.Close()
	require.Len(t, eng.Collections(), 1)
	saved, err := eng.Collection(eng.Collections()[0])
	require.NoError(t, err)
	n, err := saved.Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 400, n)
	key := saved.Schema().PrimaryKey().Name
	rows, err := saved.Get(ctx, column.IntKeys(8), "*")
	require.NoError(t, err)
	require.Equal(t, 1, rows.Len())
	require.EqualValues(t, 8, rows.At(0).Int64(key))
	for _, f := range saved.Schema().Fields {
		if f.Dim == indexDim {
			require.Equal(t, data[301*indexDim:302*indexDim], rows.At(0).FloatVector(f.Name), "the newer one")
		}
	}
}

func idsIn(t *testing.T, fs vfs.FS, dir string) []int64 {
	t.Helper()
	eng, err := engine.Open(dir, &engine.Options{FS: fs})
	require.NoError(t, err)
	defer eng.Close()
	c, err := eng.Collection(eng.Collections()[0])
	require.NoError(t, err)
	return rowsOf(t, c)
}
