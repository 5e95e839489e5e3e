package segment_test

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/segment/segmenttest"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// An index that is expected serves searches before it is loaded, and is nobody else's.
func TestExpectedIndex(t *testing.T) {
	ctx := context.Background()
	const rows, dim = 3000, 16
	rng := rand.New(rand.NewPCG(5, 5))
	all := clusters(rng, rows, dim)
	s := segmenttest.Finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", dim)))
	ids := make([]int64, rows)
	for i := range ids {
		ids[i] = int64(i)
	}
	batch, err := column.Build(s, []*column.Column{column.Int64("id", ids), column.FloatVectorFlat("v", dim, all)}, column.BuildOptions{})
	require.NoError(t, err)
	x := &indexed{t: t, rng: rng, fs: vfs.Default, tmp: t.TempDir(), in: segmenttest.Input{Schema: s, Batches: []*column.Batch{batch}}}
	x.f, _ = s.Field("v")
	x.cache = segment.NewCache(8 << 20)
	defer x.cache.Close()
	dir := t.TempDir()
	x.Sealed = x.buildIn(dir, 7)
	man := x.Manifest()
	spec := x.spec(1, vector.L2, graph.Options{FlatBytes: -1})
	x.build(spec)
	x.Unref()

	open := func() (view *segment.SealedView) {
		x.Sealed = x.open(x.fs, dir, man)
		require.True(t, x.HasIndexFile(1))
		require.False(t, x.HasIndexFile(2))
		x.ExpectIndex(spec)
		view, _ = x.At(0)
		return view
	}
	// search reports whether an index answered.
	search := func(view *segment.SealedView, row int, m vector.Metric) bool {
		q, err := vector.NewQuery(m, vector.Float32, dim, vector.AppendFloat32(nil, all[row*dim:(row+1)*dim]))
		require.NoError(t, err)
		hits, _, ok, err := view.SearchIndex(ctx, x.f, q, segment.IndexSearch{K: 5}, nil)
		require.NoError(t, err)
		if ok {
			require.EqualValues(t, row, hits[0].Row)
		}
		return ok
	}
	listed := func() bool {
		_, ok := x.IndexInfo(1)
		require.Len(t, x.Indexes(), map[bool]int{true: 1}[ok])
		return ok
	}

	view := open()
	require.False(t, search(view, 1, vector.Cosine), "of another metric")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if !search(view, i, vector.L2) {
				t.Error("no index")
			}
		})
	}
	wg.Wait()
	require.False(t, listed())
	require.NoError(t, x.LoadIndex(ctx, spec, false))
	require.True(t, listed())
	require.True(t, search(view, 9, vector.L2))
	x.Unref()

	// Loaded first, or dropped: nothing is expected any more.
	view = open()
	require.NoError(t, x.LoadIndex(ctx, spec, true))
	require.True(t, search(view, 3, vector.L2))
	require.True(t, listed())
	x.Unref()
	view = open()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	q, err := vector.NewQuery(vector.L2, vector.Float32, dim, vector.AppendFloat32(nil, all[:dim]))
	require.NoError(t, err)
	_, _, ok, _ := view.SearchIndex(ended, x.f, q, segment.IndexSearch{K: 5}, nil)
	require.False(t, ok)
	require.True(t, search(view, 4, vector.L2), "one that was given up leaves it to the next")
	require.NoError(t, x.DropIndex(1))
	require.False(t, search(view, 4, vector.L2))
	x.Unref()

	// A damaged file is left to LoadIndex.
	x.Sealed = x.open(x.fs, dir, man)
	x.build(spec)
	x.Unref()
	name := dir + "/" + spec.FileName()
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	raw[len(raw)/2] ^= 1
	require.NoError(t, os.WriteFile(name, raw, 0o644))
	view = open()
	require.False(t, search(view, 5, vector.L2))
	var damaged *segment.CorruptionError
	require.ErrorAs(t, x.LoadIndex(ctx, spec, false), &damaged)
	x.Unref()
}
