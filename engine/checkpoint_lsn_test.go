package engine_test

import (
	"bytes"
	"cmp"
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

	"github.com/selkiedb/selkie/engine"
)

// TestCopiesHoldTheirLSN takes checkpoints, backups and snapshots while several writers insert, replace and delete rows, and everything is flushed and
// merged. Each must hold, row by row, what the writes up to its LSN make: none of these missing, none after it.
func TestCopiesHoldTheirLSN(t *testing.T) {
	ctx := context.Background()
	rng := seeded(t)
	fs := vfs.NewMem()
	opts := &engine.Options{
		FS: fs, SegmentRows: 60, LogFileBytes: 32 << 10, CatalogueBytes: 8 << 10, CompactIdle: 10 * time.Millisecond, Tick: 5 * time.Millisecond,
	}
	eng, err := engine.Open("db", opts)
	require.NoError(t, err)
	s := &session{eng: eng}
	require.NoError(t, s.run(ctx, step{kind: createColl, coll: "plain", collKind: plainColl}))
	c, err := eng.Collection("plain")
	require.NoError(t, err)

	type write struct {
		lsn  uint64
		keys []int
		ver  int64 // 0: they were deleted
	}
	const writers = 3
	var writes [writers][]write
	var stop atomic.Bool
	var calls atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		rng := rand.New(rand.NewPCG(rng.Uint64(), 1))
		wg.Go(func() {
			for ver := int64(1); !stop.Load(); ver++ {
				keys := make([]int, 1+rng.IntN(6))
				for i := range keys {
					keys[i] = w*1000 + rng.IntN(150)
				}
				slices.Sort(keys)
				keys = slices.Compact(keys)
				x := write{keys: keys, ver: ver}
				var r engine.WriteResult
				var err error
				switch rng.IntN(20) {
				default:
					r, err = c.Upsert(ctx, plainColl.columns(keys, ver)...)
				case 0, 1, 2, 3, 4:
					x.ver = 0
					r, err = c.Delete(ctx, plainColl.keys(keys))
				case 5:
					_, err = c.Flush(ctx)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if r.LSN > 0 {
					x.lsn = r.LSN
					writes[w] = append(writes[w], x)
				}
				calls.Add(1)
			}
		})
	}
	type taken struct {
		what string
		lsn  uint64
		open func() store
	}
	var all []taken
	rounds := 12
	if testing.Short() {
		rounds = 5
	}
	reopen := func(dir string) func() store {
		return func() store {
			other, err := engine.Open(dir, &engine.Options{FS: fs, MustExist: true, CompactBytes: -1})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, other.Close()) })
			return other
		}
	}
	var since *engine.BackupInfo
	var backups [][]byte
	for round := range rounds {
		for until := calls.Load() + 40; calls.Load() < until && !t.Failed(); {
			time.Sleep(waitStep)
		}
		dir := fmt.Sprintf("checkpoint%d", round)
		r, err := eng.Checkpoint(ctx, dir)
		require.NoError(t, err)
		all = append(all, taken{dir, r.LSN, reopen(dir)})
		var b bytes.Buffer
		info, err := eng.Backup(ctx, &b, engine.BackupOptions{Since: since})
		require.NoError(t, err)
		since, backups = &info, append(backups, b.Bytes())
		dir = fmt.Sprintf("backup%d", round)
		_, err = engine.Restore(ctx, dir, &engine.Options{FS: fs}, readers(backups...)...)
		require.NoError(t, err)
		all = append(all, taken{dir, info.LSN, reopen(dir)})
		snap, err := eng.NewSnapshot(ctx, fmt.Sprint(round))
		require.NoError(t, err)
		all = append(all, taken{"snapshot" + snap.Name(), snap.LSN(), func() store { return snap }})
	}
	stop.Store(true)
	wg.Wait()
	log := slices.Concat(writes[:]...)
	slices.SortFunc(log, func(a, b write) int { return cmp.Compare(a.lsn, b.lsn) })
	for _, x := range all {
		want := newLedger()
		require.NoError(t, want.apply(step{kind: createColl, coll: "plain", collKind: plainColl}))
		want.colls["plain"].parts[engine.DefaultPartition].auto = true
		for _, w := range log {
			if w.lsn > x.lsn {
				break
			}
			st := step{kind: removeAll, coll: "plain", keys: w.keys}
			if w.ver > 0 {
				st = step{kind: upsert, coll: "plain", keys: w.keys, ver: w.ver}
			}
			require.NoError(t, want.apply(st))
		}
		o, err := observe(ctx, x.open())
		require.NoError(t, err, x.what)
		require.Equal(t, want.content(), o.content(), x.what)
	}
	require.NoError(t, eng.Close())
	figures(t, "%d writes, %d copies", len(log), len(all))
}
