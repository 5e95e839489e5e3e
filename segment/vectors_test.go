package segment

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// The identity of an index file is part of its format.
func TestIndexIdentity(t *testing.T) {
	s := &Sealed{man: Manifest{ID: 41, Token: 0x0123456789abcdef}}
	require.Equal(t, graph.Identity{Segment: 41, Token: 0xe2442545b93a9cb7}, s.identity(0))
	require.Equal(t, graph.Identity{Segment: 41, Token: 0x6a8ea8deb7539beb}, s.identity(3))
}

// What a view's dead are to indexes is what they are to all others.
func TestDenseWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d *Dead
		for range rapid.IntRange(0, 3).Draw(t, "steps") {
			rows := rapid.SliceOfN(rapid.OneOf(rapid.Uint32Range(0, 70), rapid.Uint32Range(0, 200_000)), 1, 20).Draw(t, "rows")
			d = d.With(rows)
			words := d.denseWords()
			n := 0
			for i, w := range words {
				for ; w != 0; w &= w - 1 {
					if row := uint32(i*64 + bits.TrailingZeros64(w)); !d.Has(row) {
						t.Fatalf("row %d is alive", row)
					}
					n++
				}
			}
			require.EqualValues(t, d.Count(), n)
			again := d.denseWords()
			require.Same(t, &words[0], &again[0], "made once")
		}
		if d == nil {
			require.Nil(t, d.denseWords())
		}
	})
}

// Chunks may differ in their rows: nothing but the meta says where they begin.
func TestVectorColumnOfUnevenChunks(t *testing.T) {
	ctx := context.Background()
	for _, starts := range [][]uint32{{0}, {0, 3}, {0, 3, 6, 9}, {0, 3, 6, 8}, {0, 1, 9}, {0, 9}} {
		c := &columnMeta{typ: schema.TypeInt8Vector, width: 2, starts: starts}
		v := newVectorColumn(&Sealed{man: Manifest{Rows: 10}}, c, nil)
		even := true
		for i := range starts[1:] {
			n := v.rowsOf(i + 1)
			even = even && (n == starts[1] || i+2 == len(starts) && n < starts[1])
		}
		require.Equal(t, even, v.step > 0, starts)
		for i, start := range starts {
			b := make([]byte, 0, 20)
			for row := start; row < c.end(i, 10); row++ {
				b = append(b, byte(row), 0)
			}
			v.chunks[i].Store(&b[0])
		}
		for row := range uint32(10) {
			p, err := v.row(ctx, row)
			require.NoError(t, err)
			require.EqualValues(t, row, *(*byte)(p), starts)
		}
		var got []byte
		require.NoError(t, v.scan(ctx, 2, 10, func(raw []byte) { got = append(got, raw...) }))
		require.Equal(t, []byte{2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9, 0}, got)
	}
}

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
		c := NewCache(128 << 20)
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
		b.Run(name+"/table layer", func(b *testing.B) {
			v, _ := s.At(1)
			rows, values, n := make([]uint32, 32), column.NewBuilder(f.Width(), false), 0
			for b.Loop() {
				for i := range rows {
					rows[i] = rng.Uint32N(man.Rows)
				}
				values.Reset()
				require.NoError(b, v.Read(ctx, f, rows, values))
				n++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(32*n), "ns/row")
		})
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
