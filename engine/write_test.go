package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// A value of every type comes back as it was given: from memory, from a sealed segment, from the log and from the disk.
func TestEveryTypeComesBack(t *testing.T) {
	ctx := context.Background()
	o := engine.Options{FS: vfs.NewMem()}
	eng, err := engine.Open("db", &o)
	require.NoError(t, err)
	coll, err := eng.CreateCollection(ctx, wideSchema("c").EnableDynamicField())
	require.NoError(t, err)
	full := map[string]any{
		"id": int64(-5), "v": []float32{1, -2, 3.5, 0}, "must": int32(7), "flag": true, "i8": int8(-128), "f": float32(1.25), "d": 1e300,
		"s": "né", "doc": json.RawMessage(`{"a": [1, null]}`), "ints": []int32{1, -2}, "words": []string{"", "äb"},
		"h": []float32{0.5, -65504}, "b": []float32{2, -0.125}, "q": []int8{-128, 127}, "bits": []byte{0x81, 0xff},
		"sp": column.Sparse{Indices: []uint32{3, 4294967294}, Values: []float32{1, -2}}, "extra": "dynamic", "other": 2.5,
	}
	empty := map[string]any{"id": int64(9), "v": []float32{0, 0, 0, 0}, "must": 0}
	_, err = coll.InsertRows(ctx, []map[string]any{full, empty})
	require.NoError(t, err)
	check := func(where string) {
		rows, err := coll.Get(ctx, column.IntKeys(9, -5), "*")
		require.NoError(t, err)
		require.Equal(t, 2, rows.Len(), where)
		for name, want := range full {
			got := rows.At(0).Value(name)
			if raw, ok := want.(json.RawMessage); ok {
				require.JSONEq(t, string(raw), string(got.([]byte)), where)
				continue
			}
			require.Equal(t, want, got, "%s: %s", where, name)
		}
		for name := range full {
			if _, there := empty[name]; !there {
				require.Nil(t, rows.At(1).Value(name), "%s: %s is null", where, name)
			}
		}
		require.Equal(t, int32(0), rows.At(1).Value("must"))
	}
	check("growing")
	eng = again(t, eng, o)
	coll, err = eng.Collection("c")
	require.NoError(t, err)
	check("replayed")
	_, err = coll.Flush(ctx)
	require.NoError(t, err)
	check("sealed")
	eng = again(t, eng, o)
	coll, err = eng.Collection("c")
	require.NoError(t, err)
	check("reopened")
	require.NoError(t, eng.Close())
}

// A key belongs to its partition on insert, and to the collection on upsert and delete.
func TestScopeOfKeys(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{})
	coll, err := eng.CreateCollection(ctx, plainSchema("c"))
	require.NoError(t, err)
	a, err := coll.CreatePartition(ctx, "a")
	require.NoError(t, err)
	b, err := coll.CreatePartition(ctx, "b")
	require.NoError(t, err)
	counts := func(want ...int64) {
		t.Helper()
		d, err := coll.Partition("_default")
		require.NoError(t, err)
		for i, p := range []*engine.Partition{d, a, b} {
			n, err := p.Count(ctx)
			require.NoError(t, err)
			require.Equal(t, want[i], n, p.Name())
		}
	}
	var last uint64
	ascends := func(r engine.WriteResult, err error) engine.WriteResult {
		t.Helper()
		require.NoError(t, err)
		require.Greater(t, r.LSN, last)
		require.Equal(t, r.LSN, eng.LSN(), "what was acknowledged is visible")
		last = r.LSN
		return r
	}
	ascends(a.Insert(ctx, plainRows(1, 1, 2)...))
	ascends(b.Insert(ctx, plainRows(2, 1, 3)...))
	ascends(coll.Insert(ctx, plainRows(3, 1)...))
	counts(1, 2, 2)
	rows, err := coll.Get(ctx, column.IntKeys(1), "n")
	require.NoError(t, err)
	require.Equal(t, 3, rows.Len())
	_, err = a.Flush(ctx)
	require.NoError(t, err)
	r := ascends(b.Upsert(ctx, plainRows(4, 1, 9)...))
	require.Equal(t, [2]int{2, 3}, [2]int{r.Inserted, r.Deleted})
	counts(0, 1, 3)
	require.EqualValues(t, 1, a.NumEntities(), "a sealed row that was replaced is gone at once")
	r = ascends(a.Delete(ctx, column.IntKeys(1, 2, 3, 77)))
	require.Equal(t, [2]int{0, 1}, [2]int{r.Inserted, r.Deleted})
	counts(0, 0, 3)
	r = ascends(coll.Delete(ctx, column.IntKeys(1, 2, 3, 77)))
	require.Equal(t, 2, r.Deleted)
	counts(0, 0, 1)
	r = ascends(coll.Delete(ctx, column.IntKeys(1, 2, 3, 77)))
	require.Zero(t, r.Deleted)
}

// What a flush says it did is what it did, also when all there is to write is deletes.
func TestReceipts(t *testing.T) {
	ctx := context.Background()
	o := engine.Options{FS: vfs.NewMem(), CompactBytes: -1}
	eng, err := engine.Open("db", &o)
	require.NoError(t, err)
	coll, err := eng.CreateCollection(ctx, plainSchema("c"))
	require.NoError(t, err)
	part, err := coll.CreatePartition(ctx, "p")
	require.NoError(t, err)
	flush := func() engine.FlushReceipt {
		t.Helper()
		rec, err := part.Flush(ctx)
		require.NoError(t, err)
		return rec
	}
	require.Equal(t, engine.FlushReceipt{}, flush(), "an empty partition")
	_, err = part.Insert(ctx, plainRows(0, 1, 2, 3, 4)...)
	require.NoError(t, err)
	_, err = part.Delete(ctx, column.IntKeys(4))
	require.NoError(t, err)
	rec := flush()
	require.Len(t, rec.Segments, 1)
	require.EqualValues(t, 3, rec.Rows)
	require.Zero(t, rec.Tombstones, "a row that never was on disk needs none")
	infos := part.Segments()
	require.Len(t, infos, 1)
	require.Equal(t, infos[0].Bytes, rec.Bytes)
	require.Equal(t, infos[0].Bytes, part.Stats().DiskBytes)
	require.Equal(t, engine.FlushReceipt{}, flush())

	_, err = part.Delete(ctx, column.IntKeys(2, 2, 2, 4))
	require.NoError(t, err)
	require.EqualValues(t, 2, part.NumEntities())
	rec = flush()
	require.Empty(t, rec.Segments)
	require.EqualValues(t, 1, rec.Tombstones, "a row dies once, however often its key is listed")
	require.Equal(t, engine.FlushReceipt{}, flush())

	_, err = part.Insert(ctx, plainRows(0, 2, 5)...)
	require.NoError(t, err)
	_, err = part.Delete(ctx, column.IntKeys(2, 5))
	require.NoError(t, err)
	rec = flush()
	require.Empty(t, rec.Segments, "no row is alive")
	require.Zero(t, part.Stats().Unflushed)

	eng = again(t, eng, o)
	coll, err = eng.Collection("c")
	require.NoError(t, err)
	n, err := coll.Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	require.EqualValues(t, 2, coll.NumEntities())
	st := coll.Stats()
	require.Equal(t, [3]int64{3, 1, 2}, [3]int64{st.Physical, st.Deleted, st.Sealed})
	require.NoError(t, eng.Close())
}

// A collection's flush sums the receipts of its partitions.
func TestCollectionFlush(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{CompactBytes: -1})
	coll, err := eng.CreateCollection(ctx, schema.New("c").With(
		schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 4), schema.Int64("n").PartitionKey()).WithPartitions(5).WithShards(2))
	require.NoError(t, err)
	for i := range int64(60) {
		_, err := coll.Insert(ctx, plainRows(i%13, i)...)
		require.NoError(t, err)
	}
	_, err = coll.Insert(ctx, plainRows(99, 7)...)
	require.ErrorIs(t, err, engine.ErrDuplicateKey, "with a partition key, a key is the collection's")
	rec, err := coll.Flush(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 60, rec.Rows)
	require.IsIncreasing(t, rec.Segments)
	require.Len(t, coll.Segments(), len(rec.Segments))
	require.Equal(t, coll.Stats().DiskBytes, rec.Bytes)
	require.EqualValues(t, 60, coll.NumEntities())
	res, err := coll.Upsert(ctx, plainRows(98, 7)...)
	require.NoError(t, err)
	require.Equal(t, 1, res.Deleted, "the row moves to another hidden partition")
	rec, err = coll.Flush(ctx)
	require.NoError(t, err)
	require.Equal(t, [2]int64{1, 1}, [2]int64{rec.Rows, rec.Tombstones})
}

// Generated keys ascend and are never given twice, whatever else is inserted and however often the store is opened.
func TestGeneratedKeys(t *testing.T) {
	ctx := context.Background()
	now := time.Unix(1_700_000_000, 0)
	o := engine.Options{FS: vfs.NewMem(), Now: func() time.Time { return now }} // the clock stands still
	eng, err := engine.Open("db", &o)
	require.NoError(t, err)
	_, err = eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey().AutoID(), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	last := int64(0)
	for round := range 6 {
		coll, err := eng.Collection("c")
		require.NoError(t, err)
		for range 5 {
			res, err := coll.Insert(ctx, column.FloatVectorFlat("v", 2, make([]float32, 6)))
			require.NoError(t, err)
			require.Equal(t, 3, res.Keys.Len())
			for _, k := range res.Keys.Ints {
				require.Greater(t, k, last)
				last = k
			}
		}
		if round == 1 { // a larger key comes from outside
			last += 1 << 40
			_, err := coll.Upsert(ctx, column.Int64("id", []int64{last}), column.FloatVectorFlat("v", 2, make([]float32, 2)))
			require.NoError(t, err)
		}
		if round%2 == 0 {
			_, err := coll.Flush(ctx)
			require.NoError(t, err)
		}
		eng = again(t, eng, o)
	}
	require.NoError(t, eng.Close())
}

// C4: a flush covers every insert that was acknowledged before it, and its receipts together are what was flushed.
func TestFlushBesideInserts(t *testing.T) {
	for name, shards := range map[string]int{"one shard": 1, "four shards": 4} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			eng := openMem(t, engine.Options{CompactBytes: -1})
			coll, err := eng.CreateCollection(ctx, plainSchema("c").WithShards(shards))
			require.NoError(t, err)
			part, err := coll.CreatePartition(ctx, "p")
			require.NoError(t, err)
			const rounds = 300
			var acknowledged, flushed atomic.Int64
			segments := map[uint64]bool{}
			flush := func() error {
				before := acknowledged.Load()
				rec, err := part.Flush(ctx)
				if err != nil {
					return err
				}
				if n := part.NumEntities(); n < before {
					return fmt.Errorf("%d rows sealed, %d were acknowledged before the flush", n, before)
				}
				for _, id := range rec.Segments {
					if segments[uint64(id)] {
						return fmt.Errorf("segment %v in two receipts", id)
					}
					segments[uint64(id)] = true
				}
				flushed.Add(rec.Rows)
				return nil
			}
			c := &crowd{t: t}
			for w := range 3 {
				c.write(rounds, func(i int) error {
					_, err := part.Insert(ctx, plainRows(0, int64(w*rounds+i))...)
					acknowledged.Add(1)
					return err
				})
			}
			c.loop(flush)
			c.wait()
			require.NoError(t, flush())
			require.EqualValues(t, 3*rounds, flushed.Load())
			require.EqualValues(t, 3*rounds, part.NumEntities())
			require.Equal(t, len(segments), part.Stats().Segments)
			require.Zero(t, part.Stats().Unflushed)
		})
	}
}

// slowStore is an engine whose segments' files cannot be synced until release is called.
type slowStore struct {
	eng     *engine.Engine
	part    *engine.Partition
	reached chan struct{} // a flush waits
	flushed chan engine.FlushEvent
	release func()
}

func newSlowStore(t *testing.T) *slowStore {
	s := &slowStore{reached: make(chan struct{}, 100), flushed: make(chan engine.FlushEvent, 100)}
	gate := make(chan struct{})
	s.release = sync.OnceFunc(func() { close(gate) })
	fs := newHookFS(vfs.NewMem(), func(op fsOp) error {
		if op.kind == opSync && filepath.Ext(op.path) == ".sst" {
			s.reached <- struct{}{}
			<-gate
		}
		return nil
	})
	var err error
	s.eng, err = engine.Open("db", &engine.Options{FS: fs, Events: engine.EventListener{Flushed: func(e engine.FlushEvent) { s.flushed <- e }}})
	require.NoError(t, err)
	t.Cleanup(func() {
		s.release()
		require.NoError(t, s.eng.Close())
	})
	ctx := context.Background()
	coll, err := s.eng.CreateCollection(ctx, plainSchema("c"))
	require.NoError(t, err)
	s.part, err = coll.CreatePartition(ctx, "p")
	require.NoError(t, err)
	_, err = s.part.Insert(ctx, plainRows(0, 1, 2, 3)...)
	require.NoError(t, err)
	return s
}

// C4: the deadline of a flush is a timeout of the wait. Inserts and reads go on meanwhile, and the flush completes.
func TestFlushTimeout(t *testing.T) {
	for name, end := range map[string]struct {
		begin func() (context.Context, context.CancelFunc)
		want  error
	}{
		"cancelled": {func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) }, context.Canceled},
		"deadline": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 20*time.Millisecond)
		}, context.DeadlineExceeded},
		"expired before": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx, cancel
		}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			bg, s := context.Background(), newSlowStore(t)
			ctx, cancel := end.begin()
			result := make(chan error, 1)
			go func() {
				_, err := s.part.Flush(ctx)
				result <- err
			}()
			<-s.reached
			if name == "cancelled" {
				cancel()
			}
			require.ErrorIs(t, <-result, end.want)
			cancel()
			require.Zero(t, s.part.NumEntities(), "nothing is sealed yet")
			require.NoError(t, findable(bg, s.part, 2))
			_, err := s.part.Insert(bg, plainRows(0, 4)...)
			require.NoError(t, err, "inserts do not wait for a flush")
			require.NoError(t, findable(bg, s.part, 4))
			_, err = s.part.Insert(bg, plainRows(0, 3)...)
			require.ErrorIs(t, err, engine.ErrDuplicateKey, "a row that is being sealed counts")
			res, err := s.part.Delete(bg, column.IntKeys(1))
			require.NoError(t, err)
			require.Equal(t, 1, res.Deleted)
			s.release()
			e := <-s.flushed
			require.NoError(t, e.Err)
			require.EqualValues(t, 3, e.Receipt.Rows)
			require.EqualValues(t, 2, s.part.NumEntities(), "the delete that came meanwhile holds")
			require.Error(t, findable(bg, s.part, 1))
			require.NoError(t, findable(bg, s.part, 2))
		})
	}
}

// A flush that the engine's end cuts short says so, and its rows are in the log.
func TestCloseDuringFlush(t *testing.T) {
	s := newSlowStore(t)
	result, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.part.Flush(context.Background())
		result <- err
	}()
	<-s.reached
	go func() { closed <- s.eng.Close() }()
	for s.eng.HasCollection("c") {
		runtime.Gosched()
	}
	s.release()
	if err := <-result; err != nil {
		require.ErrorIs(t, err, engine.ErrClosed)
	}
	require.NoError(t, <-closed)
	_, err := s.part.Flush(context.Background())
	require.ErrorIs(t, err, engine.ErrClosed)
}
