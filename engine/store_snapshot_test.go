package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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
)

// TestSnapshotsThroughALife takes snapshots while a store goes through everything, and reads them all at the end.
func TestSnapshotsThroughALife(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	s := &session{dir: imageDir, opts: tiny(mem)}
	require.NoError(t, s.open())
	l := newLedger()
	var snaps []*engine.StoreSnapshot
	var want []*ledger
	for i, st := range life() {
		if st.kind == reopen {
			continue
		}
		require.NoError(t, s.run(ctx, st), "%v", st)
		require.NoError(t, l.apply(st))
		snap, err := s.eng.NewSnapshot(ctx, fmt.Sprint("step ", i))
		require.NoError(t, err)
		require.Equal(t, s.eng.LSN(), snap.LSN())
		snaps, want = append(snaps, snap), append(want, l.clone())
	}
	_, err := s.eng.NewSnapshot(ctx, snaps[0].Name())
	require.ErrorIs(t, err, engine.ErrExists)
	_, err = s.eng.NewSnapshot(ctx, " ")
	require.ErrorIs(t, err, engine.ErrInvalid)
	infos := s.eng.Snapshots()
	require.Len(t, infos, len(snaps))
	require.True(t, slices.IsSortedFunc(infos, func(a, b engine.SnapshotInfo) int { return int(a.LSN) - int(b.LSN) }))
	m := s.eng.Metrics()
	require.Equal(t, len(snaps), m.Snapshots)
	require.Positive(t, m.SnapshotSegments)
	require.Positive(t, m.SnapshotDiskBytes)
	require.Positive(t, m.SnapshotMemoryBytes)

	for i, snap := range snaps {
		o, err := observe(ctx, snap)
		require.NoError(t, err, snap.Name())
		_, err = o.match(want[i : i+1])
		require.NoError(t, err, snap.Name())
	}

	// With the snapshots goes what only they held.
	for i, snap := range snaps {
		found, err := s.eng.Snapshot(snap.Name())
		require.NoError(t, err)
		require.Same(t, snap, found)
		if i%2 == 0 {
			require.NoError(t, snap.Close())
			require.NoError(t, snap.Close())
			_, err = snap.Collection("plain")
			require.ErrorIs(t, err, engine.ErrClosed)
			_, err = s.eng.Snapshot(snap.Name())
			require.ErrorIs(t, err, engine.ErrNotFound)
		}
	}
	for i := 1; i < len(snaps); i += 2 {
		require.NoError(t, snaps[i].Close())
	}
	m = s.eng.Metrics()
	require.Zero(t, m.Snapshots)
	require.Zero(t, m.SnapshotDiskBytes+m.SnapshotMemoryBytes)
	require.Eventually(t, func() bool {
		dirs, err := mem.List(imageDir + "/seg")
		segments := 0
		for _, d := range dirs {
			f, err := mem.Stat(imageDir + "/seg/" + d + "/rows.sst")
			if err == nil && f.Size() > 0 { // else it was made ahead
				segments++
			}
		}
		return err == nil && segments == m.Segments.Segments
	}, waitLong, waitStep, "segments that ended are gone from the disk")
	require.NoError(t, s.close())
}

// TestSnapshotIsReadOnly: nothing can be changed through a snapshot, and what is refused changes nothing.
func TestSnapshotIsReadOnly(t *testing.T) {
	ctx := context.Background()
	s := &session{dir: imageDir, opts: tiny(vfs.NewMem())}
	require.NoError(t, s.open())
	l := newLedger()
	for _, st := range life()[:30] {
		require.NoError(t, s.run(ctx, st))
		require.NoError(t, l.apply(st))
	}
	snap, err := s.eng.NewSnapshot(ctx, "now")
	require.NoError(t, err)
	c, err := snap.Collection("plain")
	require.NoError(t, err)
	p, err := c.Partition("side")
	require.NoError(t, err)
	rows := plainColl.columns([]int{900}, 1)
	keys := column.IntKeys(0, 1, 2, 100)
	all := query.Where("id >= 0")
	for name, err := range map[string]error{
		"insert":           second(p.Insert(ctx, rows...)),
		"upsert":           second(p.Upsert(ctx, rows...)),
		"delete":           second(p.Delete(ctx, keys)),
		"delete where":     second(p.DeleteWhere(ctx, all)),
		"flush":            second(p.Flush(ctx)),
		"compact":          p.Compact(ctx),
		"coll insert":      second(c.Insert(ctx, rows...)),
		"coll upsert":      second(c.Upsert(ctx, rows...)),
		"coll delete":      second(c.Delete(ctx, keys)),
		"coll flush":       second(c.Flush(ctx)),
		"coll compact":     c.Compact(ctx),
		"create partition": second(c.CreatePartition(ctx, "x")),
		"rename partition": c.RenamePartition(ctx, "side", "x"),
		"drop partition":   c.DropPartition(ctx, "side"),
		"create index":     c.CreateIndex(ctx, schema.Index{Field: "v"}),
		"drop index":       c.DropIndex(ctx, "v"),
	} {
		require.ErrorIs(t, err, engine.ErrReadOnly, name)
	}
	o, err := observe(ctx, s.eng)
	require.NoError(t, err)
	_, err = o.match([]*ledger{l})
	require.NoError(t, err)

	// Reads that began before the snapshot was closed go on; so do those that began before the engine was.
	n := 0
	for _, err := range c.All(ctx, "*") {
		require.NoError(t, err)
		if n++; n == 2 {
			require.NoError(t, snap.Close())
		}
	}
	require.Greater(t, n, 2)
	_, err = c.Count(ctx)
	require.ErrorIs(t, err, engine.ErrClosed)
	snap, err = s.eng.NewSnapshot(ctx, "now")
	require.NoError(t, err)
	c, err = snap.Collection("plain")
	require.NoError(t, err)
	require.NoError(t, s.close())
	_, err = c.Count(ctx)
	require.ErrorIs(t, err, engine.ErrClosed)
	_, err = snap.Collection("plain")
	require.ErrorIs(t, err, engine.ErrClosed)
	require.NoError(t, snap.Close())
}

func second[T any](_ T, err error) error { return err }

// TestSnapshotUnderLoad: a snapshot that is taken while rows come, go, are flushed and merged shows one prefix of the commit order, of all
// collections, and always the same.
func TestSnapshotUnderLoad(t *testing.T) {
	ctx := context.Background()
	eng, err := engine.Open("db", &engine.Options{
		FS: vfs.NewMem(), SegmentRows: 40, LogFileBytes: 32 << 10, CompactIdle: 10 * time.Millisecond, Tick: 5 * time.Millisecond,
	})
	require.NoError(t, err)
	const colls = 2
	var cs [colls]*engine.Collection
	for i := range cs {
		cs[i], err = eng.CreateCollection(ctx, schema.New(fmt.Sprint("c", i)).
			With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", ledgerDim)))
		require.NoError(t, err)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	// One writer, in turns: row n goes to collection n%colls, and row n-100 is deleted. So the state at any instant is a window.
	wg.Go(func() {
		for n := int64(0); !stop.Load(); n++ {
			c := cs[n%colls]
			_, err := c.Insert(ctx, column.Int64("id", []int64{n}), column.FloatVectorFlat("v", ledgerDim, vectorOf(int(n), 0)))
			if err == nil && n >= 100 {
				_, err = cs[(n-100)%colls].Delete(ctx, column.IntKeys(n-100))
			}
			if err == nil && n%50 == 49 {
				_, err = c.Flush(ctx)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	look := func(s *engine.StoreSnapshot) []int64 {
		var ids []int64
		for i := range colls {
			c, err := s.Collection(fmt.Sprint("c", i))
			require.NoError(t, err)
			mine := rowsOf(t, c)
			n, err := c.Count(ctx)
			require.NoError(t, err)
			require.Equal(t, int64(len(mine)), n)
			ids = append(ids, mine...)
			if len(mine) > 0 {
				id := mine[len(mine)/2]
				hits, err := c.Search(ctx, query.Nearest("v", vectorOf(int(id), 0)).Limit(1))
				require.NoError(t, err)
				require.Equal(t, id, hits[0].Key.Int)
			}
		}
		slices.Sort(ids)
		return ids
	}
	rounds := 30
	if testing.Short() {
		rounds = 10
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var open []*engine.StoreSnapshot
	var seen [][]int64
	for round := range rounds {
		s, err := eng.NewSnapshot(ctx, fmt.Sprint(round))
		require.NoError(t, err)
		ids := look(s)
		if len(ids) > 0 {
			require.Equal(t, int64(len(ids)), ids[len(ids)-1]-ids[0]+1, "a window without a gap")
			require.LessOrEqual(t, len(ids), 101)
		}
		open, seen = append(open, s), append(seen, ids)
		i := rng.IntN(len(open))
		require.Equal(t, seen[i], look(open[i]), "a snapshot never changes")
		if len(open) > 5 {
			require.NoError(t, open[i].Close())
			open, seen = slices.Delete(open, i, i+1), slices.Delete(seen, i, i+1)
		}
	}
	stop.Store(true)
	wg.Wait()
	for i := range open {
		require.Equal(t, seen[i], look(open[i]))
	}
	require.NoError(t, eng.Close())
}
