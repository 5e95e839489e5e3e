package segment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// BenchmarkExactRows scores 32 random rows of a column, and prints the price of one.
func BenchmarkExactRows(b *testing.B) {
	ctx := context.Background()
	const rows, dim = 100_000, 128
	sch, err := schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", dim)).Finish()
	require.NoError(b, err)
	rng := rand.New(rand.NewPCG(1, 2))
	all, ids := make([]float32, rows*dim), make([]int64, rows)
	for i := range all {
		all[i] = rng.Float32()
	}
	for i := range ids {
		ids[i] = int64(i)
	}
	batch, err := column.Build(sch, []*column.Column{column.Int64("id", ids), column.FloatVectorFlat("v", dim, all)}, column.BuildOptions{MaxBytes: -1})
	require.NoError(b, err)
	q, err := vector.NewQuery(vector.L2, vector.Float32, dim, vector.AppendFloat32(nil, all[:dim]))
	require.NoError(b, err)
	for name, fs := range map[string]vfs.FS{"mapped": vfs.Default, "heap": vfs.NewMem()} {
		dir := b.TempDir()
		require.NoError(b, fs.MkdirAll(dir, 0o755))
		g := NewGrowing(1, sch, time.Now())
		require.NoError(b, g.Append(batch, 1, time.Now()))
		views := []View{g.At(1)}
		order, err := Order(ctx, sch, views)
		require.NoError(b, err)
		man, err := Build(ctx, BuildSpec{FS: fs, Dir: dir, ID: 7, Schema: sch}, views, order)
		require.NoError(b, err)
		c := NewCache(1 << 20)
		defer c.Close()
		s, err := Open(fs, dir, man, sch, c, nil, 0)
		require.NoError(b, err)
		defer s.Unref()
		f, _ := sch.Field("v")
		col, err := s.columnOf(f)
		require.NoError(b, err)
		for _, among := range []uint32{1000, rows} {
			b.Run(fmt.Sprintf("%s/among=%d", name, among), func(b *testing.B) {
				x := &denseSearcher{col: col, ctx: ctx, query: q}
				lists := make([][]uint32, 4096)
				for i := range lists {
					for range 32 {
						lists[i] = append(lists[i], rng.Uint32N(among))
					}
					require.NoError(b, x.exact(lists[i], make([]float32, 32)))
				}
				out := make([]float32, 32)
				n := 0
				for b.Loop() {
					_ = x.exact(lists[n%len(lists)], out)
					n++
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(32*n), "ns/row")
			})
		}
	}
	raw := vector.AppendFloat32(nil, all)
	for _, among := range []uint32{1000, rows} {
		b.Run(fmt.Sprintf("array/among=%d", among), func(b *testing.B) {
			lists := make([][]uint32, 4096)
			for i := range lists {
				for range 32 {
					lists[i] = append(lists[i], rng.Uint32N(among))
				}
			}
			out := make([]float32, 32)
			n := 0
			for b.Loop() {
				q.Gather(raw, lists[n%len(lists)], out)
				n++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(32*n), "ns/row")
		})
	}
}
