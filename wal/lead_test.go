package wal_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/selkiedb/selkie/wal"
	"github.com/stretchr/testify/require"
)

// leadOne appends, leading if it may, and does not wait otherwise.
func leadOne(l *wal.Log, b []byte) (uint64, error) {
	r, err := l.Prepare(context.Background(), b)
	if err != nil {
		return 0, err
	}
	lsn, leads, err := l.AppendLeading(r)
	if leads {
		l.FinishLeading()
	}
	return lsn, err
}

// prepared makes a record when the writer has come to rest, which it does a moment after it acknowledged the last one.
func prepared(t testing.TB, l *wal.Log, size int) *wal.Record {
	t.Helper()
	for !wal.Resting(l) {
		runtime.Gosched()
	}
	r, err := l.Prepare(context.Background(), payload(1, size))
	require.NoError(t, err)
	return r
}

func TestLeaderIsDurableWhenItFinishes(t *testing.T) {
	mem, a := vfs.NewCrashableMem(), newAcks()
	require.NoError(t, mem.MkdirAll("wal", 0o755))
	require.NoError(t, syncRoot(mem))
	l, err := wal.Open(a.with(wal.Options{FS: mem, Dir: "wal"}), 0, nil)
	require.NoError(t, err)
	mustAppend(t, l, a, []byte("small"))
	lsn, leads, err := l.AppendLeading(prepared(t, l, 100<<10))
	require.NoError(t, err)
	require.True(t, leads)
	require.EqualValues(t, 2, lsn)
	require.EqualValues(t, 1, l.DurableLSN(), "written, not synced")

	// Meanwhile others queue behind the leader, and are served after it.
	later, err := appendOne(l, []byte("later"))
	require.NoError(t, err)
	r, err := l.Prepare(context.Background(), payload(1, 100<<10))
	require.NoError(t, err)
	third, leadsToo, err := l.AppendLeading(r)
	require.NoError(t, err)
	require.False(t, leadsToo)
	synced := make(chan error, 1)
	go func() { synced <- l.Sync(context.Background()) }()
	require.EqualValues(t, 1, l.DurableLSN())

	l.FinishLeading()
	require.GreaterOrEqual(t, l.DurableLSN(), lsn)
	require.NoError(t, a.wait(later))
	require.NoError(t, a.wait(third))
	require.NoError(t, <-synced)
	clone := mem.CrashClone(vfs.CrashCloneCfg{})
	got, err := collect(wal.Options{FS: clone, Dir: "wal", FirstSeq: 1}, 0)
	require.NoError(t, err)
	require.Len(t, got, 4)
	require.Equal(t, payload(1, 100<<10), got[1].payload)
	require.NoError(t, l.Close())
}

func TestWhoDoesNotLead(t *testing.T) {
	open := func(o wal.Options) (*wal.Log, *acks) {
		a := newAcks()
		o.FS, o.Dir = vfs.NewMem(), "wal"
		l, err := wal.Open(a.with(o), 0, nil)
		require.NoError(t, err)
		return l, a
	}
	for name, c := range map[string]struct {
		opts  wal.Options
		size  int
		other bool // another record is prepared
	}{
		"small record":     {size: 1000},
		"too large record": {size: 2 << 20},
		"another record":   {size: 100 << 10, other: true},
		"no room":          {size: 100 << 10, opts: wal.Options{InitialFileSize: 64 << 10}},
		"interval policy":  {size: 100 << 10, opts: wal.Options{Policy: wal.SyncInterval}},
		"no sync":          {size: 100 << 10, opts: wal.Options{Policy: wal.SyncNone}},
	} {
		t.Run(name, func(t *testing.T) {
			l, a := open(c.opts)
			r := prepared(t, l, c.size)
			if c.other {
				defer l.Discard(prepared(t, l, 10))
			}
			lsn, leads, err := l.AppendLeading(r)
			require.NoError(t, err)
			require.False(t, leads)
			require.NoError(t, a.wait(lsn))
			require.NoError(t, l.Close())
		})
	}
	l, _ := open(wal.Options{})
	r := prepared(t, l, 100<<10)
	require.NoError(t, l.Close())
	_, leads, err := l.AppendLeading(r)
	require.ErrorIs(t, err, wal.ErrClosed)
	require.False(t, leads)
}

// TestCloseWaitsForLeader: Close ends after the leader did, in whatever order they come.
func TestCloseWaitsForLeader(t *testing.T) {
	for range 50 {
		a := newAcks()
		l, err := wal.Open(a.with(wal.Options{FS: vfs.NewMem(), Dir: "wal"}), 0, nil)
		require.NoError(t, err)
		lsn, leads, err := l.AppendLeading(prepared(t, l, 100<<10))
		require.NoError(t, err)
		closed := make(chan error, 1)
		go func() { closed <- l.Close() }()
		time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond) // more orders; none is needed
		if leads {
			l.FinishLeading()
		}
		require.NoError(t, a.wait(lsn))
		require.NoError(t, <-closed)
	}
}

// TestLeaderErrorPoisons: what goes wrong before the leader's other work is told after it, and nothing is acknowledged.
func TestLeaderErrorPoisons(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpFileWriteAt, errorfs.OpFileSyncTo, errorfs.OpFileSyncData} {
		mem := vfs.NewCrashableMem()
		var armed atomic.Bool
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if armed.Load() && op.Kind == kind && strings.Contains(op.Path, "000001") {
				return errorfs.ErrInjected
			}
			return nil
		}))
		a := newAcks()
		l, err := wal.Open(a.with(wal.Options{FS: fs, Dir: "wal"}), 0, nil)
		require.NoError(t, err)
		mustAppend(t, l, a, []byte("acknowledged"))
		r := prepared(t, l, 100<<10)
		armed.Store(true)
		lsn, leads, err := l.AppendLeading(r)
		require.NoError(t, err)
		require.True(t, leads)
		require.NoError(t, l.Err(), "nobody was told yet")
		queued, err := appendOne(l, []byte("behind it"))
		require.NoError(t, err)
		l.FinishLeading()
		armed.Store(false)
		for _, err := range []error{a.wait(lsn), a.wait(queued), l.Err(), l.Sync(context.Background())} {
			require.ErrorIs(t, err, wal.ErrPoisoned)
			require.ErrorIs(t, err, errorfs.ErrInjected)
		}
		_, err = l.Prepare(context.Background(), nil)
		require.ErrorIs(t, err, wal.ErrPoisoned)
		require.EqualValues(t, 1, l.DurableLSN())
		require.ErrorIs(t, l.Close(), wal.ErrPoisoned)
		require.Equal(t, 1, a.calls)
	}
}

// TestLeadersAmongOthers: who leads and who does not changes all the time; every record is acknowledged once it is there to stay.
func TestLeadersAmongOthers(t *testing.T) {
	const workers, each = 4, 60
	mem, a := vfs.NewCrashableMem(), newAcks()
	require.NoError(t, mem.MkdirAll("wal", 0o755))
	require.NoError(t, syncRoot(mem))
	l, err := wal.Open(a.with(wal.Options{FS: mem, Dir: "wal", InitialFileSize: 16 << 10, MaxFileSize: 32 << 10, QueueBytes: 4 << 10}), 0, nil)
	require.NoError(t, err)
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				appendIt := leadOne
				if (i+w)%4 == 0 {
					appendIt = appendOne
				}
				lsn, err := appendIt(l, payload(uint64(w*each+i), 700))
				if err == nil && i%2 == 0 {
					err = a.wait(lsn)
				}
				if err == nil && i%16 == 0 {
					err = l.Sync(context.Background())
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	require.NoError(t, errors.Join(<-errs))
	require.NoError(t, l.Sync(context.Background()))
	got, err := collect(wal.Options{FS: mem.CrashClone(vfs.CrashCloneCfg{}), Dir: "wal", FirstSeq: 1}, 0)
	require.NoError(t, err)
	require.Len(t, got, workers*each)
	require.NoError(t, l.Close())
}
