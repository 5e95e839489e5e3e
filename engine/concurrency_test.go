package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
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

// crowd runs goroutines side by side and keeps what went wrong first. The writers end by themselves; the others run until they have.
type crowd struct {
	t       *testing.T
	writers sync.WaitGroup
	others  sync.WaitGroup
	done    atomic.Bool
	mu      sync.Mutex
	err     error
}

func (c *crowd) note(err error) {
	if err == nil {
		return
	}
	c.done.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// write runs fn for 0 to n-1, or until something goes wrong.
func (c *crowd) write(n int, fn func(i int) error) {
	c.writers.Go(func() {
		for i := 0; i < n && !c.done.Load(); i++ {
			c.note(fn(i))
		}
	})
}

// loop runs fn at least once, and again until the writers are done.
func (c *crowd) loop(fn func() error) {
	c.others.Go(func() {
		for {
			last := c.done.Load()
			c.note(fn())
			if last {
				return
			}
			runtime.Gosched()
		}
	})
}

func (c *crowd) wait() {
	c.t.Helper()
	c.writers.Wait()
	c.done.Store(true)
	c.others.Wait()
	require.NoError(c.t, c.err)
}

// plainSchema has an integer key, a vector and a number.
func plainSchema(name string) *schema.Schema {
	return schema.New(name).With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 4), schema.Int64("n"))
}

// ownVector is no other key's. Its parts are small whole numbers, so that scores are exact.
func ownVector(id int64) []float32 {
	return []float32{float32(id % 64), float32(id / 64 % 64), float32(id / 4096), 1}
}

func plainRows(n int64, ids ...int64) []*column.Column {
	var vecs [][]float32
	var ns []int64
	for _, id := range ids {
		vecs, ns = append(vecs, ownVector(id)), append(ns, n)
	}
	return []*column.Column{column.Int64("id", ids), column.FloatVector("v", 4, vecs), column.Int64("n", ns)}
}

func openMem(t *testing.T, o engine.Options) *engine.Engine {
	t.Helper()
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	eng, err := engine.Open("db", &o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	return eng
}

type searcher interface {
	Search(ctx context.Context, req *query.Search) ([]engine.Hit, error)
	Get(ctx context.Context, keys column.Keys, output ...string) (*column.Rows, error)
}

// findable returns an error unless the row is found by its own vector and by its key.
func findable(ctx context.Context, r searcher, id int64) error {
	hits, err := r.Search(ctx, query.Nearest("v", ownVector(id)).Metric(vector.L2).Limit(1))
	if err != nil {
		return err
	}
	if len(hits) != 1 || hits[0].Key.Int != id || hits[0].Score != 0 {
		return fmt.Errorf("row %d is not found by its vector: %v", id, hits)
	}
	rows, err := r.Get(ctx, column.IntKeys(id), "v")
	if err != nil {
		return err
	}
	if rows.Len() != 1 || !slices.Equal(rows.At(0).FloatVector("v"), ownVector(id)) {
		return fmt.Errorf("row %d is not found by its key: %d rows", id, rows.Len())
	}
	return nil
}

// C3: rows stay findable while segments go from growing to sealing to sealed, a call is seen whole or not at all, a row that is
// replaced over and over is there in every read with a value that never falls, and deleted rows do not come back.
func TestReadersBesideEverything(t *testing.T) {
	for name, shards := range map[string]int{"one shard": 1, "three shards": 3} {
		t.Run(name, func(t *testing.T) { readersBesideEverything(t, shards) })
	}
}

func readersBesideEverything(t *testing.T, shards int) {
	const (
		stable  = 40  // rows 0 to 39 in partition a, 40 to 79 in b: never touched again
		counter = 100 // a row of a that is upserted
		pairs   = 1000
		gone    = 100_000 // rows of b that are inserted and deleted
	)
	ctx := context.Background()
	eng := openMem(t, engine.Options{SegmentRows: 60, LogFileBytes: 1 << 16, LogBytes: 1 << 17, Tick: time.Millisecond})
	coll, err := eng.CreateCollection(ctx, plainSchema("c").WithShards(shards))
	require.NoError(t, err)
	parts := map[string]*engine.Partition{}
	for i, name := range []string{"a", "b"} {
		parts[name], err = coll.CreatePartition(ctx, name)
		require.NoError(t, err)
		for j := range int64(stable) {
			_, err := parts[name].Insert(ctx, plainRows(0, int64(i)*stable+j)...)
			require.NoError(t, err)
		}
	}
	a, b := parts["a"], parts["b"]
	_, err = a.Upsert(ctx, plainRows(0, counter)...)
	require.NoError(t, err)
	_, err = b.Flush(ctx) // one half begins sealed, the other growing
	require.NoError(t, err)

	const rounds = 250
	var deleted atomic.Int64 // rows gone .. gone+deleted-1 were deleted
	c := &crowd{t: t}
	c.write(rounds, func(i int) error { // two rows in one call
		id := int64(pairs + 2*i)
		_, err := a.Insert(ctx, plainRows(1, id, id+1)...)
		return err
	})
	c.write(rounds, func(i int) error {
		res, err := a.Upsert(ctx, plainRows(int64(i+1), counter)...)
		if err == nil && (res.Deleted != 1 || res.Inserted != 1) {
			err = fmt.Errorf("upsert %d replaced %d rows", i, res.Deleted)
		}
		return err
	})
	c.write(rounds, func(i int) error {
		id := gone + int64(i)
		if _, err := b.Insert(ctx, plainRows(0, id)...); err != nil {
			return err
		}
		if err := findable(ctx, coll, id); err != nil {
			return fmt.Errorf("after its insert: %w", err)
		}
		res, err := coll.Delete(ctx, column.IntKeys(id))
		if err == nil && res.Deleted != 1 {
			err = fmt.Errorf("deleting row %d removed %d rows", id, res.Deleted)
		}
		deleted.Store(int64(i + 1))
		return err
	})
	for _, p := range []*engine.Partition{a, b} {
		c.loop(func() error {
			_, err := p.Flush(ctx)
			return err
		})
	}
	var turn atomic.Int64
	for range 2 {
		c.loop(func() error {
			id := turn.Add(7) % (2 * stable)
			if err := findable(ctx, coll, id); err != nil {
				return err
			}
			if id < stable {
				return findable(ctx, a, id)
			}
			return findable(ctx, b, id)
		})
	}
	last := int64(0)
	c.loop(func() error { // the row that is replaced
		rows, err := coll.Get(ctx, column.IntKeys(counter), "n")
		if err != nil {
			return err
		}
		if rows.Len() != 1 || rows.At(0).Int64("n") < last {
			return fmt.Errorf("the counter is there %d times, %d was seen before", rows.Len(), last)
		}
		last = rows.At(0).Int64("n")
		return nil
	})
	c.loop(func() error { return wholeCalls(ctx, coll, &deleted, stable, pairs, gone) })
	c.wait()

	n, err := coll.Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2*stable+1+2*rounds, n)
	_, err = coll.Flush(ctx)
	require.NoError(t, err)
	require.Equal(t, n, coll.NumEntities())
}

// wholeCalls walks all rows: both rows of a pair or none, all stable rows, no deleted row.
func wholeCalls(ctx context.Context, coll *engine.Collection, deleted *atomic.Int64, stable, pairs, gone int64) error {
	before := deleted.Load()
	var n, pending, last int64 = 0, -1, -1
	for row, err := range coll.All(ctx) {
		if err != nil {
			return err
		}
		id := row.Int64("id")
		switch {
		case id <= last:
			return fmt.Errorf("row %d after row %d", id, last)
		case id < 2*stable:
			n++
		case id >= gone && id < gone+before:
			return fmt.Errorf("row %d came back", id)
		case id >= pairs && id < gone && id%2 == 0:
			pending = id + 1
		case id >= pairs && id < gone && id != pending:
			return fmt.Errorf("row %d without its other half", id)
		}
		if id == pending {
			pending = -1
		} else if pending >= 0 && id != pending-1 {
			return fmt.Errorf("row %d without its other half", pending-1)
		}
		last = id
	}
	if n != 2*stable || pending >= 0 {
		return fmt.Errorf("%d of %d stable rows, half a pair: %d", n, 2*stable, pending)
	}
	return nil
}

// C3: a read of several partitions sees one prefix of the commit order of them all.
func TestOnePrefixOfAllPartitions(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{SegmentRows: 50})
	coll, err := eng.CreateCollection(ctx, plainSchema("c"))
	require.NoError(t, err)
	a, err := coll.CreatePartition(ctx, "a")
	require.NoError(t, err)
	b, err := coll.CreatePartition(ctx, "b")
	require.NoError(t, err)
	const rounds, inB = 400, 1 << 20
	c := &crowd{t: t}
	c.write(rounds, func(i int) error {
		_, err := a.Insert(ctx, plainRows(0, int64(i))...)
		if err == nil {
			_, err = b.Insert(ctx, plainRows(0, int64(i)+inB)...)
		}
		return err
	})
	for _, p := range []*engine.Partition{a, b} {
		c.loop(func() error {
			_, err := p.Flush(ctx)
			return err
		})
	}
	prefix := func(seen map[bool]int64) error {
		if d := seen[false] - seen[true]; d < 0 || d > 1 {
			return fmt.Errorf("%d rows of the first partition and %d of the second", seen[false], seen[true])
		}
		return nil
	}
	c.loop(func() error {
		seen := map[bool]int64{}
		for row, err := range coll.All(ctx) {
			if err != nil {
				return err
			}
			id := row.Int64("id")
			if second := id >= inB; id%inB != seen[second] {
				return fmt.Errorf("row %d after %d rows", id, seen[second])
			}
			seen[id >= inB]++
		}
		return prefix(seen)
	})
	c.loop(func() error {
		hits, err := coll.Search(ctx, query.Nearest("v", make([]float32, 4)).Metric(vector.L2).Limit(query.MaxLimit))
		if err != nil {
			return err
		}
		seen := map[bool]int64{}
		for _, h := range hits {
			seen[h.Key.Int >= inB]++
		}
		return prefix(seen)
	})
	c.wait()
	n, err := coll.Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2*rounds, n)
}

// handleFS counts open files.
type handleFS struct {
	vfs.FS
	open atomic.Int64
}

type handleFile struct {
	vfs.File
	fs *handleFS
}

func (f *handleFile) Close() error {
	f.fs.open.Add(-1)
	return f.File.Close()
}

func (h *handleFS) count(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	h.open.Add(1)
	return &handleFile{f, h}, nil
}

func (h *handleFS) Open(n string, o ...vfs.OpenOption) (vfs.File, error) {
	return h.count(h.FS.Open(n, o...))
}
func (h *handleFS) OpenDir(n string) (vfs.File, error) { return h.count(h.FS.OpenDir(n)) }
func (h *handleFS) Create(n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return h.count(h.FS.Create(n, c))
}

func (h *handleFS) OpenReadWrite(n string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return h.count(h.FS.OpenReadWrite(n, c, o...))
}

// An iterator shows the rows of its moment to the end, whatever becomes of them; the last reader closes and removes the files.
func TestIteratorOutlivesAll(t *testing.T) {
	for name, shake := range map[string]func(t *testing.T, eng *engine.Engine, coll *engine.Collection, p *engine.Partition){
		"flush": func(t *testing.T, _ *engine.Engine, _ *engine.Collection, p *engine.Partition) {
			_, err := p.Flush(context.Background())
			require.NoError(t, err)
		},
		"delete": func(t *testing.T, _ *engine.Engine, _ *engine.Collection, p *engine.Partition) {
			for id := range int64(3000) {
				if id%500 == 0 {
					_, err := p.Delete(context.Background(), column.IntKeys(id, id+1, id+2))
					require.NoError(t, err)
				}
			}
		},
		"drop partition": func(t *testing.T, _ *engine.Engine, coll *engine.Collection, p *engine.Partition) {
			require.NoError(t, coll.DropPartition(context.Background(), p.Name()))
		},
		"drop collection": func(t *testing.T, eng *engine.Engine, coll *engine.Collection, _ *engine.Partition) {
			require.NoError(t, eng.DropCollection(context.Background(), coll.Name()))
		},
		"close": func(t *testing.T, eng *engine.Engine, _ *engine.Collection, _ *engine.Partition) {
			require.NoError(t, eng.Close())
		},
		"drop, close": func(t *testing.T, eng *engine.Engine, coll *engine.Collection, p *engine.Partition) {
			require.NoError(t, coll.DropPartition(context.Background(), p.Name()))
			require.NoError(t, eng.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			fs := &handleFS{FS: vfs.NewMem()}
			eng, err := engine.Open("db", &engine.Options{FS: fs})
			require.NoError(t, err)
			coll, err := eng.CreateCollection(ctx, plainSchema("c"))
			require.NoError(t, err)
			part, err := coll.CreatePartition(ctx, "p")
			require.NoError(t, err)
			var ids []int64
			for id := range int64(3000) {
				ids = append(ids, id)
			}
			_, err = part.Insert(ctx, plainRows(0, ids[:2000]...)...)
			require.NoError(t, err)
			_, err = part.Flush(ctx)
			require.NoError(t, err)
			_, err = part.Insert(ctx, plainRows(0, ids[2000:]...)...)
			require.NoError(t, err)

			var got []int64
			for row, err := range part.All(ctx, "*") {
				require.NoError(t, err)
				if len(got) == 10 {
					shake(t, eng, coll, part)
				}
				got = append(got, row.Int64("id"))
				require.Equal(t, ownVector(row.Int64("id")), row.FloatVector("v"))
			}
			require.Equal(t, ids, got)
			for range part.All(ctx) { // breaking out releases the snapshot, too
				break
			}
			require.NoError(t, eng.Close())
			require.Zero(t, fs.open.Load(), "open files")
			left, err := fs.List("db/seg")
			require.NoError(t, err)
			if name == "drop partition" || name == "drop collection" || name == "drop, close" {
				require.Empty(t, left, "the files of a dropped segment go with its last reader")
			} else {
				require.NotEmpty(t, left)
			}
		})
	}
}

// Close comes while everything runs: each call ends with its result or with ErrClosed, no read misses a row, and what was
// acknowledged is there at the next open.
func TestCloseBesideEverything(t *testing.T) {
	for round := range 8 {
		ctx := context.Background()
		fs := &handleFS{FS: vfs.NewMem()}
		eng, err := engine.Open("db", &engine.Options{FS: fs, SegmentRows: 30, Tick: time.Millisecond})
		require.NoError(t, err)
		coll, err := eng.CreateCollection(ctx, plainSchema("c").WithShards(1+round%2))
		require.NoError(t, err)
		part, err := coll.CreatePartition(ctx, "p")
		require.NoError(t, err)
		_, err = part.Insert(ctx, plainRows(0, 0, 1, 2, 3)...)
		require.NoError(t, err)
		if round%3 == 0 {
			_, err = part.Flush(ctx)
			require.NoError(t, err)
		}
		var wg sync.WaitGroup
		errs := make(chan error, 100)
		run := func(fn func(i int64) error) {
			wg.Go(func() {
				for i := int64(0); ; i++ {
					if err := fn(i); errors.Is(err, engine.ErrClosed) {
						return
					} else if err != nil {
						errs <- err
						return
					}
				}
			})
		}
		var inserted atomic.Int64
		run(func(i int64) error {
			_, err := part.Insert(ctx, plainRows(0, 100+i)...)
			if err == nil {
				inserted.Store(i + 1)
			}
			return err
		})
		run(func(i int64) error {
			_, err := part.Upsert(ctx, plainRows(i, 50)...)
			return err
		})
		run(func(int64) error {
			_, err := part.Delete(ctx, column.IntKeys(50))
			return err
		})
		run(func(int64) error {
			_, err := coll.Flush(ctx)
			return err
		})
		run(func(i int64) error { return findable(ctx, coll, i%4) })
		run(func(i int64) error { return findable(ctx, part, i%4) })
		run(func(int64) error {
			n, err := part.Count(ctx)
			if err == nil && n < 4 {
				err = fmt.Errorf("%d rows", n)
			}
			return err
		})
		run(func(int64) error {
			n := 0
			for _, err := range part.All(ctx, "v") {
				if err != nil {
					return err
				}
				n++
			}
			if n < 4 {
				return fmt.Errorf("%d rows", n)
			}
			return nil
		})
		run(func(i int64) error {
			name := fmt.Sprint("other", i)
			if _, err := coll.CreatePartition(ctx, name); err != nil {
				return err
			}
			return coll.DropPartition(ctx, name)
		})
		for inserted.Load() < int64(5+10*round) && len(errs) == 0 {
			runtime.Gosched()
		}
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				if err := eng.Close(); err != nil {
					errs <- err
				}
			})
		}
		closers.Wait()
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		require.Zero(t, fs.open.Load(), "open files")

		eng, err = engine.Open("db", &engine.Options{FS: fs, MustExist: true})
		require.NoError(t, err)
		coll, err = eng.Collection("c")
		require.NoError(t, err)
		for id := range inserted.Load() {
			rows, err := coll.Get(ctx, column.IntKeys(100+id))
			require.NoError(t, err)
			require.Equal(t, 1, rows.Len(), "row %d was acknowledged", 100+id)
		}
		require.NoError(t, findable(ctx, coll, 3))
		require.NoError(t, eng.Close())
	}
}
