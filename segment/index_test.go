package segment_test

import (
	"context"
	"fmt"
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

// forceGraph has a graph built of however few rows.
var forceGraph = graph.Options{FlatBytes: -1}

// indexed is a sealed segment with a field to be indexed, on some file system.
type indexed struct {
	*segment.Sealed
	t     testing.TB
	fs    vfs.FS
	tmp   string
	in    segmenttest.Input
	f     *schema.Field
	rng   *rand.Rand
	cache *segment.Cache
}

// newIndexed builds a segment of the field "v", or as many rows without a value where the field is nullable. disk has it on a real disk.
func newIndexed(t testing.TB, f *schema.Field, rows int, disk bool) *indexed {
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(f.Dim)))
	s := segmenttest.Finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.VarChar("s", 9), f.Clone()))
	x := &indexed{t: t, rng: rng, in: segmenttest.Input{Schema: s, Batches: []*column.Batch{segmenttest.Batch(t, rng, s, segmenttest.IntKeys(rng, rows))}}}
	x.f, _ = s.Field(f.Name)
	dir := "seg"
	x.fs, x.tmp = vfs.NewMem(), "tmp"
	if disk {
		x.fs = vfs.Default
		root := t.TempDir()
		dir, x.tmp = x.fs.PathJoin(root, "seg"), x.fs.PathJoin(root, "tmp")
	}
	require.NoError(t, x.fs.MkdirAll(dir, 0o755))
	require.NoError(t, x.fs.MkdirAll(x.tmp, 0o755))
	x.cache = segment.NewCache(1 << 20)
	t.Cleanup(x.cache.Close)
	x.Sealed = x.buildIn(dir, 7)
	t.Cleanup(func() { x.Sealed.Unref() })
	return x
}

// buildIn builds a segment of the input.
func (x *indexed) buildIn(dir string, id segment.ID) *segment.Sealed {
	ctx, views := context.Background(), []segment.View{growingOf(x.t, x.in).At(1)}
	order, err := segment.Order(ctx, x.in.Schema, views)
	require.NoError(x.t, err)
	man, err := segment.Build(ctx, segment.BuildSpec{FS: x.fs, Dir: dir, ID: id, Schema: x.in.Schema, Now: created}, views, order)
	require.NoError(x.t, err)
	return x.open(x.fs, dir, man)
}

func (x *indexed) open(fs vfs.FS, dir string, man segment.Manifest) *segment.Sealed {
	s, err := segment.Open(fs, dir, man, x.in.Schema, x.cache, nil, 0)
	require.NoError(x.t, err)
	return s
}

func (x *indexed) spec(id uint64, m vector.Metric, o graph.Options) segment.IndexSpec {
	return segment.IndexSpec{ID: id, Field: x.f, Metric: m, Graph: o}
}

func (x *indexed) build(spec segment.IndexSpec) {
	x.t.Helper()
	require.NoError(x.t, x.BuildIndex(context.Background(), spec, segment.IndexBuild{TmpDir: x.tmp, Workers: 2}))
}

// files lists a directory.
func (x *indexed) files(dir string) []string {
	names, err := x.fs.List(dir)
	require.NoError(x.t, err)
	slices.Sort(names)
	return names
}

// raw gives the values of the field, by row.
func (x *indexed) raw() column.Data {
	v, _ := x.At(x.lsn())
	b := column.NewBuilder(x.f.Width(), true)
	require.NoError(x.t, v.Scan(context.Background(), x.f, 0, v.Rows(), func(_ uint32, d column.Data) error {
		b.AppendData(d, 0, d.Rows)
		return nil
	}))
	return b.Data()
}

func (x *indexed) lsn() uint64 { return 1 << 40 }

var elements = map[schema.DataType]vector.Element{
	schema.TypeFloatVector: vector.Float32, schema.TypeFloat16Vector: vector.Float16, schema.TypeBFloat16Vector: vector.BFloat16, schema.TypeInt8Vector: vector.Int8,
}

// query makes a query near a random row.
func (x *indexed) query(m vector.Metric, d column.Data) *vector.Query {
	e := elements[x.f.Type]
	floats := vector.AppendDecoded(nil, e, d.Value(x.rng.IntN(d.Rows)))
	raw := make([]byte, 0, x.f.Width())
	for i := range floats {
		floats[i] += float32(x.rng.IntN(5) - 2)
		floats[i] = max(-128, min(127, floats[i]))
		if e == vector.Int8 {
			raw = append(raw, byte(int8(floats[i])))
		}
	}
	switch e {
	case vector.Float32:
		raw = vector.AppendFloat32(raw, floats)
	case vector.Float16:
		raw = vector.AppendFloat16(raw, floats)
	case vector.BFloat16:
		raw = vector.AppendBFloat16(raw, floats)
	}
	q, err := vector.NewQuery(m, e, x.f.Dim, raw)
	require.NoError(x.t, err)
	return q
}

// exactHits is what a search of every live row finds, among those allowed.
func exactHits(t testing.TB, v *segment.SealedView, f *schema.Field, q *vector.Query, k int, allowed []uint64) []vector.Hit {
	t.Helper()
	top := vector.NewTopK(q.Metric(), k)
	require.NoError(t, v.Scan(context.Background(), f, 0, v.Rows(), func(first uint32, d column.Data) error {
		scores := make([]float32, d.Rows)
		q.Scan(d.Fixed, d.Rows, scores) // whole chunks, as the exact search does
		for i, score := range scores {
			row := first + uint32(i)
			if !d.IsNull(i) && !v.Dead().Has(row) && (allowed == nil || allowed[row/64]>>(row%64)&1 == 1) {
				top.Push(score, row)
			}
		}
		return nil
	}))
	return slices.Clone(top.Sorted())
}

// check compares searches of the index with exact ones, and returns the recall.
func (x *indexed) check(m vector.Metric, ks ...int) float64 {
	x.t.Helper()
	ctx, d := context.Background(), x.raw()
	v, _ := x.At(x.lsn())
	found, of := 0, 0
	one := make([]float32, 1)
	for i, k := range ks {
		q := x.query(m, d)
		var allowed []uint64
		if i%3 == 2 {
			allowed = make([]uint64, (v.Rows()+63)/64)
			for j := range allowed {
				allowed[j] = x.rng.Uint64() & x.rng.Uint64()
			}
		}
		want := exactHits(x.t, v, x.f, q, k, allowed)
		head := []vector.Hit{{Row: 1 << 30}}
		got, stats, ok, err := v.SearchIndex(ctx, x.f, q, segment.IndexSearch{K: k, Allowed: allowed}, head)
		require.NoError(x.t, err)
		require.True(x.t, ok)
		require.Equal(x.t, head[0], got[0], "what was there stays")
		got = got[1:]
		require.Len(x.t, got, len(want), "as many as there may be")
		require.GreaterOrEqual(x.t, stats.Exact, len(got))
		seen := map[uint32]bool{}
		for j, h := range got {
			require.False(x.t, seen[h.Row], "row %d is there twice", h.Row)
			seen[h.Row] = true
			require.False(x.t, v.Dead().Has(h.Row), "row %d is dead", h.Row)
			require.False(x.t, d.IsNull(int(h.Row)), "row %d is null", h.Row)
			require.True(x.t, allowed == nil || allowed[h.Row/64]>>(h.Row%64)&1 == 1, "row %d is not allowed", h.Row)
			q.Scan(d.Value(int(h.Row)), 1, one)
			require.Equal(x.t, one[0], h.Score, "the score of row %d, to the bit", h.Row)
			if j > 0 {
				p := got[j-1]
				require.True(x.t, m.Better(p.Score, h.Score) || p.Score == h.Score && p.Row < h.Row, "in order")
			}
			if !m.Better(want[len(want)-1].Score, h.Score) {
				found++
			}
		}
		of += len(want)
	}
	if of == 0 {
		return 1
	}
	return float64(found) / float64(of)
}

// Whatever the element, the metric, and the way the files are read: an index finds what the scan finds, nearly always, and with its scores.
func TestIndexFindsWhatTheScanFinds(t *testing.T) {
	ks := []int{1, 10, 10, 10, 100, 3, 10, 2000, 25}
	rows := 2500
	if testing.Short() {
		rows = 700
	}
	for _, c := range []struct {
		f    *schema.Field
		disk bool
	}{
		{schema.FloatVector("v", 40), false},
		{schema.FloatVector("v", 400), true}, // two tables
		{schema.FloatVector("v", 3).Nullable(), true},
		{schema.Float16Vector("v", 24).Nullable(), false},
		{schema.BFloat16Vector("v", 33), true},
		{schema.Int8Vector("v", 32).Nullable(), true},
	} {
		t.Run(fmt.Sprintf("%s %d nullable=%v disk=%v", c.f.Type, c.f.Dim, c.f.IsNullable, c.disk), func(t *testing.T) {
			x := newIndexed(t, c.f, rows, c.disk)
			for i, m := range []vector.Metric{vector.L2, vector.IP, vector.Cosine} {
				spec := x.spec(uint64(10+i), m, forceGraph)
				require.ErrorIs(t, x.LoadIndex(context.Background(), spec, c.disk), fs.ErrNotExist)
				x.build(spec)
				require.GreaterOrEqual(t, x.check(m, ks...), 0.9)
				info, ok := x.IndexInfo(spec.ID)
				require.True(t, ok)
				require.Equal(t, "graph", info.Kind)
				require.Equal(t, segment.IndexReady, info.State)
				require.Equal(t, rows, info.Rows)
				require.Positive(t, info.DiskBytes)
				built := info.MemoryBytes

				require.NoError(t, x.LoadIndex(context.Background(), spec, true))
				require.GreaterOrEqual(t, x.check(m, ks...), 0.9)
				if info, _ = x.IndexInfo(spec.ID); c.disk && segment.CanMap {
					require.Less(t, info.MemoryBytes, built/3, "it lies in the file")
				}
			}
			dead := make([]uint32, 0, rows)
			for _, r := range x.rng.Perm(rows)[:rows/2] {
				dead = append(dead, uint32(r))
			}
			x.Tombstones().Add(dead, 9)
			for _, m := range []vector.Metric{vector.L2, vector.IP, vector.Cosine} {
				require.GreaterOrEqual(t, x.check(m, ks...), 0.9)
			}
		})
	}
}

func TestIndexOfFewRows(t *testing.T) {
	for _, rows := range []int{1, 2, 3, 60, 500} {
		for _, o := range []graph.Options{{}, forceGraph} {
			x := newIndexed(t, schema.FloatVector("v", 6).Nullable(), rows, false)
			spec := x.spec(1, vector.L2, o)
			x.build(spec)
			require.EqualValues(t, 1, x.check(vector.L2, 1, 2, 10, 1000))
			info, ok := x.IndexInfo(1)
			require.True(t, ok)
			require.Equal(t, segment.IndexReady, info.State)
			if info.Kind == "codes" {
				require.Zero(t, info.DiskBytes)
				require.Len(t, x.files("seg"), 1, "an index that is quick to build has no file")
			} else {
				require.Len(t, x.files("seg"), 2)
			}
			x.Tombstones().Add([]uint32{0}, 3)
			require.EqualValues(t, 1, x.check(vector.L2, 1, 2, 10, 1000))
			all := make([]uint32, rows)
			for i := range all {
				all[i] = uint32(i)
			}
			x.Tombstones().Add(all, 4)
			x.check(vector.L2, 10)
		}
	}
}

// Codes of four bits go the same ways: fewer bytes, the same scores.
func TestIndexOfFourBits(t *testing.T) {
	x := newIndexed(t, schema.FloatVector("v", 128).Nullable(), 1000, true)
	eight, four := x.spec(1, vector.L2, forceGraph), x.spec(2, vector.L2, graph.Options{FlatBytes: -1, Bits: 4})
	x.build(eight)
	wide, _ := x.IndexInfo(1)
	require.NoError(t, x.DropIndex(1))
	x.build(four)
	for range 2 {
		info, _ := x.IndexInfo(2)
		require.Equal(t, "graph", info.Kind)
		require.Less(t, info.DiskBytes, wide.DiskBytes)
		require.Greater(t, x.check(vector.L2, 1, 10, 10, 50), 0.8)
		require.NoError(t, x.LoadIndex(context.Background(), four, true))
	}
}

// An index of another field, another metric, another kind of query is not taken.
func TestSearchIndexTakesTheOneThatFits(t *testing.T) {
	ctx := context.Background()
	x := newIndexed(t, schema.FloatVector("v", 8), 800, false)
	v, _ := x.At(0)
	q := x.query(vector.L2, x.raw())
	try := func(f *schema.Field, q *vector.Query) bool {
		hits, _, ok, err := v.SearchIndex(ctx, f, q, segment.IndexSearch{K: 3}, nil)
		require.NoError(t, err)
		require.Equal(t, ok, len(hits) > 0)
		return ok
	}
	require.False(t, try(x.f, q))
	x.build(x.spec(1, vector.L2, forceGraph))
	require.True(t, try(x.f, q))
	require.False(t, try(x.f, x.query(vector.IP, x.raw())))
	other := x.f.Clone()
	other.ID++
	require.False(t, try(other, q))
	renamed := x.f.Clone()
	renamed.Name = "w"
	require.True(t, try(renamed, q))

	x.build(x.spec(2, vector.IP, forceGraph))
	require.True(t, try(x.f, x.query(vector.IP, x.raw())))
	require.NoError(t, x.DropIndex(1))
	require.NoError(t, x.DropIndex(1), "twice is once")
	require.False(t, try(x.f, q))
	require.True(t, try(x.f, x.query(vector.IP, x.raw())))
	require.Equal(t, []string{"000002.idx", "rows.sst"}, x.files("seg"))

	_, err := vector.NewQuery(vector.IP, vector.Float32, 9, make([]byte, 36))
	require.NoError(t, err)
	wide, _ := vector.NewQuery(vector.IP, vector.Float32, 9, make([]byte, 36))
	_, _, ok, err := v.SearchIndex(ctx, x.f, wide, segment.IndexSearch{K: 3}, nil)
	require.True(t, ok)
	require.ErrorIs(t, err, graph.ErrInvalid)
	_, _, _, err = v.SearchIndex(ctx, x.f, x.query(vector.IP, x.raw()), segment.IndexSearch{K: 0}, nil)
	require.ErrorIs(t, err, graph.ErrInvalid)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, _, _, err = v.SearchIndex(cancelled, x.f, x.query(vector.IP, x.raw()), segment.IndexSearch{K: 3}, nil)
	require.ErrorIs(t, err, context.Canceled)
}

// Only vectors have an index; of a field that came after the segment it is there at once, and finds nothing.
func TestIndexOfOtherFields(t *testing.T) {
	ctx := context.Background()
	x := newIndexed(t, schema.FloatVector("v", 8), 50, false)
	text, _ := x.in.Schema.Field("s")
	spec := segment.IndexSpec{ID: 1, Field: text, Metric: vector.L2}
	require.ErrorIs(t, x.BuildIndex(ctx, spec, segment.IndexBuild{TmpDir: x.tmp}), segment.ErrNoIndex)
	require.ErrorIs(t, x.LoadIndex(ctx, spec, false), segment.ErrNoIndex)

	s := x.in.Schema.Clone()
	s.With(schema.FloatVector("later", 4).Nullable())
	later, _ := segmenttest.Finish(t, s).Field("later")
	spec = segment.IndexSpec{ID: 2, Field: later, Metric: vector.L2}
	q, err := vector.NewQuery(vector.L2, vector.Float32, 4, make([]byte, 16))
	require.NoError(t, err)
	v, _ := x.At(0)
	for _, attach := range []func() error{
		func() error { return x.LoadIndex(ctx, spec, true) },
		func() error { return x.BuildIndex(ctx, spec, segment.IndexBuild{TmpDir: x.tmp}) },
	} {
		require.NoError(t, attach())
		hits, _, ok, err := v.SearchIndex(ctx, later, q, segment.IndexSearch{K: 3}, nil)
		require.NoError(t, err)
		require.True(t, ok)
		require.Empty(t, hits)
		info, ok := x.IndexInfo(2)
		require.True(t, ok)
		require.Equal(t, segment.IndexInfo{ID: 2, Field: "later", State: segment.IndexReady, Kind: "none", Rows: 50}, info)
		require.NoError(t, x.DropIndex(2))
	}
	_, ok := x.IndexInfo(2)
	require.False(t, ok)
}

func TestRemoveIndexFiles(t *testing.T) {
	x := newIndexed(t, schema.FloatVector("v", 8), 500, false)
	for id := range uint64(4) {
		x.build(x.spec(id, vector.L2, forceGraph))
	}
	x.build(x.spec(12_345_678, vector.L2, forceGraph))
	for _, name := range []string{"7.idx", "0000001.idx", "a.idx", "000003.idx.tmp", ".idx", "-00001.idx"} {
		f, err := x.fs.Create("seg/"+name, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	require.NoError(t, x.RemoveIndexFiles(func(id uint64) bool { return id == 2 }))
	require.Equal(t, []string{"-00001.idx", ".idx", "0000001.idx", "000002.idx", "000003.idx.tmp", "7.idx", "a.idx", "rows.sst"}, x.files("seg"))
	require.Empty(t, x.files("tmp"))
}

// Memory is counted while it is held, and no longer.
func TestIndexMemory(t *testing.T) {
	x := newIndexed(t, schema.FloatVector("v", 256), 1200, false)
	bare := x.MemoryBytes()
	x.build(x.spec(1, vector.L2, forceGraph))
	info, _ := x.IndexInfo(1)
	require.Greater(t, info.MemoryBytes, int64(1200*256), "codes")
	require.Equal(t, bare+info.MemoryBytes, x.MemoryBytes())
	x.check(vector.L2, 10, 1000)
	touched := x.MemoryBytes() - bare - info.MemoryBytes
	require.Positive(t, touched, "a file in memory cannot be mapped")
	require.LessOrEqual(t, touched, int64(1200*256*4))
	require.NoError(t, x.DropIndex(1))
	require.Equal(t, bare+touched, x.MemoryBytes())

	x = newIndexed(t, schema.FloatVector("v", 256), 1200, true)
	bare = x.MemoryBytes()
	require.NoError(t, x.BuildIndex(context.Background(), x.spec(1, vector.L2, forceGraph), segment.IndexBuild{TmpDir: x.tmp, Mapped: true}))
	x.check(vector.L2, 10, 1000)
	info, _ = x.IndexInfo(1)
	require.Less(t, info.MemoryBytes, int64(1200*256/2))
	if segment.CanMap {
		require.Equal(t, bare+info.MemoryBytes, x.MemoryBytes(), "vectors are read where they are mapped")
	}
}
