package segment_test

import (
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/segment/segmenttest"
)

func sampleInput(t testing.TB, rows, dim int) segmenttest.Input {
	rng := rand.New(rand.NewPCG(5, 6))
	s := segmenttest.Finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.VarChar("s", 30).Nullable(), schema.FloatVector("v", dim)))
	return segmenttest.Input{Schema: s, Batches: []*column.Batch{segmenttest.Batch(t, rng, s, segmenttest.IntKeys(rng, rows))}}
}

func growingOf(t testing.TB, in segmenttest.Input) *segment.Growing {
	g := segment.NewGrowing(1, in.Schema, created)
	for _, b := range in.Batches {
		require.NoError(t, g.Append(b, 1, created))
	}
	return g
}

func TestBuildRefuses(t *testing.T) {
	ctx, in, fs := context.Background(), sampleInput(t, 10, 2), vfs.NewMem()
	require.NoError(t, fs.MkdirAll("seg", 0o755))
	spec := segment.BuildSpec{FS: fs, Dir: "seg", ID: 7, Schema: in.Schema, Now: created}
	views := []segment.View{growingOf(t, in).At(1)}
	_, err := segment.Build(ctx, spec, views, nil)
	require.ErrorContains(t, err, "0 rows")
	order, err := segment.Order(ctx, in.Schema, views)
	require.NoError(t, err)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = segment.Build(cancelled, spec, views, order)
	require.ErrorIs(t, err, context.Canceled)
	spec.Dir = "not there"
	_, err = segment.Build(ctx, spec, views, order)
	require.Error(t, err)
}

// A build writes live rows only, in the order of their keys.
func TestBuildLeavesTheDeadOut(t *testing.T) {
	ctx, in := context.Background(), sampleInput(t, 100, 2)
	g := growingOf(t, in)
	for row := uint32(0); row < 100; row += 3 {
		require.True(t, g.Delete(row, 2))
		require.False(t, g.Delete(row, 3), "a row dies once")
	}
	require.EqualValues(t, 34, g.Marked())
	s := build(t, vfs.NewMem(), in, g.At(2))
	require.EqualValues(t, 66, s.Manifest().Rows)
	keys := in.Keys()
	found := map[int]int{}
	v, _ := s.At(0)
	require.NoError(t, v.Find(ctx, keys, func(i int, _ uint32) { found[i]++ }))
	for i := range keys.Len() {
		want := 1
		if i%3 == 0 {
			want = 0
		}
		require.Equal(t, want, found[i])
	}
	require.Equal(t, column.Key{Int: (99 - 33) * 7}, s.GreatestKey())
	all, err := segment.Order(ctx, in.Schema, []segment.View{g.At(1)})
	require.NoError(t, err)
	require.Len(t, all, 100, "an older view still sees them")
}

// What Open finds must be what Build wrote: another segment's files, an older build of the same segment, a missing or cut file.
func TestOpenChecksIdentity(t *testing.T) {
	ctx, in := context.Background(), sampleInput(t, 4000, 100) // large enough for two tables
	fs := vfs.NewMem()
	mans := map[string]segment.Manifest{}
	build := func(dir string, id segment.ID) {
		require.NoError(t, fs.RemoveAll(dir))
		require.NoError(t, fs.MkdirAll(dir, 0o755))
		views := []segment.View{growingOf(t, in).At(1)}
		order, err := segment.Order(ctx, in.Schema, views)
		require.NoError(t, err)
		mans[dir], err = segment.Build(ctx, segment.BuildSpec{FS: fs, Dir: dir, ID: id, Schema: in.Schema, Now: created}, views, order)
		require.NoError(t, err)
		require.Len(t, mans[dir].Files, 2)
	}
	build("a", 7)
	for dir, id := range map[string]segment.ID{"again": 7, "other": 8} {
		// The token is random, and compresses now better, now worse.
		for ok := false; !ok; ok = slices.Equal(mans[dir].Files, mans["a"].Files) {
			build(dir, id)
		}
	}
	c := segment.NewCache(1 << 20)
	defer c.Close()
	open := func(dir string, man segment.Manifest) error {
		s, err := segment.Open(fs, dir, man, in.Schema, c, nil, 0)
		if err == nil {
			err = s.Verify(ctx)
			s.Unref()
		}
		return err
	}
	require.NoError(t, open("a", mans["a"]))
	copyFile := func(from, to string) {
		f, err := fs.Open(from)
		require.NoError(t, err)
		raw, err := io.ReadAll(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.NoError(t, fs.MkdirAll(fs.PathDir(to), 0o755))
		w, err := fs.Create(to, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		_, err = w.Write(raw)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	corrupt := func(kind string, err error) {
		t.Helper()
		var ce *segment.CorruptionError
		require.ErrorIs(t, err, segment.ErrCorrupt)
		require.ErrorAs(t, err, &ce)
		require.Equal(t, kind, ce.Kind, err)
	}
	for _, other := range []string{"again", "other"} { // same sizes, same rows
		corrupt("identity", open(other, mans["a"]))
		for _, swapped := range mans["a"].Files {
			mixed := "mixed-" + other + swapped.Name
			for _, f := range mans["a"].Files {
				from := "a"
				if f.Name == swapped.Name {
					from = other
				}
				copyFile(from+"/"+f.Name, mixed+"/"+f.Name)
			}
			corrupt("identity", open(mixed, mans["a"]))
		}
	}
	for _, f := range mans["a"].Files {
		dir := "without-" + f.Name
		for _, g := range mans["a"].Files {
			if g != f {
				copyFile("a/"+g.Name, dir+"/"+g.Name)
			}
		}
		corrupt("missing", open(dir, mans["a"]))
		man := mans["a"]
		man.Files = append([]segment.File(nil), man.Files...)
		man.Files[0].Size++
		corrupt("size", open("a", man))
	}
}

// A reader that holds a segment keeps its files open while it is dropped; the last one removes them.
func TestDropWaitsForReaders(t *testing.T) {
	ctx, in, fs := context.Background(), sampleInput(t, 500, 4), vfs.NewMem()
	require.NoError(t, fs.MkdirAll("seg", 0o755))
	views := []segment.View{growingOf(t, in).At(1)}
	order, err := segment.Order(ctx, in.Schema, views)
	require.NoError(t, err)
	man, err := segment.Build(ctx, segment.BuildSpec{FS: fs, Dir: "seg", ID: 7, Schema: in.Schema, Now: created}, views, order)
	require.NoError(t, err)
	c := segment.NewCache(1 << 20)
	s, err := segment.Open(fs, "seg", man, in.Schema, c, nil, 0)
	require.NoError(t, err)
	s.Ref()
	removed := 0
	s.Drop(func(got *segment.Sealed, err error) {
		require.NoError(t, err)
		require.Same(t, s, got)
		require.NoError(t, fs.RemoveAll(got.Dir()))
		removed++
	})
	s.Unref()
	c.Close() // the tables outlive the owner of the cache
	v, ok := s.At(5)
	require.True(t, ok)
	b := column.NewBuilder(8, false)
	require.NoError(t, v.Read(ctx, in.Schema.PrimaryKey(), []uint32{0}, b))
	require.Equal(t, 1, b.Rows())
	require.Zero(t, removed)
	s.Unref()
	require.Equal(t, 1, removed)
	_, err = fs.Stat("seg")
	require.Error(t, err)
}

func TestLocateSeesTheDead(t *testing.T) {
	ctx, in := context.Background(), sampleInput(t, 50, 2)
	s := build(t, vfs.NewMem(), in, growingOf(t, in).At(1))
	keys := in.Keys()
	require.Equal(t, 2, s.Tombstones().Add([]uint32{3, 4}, 9))
	rows := map[uint32]int{}
	require.NoError(t, s.Locate(ctx, keys, nil, func(_ int, row uint32) { rows[row]++ }))
	require.Len(t, rows, 50)
	v, _ := s.At(9)
	live := 0
	require.NoError(t, v.Find(ctx, keys, func(_ int, row uint32) {
		live++
		require.NotContains(t, []uint32{3, 4}, row)
	}))
	require.Equal(t, 48, live)
	_, ok := s.At(8)
	require.False(t, ok, "the dead of LSN 8 are no longer known")
}
