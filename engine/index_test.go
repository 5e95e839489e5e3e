package engine_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

const indexDim = 24

// clustered makes vectors around a few hundred centres, which is where an index could miss rows.
func clustered(rng *rand.Rand, n int) []float32 {
	centres := make([]float32, 300*indexDim)
	for i := range centres {
		centres[i] = float32(rng.NormFloat64())
	}
	out := make([]float32, 0, n*indexDim)
	for range n {
		c := rng.IntN(300) * indexDim
		for j := range indexDim {
			out = append(out, centres[c+j]+float32(rng.NormFloat64())*0.4)
		}
	}
	return out
}

func indexStore(t testing.TB, fs vfs.FS, o engine.Options) (*engine.Engine, *engine.Collection) {
	t.Helper()
	o.FS = fs
	eng, err := engine.Open("db", &o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	if eng.HasCollection("c") {
		c, err := eng.Collection("c")
		require.NoError(t, err)
		return eng, c
	}
	c, err := eng.CreateCollection(context.Background(), schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", indexDim)))
	require.NoError(t, err)
	return eng, c
}

func insertVectors(t testing.TB, c *engine.Collection, first int64, vectors []float32) {
	t.Helper()
	ids := make([]int64, len(vectors)/indexDim)
	for i := range ids {
		ids[i] = first + int64(i)
	}
	_, err := c.Insert(context.Background(), column.Int64("id", ids), column.FloatVectorFlat("v", indexDim, vectors))
	require.NoError(t, err)
}

// recall compares searches with exact ones: the share of the exact hits that are found. Scores must agree to the bit.
func recall(t testing.TB, c *engine.Collection, queries []float32, req func(q *query.Search) *query.Search) float64 {
	t.Helper()
	found, all := 0, 0
	for q := 0; q < len(queries); q += indexDim {
		near := req(query.Nearest("v", queries[q:q+indexDim]))
		got, err := c.Search(context.Background(), near)
		require.NoError(t, err)
		want, err := c.Search(context.Background(), req(query.Nearest("v", queries[q:q+indexDim])).Exact())
		require.NoError(t, err)
		require.Len(t, got, len(want))
		score := map[column.Key]float32{}
		for _, h := range want {
			score[h.Key] = h.Score
		}
		all += len(want)
		for _, h := range got {
			if s, ok := score[h.Key]; ok {
				require.Equal(t, s, h.Score)
				found++
			}
		}
	}
	return float64(found) / float64(all)
}

func asIs(q *query.Search) *query.Search { return q }

func indexFiles(t testing.TB, fs vfs.FS) (paths []string) {
	t.Helper()
	segs, err := fs.List("db/seg")
	require.NoError(t, err)
	for _, s := range segs {
		names, err := fs.List("db/seg/" + s)
		require.NoError(t, err)
		for _, n := range names {
			if strings.HasSuffix(n, ".idx") {
				paths = append(paths, "db/seg/"+s+"/"+n)
			}
		}
	}
	slices.Sort(paths) // a file system in memory lists in any order
	return paths
}

func TestIndexLife(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	rng := rand.New(rand.NewPCG(1, 2))
	data := clustered(rng, 15_100)
	rows, queries := data[:15_000*indexDim], data[15_000*indexDim:]

	eng, c := indexStore(t, fs, engine.Options{CompactBytes: -1})
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	require.NoError(t, c.WaitIndexed(ctx), "nothing is sealed yet")
	insertVectors(t, c, 0, rows)
	require.Equal(t, 1.0, recall(t, c, queries, asIs), "growing rows are compared one by one")
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	info, err := c.DescribeIndex("v")
	require.NoError(t, err)
	require.Equal(t, engine.IndexFinished, info.State)
	require.Equal(t, schema.Index{Name: "v", Field: "v", Kind: schema.IndexAuto, Metric: "L2", Params: map[string]string{}}, info.Index)
	require.EqualValues(t, 15_000, info.TotalRows)
	require.Equal(t, info.TotalRows, info.IndexedRows)
	require.Zero(t, info.PendingRows)
	require.Equal(t, []int{1, 1}, []int{info.Segments, info.Indexed})
	require.Equal(t, 1.0, info.Progress)
	require.Positive(t, info.MemoryBytes)
	require.Positive(t, info.DiskBytes)
	require.Len(t, indexFiles(t, fs), 1)
	require.Greater(t, recall(t, c, queries, asIs), 0.95)
	require.Greater(t, recall(t, c, queries, func(q *query.Search) *query.Search { return q.Ef(400).RefineK(10).Limit(5).Offset(5) }), 0.97)
	require.Equal(t, 1.0, recall(t, c, queries, func(q *query.Search) *query.Search { return q.Metric(vector.Cosine) }), "by another metric all are compared")
	require.EqualValues(t, 1, eng.Metrics().IndexBuilds)

	// Rows that die are not found; rows that come are.
	gone := column.IntKeys()
	for id := int64(0); id < 15_000; id += 3 {
		gone.Ints = append(gone.Ints, id)
	}
	res, err := c.Delete(ctx, gone)
	require.NoError(t, err)
	require.Equal(t, 5_000, res.Deleted)
	insertVectors(t, c, 20_000, queries)
	require.Greater(t, recall(t, c, queries, asIs), 0.95)
	require.NoError(t, eng.Close())

	// It is loaded, not built again.
	eng, c = indexStore(t, fs, engine.Options{CompactBytes: -1})
	require.NoError(t, c.WaitIndexed(ctx))
	require.Greater(t, recall(t, c, queries, asIs), 0.95)
	m := eng.Metrics()
	require.Equal(t, []int64{0, 1, 0, 0}, []int64{m.IndexBuilds, m.IndexLoads, m.IndexErrors, m.IndexRejected})
	require.Equal(t, info.MemoryBytes, m.IndexBytes)

	// Dropped, its files go, and all rows are compared.
	require.NoError(t, c.DropIndex(ctx, "v"))
	require.Empty(t, indexFiles(t, fs))
	require.Equal(t, 1.0, recall(t, c, queries, func(q *query.Search) *query.Search { return q.Metric(vector.L2) }))
	require.ErrorIs(t, c.DropIndex(ctx, "v"), engine.ErrNotFound)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Name: "second", Field: "v", Kind: schema.IndexHNSW, Params: map[string]string{"M": "8", "efConstruction": "100"}}))
	require.NoError(t, c.WaitIndexed(ctx))
	require.Greater(t, recall(t, c, queries, asIs), 0.9)
	require.NoError(t, eng.Close())
}

func TestIndexDefinitions(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, c := indexStore(t, fs, engine.Options{})
	_, err := c.DescribeIndex("v")
	require.ErrorIs(t, err, engine.ErrNotFound)
	require.ErrorIs(t, c.CreateIndex(ctx, schema.Index{Field: "v", Kind: "IVF_FLAT"}), engine.ErrInvalid)
	flat := schema.Index{Name: "f", Field: "v", Kind: "flat", Metric: "ip"}
	require.NoError(t, c.CreateIndex(ctx, flat))
	require.NoError(t, c.CreateIndex(ctx, flat), "the same again")
	require.ErrorIs(t, c.CreateIndex(ctx, schema.Index{Name: "f", Field: "v"}), engine.ErrExists)
	require.ErrorIs(t, c.CreateIndex(ctx, schema.Index{Name: "g", Field: "v"}), engine.ErrExists)
	insertVectors(t, c, 0, clustered(rand.New(rand.NewPCG(1, 1)), 100))
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, eng.RenameCollection(ctx, "c", "d"))
	require.NoError(t, eng.RenameCollection(ctx, "d", "c"))
	require.NoError(t, eng.Close())

	eng, c = indexStore(t, fs, engine.Options{})
	require.NoError(t, c.WaitIndexed(ctx))
	infos := c.Indexes()
	require.Len(t, infos, 1)
	require.Equal(t, schema.Index{Name: "f", Field: "v", Kind: schema.IndexFlat, Metric: "IP", Params: map[string]string{}}, infos[0].Index)
	require.Equal(t, engine.IndexFinished, infos[0].State)
	require.EqualValues(t, 100, infos[0].IndexedRows)
	hits, err := c.Search(ctx, query.Nearest("v", make([]float32, indexDim)))
	require.NoError(t, err)
	require.Zero(t, hits[0].Score, "IP is the index's metric, and so the search's")
	require.Empty(t, indexFiles(t, fs))
	require.NoError(t, eng.Close())

	ro, c := indexStore(t, fs, engine.Options{ReadOnly: true})
	require.ErrorIs(t, c.CreateIndex(ctx, flat), engine.ErrReadOnly)
	require.ErrorIs(t, c.DropIndex(ctx, "f"), engine.ErrReadOnly)
	require.Len(t, c.Indexes(), 1)
	require.NoError(t, ro.Close())
	require.ErrorIs(t, c.WaitIndexed(ctx), engine.ErrClosed)
}

func TestIndexOfManySegments(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	data := clustered(rand.New(rand.NewPCG(3, 4)), 40_100)
	rows, queries := data[:40_000*indexDim], data[40_000*indexDim:]
	_, c := indexStore(t, fs, engine.Options{SegmentRows: 9_000})
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v"}))
	for i := 0; i < 40_000; i += 1_000 {
		insertVectors(t, c, int64(i), rows[i*indexDim:(i+1_000)*indexDim])
	}
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	info, err := c.DescribeIndex("v")
	require.NoError(t, err)
	require.Equal(t, 5, info.Segments)
	require.Equal(t, 5, info.Indexed)
	require.Greater(t, recall(t, c, queries, asIs), 0.95)
	for q := 0; q < len(queries); q += indexDim {
		one, err := c.Search(ctx, query.Nearest("v", queries[q:q+indexDim]))
		require.NoError(t, err)
		many, err := c.Search(ctx, query.Nearest("v", queries[q:q+indexDim]).Parallel(4))
		require.NoError(t, err)
		for i := range one {
			require.Equal(t, one[i].Key, many[i].Key)
			require.Equal(t, one[i].Score, many[i].Score)
		}
	}
}

// TestIndexIsDerived: a damaged, missing or strange index file costs speed, is told of, and is built again.
func TestIndexIsDerived(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	data := clustered(rand.New(rand.NewPCG(5, 6)), 14_050)
	rows, queries := data[:14_000*indexDim], data[14_000*indexDim:]
	eng, c := indexStore(t, fs, engine.Options{})
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v"}))
	insertVectors(t, c, 0, rows)
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	require.NoError(t, eng.Close())
	paths := indexFiles(t, fs)
	require.Len(t, paths, 1)

	for name, harm := range map[string]func(){
		"flipped": func() { changeFile(t, fs, paths[0], func(b []byte) []byte { b[len(b)/2] ^= 4; return b }) },
		"cut":     func() { changeFile(t, fs, paths[0], func(b []byte) []byte { return b[:len(b)/3] }) },
		"empty":   func() { changeFile(t, fs, paths[0], func([]byte) []byte { return nil }) },
		"newer":   func() { changeFile(t, fs, paths[0], func(b []byte) []byte { b[8]++; return b }) },
		"missing": func() { require.NoError(t, fs.Remove(paths[0])) },
	} {
		t.Run(name, func(t *testing.T) {
			harm()
			var rejected atomic.Int64
			o := engine.Options{Events: engine.EventListener{IndexRejected: func(e engine.IndexRejectEvent) {
				if e.Err != nil && e.Index == "v" {
					rejected.Add(1)
				}
			}}}
			eng, c := indexStore(t, fs, o)
			require.Greater(t, recall(t, c, queries[:10*indexDim], asIs), 0.9)
			require.NoError(t, c.WaitIndexed(ctx))
			require.Greater(t, recall(t, c, queries, asIs), 0.95)
			m := eng.Metrics()
			want := int64(1)
			if name == "missing" {
				want = 0
			}
			require.Equal(t, []int64{1, 0, 0, want}, []int64{m.IndexBuilds, m.IndexLoads, m.IndexErrors, m.IndexRejected})
			require.Equal(t, want, rejected.Load())
			require.NoError(t, eng.Close())
		})
	}
}

func changeFile(t testing.TB, fs vfs.FS, path string, change func([]byte) []byte) {
	t.Helper()
	f, err := fs.Open(path)
	require.NoError(t, err)
	info, err := f.Stat()
	require.NoError(t, err)
	b := make([]byte, info.Size())
	_, err = f.ReadAt(b, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	f, err = fs.Create(path, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.Write(change(b))
	require.NoError(t, err)
	require.NoError(t, errors.Join(f.Sync(), f.Close()))
}

// TestIndexWithoutRoom: a disk that is full when the index is written fails the index and nothing else, and it is built when there is room.
func TestIndexWithoutRoom(t *testing.T) {
	ctx := context.Background()
	var full atomic.Bool
	full.Store(true)
	fs := &hookFS{FS: vfs.NewMem(), before: func(op fsOp) error {
		if full.Load() && op.kind == opWrite && strings.HasSuffix(op.path, ".idx") {
			return syscall.ENOSPC
		}
		return nil
	}}
	var clock atomic.Int64
	now := func() time.Time { return time.Unix(1_700_000_000+clock.Load(), 0) }
	_, c := indexStore(t, fs, engine.Options{Now: now, Tick: 5 * time.Millisecond})
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v"}))
	data := clustered(rand.New(rand.NewPCG(5, 6)), 14_020)
	insertVectors(t, c, 0, data[:14_000*indexDim])
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	err = c.WaitIndexed(ctx)
	require.ErrorContains(t, err, syscall.ENOSPC.Error())
	info, err := c.DescribeIndex("v")
	require.NoError(t, err)
	require.Equal(t, engine.IndexFailed, info.State)
	require.Equal(t, 1, info.Coded)
	require.Contains(t, info.Reason, syscall.ENOSPC.Error())
	require.Greater(t, recall(t, c, data[14_000*indexDim:], asIs), 0.95, "codes serve meanwhile")
	full.Store(false)
	clock.Add(3600)
	require.Eventually(t, func() bool {
		info, err := c.DescribeIndex("v")
		return err == nil && info.State == engine.IndexFinished
	}, time.Minute, 5*time.Millisecond)
	require.Len(t, indexFiles(t, fs), 1)
}

// TestIndexInterrupted: Close, DropIndex, DropPartition and DropCollection end builds that are under way, and leave nothing behind.
func TestIndexInterrupted(t *testing.T) {
	ctx := context.Background()
	data := clustered(rand.New(rand.NewPCG(7, 8)), 14_000)
	for name, interrupt := range map[string]func(t *testing.T, eng *engine.Engine, c *engine.Collection){
		"close":      func(t *testing.T, eng *engine.Engine, _ *engine.Collection) {},
		"drop index": func(t *testing.T, _ *engine.Engine, c *engine.Collection) { require.NoError(t, c.DropIndex(ctx, "v")) },
		"drop partition": func(t *testing.T, _ *engine.Engine, c *engine.Collection) {
			require.NoError(t, c.DropPartition(ctx, "p"))
		},
		"drop collection": func(t *testing.T, eng *engine.Engine, _ *engine.Collection) {
			require.NoError(t, eng.DropCollection(ctx, "c"))
		},
	} {
		for delay := time.Duration(0); delay < 200*time.Millisecond; delay += 50 * time.Millisecond {
			t.Run(name+" after "+delay.String(), func(t *testing.T) {
				fs := vfs.NewMem()
				eng, c := indexStore(t, fs, engine.Options{})
				require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v"}))
				p, err := c.CreatePartition(ctx, "p")
				require.NoError(t, err)
				ids := make([]int64, 14_000)
				for i := range ids {
					ids[i] = int64(i)
				}
				_, err = p.Insert(ctx, column.Int64("id", ids), column.FloatVectorFlat("v", indexDim, data))
				require.NoError(t, err)
				_, err = p.Flush(ctx)
				require.NoError(t, err)
				time.Sleep(delay)
				interrupt(t, eng, c)
				require.NoError(t, eng.Close())
				tmp, err := fs.List("db/tmp")
				require.NoError(t, err)
				require.Empty(t, tmp)
				if name != "close" {
					require.Empty(t, indexFiles(t, fs))
					return
				}
				_, c = indexStore(t, fs, engine.Options{})
				require.NoError(t, c.WaitIndexed(ctx))
				require.Len(t, indexFiles(t, fs), 1)
			})
		}
	}
}

// TestIndexConcurrency: every live row is found by its own vector at every instant, while rows are inserted, flushed and deleted and the
// index is dropped and made again.
func TestIndexConcurrency(t *testing.T) {
	ctx := context.Background()
	eng, c := indexStore(t, vfs.NewMem(), engine.Options{SegmentRows: 3_000})
	rng := rand.New(rand.NewPCG(9, 10))
	const batch, batches = 500, 30
	rows := clustered(rng, batch*batches)
	var inserted atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	running := func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	for w := range 2 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for running() {
				n := inserted.Load()
				if n == 0 {
					continue
				}
				id := rng.Int64N(n)
				hits, err := c.Search(ctx, query.Nearest("v", rows[id*indexDim:(id+1)*indexDim]).Metric(vector.L2).Limit(3).Parallel(1+w))
				if err != nil || len(hits) == 0 || hits[0].Score != 0 || hits[0].Key.Int != id {
					t.Errorf("row %d: %v, %v", id, hits, err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for running() {
			if err := c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}); err != nil {
				t.Error(err)
			}
			time.Sleep(20 * time.Millisecond)
			if err := c.DropIndex(ctx, "v"); err != nil {
				t.Error(err)
			}
		}
	})
	for b := range batches {
		insertVectors(t, c, int64(b*batch), rows[b*batch*indexDim:(b+1)*batch*indexDim])
		inserted.Store(int64((b + 1) * batch))
		if b%7 == 6 {
			_, err := c.Flush(ctx)
			require.NoError(t, err)
		}
	}
	close(stop)
	wg.Wait()
	require.NoError(t, eng.Close())
}
