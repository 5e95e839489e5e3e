package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// again closes an engine and opens it anew.
func again(t *testing.T, eng *engine.Engine, o engine.Options) *engine.Engine {
	t.Helper()
	require.NoError(t, eng.Close())
	eng, err := engine.Open("db", &o)
	require.NoError(t, err)
	return eng
}

func partitionNames(c *engine.Collection) (names []string) {
	for _, p := range c.Partitions() {
		names = append(names, p.Name())
	}
	return names
}

// What was made, renamed and dropped is so after a reopen; handles stay good across renames.
func TestCollectionsAndPartitions(t *testing.T) {
	ctx := context.Background()
	o := engine.Options{FS: vfs.NewMem()}
	eng, err := engine.Open("db", &o)
	require.NoError(t, err)
	require.Equal(t, "db", eng.Dir())
	for _, name := range []string{"b", " a ", "c"} {
		coll, err := eng.CreateCollection(ctx, plainSchema("x"))
		require.NoError(t, err)
		require.NoError(t, eng.RenameCollection(ctx, "x", name))
		_, err = coll.Insert(ctx, plainRows(0, 1)...)
		require.NoError(t, err, "the handle of the old name")
	}
	require.Equal(t, []string{"a", "b", "c"}, eng.Collections())
	require.True(t, eng.HasCollection(" a "), "names are trimmed")
	require.False(t, eng.HasCollection("x"))
	a, err := eng.Collection("a")
	require.NoError(t, err)
	for _, name := range []string{"p", "q", "-r", "0"} {
		_, err := a.CreatePartition(ctx, name)
		if name == "-r" {
			require.ErrorIs(t, err, engine.ErrInvalid)
			continue
		}
		require.NoError(t, err)
	}
	p, err := a.Partition("p")
	require.NoError(t, err)
	require.Same(t, a, p.Collection())
	_, err = p.Insert(ctx, plainRows(0, 7)...)
	require.NoError(t, err)
	require.NoError(t, a.RenamePartition(ctx, "p", "0p"))
	require.Equal(t, "0p", p.Name())
	_, err = p.Flush(ctx)
	require.NoError(t, err)
	_, err = a.CreatePartition(ctx, "p")
	require.NoError(t, err, "the old name is free again")
	require.ErrorIs(t, a.RenamePartition(ctx, "p", "0p"), engine.ErrExists)
	require.NoError(t, a.DropPartition(ctx, "q"))
	require.NoError(t, eng.DropCollection(ctx, "b"))
	require.Equal(t, []string{"_default", "0p", "0", "p"}, partitionNames(a), "in the order they were made")
	made := a.Created()

	for range 2 {
		eng = again(t, eng, o)
		require.Equal(t, []string{"a", "c"}, eng.Collections())
		a, err = eng.Collection("a")
		require.NoError(t, err)
		require.True(t, made.Equal(a.Created()))
		require.Equal(t, []string{"_default", "0p", "0", "p"}, partitionNames(a))
		p, err = a.Partition("0p")
		require.NoError(t, err)
		require.NoError(t, findable(ctx, p, 7))
		require.EqualValues(t, 1, p.NumEntities())
		n, err := a.Count(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
	}
	// A dropped name begins anew.
	require.NoError(t, a.DropPartition(ctx, "0p"))
	p, err = a.CreatePartition(ctx, "0p")
	require.NoError(t, err)
	n, err := p.Count(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = p.Insert(ctx, plainRows(0, 7)...)
	require.NoError(t, err)
	require.NoError(t, eng.DropCollection(ctx, "a"))
	coll, err := eng.CreateCollection(ctx, plainSchema("a"))
	require.NoError(t, err)
	eng = again(t, eng, o)
	coll, err = eng.Collection(coll.Name())
	require.NoError(t, err)
	n, err = coll.Count(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, eng.DropCollection(ctx, "a"))
	require.NoError(t, eng.DropCollection(ctx, "c"))
	require.NoError(t, eng.Close())
	left, err := o.FS.List("db/seg")
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestSchemaSurvives(t *testing.T) {
	ctx := context.Background()
	o := engine.Options{FS: vfs.NewMem()}
	eng, err := engine.Open("db", &o)
	require.NoError(t, err)
	s := wideSchema("c").Describe("all of it").EnableDynamicField().WithShards(3).With(schema.VarChar("d2", 9).Default("x").Describe("a default"))
	coll, err := eng.CreateCollection(ctx, s)
	require.NoError(t, err)
	s.With(schema.Int8("changed_later"))
	require.Equal(t, -1, coll.Schema().Index("changed_later"), "the caller's schema is not kept")
	want := coll.Schema()
	eng = again(t, eng, o)
	coll, err = eng.Collection("c")
	require.NoError(t, err)
	require.Equal(t, want, coll.Schema())
	require.NoError(t, eng.Close())
}

func TestPartitionLimit(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{})
	coll, err := eng.CreateCollection(ctx, plainSchema("c"))
	require.NoError(t, err)
	for i := range engine.MaxPartitions - 1 {
		_, err := coll.CreatePartition(ctx, fmt.Sprint("p", i))
		require.NoError(t, err)
	}
	_, err = coll.CreatePartition(ctx, "one_more")
	require.ErrorIs(t, err, engine.ErrInvalid)
	require.ErrorContains(t, err, "1024")
	res, err := coll.Upsert(ctx, plainRows(0, 1)...)
	require.NoError(t, err)
	require.Equal(t, 1, res.Inserted)
	require.Equal(t, engine.MaxPartitions, eng.Metrics().Partitions)
	_, err = coll.Flush(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, coll.NumEntities())
}

func TestCancelledChanges(t *testing.T) {
	eng := openMem(t, engine.Options{})
	bg := context.Background()
	coll, err := eng.CreateCollection(bg, plainSchema("c"))
	require.NoError(t, err)
	_, err = coll.CreatePartition(bg, "p")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	for name, call := range map[string]func() error{
		"create collection": func() error { _, err := eng.CreateCollection(ctx, plainSchema("d")); return err },
		"rename collection": func() error { return eng.RenameCollection(ctx, "c", "d") },
		"drop collection":   func() error { return eng.DropCollection(ctx, "c") },
		"create partition":  func() error { _, err := coll.CreatePartition(ctx, "q"); return err },
		"rename partition":  func() error { return coll.RenamePartition(ctx, "p", "q") },
		"drop partition":    func() error { return coll.DropPartition(ctx, "p") },
		"insert":            func() error { _, err := coll.Insert(ctx, plainRows(0, 1)...); return err },
		"upsert":            func() error { _, err := coll.Upsert(ctx, plainRows(0, 1)...); return err },
		"delete":            func() error { _, err := coll.Delete(ctx, column.IntKeys(1)); return err },
		"count":             func() error { _, err := coll.Count(ctx); return err },
	} {
		require.ErrorIs(t, call(), context.Canceled, name)
	}
	require.Equal(t, []string{"c"}, eng.Collections())
	require.Equal(t, []string{"_default", "p"}, partitionNames(coll))
	n, err := coll.Count(bg)
	require.NoError(t, err)
	require.Zero(t, n)
}

// Partitions that come and go do not disturb calls for the whole collection.
func TestCollectionBesideDrops(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{SegmentRows: 20})
	coll, err := eng.CreateCollection(ctx, plainSchema("c"))
	require.NoError(t, err)
	_, err = coll.Insert(ctx, plainRows(0, 0, 1, 2, 3, 4)...)
	require.NoError(t, err)
	c := &crowd{t: t}
	c.write(80, func(i int) error {
		name := fmt.Sprint("p", i)
		p, err := coll.CreatePartition(ctx, name)
		if err != nil {
			return err
		}
		if _, err := p.Insert(ctx, plainRows(0, 1000, 1001)...); err != nil {
			return err
		}
		if i%2 == 0 {
			if _, err := p.Flush(ctx); err != nil {
				return err
			}
		}
		if i%3 == 0 {
			if err := coll.RenamePartition(ctx, name, name+"-renamed"); err != nil {
				return err
			}
			name += "-renamed"
		}
		return coll.DropPartition(ctx, name)
	})
	var n atomic.Int64
	for op, fn := range map[string]func() error{
		"search": func() error { return findable(ctx, coll, 3) },
		"count": func() error {
			n, err := coll.Count(ctx)
			if err == nil && (n < 5 || n > 8) {
				err = fmt.Errorf("%d rows", n)
			}
			return err
		},
		"all": func() error {
			for _, err := range coll.All(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"upsert": func() error {
			res, err := coll.Upsert(ctx, plainRows(n.Add(1), 4)...)
			if err == nil && res.Deleted != 1 {
				err = fmt.Errorf("%d rows replaced", res.Deleted)
			}
			return err
		},
		"insert, delete": func() error {
			if _, err := coll.Insert(ctx, plainRows(1, 7)...); err != nil {
				return err
			}
			res, err := coll.Delete(ctx, column.IntKeys(7, 8))
			if err == nil && res.Deleted != 1 {
				err = fmt.Errorf("%d rows deleted", res.Deleted)
			}
			return err
		},
		"flush": func() error {
			_, err := coll.Flush(ctx)
			return err
		},
		"stats": func() error {
			if st := coll.Stats(); st.Growing+st.Sealing+st.Sealed < 5 {
				return fmt.Errorf("%+v", st)
			}
			return nil
		},
	} {
		c.loop(func() error {
			if err := fn(); err != nil {
				return fmt.Errorf("%s: %w", op, err)
			}
			return nil
		})
	}
	c.wait()
}

// A partition that is made while an upsert or a delete of the whole collection waits is not in its reach, and a reopen must not put it there:
// an insert into it may come first in the commit order.
func TestPartitionMadeBesideStalledWrites(t *testing.T) {
	for range 10 {
		ctx := context.Background()
		gate := make(chan struct{})
		mem := vfs.NewMem()
		fs := newHookFS(mem, func(op fsOp) error {
			if op.kind == opSync && strings.HasSuffix(op.path, ".sst") {
				<-gate
			}
			return nil
		})
		r := &recorder{}
		eng, err := engine.Open("db", &engine.Options{FS: fs, GrowingBytes: 1, Events: r.listener()})
		require.NoError(t, err)
		coll, err := eng.CreateCollection(ctx, plainSchema("c"))
		require.NoError(t, err)
		_, err = coll.Insert(ctx, plainRows(0, 1)...)
		require.NoError(t, err)
		var wg sync.WaitGroup
		errs := make([]error, 3)
		wg.Go(func() { _, errs[0] = coll.Upsert(ctx, plainRows(0, 7)...) })
		wg.Go(func() { _, errs[1] = coll.Delete(ctx, column.IntKeys(8)) })
		eventually(t, "both wait for memory", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.stalls) > 1 })
		p, err := coll.CreatePartition(ctx, "new")
		require.NoError(t, err)
		wg.Go(func() { _, errs[2] = p.Insert(ctx, plainRows(0, 7, 8)...) })
		eventually(t, "the insert waits, too", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.stalls) > 2 })
		close(gate)
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		live, err := coll.Count(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 4, live, "each of the rows was acknowledged, and none replaced")
		require.NoError(t, eng.Close())
		eng, err = engine.Open("db", &engine.Options{FS: mem})
		require.NoError(t, err)
		coll, err = eng.Collection("c")
		require.NoError(t, err)
		n, err := coll.Count(ctx)
		require.NoError(t, err)
		require.NoError(t, eng.Close())
		require.Equal(t, live, n)
	}
}
