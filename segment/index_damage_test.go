package segment_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

func readFile(t testing.TB, fs vfs.FS, path string) []byte {
	f, err := fs.Open(path)
	require.NoError(t, err)
	defer f.Close()
	raw, err := io.ReadAll(f)
	require.NoError(t, err)
	return raw
}

func writeFile(t testing.TB, fs vfs.FS, path string, raw []byte) {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.Write(slices.Clone(raw)) // it may be changed
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// Whichever byte of an index file is changed, it is refused, mapped or read, and what was searched before goes on to be.
func TestDamagedIndexIsRefused(t *testing.T) {
	ctx := context.Background()
	for _, disk := range []bool{false, true} {
		x := newIndexed(t, schema.FloatVector("v", 20).Nullable(), 150, disk)
		spec := x.spec(3, vector.Cosine, graph.Options{FlatBytes: -1, Degree: 8})
		x.build(spec)
		path := x.fs.PathJoin(x.Dir(), spec.FileName())
		whole := readFile(t, x.fs, path)
		refused := func(raw []byte, what string, args ...any) {
			t.Helper()
			require.NoError(t, x.fs.Remove(path)) // what is mapped stays as it is
			writeFile(t, x.fs, path, raw)
			err := x.LoadIndex(ctx, spec, disk)
			require.Error(t, err, what, args)
			var c *segment.CorruptionError
			if !errors.Is(err, segment.ErrVersion) {
				require.ErrorAs(t, err, &c, what, args)
				require.Equal(t, path, c.Path)
				require.ErrorContains(t, err, path)
			}
			_, ok := x.IndexInfo(3)
			require.True(t, ok, "the one that was there stays")
		}
		step := 3
		if testing.Short() {
			step = 331
		}
		damaged := append([]byte(nil), whole...)
		for at := 0; at < len(whole); at += step {
			damaged[at] ^= 1 << (at % 8)
			refused(damaged, "byte %d of %d", at, len(whole))
			damaged[at] = whole[at]
		}
		for _, n := range []int{0, 1, 511, 512, 513, len(whole) / 2, len(whole) - 1} {
			refused(whole[:n], "%d bytes", n)
		}
		refused(append(damaged, 0), "longer")
		refused(make([]byte, len(whole)), "zeros")
		writeFile(t, x.fs, path, whole)
		require.NoError(t, x.LoadIndex(ctx, spec, disk))
		x.check(vector.Cosine, 5, 10)
	}
}

// A file that is whole, and not this index's: it is refused.
func TestForeignIndexIsRefused(t *testing.T) {
	ctx := context.Background()
	x := newIndexed(t, schema.FloatVector("v", 20), 400, false)
	spec := x.spec(3, vector.L2, forceGraph)
	x.build(spec)
	path := x.fs.PathJoin(x.Dir(), spec.FileName())
	whole := readFile(t, x.fs, path)
	identity := func(s *segment.Sealed, spec segment.IndexSpec) {
		t.Helper()
		writeFile(t, x.fs, x.fs.PathJoin(s.Dir(), spec.FileName()), whole)
		err := s.LoadIndex(ctx, spec, false)
		var c *segment.CorruptionError
		require.ErrorAs(t, err, &c)
		require.Equal(t, "identity", c.Kind)
		require.NotErrorIs(t, err, segment.ErrVersion)
		_, ok := s.IndexInfo(spec.ID)
		require.False(t, ok)
	}
	other := spec
	other.ID = 4
	identity(x.Sealed, other)
	for i, id := range []segment.ID{7, 8} { // another build of the segment, another segment with the same rows
		dir := fmt.Sprint("other", i)
		require.NoError(t, x.fs.MkdirAll(dir, 0o755))
		s := x.buildIn(dir, id)
		defer s.Unref()
		identity(s, spec)
	}
	require.NoError(t, x.DropIndex(3))
	other = spec
	other.Metric = vector.IP
	identity(x.Sealed, other)
	other = spec
	other.Field = other.Field.Clone()
	other.Field.Dim = 19
	identity(x.Sealed, other)

	version := append([]byte(nil), whole...)
	version[8]++
	writeFile(t, x.fs, path, version)
	require.ErrorIs(t, x.LoadIndex(ctx, spec, false), segment.ErrVersion)
}

// Damage in the vectors is the search's error, not a wrong hit.
func TestSearchIndexSeesDamagedVectors(t *testing.T) {
	ctx := context.Background()
	for _, disk := range []bool{false, true} {
		x := newIndexed(t, schema.FloatVector("v", 400), 700, disk)
		spec := x.spec(3, vector.L2, forceGraph)
		x.build(spec)
		table := x.fs.PathJoin(x.Dir(), "vectors.sst")
		q := x.query(vector.L2, x.raw())
		raw := readFile(t, x.fs, table)
		for at := 1000; at < 900_000; at += 100_000 {
			raw[at] ^= 1
		}
		dir := x.fs.PathJoin(x.tmp, "damaged")
		require.NoError(t, x.fs.MkdirAll(dir, 0o755))
		writeFile(t, x.fs, x.fs.PathJoin(dir, "vectors.sst"), raw)
		for _, name := range []string{"rows.sst", spec.FileName()} {
			writeFile(t, x.fs, x.fs.PathJoin(dir, name), readFile(t, x.fs, x.fs.PathJoin(x.Dir(), name)))
		}
		s := x.open(x.fs, dir, x.Manifest())
		defer s.Unref()
		require.NoError(t, s.LoadIndex(ctx, spec, disk))
		v, _ := s.At(0)
		head := []vector.Hit{{Row: 9}}
		hits, _, ok, err := v.SearchIndex(ctx, x.f, q, segment.IndexSearch{K: 10}, head)
		require.True(t, ok)
		require.Equal(t, head, hits)
		var c *segment.CorruptionError
		require.ErrorAs(t, err, &c)
		require.Equal(t, "checksum", c.Kind)
		require.Equal(t, x.fs.PathJoin(dir, "vectors.sst"), c.Path)
		err = s.BuildIndex(ctx, x.spec(4, vector.L2, forceGraph), segment.IndexBuild{TmpDir: x.tmp})
		require.ErrorAs(t, err, &c)
	}
}

// A mapped file that loses its pages is an error of the search, or, where it is the index's, the end of that index. Either is no end of the
// process.
func TestMappedFileIsCut(t *testing.T) {
	if !segment.CanMap {
		t.Skip("files are not mapped on this system")
	}
	ctx := context.Background()
	x := newIndexed(t, schema.FloatVector("v", 400), 700, true)
	spec := x.spec(3, vector.L2, forceGraph)
	x.build(spec)
	q := x.query(vector.L2, x.raw())
	v, _ := x.At(0)
	search := func() (hits []vector.Hit, ok bool, err error) {
		hits, _, ok, err = v.SearchIndex(ctx, x.f, q, segment.IndexSearch{K: 10}, nil)
		return hits, ok, err
	}
	require.NoError(t, x.LoadIndex(ctx, spec, true))
	want, ok, err := search()
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, want, 10)

	path := x.Dir() + "/" + spec.FileName()
	whole := readFile(t, x.fs, path)
	require.NoError(t, os.Truncate(path, 512))
	hits, ok, err := search()
	require.NoError(t, err)
	require.False(t, ok, "it is to be scanned")
	require.Empty(t, hits)
	_, ok = x.IndexInfo(3)
	require.False(t, ok, "the index is gone")
	require.NoError(t, os.Truncate(path, int64(len(whole))))
	var c *segment.CorruptionError
	require.ErrorAs(t, x.LoadIndex(ctx, spec, true), &c, "zeros")

	writeFile(t, x.fs, path, whole)
	require.NoError(t, x.LoadIndex(ctx, spec, true))
	hits, _, err = search()
	require.NoError(t, err)
	require.Equal(t, want, hits)
	table := x.Dir() + "/vectors.sst"
	require.NoError(t, os.Truncate(table, 4096))
	hits, ok, err = search()
	require.True(t, ok)
	require.Empty(t, hits)
	var system *fs.PathError
	require.ErrorAs(t, err, &system)
	require.Equal(t, table, system.Path)
	require.ErrorContains(t, err, table)
	require.Error(t, x.BuildIndex(ctx, x.spec(4, vector.L2, forceGraph), segment.IndexBuild{TmpDir: x.tmp}))
	require.Empty(t, x.files(x.tmp))
}

// crashable gives a segment on a file system that remembers what is synced; hook is called before each operation that writes.
func crashable(t testing.TB, rows int) (x *indexed, mem *vfs.MemFS, hook *atomic.Pointer[func(errorfs.Op) error]) {
	built := newIndexed(t, schema.FloatVector("v", 16), rows, false)
	mem = vfs.NewCrashableMem()
	hook = &atomic.Pointer[func(errorfs.Op) error]{}
	for _, dir := range []string{"seg", "tmp"} {
		require.NoError(t, mem.MkdirAll(dir, 0o755))
	}
	for _, file := range built.Manifest().Files {
		f, err := mem.Create("seg/"+file.Name, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		_, err = f.Write(readFile(t, built.fs, "seg/"+file.Name))
		require.NoError(t, err)
		require.NoError(t, errors.Join(f.Sync(), f.Close()))
	}
	for _, dir := range []string{"seg", "tmp", ""} {
		d, err := mem.OpenDir(dir)
		require.NoError(t, err)
		require.NoError(t, errors.Join(d.Sync(), d.Close()))
	}
	x = &indexed{t: t, rng: built.rng, in: built.in, f: built.f, cache: built.cache, tmp: "tmp"}
	x.fs = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if h := hook.Load(); h != nil && op.Kind.ReadOrWrite() != errorfs.OpIsRead {
			return (*h)(op)
		}
		return nil
	}))
	x.Sealed = x.open(x.fs, "seg", built.Manifest())
	t.Cleanup(x.Sealed.Unref)
	return x, mem, hook
}

// Whenever the power goes during a build, the file is whole or not there; after the build it is there.
func TestCrashDuringBuildIndex(t *testing.T) {
	ctx := context.Background()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	x, mem, hook := crashable(t, 500)
	spec := x.spec(3, vector.L2, forceGraph)
	whole, crashes := 0, 0
	crash := func(percent int) bool {
		crashes++
		clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
		s := x.open(clone, "seg", x.Manifest())
		defer s.Unref()
		err := s.LoadIndex(ctx, spec, false)
		if errors.Is(err, fs.ErrNotExist) {
			return false
		}
		require.NoError(t, err)
		v, _ := s.At(0)
		hits, _, ok, err := v.SearchIndex(ctx, x.f, x.query(vector.L2, x.raw()), segment.IndexSearch{K: 5}, nil)
		require.NoError(t, err)
		require.True(t, ok)
		require.Len(t, hits, 5)
		whole++
		return true
	}
	h := func(errorfs.Op) error {
		for _, percent := range []int{0, 30, 70, 100} {
			crash(percent)
		}
		return nil
	}
	hook.Store(&h)
	x.build(spec)
	hook.Store(nil)
	require.Greater(t, crashes, 20)
	require.Positive(t, whole, "before the directory was synced")
	require.True(t, crash(0))
}

// Whichever operation fails, the build says so, leaves no file, and the codes.
func TestBuildIndexFails(t *testing.T) {
	ctx := context.Background()
	x, _, hook := crashable(t, 500)
	spec := x.spec(3, vector.L2, forceGraph)
	for k := 1; ; k++ {
		require.Less(t, k, 1000)
		n, failed := 0, errorfs.Op{}
		h := func(op errorfs.Op) error {
			if n++; n == k && op.Kind != errorfs.OpFileClose {
				failed = op
				return errorfs.ErrInjected
			}
			return nil
		}
		hook.Store(&h)
		err := x.BuildIndex(ctx, spec, segment.IndexBuild{TmpDir: x.tmp})
		hook.Store(nil)
		if err == nil && n < k {
			require.Greater(t, k, 5)
			break
		}
		if failed.Path == "" {
			require.NoError(t, err)
			require.NoError(t, x.DropIndex(3))
			continue
		}
		require.ErrorIs(t, err, errorfs.ErrInjected, "operation %d, %v of %s", k, failed.Kind, failed.Path)
		require.Empty(t, x.files(x.tmp))
		require.Equal(t, []string{"rows.sst"}, x.files("seg"))
		info, ok := x.IndexInfo(3)
		require.True(t, ok)
		require.Equal(t, segment.IndexCodes, info.State)
		require.Greater(t, x.check(vector.L2, 3, 10, 50), 0.9)
	}
	info, _ := x.IndexInfo(3)
	require.Equal(t, segment.IndexReady, info.State)
}

// countdown is a context that ends after so many looks at it.
type countdown struct {
	context.Context
	left atomic.Int64
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// Wherever a build is cancelled, nothing is left of it but the codes.
func TestBuildIndexIsCancelled(t *testing.T) {
	x := newIndexed(t, schema.FloatVector("v", 16), 1000, false)
	states := map[string]int{}
	for looks := int64(0); ; looks += 1 + looks/10 {
		c := &countdown{Context: context.Background()}
		c.left.Store(looks)
		spec := x.spec(uint64(100+looks), vector.L2, forceGraph)
		err := x.BuildIndex(c, spec, segment.IndexBuild{TmpDir: x.tmp, Workers: 1})
		if err == nil {
			break
		}
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, x.files(x.tmp))
		require.Equal(t, []string{"rows.sst"}, x.files("seg"))
		info, ok := x.IndexInfo(spec.ID)
		states[fmt.Sprint(ok, info.State)]++
		if ok {
			require.Equal(t, segment.IndexCodes, info.State)
			require.Greater(t, x.check(vector.L2, 10), 0.5)
		}
		require.NoError(t, x.DropIndex(spec.ID))
	}
	require.Positive(t, states["false state(0)"], states)
	require.Greater(t, states["true codes"], 2, states)
	require.Len(t, x.files("seg"), 2)
}

func TestBuildIndexTellsItsProgress(t *testing.T) {
	x := newIndexed(t, schema.FloatVector("v", 16), 1000, false)
	var told []int
	require.NoError(t, x.BuildIndex(context.Background(), x.spec(3, vector.L2, forceGraph), segment.IndexBuild{
		TmpDir: x.tmp, Progress: func(done, total int) {
			require.Equal(t, 1000, total)
			told = append(told, done)
		},
	}))
	require.Greater(t, len(told), 3)
	require.True(t, slices.IsSorted(told))
	require.Equal(t, 1000, told[len(told)-1])
}

// A graph that does not fit is refused; the codes do its work.
func TestBuildIndexOutOfMemory(t *testing.T) {
	x := newIndexed(t, schema.FloatVector("v", 16), 1000, false)
	spec := x.spec(3, vector.L2, forceGraph)
	err := x.BuildIndex(context.Background(), spec, segment.IndexBuild{TmpDir: x.tmp, MemoryBudget: 1 << 18})
	require.ErrorIs(t, err, graph.ErrMemory)
	info, ok := x.IndexInfo(3)
	require.True(t, ok)
	require.Equal(t, segment.IndexCodes, info.State)
	require.Equal(t, "codes", info.Kind)
	require.Zero(t, info.DiskBytes)
	require.Greater(t, x.check(vector.L2, 1, 10, 100), 0.9)
	x.build(spec)
	info, _ = x.IndexInfo(3)
	require.Equal(t, segment.IndexReady, info.State)
}

// A drop ends a build; two builds of one index are one too many.
func TestDropIndexDuringBuild(t *testing.T) {
	ctx := context.Background()
	x, _, hook := crashable(t, 500)
	spec := x.spec(3, vector.L2, forceGraph)
	for at := 1; at < 9; at++ {
		n := 0
		h := func(errorfs.Op) error {
			if n++; n == at {
				hook.Store(nil)
				require.ErrorIs(t, x.BuildIndex(ctx, spec, segment.IndexBuild{TmpDir: x.tmp}), segment.ErrIndexBusy)
				require.NoError(t, x.DropIndex(3))
			}
			return nil
		}
		hook.Store(&h)
		require.ErrorIs(t, x.BuildIndex(ctx, spec, segment.IndexBuild{TmpDir: x.tmp}), segment.ErrIndexDropped, "operation %d", at)
		require.Empty(t, x.files(x.tmp))
		require.Equal(t, []string{"rows.sst"}, x.files("seg"))
		_, ok := x.IndexInfo(3)
		require.False(t, ok)
	}
	x.build(spec)
}

// Searches go on while indexes come and go under them, mapped ones too, and the segment closes after the last.
func TestSearchWhileIndexesComeAndGo(t *testing.T) {
	ctx := context.Background()
	x := newIndexed(t, schema.FloatVector("v", 32), 1200, true)
	spec := x.spec(3, vector.L2, forceGraph)
	x.build(spec)
	path := x.fs.PathJoin(x.Dir(), spec.FileName())
	whole := readFile(t, x.fs, path)
	d := x.raw()
	queries := make([]*vector.Query, 50)
	for i := range queries {
		queries[i] = x.query(vector.L2, d)
	}
	stop := make(chan struct{})
	var searches, missed atomic.Int64
	done := make(chan error, 4)
	for i := range cap(done) {
		x.Ref()
		go func() {
			defer x.Unref()
			var hits []vector.Hit
			for n := i; ; n++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				v, _ := x.At(1 << 30)
				var ok bool
				var err error
				hits, _, ok, err = v.SearchIndex(ctx, x.f, queries[n%len(queries)], segment.IndexSearch{K: 10}, hits[:0])
				if err != nil || ok && len(hits) != 10 {
					done <- fmt.Errorf("%d hits: %w", len(hits), err)
					return
				}
				if searches.Add(1); !ok {
					missed.Add(1)
				}
			}
		}()
	}
	deadline := time.Now().Add(time.Second)
	for n := 0; time.Now().Before(deadline) || n < 20; n++ {
		writeFile(t, x.fs, path+".new", whole)
		require.NoError(t, x.fs.Rename(path+".new", path))
		require.NoError(t, x.LoadIndex(ctx, spec, n%3 > 0))
		if n%4 == 0 {
			require.NoError(t, x.DropIndex(3))
			x.Tombstones().Add([]uint32{uint32(n)}, uint64(n+1))
		}
		if n%10 == 0 {
			x.build(x.spec(4, vector.L2, graph.Options{}))
			_, _ = x.IndexInfo(4)
			_ = x.MemoryBytes()
			require.NoError(t, x.DropIndex(4))
		}
	}
	close(stop)
	for range cap(done) {
		require.NoError(t, <-done)
	}
	require.Greater(t, searches.Load(), missed.Load())
}

func TestSearchIndexAllocatesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("under the race detector, which the short run is for, pools drop what they are given")
	}
	ctx := context.Background()
	for _, rows := range []int{1000, 22_000} { // filtered, from 20,000 on it is a walk
		x := newIndexed(t, schema.FloatVector("v", 16), rows, rows > 1000)
		x.build(x.spec(3, vector.L2, graph.Options{FlatBytes: -1, LeafRows: 200, FanOut: [2]int{3, 1}}))
		info, _ := x.IndexInfo(3)
		require.Equal(t, "graph", info.Kind)
		q := x.query(vector.L2, x.raw())
		x.Tombstones().Add([]uint32{7, uint32(rows) - 3}, 2)
		for _, lsn := range []uint64{2, 3} {
			v, _ := x.At(lsn)
			dst := make([]vector.Hit, 0, 50)
			allowed := []uint64{^uint64(0), 0xff}
			for _, o := range []segment.IndexSearch{{K: 10}, {K: 50, Ef: 200, Refine: 100}, {K: 10, Allowed: allowed}} {
				require.Zero(t, testing.AllocsPerRun(100, func() {
					hits, _, ok, err := v.SearchIndex(ctx, x.f, q, o, dst)
					if err != nil || !ok || len(hits) != o.K {
						t.Fatal(err, ok, len(hits))
					}
				}), "%+v", o)
			}
		}
	}
}
