package segment_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/segment/segmenttest"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/inverted"
)

// sparseSegment is a segment of sparse vectors of about 50 pairs, which many rows share; some are empty, and some null.
func sparseSegment(t testing.TB, rows int, disk bool) *indexed {
	x := newIndexed(t, schema.SparseFloatVector("v").Nullable(), 1, disk)
	x.rng = rand.New(rand.NewPCG(uint64(rows), 5))
	vectors, valid := make([]column.Sparse, rows), make([]bool, rows)
	for i := range vectors {
		valid[i] = x.rng.IntN(9) > 0
		if x.rng.IntN(20) == 0 {
			continue
		}
		for at := uint32(x.rng.IntN(9)); at < 2000; at += 1 + uint32(x.rng.IntN(70)) {
			vectors[i].Indices = append(vectors[i].Indices, at)
			vectors[i].Values = append(vectors[i].Values, float32(x.rng.NormFloat64()+.5))
		}
	}
	batch := segmenttest.Batch(t, x.rng, x.in.Schema, segmenttest.IntKeys(x.rng, rows))
	built, err := column.Build(x.in.Schema, []*column.Column{
		column.FromData(x.in.Schema.PrimaryKey(), batch.Keys().Data()), column.FromData(x.in.Schema.Fields[1], batch.Cols[1]),
		column.SparseFloatVector("v", vectors).WithValid(valid),
	}, column.BuildOptions{Mode: column.Upsert, MaxBytes: -1})
	require.NoError(t, err)
	x.in.Batches = []*column.Batch{built}
	old, dir := x.Sealed, x.fs.PathJoin(x.tmp, "sparse")
	require.NoError(t, x.fs.MkdirAll(dir, 0o755))
	x.Sealed = x.buildIn(dir, 8)
	old.Unref()
	return x
}

func (x *indexed) sparseQuery() *vector.Query {
	var raw []byte
	for at := uint32(x.rng.IntN(50)); at < 2500; at += 1 + uint32(x.rng.IntN(300)) {
		raw = binary.LittleEndian.AppendUint32(raw, at)
		raw = vector.AppendFloat32(raw, []float32{float32(x.rng.NormFloat64() + .5)})
	}
	q, err := vector.NewQuery(vector.IP, vector.Sparse, 0, raw)
	require.NoError(x.t, err)
	return q
}

// checkSparse compares searches of the index with exact ones: they are equal.
func (x *indexed) checkSparse() {
	x.t.Helper()
	v, _ := x.At(x.lsn())
	for i, k := range []int{1, 10, 100, 10, 5000, 3} {
		q := x.sparseQuery()
		var allowed []uint64
		if i%2 == 1 {
			allowed = make([]uint64, (v.Rows()+63)/64)
			for j := range allowed {
				allowed[j] = x.rng.Uint64() & x.rng.Uint64()
			}
		}
		top := vector.NewTopK(vector.IP, k)
		require.NoError(x.t, v.Scan(context.Background(), x.f, 0, v.Rows(), func(first uint32, d column.Data) error {
			scores := make([]float32, d.Rows)
			q.ScanSparse(d.Offs, d.Bytes, scores)
			for i, score := range scores {
				row := first + uint32(i)
				if !d.IsNull(i) && !v.Dead().Has(row) && (allowed == nil || allowed[row/64]>>(row%64)&1 == 1) {
					top.Push(score, row)
				}
			}
			return nil
		}))
		got, _, ok, err := v.SearchIndex(context.Background(), x.f, q, segment.IndexSearch{K: k, Ef: 7, Refine: 9, Allowed: allowed}, nil)
		require.NoError(x.t, err)
		require.True(x.t, ok)
		require.Equal(x.t, append([]vector.Hit{}, top.Sorted()...), append([]vector.Hit{}, got...))
	}
}

func TestSparseIndexFindsWhatTheScanFinds(t *testing.T) {
	ctx := context.Background()
	for _, rows := range []int{1, 300, 4000} {
		for _, disk := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d disk=%v", rows, disk), func(t *testing.T) {
				x := sparseSegment(t, rows, disk)
				spec := x.spec(5, vector.IP, forceGraph)
				require.ErrorIs(t, x.LoadIndex(ctx, spec, false), fs.ErrNotExist)
				require.NoError(t, x.CodeIndex(ctx, spec, segment.IndexBuild{TmpDir: x.tmp}))
				_, ok := x.IndexInfo(5)
				require.False(t, ok, "sparse vectors have no codes")
				x.build(spec)
				x.checkSparse()
				info, ok := x.IndexInfo(5)
				require.True(t, ok)
				require.Equal(t, "inverted", info.Kind)
				require.Equal(t, segment.IndexReady, info.State)
				require.Positive(t, info.MemoryBytes)
				require.Equal(t, rows > 3000, info.DiskBytes > 0, "a small one has no file")
				if info.DiskBytes > 0 {
					for _, mapped := range []bool{false, true} {
						require.NoError(t, x.LoadIndex(ctx, spec, mapped))
						x.checkSparse()
						info, _ = x.IndexInfo(5)
						require.Equal(t, !mapped || !disk || !segment.CanMap, info.MemoryBytes > 0)
					}
				}
				require.NoError(t, x.DropIndex(5))
				require.NoError(t, x.BuildIndex(ctx, spec, segment.IndexBuild{TmpDir: x.tmp, Mapped: true}))
				dead := make([]uint32, 0, rows)
				for _, r := range x.rng.Perm(rows)[:rows/3] {
					dead = append(dead, uint32(r))
				}
				x.Tombstones().Add(dead, 9)
				x.checkSparse()
			})
		}
	}
}

func TestSparseIndexRefuses(t *testing.T) {
	ctx := context.Background()
	x := sparseSegment(t, 4000, true)
	require.ErrorIs(t, x.BuildIndex(ctx, x.spec(5, vector.L2, forceGraph), segment.IndexBuild{TmpDir: x.tmp}), segment.ErrNoIndex)
	spec := x.spec(5, vector.IP, forceGraph)
	require.ErrorIs(t, x.BuildIndex(ctx, spec, segment.IndexBuild{TmpDir: x.tmp, MemoryBudget: 1000}), inverted.ErrMemory)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, x.BuildIndex(cancelled, spec, segment.IndexBuild{TmpDir: x.tmp}), context.Canceled)
	x.build(spec)
	path := x.fs.PathJoin(x.Dir(), spec.FileName())
	whole := readFile(t, x.fs, path)
	for at := 0; at < len(whole); at += 1 + len(whole)/97 {
		raw := slices.Clone(whole)
		raw[at] ^= 4
		require.NoError(t, x.fs.Remove(path))
		writeFile(t, x.fs, path, raw)
		err := x.LoadIndex(ctx, spec, at%2 == 0)
		var c *segment.CorruptionError
		require.ErrorAs(t, err, &c, "byte %d", at)
		require.Equal(t, path, c.Path)
	}
	writeFile(t, x.fs, x.fs.PathJoin(x.Dir(), x.spec(6, vector.IP, forceGraph).FileName()), whole)
	require.ErrorContains(t, x.LoadIndex(ctx, x.spec(6, vector.IP, forceGraph), false), "identity")
	if !segment.CanMap {
		return
	}
	require.NoError(t, x.fs.Remove(path))
	writeFile(t, x.fs, path, whole)
	require.NoError(t, x.LoadIndex(ctx, spec, true))
	x.checkSparse()
	require.NoError(t, os.Truncate(path, 0))
	v, _ := x.At(0)
	hits, _, ok, err := v.SearchIndex(ctx, x.f, x.sparseQuery(), segment.IndexSearch{K: 5}, nil)
	require.NoError(t, err)
	require.False(t, ok)
	require.Empty(t, hits)
}

func TestSparseSearchAllocatesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("under the race detector, which the short run is for, pools drop what they are given")
	}
	x := sparseSegment(t, 4000, true)
	x.build(x.spec(5, vector.IP, forceGraph))
	x.Tombstones().Add([]uint32{9}, 2)
	v, _ := x.At(2)
	q, dst := x.sparseQuery(), make([]vector.Hit, 0, 10)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		hits, _, ok, err := v.SearchIndex(context.Background(), x.f, q, segment.IndexSearch{K: 10}, dst)
		if err != nil || !ok || len(hits) != 10 {
			t.Fatal(err, ok, len(hits))
		}
	}))
}
