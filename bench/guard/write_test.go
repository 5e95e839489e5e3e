//go:build !race

package guard

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// store is a store in memory whose background does nothing by itself.
type store struct {
	*words
	fs   *countFS
	eng  *engine.Engine
	coll *engine.Collection
	part *engine.Partition
}

// options leave everything that would happen by itself to the tests.
func (s *store) options() *engine.Options {
	return &engine.Options{
		FS: s.fs, Tick: 24 * time.Hour, SegmentBytes: -1, MaxSegmentAge: -1, MaxSegmentIdle: -1, GrowingBytes: -1, LogBytes: 64 << 30,
		CompactBytes: -1, CompactIdle: -1,
	}
}

func open(t *testing.T, w *words) *store {
	s := &store{words: w, fs: &countFS{FS: vfs.NewMem()}}
	var err error
	s.eng, err = engine.Open("store", s.options())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.eng.Close()) })
	s.coll, err = s.eng.CreateCollection(context.Background(), schema.New("rows").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("vector", w.dim)))
	require.NoError(t, err)
	s.part, err = s.coll.Partition(engine.DefaultPartition)
	require.NoError(t, err)
	return s
}

// insert inserts rows whose keys are their numbers.
func (s *store) insert(t *testing.T, lo, hi, batch int) {
	for ; lo < hi; lo += batch {
		_, err := s.part.Insert(context.Background(), s.columns(lo, min(lo+batch, hi))...)
		require.NoError(t, err)
	}
}

func (s *store) columns(lo, hi int) []*column.Column {
	ids := make([]int64, hi-lo)
	rows := make([]float32, 0, (hi-lo)*s.dim)
	for i := range ids {
		ids[i] = int64(lo + i)
		at := (lo + i) % s.n() * s.dim
		rows = append(rows, s.rows[at:at+s.dim]...)
	}
	return []*column.Column{column.Int64("id", ids), column.FloatVectorFlat("vector", s.dim, rows)}
}

func (s *store) flush(t *testing.T) {
	_, err := s.part.Flush(context.Background())
	require.NoError(t, err)
}

func (s *store) index(t *testing.T) {
	require.NoError(t, s.coll.CreateIndex(context.Background(), schema.Index{Field: "vector", Metric: "COSINE"}))
	require.NoError(t, s.coll.WaitIndexed(context.Background()))
}

// TestWrites counts what writes bring to the disk.
func TestWrites(t *testing.T) {
	w, ctx := load(t), context.Background()
	s := open(t, w)
	next := 0
	// cost checks the syncs and bytes of an operation that is done some times.
	cost := func(name string, times int, do func(i int)) {
		before := s.fs.now()
		for i := range times {
			do(i)
		}
		c := s.fs.now().since(before)
		costs.check(t, name+"/syncs", float64(c.syncs)/float64(times), fewer, 0)
		costs.check(t, name+"/bytes", float64(c.written)/float64(times), fewer, 1)
	}
	insert := func(rows int) func(int) {
		return func(int) {
			s.insert(t, next, next+rows, rows)
			next += rows
		}
	}
	cost("insert-1", 200, insert(1))
	cost("insert-1000", 10, insert(1000))
	cost("delete-1", 100, func(i int) {
		_, err := s.part.Delete(ctx, column.IntKeys(int64(i)))
		require.NoError(t, err)
	})
	cost("upsert-1", 100, func(i int) {
		_, err := s.part.Upsert(ctx, s.columns(1000+i, 1001+i)...)
		require.NoError(t, err)
	})
	cost("flush-10000", 1, func(int) { s.flush(t) })
	cost("delete-1-sealed", 100, func(i int) {
		_, err := s.part.Delete(ctx, column.IntKeys(int64(5000+i)))
		require.NoError(t, err)
	})
	cost("flush-1", 5, func(int) { insert(1)(0); s.flush(t) })
	cost("index", 1, func(int) { s.index(t) })

	cols := s.columns(next, next+1)
	id := int64(next)
	costs.check(t, "insert-1/allocations", allocations(func() {
		id++
		_, err := s.part.Insert(ctx, column.Int64("id", []int64{id}), cols[1])
		require.NoError(t, err)
	}), fewer, 10)

	require.NoError(t, s.eng.Close())
	before := s.fs.now()
	var err error
	s.eng, err = engine.Open("store", s.options())
	require.NoError(t, err)
	coll, err := s.eng.Collection("rows")
	require.NoError(t, err)
	require.NoError(t, coll.WaitIndexed(ctx))
	c := s.fs.now().since(before)
	costs.check(t, "reopen/syncs", float64(c.syncs), fewer, 0)
	costs.check(t, "reopen/bytes", float64(c.written), fewer, 1)
	costs.check(t, "reopen/opens", float64(c.opens), fewer, 0)

	s.part, err = coll.Partition(engine.DefaultPartition)
	require.NoError(t, err)
	next = int(id) + 1
	many := s.fs.now()
	const flushes = 200 // directories are made ahead after some
	for range flushes {
		insert(1)(0)
		s.flush(t)
	}
	costs.check(t, "flush-1-again/syncs", float64(s.fs.now().since(many).syncs)/flushes, fewer, 10)
}
