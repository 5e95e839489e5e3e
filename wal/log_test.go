package wal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/selkiedb/selkie/wal"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// acks collects what the log acknowledges and lets tests wait for it.
type acks struct {
	mu     sync.Mutex
	lsn    uint64
	failed error
	calls  int
	change chan struct{}
}

func newAcks() *acks { return &acks{change: make(chan struct{})} }

func (a *acks) durable(lsn uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if lsn < a.lsn {
		panic(fmt.Sprintf("durable went back from %d to %d", a.lsn, lsn))
	}
	if a.failed != nil {
		panic("durable after failed: " + a.failed.Error())
	}
	a.lsn = lsn
	close(a.change)
	a.change = make(chan struct{})
}

func (a *acks) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	a.failed = err
	close(a.change)
	a.change = make(chan struct{})
}

// get returns the last acknowledged LSN.
func (a *acks) get() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lsn
}

// wait returns nil once lsn is acknowledged, or the error that says it never will be.
func (a *acks) wait(lsn uint64) error {
	for {
		a.mu.Lock()
		at, err, change := a.lsn, a.failed, a.change
		a.mu.Unlock()
		if at >= lsn {
			return nil
		}
		if err != nil {
			return err
		}
		<-change
	}
}

// with returns opts reporting to a.
func (a *acks) with(opts wal.Options) wal.Options {
	opts.Durable, opts.Failed = a.durable, a.fail
	return opts
}

// payload makes the payload of record lsn: its number and some bytes derived from it.
func payload(lsn uint64, n int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(lsn, 7))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	if n >= 8 {
		binary.LittleEndian.PutUint64(b, lsn)
	}
	return b
}

// appendOne prepares and appends one record.
func appendOne(l *wal.Log, b []byte) (uint64, error) {
	r, err := l.Prepare(context.Background(), b)
	if err != nil {
		return 0, err
	}
	return l.Append(r)
}

// mustAppend appends and waits until it is acknowledged.
func mustAppend(t testing.TB, l *wal.Log, a *acks, b []byte) uint64 {
	t.Helper()
	lsn, err := appendOne(l, b)
	require.NoError(t, err)
	require.NoError(t, a.wait(lsn))
	return lsn
}

type record struct {
	lsn     uint64
	payload []byte
}

// collect opens a log read-only and returns what it replays.
func collect(opts wal.Options, from uint64) ([]record, error) {
	opts.ReadOnly = true
	opts.Durable, opts.Failed = nil, nil
	var got []record
	l, err := wal.Open(opts, from, func(lsn uint64, p []byte) error {
		if len(p) > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(p)))%8 != 0 {
			return errors.New("payload is not aligned")
		}
		got = append(got, record{lsn, bytes.Clone(p)})
		return nil
	})
	if err != nil {
		return got, err
	}
	return got, l.Close()
}

// sizes holds payload lengths around every boundary of the code: padding, direct writes, buffers, files.
var sizes = []int{0, 1, 7, 8, 9, 63, 64, 1000, 4096, 64<<10 - 1, 64 << 10, 64<<10 + 3, 300_000, 1 << 20, 1<<20 + 1, 2_500_001}

func TestAppendAndReplay(t *testing.T) {
	for _, policy := range []wal.SyncPolicy{wal.SyncAlways, wal.SyncInterval, wal.SyncNone} {
		t.Run(policy.String(), func(t *testing.T) {
			fs, a := vfs.NewMem(), newAcks()
			opts := a.with(wal.Options{FS: fs, Dir: "wal", Policy: policy, InitialFileSize: 8 << 10, MaxFileSize: 1 << 20})
			l, err := wal.Open(opts, 0, nil)
			require.NoError(t, err)
			require.EqualValues(t, 1, l.FirstSeqFor(0))
			for i, n := range sizes {
				require.EqualValues(t, i+1, mustAppend(t, l, a, payload(uint64(i+1), n)))
			}
			s := l.Stats()
			require.EqualValues(t, len(sizes), s.Records)
			require.EqualValues(t, len(sizes), s.DurableLSN)
			require.Zero(t, s.QueueBytes)
			require.Greater(t, s.Files, 2)
			require.NoError(t, l.Close())
			require.NoError(t, l.Close())

			opts.FirstSeq = 1
			for _, from := range []uint64{0, 1, 5, uint64(len(sizes)), 100} {
				got, err := collect(opts, from)
				require.NoError(t, err)
				require.Len(t, got, max(0, len(sizes)-int(from)))
				for i, r := range got {
					require.Equal(t, from+uint64(i)+1, r.lsn)
					require.True(t, bytes.Equal(payload(r.lsn, sizes[r.lsn-1]), r.payload))
				}
			}
		})
	}
}

func TestReopenGoesOn(t *testing.T) {
	fs := vfs.NewMem()
	next := uint64(1)
	for round := range 5 {
		a := newAcks()
		opts := a.with(wal.Options{FS: fs, Dir: "wal", InitialFileSize: 8 << 10, FirstSeq: uint64(min(round, 1))})
		got := uint64(0)
		l, err := wal.Open(opts, 0, func(lsn uint64, p []byte) error {
			got++
			require.Equal(t, got, lsn)
			require.Equal(t, payload(lsn, 100), p)
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, next-1, got)
		require.Equal(t, next-1, l.LastLSN())
		require.Equal(t, next-1, l.DurableLSN())
		for range 30 {
			require.Equal(t, next, mustAppend(t, l, a, payload(next, 100)))
			next++
		}
		require.NoError(t, l.Close())
	}
}

func TestReopenWithoutWritingKeepsFileCount(t *testing.T) {
	fs, a := vfs.NewMem(), newAcks()
	opts := a.with(wal.Options{FS: fs, Dir: "wal"})
	l, err := wal.Open(opts, 0, nil)
	require.NoError(t, err)
	mustAppend(t, l, a, []byte("x"))
	require.NoError(t, l.Close())
	opts.FirstSeq = 1
	for range 5 {
		l, err := wal.Open(opts, 0, nil)
		require.NoError(t, err)
		require.Equal(t, 2, l.Stats().Files)
		require.NoError(t, l.Close())
		names, err := fs.List("wal")
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"000001.wal", "000002.wal"}, names)
	}
	require.EqualValues(t, 2, mustOpen(t, opts, func(l *wal.Log) { mustAppend(t, l, a, []byte("y")) }))
	got, err := collect(opts, 0)
	require.NoError(t, err)
	require.Len(t, got, 2)
}

// mustOpen opens a log, lets f use it, closes it and returns its last LSN.
func mustOpen(t testing.TB, opts wal.Options, f func(l *wal.Log)) uint64 {
	t.Helper()
	l, err := wal.Open(opts, 0, nil)
	require.NoError(t, err)
	f(l)
	require.NoError(t, l.Close())
	return l.LastLSN()
}

func TestMinLSN(t *testing.T) {
	fs, a := vfs.NewMem(), newAcks()
	opts := a.with(wal.Options{FS: fs, Dir: "wal", MinLSN: 41})
	mustOpen(t, opts, func(l *wal.Log) { require.EqualValues(t, 42, mustAppend(t, l, a, []byte("a"))) })
	opts.FirstSeq, opts.MinLSN = 1, 10
	mustOpen(t, opts, func(l *wal.Log) { require.EqualValues(t, 43, mustAppend(t, l, a, []byte("b"))) })
	opts.MinLSN = 99
	mustOpen(t, opts, func(l *wal.Log) {})
	mustOpen(t, opts, func(l *wal.Log) {
		require.Equal(t, 3, l.Stats().Files)
		opts.MinLSN = 60
	})
	opts.MinLSN = 50 // a jump once made is kept
	mustOpen(t, opts, func(l *wal.Log) { require.EqualValues(t, 100, mustAppend(t, l, a, []byte("c"))) })
	got, err := collect(opts, 0)
	require.NoError(t, err)
	require.Equal(t, []record{{42, []byte("a")}, {43, []byte("b")}, {100, []byte("c")}}, got)
}

func TestTruncate(t *testing.T) {
	fs, a := vfs.NewMem(), newAcks()
	opts := a.with(wal.Options{FS: fs, Dir: "wal", InitialFileSize: 8 << 10, MaxFileSize: 8 << 10})
	l, err := wal.Open(opts, 0, nil)
	require.NoError(t, err)
	for i := range uint64(20) {
		mustAppend(t, l, a, payload(i+1, 1000))
	}
	size := l.Size()
	seq := l.FirstSeqFor(10)
	require.Greater(t, seq, uint64(1))
	require.NoError(t, l.Truncate(seq))
	require.Less(t, l.Size(), size)
	got, err := collect(wal.Options{FS: fs, Dir: "wal", FirstSeq: seq}, 10)
	require.NoError(t, err)
	require.Len(t, got, 10)

	require.NoError(t, l.Truncate(1000), "never removes the file being written")
	require.Equal(t, 1, l.Stats().Files)
	seq = l.FirstSeqFor(20)
	mustAppend(t, l, a, payload(21, 1000))
	require.NoError(t, l.Close())
	got, err = collect(wal.Options{FS: fs, Dir: "wal", FirstSeq: seq}, 20)
	require.NoError(t, err)
	require.Equal(t, []record{{21, payload(21, 1000)}}, got)
}

func TestStaleFilesAreRemoved(t *testing.T) {
	fs, a := vfs.NewMem(), newAcks()
	opts := a.with(wal.Options{FS: fs, Dir: "wal", InitialFileSize: 8 << 10, MaxFileSize: 8 << 10})
	var seq uint64
	mustOpen(t, opts, func(l *wal.Log) {
		for i := range uint64(20) {
			mustAppend(t, l, a, payload(i+1, 1000))
		}
		seq = l.FirstSeqFor(15)
	})
	require.NoError(t, fs.Remove("wal/000002.wal")) // as after an interrupted Truncate, in any order
	opts.FirstSeq = seq
	mustOpen(t, opts, func(l *wal.Log) {})
	names, err := fs.List("wal")
	require.NoError(t, err)
	require.NotContains(t, names, "000001.wal")
	require.Contains(t, names, fmt.Sprintf("%06d.wal", seq))
}

func TestSync(t *testing.T) {
	for _, policy := range []wal.SyncPolicy{wal.SyncAlways, wal.SyncInterval, wal.SyncNone} {
		t.Run(policy.String(), func(t *testing.T) {
			fs, a := vfs.NewCrashableMem(), newAcks()
			require.NoError(t, syncRoot(fs))
			l, err := wal.Open(a.with(wal.Options{FS: fs, Dir: "wal", Policy: policy, SyncInterval: time.Hour}), 0, nil)
			require.NoError(t, err)
			require.NoError(t, syncRoot(fs))
			require.NoError(t, l.Sync(context.Background()))
			mustAppend(t, l, a, []byte("one"))
			require.NoError(t, l.Sync(context.Background()))
			got, err := collect(wal.Options{FS: fs.CrashClone(vfs.CrashCloneCfg{}), Dir: "wal", FirstSeq: 1}, 0)
			require.NoError(t, err)
			require.Equal(t, []record{{1, []byte("one")}}, got)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			require.ErrorIs(t, l.Sync(ctx), context.Canceled)
			require.NoError(t, l.Close())
		})
	}
}

func syncRoot(fs vfs.FS) error {
	d, err := fs.OpenDir("")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func TestIntervalSyncs(t *testing.T) {
	fs, a := vfs.NewCrashableMem(), newAcks()
	l, err := wal.Open(a.with(wal.Options{FS: fs, Dir: "wal", Policy: wal.SyncInterval, SyncInterval: time.Millisecond}), 0, nil)
	require.NoError(t, err)
	require.NoError(t, syncRoot(fs))
	mustAppend(t, l, a, []byte("one"))
	require.Eventually(t, func() bool {
		got, err := collect(wal.Options{FS: fs.CrashClone(vfs.CrashCloneCfg{}), Dir: "wal", FirstSeq: 1}, 0)
		return err == nil && len(got) == 1
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, l.Close())
}

func TestConcurrentAppenders(t *testing.T) {
	fs, a := vfs.NewMem(), newAcks()
	opts := a.with(wal.Options{FS: fs, Dir: "wal", InitialFileSize: 8 << 10, MaxFileSize: 64 << 10, QueueBytes: 100_000})
	l, err := wal.Open(opts, 0, nil)
	require.NoError(t, err)
	var mu sync.Mutex
	want := map[uint64][]byte{}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range 100 {
				p := make([]byte, rng.IntN(3000))
				if rng.IntN(20) == 0 {
					p = make([]byte, rng.IntN(150_000))
				}
				for i := range p {
					p[i] = byte(g + 1)
				}
				r, err := l.Prepare(context.Background(), p)
				if err != nil {
					t.Error(err)
					return
				}
				if rng.IntN(10) == 0 {
					l.Discard(r)
					l.Discard(r)
					continue
				}
				lsn, err := l.Append(r)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want[lsn] = p
				mu.Unlock()
				if rng.IntN(3) > 0 {
					if err := a.wait(lsn); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, l.Sync(context.Background()))
	require.Equal(t, l.LastLSN(), l.DurableLSN())
	require.NoError(t, l.Close())
	require.Zero(t, l.Stats().QueueBytes)
	opts.FirstSeq = 1
	got, err := collect(opts, 0)
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i, r := range got {
		require.EqualValues(t, i+1, r.lsn)
		require.True(t, bytes.Equal(want[r.lsn], r.payload))
	}
}

func TestRefusals(t *testing.T) {
	fs, a := vfs.NewMem(), newAcks()
	ctx := context.Background()
	opts := a.with(wal.Options{FS: fs, Dir: "wal", MaxRecord: 100})
	l, err := wal.Open(opts, 0, nil)
	require.NoError(t, err)
	_, err = l.Prepare(ctx, make([]byte, 101))
	require.ErrorIs(t, err, wal.ErrTooLarge)
	r, err := l.Prepare(ctx, make([]byte, 100))
	require.NoError(t, err)
	_, err = l.Append(r)
	require.NoError(t, err)
	_, err = l.Append(r)
	require.ErrorContains(t, err, "already")
	held, err := l.Prepare(ctx, make([]byte, 100))
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = l.Append(held)
	require.ErrorIs(t, err, wal.ErrClosed)
	_, err = l.Prepare(ctx, nil)
	require.ErrorIs(t, err, wal.ErrClosed)
	require.ErrorIs(t, l.Truncate(5), wal.ErrClosed)
	require.NoError(t, l.Sync(ctx), "everything appended is on disk")

	opts.FirstSeq, opts.ReadOnly = 1, true
	l, err = wal.Open(opts, 0, nil)
	require.NoError(t, err)
	_, err = l.Prepare(ctx, nil)
	require.ErrorIs(t, err, wal.ErrReadOnly)
	require.ErrorIs(t, l.Truncate(5), wal.ErrReadOnly)
	require.NoError(t, l.Close())

	_, err = wal.Open(wal.Options{FS: fs}, 0, nil)
	require.Error(t, err)
	_, err = wal.Open(wal.Options{FS: fs, Dir: "d", Policy: 9}, 0, nil)
	require.Error(t, err)
	_, err = wal.Open(wal.Options{FS: fs, Dir: "d", MaxRecord: 1 << 33}, 0, nil)
	require.Error(t, err)
}

func TestReplayErrorEndsOpen(t *testing.T) {
	fs, a := vfs.NewMem(), newAcks()
	opts := a.with(wal.Options{FS: fs, Dir: "wal"})
	mustOpen(t, opts, func(l *wal.Log) { mustAppend(t, l, a, []byte("a")) })
	opts.FirstSeq = 1
	boom := errors.New("boom")
	_, err := wal.Open(opts, 0, func(uint64, []byte) error { return boom })
	require.ErrorIs(t, err, boom)
	require.NotErrorIs(t, err, wal.ErrCorrupt)
}

func TestQueueBoundWaitsForContext(t *testing.T) {
	fs, a := vfs.NewMem(), newAcks()
	l, err := wal.Open(a.with(wal.Options{FS: fs, Dir: "wal", QueueBytes: 1000}), 0, nil)
	require.NoError(t, err)
	r1, err := l.Prepare(context.Background(), make([]byte, 5000))
	require.NoError(t, err, "a record larger than the queue is let in alone")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = l.Prepare(ctx, make([]byte, 10))
	require.ErrorIs(t, err, context.DeadlineExceeded)

	got := make(chan error, 1)
	go func() {
		r, err := l.Prepare(context.Background(), make([]byte, 10))
		if err == nil {
			l.Discard(r)
		}
		got <- err
	}()
	time.Sleep(5 * time.Millisecond)
	l.Discard(r1)
	require.NoError(t, <-got)

	r1, err = l.Prepare(context.Background(), make([]byte, 900))
	require.NoError(t, err)
	go func() {
		_, err := l.Prepare(context.Background(), make([]byte, 900))
		got <- err
	}()
	time.Sleep(5 * time.Millisecond)
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-got, wal.ErrClosed)
	l.Discard(r1)
	require.Zero(t, l.Stats().QueueBytes)
}
