package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

func checkImage(m image) (*engine.CheckReport, error) {
	return engine.Check(context.Background(), imageDir, &engine.CheckOptions{FS: m.fs()})
}

// TestCheckFindsDamage damages each file of a store: what reads would meet, Check finds, and it names the file. It changes nothing.
func TestCheckFindsDamage(t *testing.T) {
	eachLife(t, func(t *testing.T, l lived, rng *rand.Rand) {
		r, err := checkImage(l.image)
		require.NoError(t, err)
		require.Empty(t, r.Problems, "%v", r)
		require.Positive(t, r.Segments)
		require.Positive(t, r.Live)
		require.Positive(t, r.Edits)

		found, silent := 0, 0
		for _, name := range l.names() {
			whole := l.image[name]
			damaged := map[string][]byte{"missing": nil, "cut": whole[:len(whole)/2]}
			tries := 24
			switch {
			case *long:
				tries = 2_000
			case testing.Short():
				tries = 4
			}
			for range tries {
				b := bytes.Clone(whole)
				at := rng.IntN(len(b))
				b[at] ^= 1 << rng.IntN(8)
				damaged[fmt.Sprintf("byte %d", at)] = b
			}
			for what, b := range damaged {
				m := l.with(name, b)
				out, _, err := m.check(l.want, true, name)
				require.NoError(t, err)
				fs := m.fs()
				r, err := engine.Check(context.Background(), imageDir, &engine.CheckOptions{FS: fs})
				if out == harmless {
					require.NoError(t, err, "%s: %s", name, what)
					silent++
					continue
				}
				require.NoError(t, err, "%s: %s", name, what)
				require.False(t, r.OK(), "%s: %s is not found", name, what)
				require.True(t, slices.ContainsFunc(r.Problems, func(p engine.Problem) bool { return p.Path == name }), "%s: %s: %v", name, what, r)
				require.Equal(t, m, capture(t, fs))
				found++
			}
		}
		figures(t, "%d damages found, %d without effect", found, silent)
	})
}

// TestCheckGoesOn damages two segments of a store that then cannot be opened: both are named.
func TestCheckGoesOn(t *testing.T) {
	l := liveAndClose(t, damageLife(), true)
	var tables []string
	for _, name := range l.names() {
		if strings.HasSuffix(name, "rows.sst") {
			tables = append(tables, name)
		}
	}
	require.Greater(t, len(tables), 2)
	m := l.with(tables[0], l.image[tables[0]][:100]).with(tables[2], nil)
	_, err := engine.Open(imageDir, tiny(m.fs()))
	require.ErrorIs(t, err, engine.ErrCorrupt)
	r, err := checkImage(m)
	require.NoError(t, err)
	named := map[string]bool{}
	for _, p := range r.Problems {
		require.Equal(t, engine.ProblemDamage, p.Kind)
		named[p.Path] = true
	}
	require.Equal(t, map[string]bool{tables[0]: true, tables[2]: true}, named)

	raw, err := json.Marshal(r)
	require.NoError(t, err)
	var again engine.CheckReport
	require.NoError(t, json.Unmarshal(raw, &again))
	require.Equal(t, *r, again)
	require.Contains(t, r.String(), tables[2])
}

// TestCheckLive checks a store again and again while it is written, flushed, compacted and cut: it must never raise a false alarm.
func TestCheckLive(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	opts := engine.Options{SegmentRows: 120, LogFileBytes: 32 << 10, CatalogueBytes: 8 << 10}
	eng, c := indexStore(t, fs, opts)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	g := &crowd{t: t}
	data := clustered(rand.New(rand.NewPCG(1, 2)), 2_000)
	rounds := 40
	if testing.Short() {
		rounds = 15
	}
	g.write(rounds, func(i int) error {
		insertVectors(t, c, int64(i*40), data[i*40*indexDim:(i+1)*40*indexDim])
		if i%3 == 0 {
			if _, err := c.Flush(ctx); err != nil {
				return err
			}
		}
		if i%7 == 6 {
			return c.Compact(ctx)
		}
		_, err := c.Delete(ctx, column.IntKeys(int64(i*40), int64(i*20+1)))
		return err
	})
	checks := 0
	g.loop(func() error {
		r, err := eng.Check(ctx, nil)
		if err != nil {
			return err
		}
		checks++
		if len(r.Problems) > 0 {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	g.wait()
	require.Positive(t, checks)
	require.NoError(t, c.WaitIndexed(ctx))
	r, err := eng.Check(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	n, err := c.Count(ctx)
	require.NoError(t, err)
	require.Equal(t, n, r.Live)
	require.Len(t, r.Recall, 1)
	require.Greater(t, r.Recall[0].Recall, 0.95)
	names, err := fs.List("db/tmp")
	require.NoError(t, err)
	require.Empty(t, names)
	require.NoError(t, eng.Close())
}

// TestCheckIndexes damages an index file: a problem that costs no rows.
func TestCheckIndexes(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, c := indexStore(t, fs, engine.Options{CompactBytes: -1})
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	insertVectors(t, c, 0, clustered(rand.New(rand.NewPCG(1, 2)), 14_000))
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	require.NoError(t, eng.Close())
	files := indexFiles(t, fs)
	require.Len(t, files, 1)
	file := files[0]
	changeFile(t, fs, file, func(b []byte) []byte { b[5_000] ^= 4; return b })
	stray := path.Join(path.Dir(file), "notes.txt")
	f, err := fs.Create(stray, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	r, err := engine.Check(ctx, "db", &engine.CheckOptions{FS: fs})
	require.NoError(t, err)
	require.True(t, r.OK(), "%v", r)
	require.Len(t, r.Problems, 2)
	paths := []string{r.Problems[0].Path, r.Problems[1].Path}
	require.ElementsMatch(t, []string{file, stray}, paths)
	for _, p := range r.Problems {
		require.Equal(t, engine.ProblemDerived, p.Kind)
	}
}
