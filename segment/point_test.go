package segment_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/segment/segmenttest"
	"github.com/selkiedb/selkie/vector"
)

// Few rows are read where they are mapped, many through the table: the values are the same, also after the file was cut beneath.
func TestFewRows(t *testing.T) {
	ctx := context.Background()
	const rows, dim = 30_000, 16
	rng := rand.New(rand.NewPCG(1, 7))
	s := segmenttest.Finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", dim)))
	ids, vectors := make([]int64, rows), make([]float32, rows*dim)
	for i := range ids {
		ids[i] = int64(i)*3 - rows
	}
	for i := range vectors {
		vectors[i] = rng.Float32()
	}
	batch, err := column.Build(s, []*column.Column{column.Int64("id", ids), column.FloatVectorFlat("v", dim, vectors)}, column.BuildOptions{})
	require.NoError(t, err)
	for _, mapped := range []bool{true, false} {
		x := &indexed{t: t, rng: rng, fs: vfs.Default, tmp: t.TempDir(), in: segmenttest.Input{Schema: s, Batches: []*column.Batch{batch}}}
		dir := t.TempDir()
		if !mapped {
			x.fs, dir = vfs.NewMem(), "seg"
			require.NoError(t, x.fs.MkdirAll(dir, 0o755))
		}
		x.f, _ = s.Field("v")
		x.cache = segment.NewCache(8 << 20)
		x.Sealed = x.buildIn(dir, 7)
		view, ok := x.At(0)
		require.True(t, ok)
		read := func(f *schema.Field, list []uint32) []byte {
			b := column.NewBuilder(f.Width(), false)
			require.NoError(t, view.Read(ctx, f, list, b))
			require.Equal(t, len(list), b.Data().Rows)
			return b.Data().Fixed
		}
		check := func() {
			for n := range 80 {
				list := make([]uint32, n)
				for i := range list {
					list[i] = rng.Uint32N(rows) // in no order, some twice
				}
				if n%2 == 0 {
					slices.Sort(list)
				}
				values, keys := read(x.f, list), read(s.PrimaryKey(), list)
				for i, row := range list {
					require.Equal(t, vector.AppendFloat32(nil, vectors[row*dim:(row+1)*dim]), values[i*dim*4:(i+1)*dim*4])
					require.Equal(t, binary.LittleEndian.AppendUint64(nil, uint64(ids[row])), keys[8*i:8*i+8])
				}
				wanted := make([]int64, n)
				for i := range wanted {
					wanted[i] = int64(rng.IntN(4*rows)) - rows - rows/2
				}
				found := map[int]uint32{}
				require.NoError(t, view.Find(ctx, column.IntKeys(wanted...), func(i int, row uint32) { found[i] = row }))
				for i, key := range wanted {
					row, ok := found[i]
					at, there := slices.BinarySearch(ids, key)
					require.Equal(t, there, ok, "key %d", key)
					if there {
						require.EqualValues(t, at, row)
					}
				}
			}
		}
		check()
		if mapped {
			// A table that is cut while it is open: what the cache still has, or an error, but no panic and nothing made up.
			names, err := os.ReadDir(x.Dir())
			require.NoError(t, err)
			for _, n := range names {
				require.NoError(t, os.Truncate(x.Dir()+"/"+n.Name(), 0))
			}
			for row := range uint32(rows) {
				b := column.NewBuilder(x.f.Width(), false)
				if err = view.Read(ctx, x.f, []uint32{row}, b); err != nil {
					require.Zero(t, b.Data().Rows)
					break
				}
				require.Equal(t, vector.AppendFloat32(nil, vectors[row*dim:(row+1)*dim]), b.Data().Fixed)
			}
			x.cache.Close()
		} else {
			x.cache.Close()
		}
		x.Unref()
	}
}
