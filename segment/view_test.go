package segment_test

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/segment/segmenttest"
)

var created = time.Unix(1_700_000_000, 0)

// grow appends the batches to a growing segment, each at an LSN of its own from 1 on, deletes what is dead at the next LSN, and
// goes on with more rows and deletes. It returns the LSN at which the input is what there is.
func grow(t testing.TB, in segmenttest.Input) (*segment.Growing, uint64) {
	g := segment.NewGrowing(1, in.Schema, created)
	lsn := uint64(0)
	for _, b := range in.Batches {
		lsn++
		require.NoError(t, g.Append(b, lsn, created))
	}
	lsn++
	for _, row := range in.Dead {
		require.True(t, g.Delete(uint32(row), lsn))
	}
	for _, row := range in.Later {
		require.True(t, g.Delete(uint32(row), lsn+1))
	}
	return g, lsn
}

func TestGrowingIsAView(t *testing.T) {
	segmenttest.Run(t, func(t *testing.T, in segmenttest.Input) segment.View {
		g, lsn := grow(t, in)
		require.NoError(t, g.Append(in.Batches[0], lsn+2, created), "rows that the view does not see")
		return g.At(lsn)
	})
}

func TestSealingIsAView(t *testing.T) {
	segmenttest.Run(t, func(t *testing.T, in segmenttest.Input) segment.View {
		g, lsn := grow(t, in)
		g.Seal()
		require.ErrorContains(t, g.Append(in.Batches[0], lsn+2, created), "sealing")
		return g.At(lsn)
	})
}

func TestSealedIsAView(t *testing.T) {
	segmenttest.Run(t, func(t *testing.T, in segmenttest.Input) segment.View {
		g := segment.NewGrowing(1, in.Schema, created)
		for i, b := range in.Batches {
			require.NoError(t, g.Append(b, uint64(i+1), created))
		}
		s := build(t, vfs.NewMem(), in, g.At(uint64(len(in.Batches))))
		return markDead(t, in, s)
	})
}

// A segment that is merged of several, as a compaction does it.
func TestMergedIsAView(t *testing.T) {
	segmenttest.Run(t, func(t *testing.T, in segmenttest.Input) segment.View {
		var views []segment.View
		for i, b := range in.Batches {
			g := segment.NewGrowing(segment.ID(i+10), in.Schema, created)
			require.NoError(t, g.Append(b, uint64(i+1), created))
			views = append(views, g.At(uint64(i+1)))
		}
		return markDead(t, in, build(t, vfs.NewMem(), in, views...))
	})
}

// build writes the views as one sealed segment.
func build(t testing.TB, fs vfs.FS, in segmenttest.Input, views ...segment.View) *segment.Sealed {
	ctx := context.Background()
	order, err := segment.Order(ctx, in.Schema, views)
	require.NoError(t, err)
	require.NoError(t, fs.MkdirAll("seg", 0o755))
	spec := segment.BuildSpec{FS: fs, Dir: "seg", ID: 7, Partition: 3, Shard: 2, Schema: in.Schema, MinLSN: 1, MaxLSN: 90, Now: created}
	man, err := segment.Build(ctx, spec, views, order)
	require.NoError(t, err)
	require.EqualValues(t, len(order), man.Rows)
	c := segment.NewCache(1 << 20)
	t.Cleanup(c.Close)
	s, err := segment.Open(fs, "seg", man, in.Schema, c, nil, 0)
	require.NoError(t, err)
	t.Cleanup(s.Unref)
	require.NoError(t, s.Verify(ctx))
	return s
}

// markDead deletes what is dead in the input, in two steps, and then more; it returns the view between.
func markDead(t testing.TB, in segmenttest.Input, s *segment.Sealed) segment.View {
	ctx := context.Background()
	keys, pk := in.Keys(), in.Schema.PrimaryKey()
	b := column.NewBuilder(pk.Width(), false)
	all, ok := s.At(0)
	require.True(t, ok)
	require.NoError(t, all.Scan(ctx, pk, 0, all.Rows(), func(_ uint32, d column.Data) error {
		b.AppendData(d, 0, d.Rows)
		return nil
	}))
	rows := map[column.Key][]uint32{} // of each key, in the order of insertion
	have := column.KeysOf(pk, b.Data())
	for row := range have.Len() {
		rows[have.At(row)] = append(rows[have.At(row)], uint32(row))
	}
	nth, seen := make([]int, keys.Len()), map[column.Key]int{}
	for i := range nth {
		nth[i] = seen[keys.At(i)]
		seen[keys.At(i)]++
	}
	places := func(list []int) (out []uint32) {
		for _, i := range list {
			out = append(out, rows[keys.At(i)][nth[i]])
		}
		return out
	}
	half := len(in.Dead) / 2
	require.Equal(t, half, s.Tombstones().Add(places(in.Dead[:half]), 100))
	require.Equal(t, len(in.Dead)-half, s.Tombstones().Add(places(in.Dead[half:]), 101))
	require.Equal(t, len(in.Later), s.Tombstones().Add(places(in.Later), 102))
	v, ok := s.At(101)
	require.True(t, ok)
	return v
}
