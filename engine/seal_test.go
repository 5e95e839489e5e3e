package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
)

// recorder keeps the events of an engine.
type recorder struct {
	mu      sync.Mutex
	seals   []engine.SealEvent
	flushes []engine.FlushEvent
	stalls  []engine.StallEvent
}

func (r *recorder) listener() engine.EventListener {
	return engine.EventListener{
		Sealed:  func(e engine.SealEvent) { r.mu.Lock(); r.seals = append(r.seals, e); r.mu.Unlock() },
		Flushed: func(e engine.FlushEvent) { r.mu.Lock(); r.flushes = append(r.flushes, e); r.mu.Unlock() },
		Stalled: func(e engine.StallEvent) { r.mu.Lock(); r.stalls = append(r.stalls, e); r.mu.Unlock() },
	}
}

// sealed returns the seal events so far, and how many rows successful flushes wrote.
func (r *recorder) sealed() (seals []engine.SealEvent, flushed int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.flushes {
		if f.Err == nil {
			flushed += f.Receipt.Rows
		}
	}
	return append(seals, r.seals...), flushed
}

// clock is a time that the test moves.
type clock struct{ unix atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_700_000_000+c.unix.Load(), 0) }
func (c *clock) advance(d time.Duration) { c.unix.Add(int64(d / time.Second)) }

// eventually waits for what must come; the limit only ends a test that has failed.
func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	require.Eventually(t, fn, 30*time.Second, time.Millisecond, what)
}

func sealStore(t *testing.T, o engine.Options) (*engine.Engine, *engine.Partition, *recorder, *clock) {
	r, c := &recorder{}, &clock{}
	o.Events, o.Now, o.Tick = r.listener(), c.now, time.Millisecond
	eng := openMem(t, o)
	ctx := context.Background()
	coll, err := eng.CreateCollection(ctx, plainSchema("c"))
	require.NoError(t, err)
	part, err := coll.CreatePartition(ctx, "p")
	require.NoError(t, err)
	return eng, part, r, c
}

const plainRowBytes = 8 + 16 + 8 // of the values of a row of plainSchema

// C6: by rows and by bytes a segment is sealed as soon as an insert takes it to the limit, and not before.
func TestSealBySize(t *testing.T) {
	for name, c := range map[string]struct {
		opts   engine.Options
		reason string
	}{
		"rows":  {engine.Options{SegmentRows: 10}, "rows"},
		"bytes": {engine.Options{SegmentBytes: 10 * plainRowBytes}, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			eng, part, r, _ := sealStore(t, c.opts)
			for id := range int64(9) {
				_, err := part.Insert(ctx, plainRows(0, id)...)
				require.NoError(t, err)
			}
			seals, _ := r.sealed()
			require.Empty(t, seals)
			require.EqualValues(t, 9, part.Stats().Growing)
			_, err := part.Insert(ctx, plainRows(0, 9)...)
			require.NoError(t, err)
			seals, _ = r.sealed()
			require.Len(t, seals, 1)
			require.Equal(t, engine.SealEvent{Collection: "c", Partition: "p", Segment: seals[0].Segment, Rows: 10, Reason: c.reason}, seals[0])
			require.Zero(t, part.Stats().Growing)
			eventually(t, "the segment is written", func() bool { return part.NumEntities() == 10 })
			infos := part.Segments()
			require.Len(t, infos, 1)
			require.EqualValues(t, seals[0].Segment, infos[0].ID)

			_, err = part.Insert(ctx, plainRows(0, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34)...)
			require.NoError(t, err, "a batch that passes the limit is one segment")
			eventually(t, "the second segment is written", func() bool { return part.NumEntities() == 25 })
			seals, flushed := r.sealed()
			require.Len(t, seals, 2)
			require.EqualValues(t, 15, seals[1].Rows)
			eventually(t, "the flush is told of", func() bool { _, flushed = r.sealed(); return flushed == 25 })
			m := eng.Metrics()
			require.Equal(t, [5]int64{25, 2, 2, 25, 0}, [5]int64{m.InsertedRows, m.Seals, m.Flushes, m.FlushedRows, m.FlushErrors})
			require.Positive(t, m.FlushedBytes)
		})
	}
}

// C6: by age and by idle time. The test moves the clock; the limit of idle time holds from the last insert on, and for segments of
// some size only.
func TestSealByTime(t *testing.T) {
	ctx := context.Background()
	t.Run("age", func(t *testing.T) {
		_, part, r, c := sealStore(t, engine.Options{MaxSegmentAge: time.Hour, MaxSegmentIdle: -1})
		c.advance(10 * time.Hour) // an empty partition has nothing to grow old
		_, err := part.Insert(ctx, plainRows(0, 1)...)
		require.NoError(t, err)
		c.advance(40 * time.Minute)
		_, err = part.Insert(ctx, plainRows(0, 2)...)
		require.NoError(t, err)
		c.advance(19 * time.Minute)
		time.Sleep(20 * time.Millisecond) // some ticks; were it longer, the outcome would be the same
		seals, _ := r.sealed()
		require.Empty(t, seals)
		c.advance(time.Minute)
		eventually(t, "the segment is written", func() bool { return part.NumEntities() == 2 })
		seals, _ = r.sealed()
		require.Equal(t, "age", seals[0].Reason)
	})
	t.Run("idle", func(t *testing.T) {
		_, part, r, c := sealStore(t, engine.Options{MaxSegmentAge: -1, MaxSegmentIdle: time.Minute, MinIdleBytes: 2 * plainRowBytes})
		_, err := part.Insert(ctx, plainRows(0, 1)...)
		require.NoError(t, err)
		c.advance(time.Hour)
		time.Sleep(20 * time.Millisecond)
		seals, _ := r.sealed()
		require.Empty(t, seals, "too small")
		_, err = part.Insert(ctx, plainRows(0, 2)...)
		require.NoError(t, err)
		c.advance(59 * time.Second)
		time.Sleep(20 * time.Millisecond)
		seals, _ = r.sealed()
		require.Empty(t, seals, "not yet idle")
		c.advance(time.Second)
		eventually(t, "the segment is written", func() bool { return part.NumEntities() == 2 })
		seals, _ = r.sealed()
		require.Equal(t, "idle", seals[0].Reason)
	})
	t.Run("never", func(t *testing.T) {
		_, part, r, c := sealStore(t, engine.Options{MaxSegmentAge: -1, MaxSegmentIdle: -1})
		_, err := part.Insert(ctx, plainRows(0, 1)...)
		require.NoError(t, err)
		c.advance(10_000 * time.Hour)
		time.Sleep(20 * time.Millisecond)
		seals, _ := r.sealed()
		require.Empty(t, seals)
	})
}

// C11: writers wait when growing and sealing segments have spent their memory, and go on when a flush gives it back.
func TestWritersWaitForMemory(t *testing.T) {
	ctx := context.Background()
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	fs := newHookFS(vfs.NewMem(), func(op fsOp) error {
		if op.kind == opSync && strings.HasSuffix(op.path, ".sst") {
			<-gate
		}
		return nil
	})
	const limit = 64 << 10
	eng, part, r, _ := sealStore(t, engine.Options{FS: fs, GrowingBytes: limit})
	t.Cleanup(open)
	next := int64(0)
	batch := func() []*column.Column {
		ids := make([]int64, 100)
		for i := range ids {
			ids[i] = next
			next++
		}
		return plainRows(0, ids...)
	}
	for eng.Metrics().GrowingBytes < limit {
		_, err := part.Insert(ctx, batch()...)
		require.NoError(t, err)
	}
	stalled := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.stalls)
	}
	require.Zero(t, stalled())
	for name, end := range map[string]error{"cancelled": context.Canceled, "deadline": context.DeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			before, lsn := countAll(t, eng), eng.LSN()
			waiting, cancel := context.WithCancel(ctx)
			if name == "deadline" {
				waiting, cancel = context.WithTimeout(ctx, 30*time.Millisecond)
			}
			defer cancel()
			was, result := stalled(), make(chan error, 1)
			go func() {
				_, err := part.Insert(waiting, plainRows(0, 1_000_000)...)
				result <- err
			}()
			eventually(t, "the writer waits", func() bool { return stalled() > was })
			if name == "cancelled" {
				cancel()
			}
			err := <-result
			require.ErrorIs(t, err, end)
			require.ErrorContains(t, err, "memory")
			require.Equal(t, before, countAll(t, eng))
			require.Equal(t, lsn, eng.LSN())
		})
	}
	seals, _ := r.sealed()
	require.NotEmpty(t, seals)
	require.Equal(t, "memory", seals[0].Reason)
	require.NoError(t, findable(ctx, part, 5), "reads do not wait")
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		cols := batch()
		wg.Go(func() { _, errs[i] = part.Insert(ctx, cols...) })
	}
	open()
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	n, err := part.Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, next, n)
	_, err = part.Flush(ctx)
	require.NoError(t, err)
	require.EqualValues(t, next, part.NumEntities())
	m := eng.Metrics()
	require.Zero(t, m.GrowingBytes, "all of it came back")
	require.EqualValues(t, limit, m.GrowingLimit)
	require.EqualValues(t, stalled(), m.Stalls)
}

// A writer that waits for memory does not keep the engine from closing.
func TestCloseEndsTheWaitForMemory(t *testing.T) {
	ctx := context.Background()
	gate := make(chan struct{})
	fs := newHookFS(vfs.NewMem(), func(op fsOp) error {
		if op.kind == opSync && strings.HasSuffix(op.path, ".sst") {
			<-gate
		}
		return nil
	})
	eng, part, r, _ := sealStore(t, engine.Options{FS: fs, GrowingBytes: 1})
	_, err := part.Insert(ctx, plainRows(0, 1)...)
	require.NoError(t, err)
	result, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := part.Insert(ctx, plainRows(0, 2)...)
		result <- err
	}()
	eventually(t, "the writer waits", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.stalls) > 0 })
	go func() { closed <- eng.Close() }()
	require.ErrorIs(t, <-result, engine.ErrClosed)
	close(gate)
	require.NoError(t, <-closed)
}

// Memory comes back whatever ends a segment's life: deletes of rows that are being sealed, drops of partitions and collections.
func TestMemoryComesBack(t *testing.T) {
	ctx := context.Background()
	eng, part, _, _ := sealStore(t, engine.Options{})
	coll := part.Collection()
	q, err := coll.CreatePartition(ctx, "q")
	require.NoError(t, err)
	for i := range int64(50) {
		_, err := part.Insert(ctx, plainRows(i, i)...)
		require.NoError(t, err)
		_, err = q.Insert(ctx, plainRows(i, i+1000)...)
		require.NoError(t, err)
	}
	used := func() int64 { return eng.Metrics().GrowingBytes }
	full := used()
	require.Positive(t, full)
	require.NoError(t, coll.DropPartition(ctx, "q"))
	half := used()
	require.Less(t, half, full)
	_, err = part.Delete(ctx, column.IntKeys(1, 2, 3))
	require.NoError(t, err)
	require.Greater(t, used(), half, "tombstones count")
	_, err = part.Flush(ctx)
	require.NoError(t, err)
	require.Zero(t, used())
	_, err = part.Insert(ctx, plainRows(0, 1)...)
	require.NoError(t, err)
	require.Positive(t, used())
	require.NoError(t, eng.DropCollection(ctx, "c"))
	require.Zero(t, used())
}

// A partition that is rarely written does not keep the log from being cut: past LogBytes its segments are sealed too.
func TestLogBoundSealsIdlePartitions(t *testing.T) {
	ctx := context.Background()
	eng, part, r, _ := sealStore(t, engine.Options{LogFileBytes: 16 << 10, LogBytes: 64 << 10, SegmentRows: 200})
	idle, err := part.Collection().CreatePartition(ctx, "idle")
	require.NoError(t, err)
	_, err = idle.Insert(ctx, plainRows(0, 1)...)
	require.NoError(t, err)
	id := int64(100)
	insert := func() {
		ids := make([]int64, 20)
		for i := range ids {
			ids[i] = id
			id++
		}
		_, err := part.Insert(ctx, plainRows(0, ids...)...)
		require.NoError(t, err)
	}
	for eng.Metrics().LogWrittenBytes < 200<<10 {
		insert()
	}
	eventually(t, "the idle partition is written", func() bool { return idle.NumEntities() == 1 })
	eventually(t, "the log is cut", func() bool { return eng.Metrics().LogBytes <= 64<<10 })
	reasons := map[string]string{}
	seals, _ := r.sealed()
	for _, s := range seals {
		if s.Partition == "idle" {
			reasons[s.Partition] = s.Reason
		}
	}
	require.Equal(t, map[string]string{"idle": "log size"}, reasons)
	require.NoError(t, findable(ctx, idle, 1))

	// Deletes of sealed rows are in the log alone until they are written, and hold it in the same way.
	_, err = idle.Delete(ctx, column.IntKeys(1))
	require.NoError(t, err)
	require.Zero(t, idle.NumEntities())
	written := eng.Metrics().LogWrittenBytes
	for eng.Metrics().LogWrittenBytes < written+200<<10 {
		insert()
	}
	eventually(t, "the log is cut again", func() bool { return eng.Metrics().LogBytes <= 64<<10 })
	n, err := part.Collection().Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, id-100, n)
}
