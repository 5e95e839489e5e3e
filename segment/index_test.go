package segment_test

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"slices"
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

// exactHits is what a search of every live row finds.
func exactHits(t testing.TB, v *segment.SealedView, f *schema.Field, q *vector.Query, k int) []vector.Hit {
	t.Helper()
	top := vector.NewTopK(q.Metric(), k)
	dead := v.Dead().Words(nil, 0, v.Rows())
	require.NoError(t, v.Scan(context.Background(), f, 0, v.Rows(), func(first uint32, d column.Data) error {
		for i := range d.Rows {
			if d.IsNull(i) {
				continue
			}
			scores := make([]float32, 1)
			q.Scan(d.Value(i), 1, scores)
			top.PushBlock(scores, first+uint32(i), dead)
		}
		return nil
	}))
	return slices.Clone(top.Sorted())
}

func TestIndexSmoke(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(1, 9))
	s := segmenttest.Finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 16)))
	in := segmenttest.Input{Schema: s, Batches: []*column.Batch{segmenttest.Batch(t, rng, s, segmenttest.IntKeys(rng, 3000))}}
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("tmp", 0o755))
	sealed := build(t, mem, in, growingOf(t, in).At(1))
	f, _ := s.Field("v")
	spec := segment.IndexSpec{ID: 3, Field: f, Metric: vector.L2, Graph: graph.Options{FlatBytes: -1}}
	require.ErrorIs(t, sealed.LoadIndex(ctx, spec, false), fs.ErrNotExist)
	require.NoError(t, sealed.BuildIndex(ctx, spec, segment.IndexBuild{TmpDir: "tmp"}))
	v, _ := sealed.At(1)
	q, err := vector.NewQuery(vector.L2, vector.Float32, 16, vector.AppendFloat32(nil, make([]float32, 16)))
	require.NoError(t, err)
	hits, _, ok, err := v.SearchIndex(ctx, f, q, segment.IndexSearch{K: 10}, nil)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, exactHits(t, v, f, q, 10), hits)
	require.NoError(t, sealed.LoadIndex(ctx, spec, false))
	hits, _, _, err = v.SearchIndex(ctx, f, q, segment.IndexSearch{K: 10}, hits[:0])
	require.NoError(t, err)
	require.Equal(t, exactHits(t, v, f, q, 10), hits)
	require.NoError(t, sealed.DropIndex(3))
}
