package wal_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/selkiedb/selkie/wal"
	"github.com/stretchr/testify/require"
)

// crashScript is a life of a log: appends, rotations, a truncation, reopening. It reports each acknowledged LSN and
// ends silently at the first error.
type crashScript struct {
	fs       vfs.FS
	policy   wal.SyncPolicy
	seq      atomic.Uint64 // what the catalogue would say
	kept     atomic.Uint64 // records <= kept may be gone
	acked    atomic.Uint64
	appended atomic.Uint64
	recycled uint64 // files written anew
	maxSize  int64  // of a file; 0: 16 KiB
	each     int    // records from one Open to the next; 0: 24
}

const scriptPayload = 700

func (s *crashScript) options(fs vfs.FS) wal.Options {
	return wal.Options{
		FS: fs, Dir: "wal", Policy: s.policy, InitialFileSize: 8 << 10, MaxFileSize: cmp.Or(s.maxSize, 16<<10),
		FirstSeq: s.seq.Load(),
	}
}

func (s *crashScript) run() error {
	for range 3 {
		a := newAcks()
		opts := s.options(s.fs)
		opts.Failed = a.fail
		opts.Durable = func(lsn uint64) {
			if s.policy == wal.SyncAlways {
				s.acked.Store(lsn)
			}
			a.durable(lsn)
		}
		if opts.FirstSeq == 0 {
			// Nothing must be lost from here on: as an engine would, name the log before using it.
			l, err := wal.Open(opts, 0, nil)
			if err != nil {
				return err
			}
			seq := l.FirstSeqFor(0)
			if err := l.Close(); err != nil {
				return err
			}
			s.seq.Store(seq)
			opts.FirstSeq = seq
		}
		l, err := wal.Open(opts, 0, nil)
		if err != nil {
			return err
		}
		err = s.use(l, a)
		if err = errors.Join(err, l.Close()); err != nil {
			return err
		}
		s.acked.Store(s.appended.Load())
	}
	return nil
}

func (s *crashScript) use(l *wal.Log, a *acks) error {
	defer func() { s.recycled += l.Stats().Recycled }()
	for i := range cmp.Or(s.each, 24) {
		appendIt := appendOne
		if i%3 == 0 {
			appendIt = leadOne
		}
		lsn, err := appendIt(l, payload(l.LastLSN()+1, scriptPayload))
		if err != nil {
			return err
		}
		s.appended.Store(lsn)
		if i%5 == 4 { // groups of several records
			if err := a.wait(lsn); err != nil {
				return err
			}
		}
		if i%18 == 17 {
			if err := l.Sync(context.Background()); err != nil {
				return err
			}
			s.acked.Store(lsn)
			upTo := lsn - 10
			seq := l.FirstSeqFor(upTo)
			s.kept.Store(upTo)
			s.seq.Store(seq)
			if err := l.Truncate(seq); err != nil {
				return err
			}
		}
	}
	return nil
}

// verify opens a crashed state, checks that it holds a prefix of what was appended with all that was acknowledged,
// appends, and opens it again. It returns an error for use inside goroutines.
func (s *crashScript) verify(fs vfs.FS, seq, kept, acked uint64) error {
	opts := s.options(fs)
	opts.FirstSeq = seq
	a := newAcks()
	opts = a.with(opts)
	next := kept + 1
	check := func(lsn uint64, p []byte) error {
		if lsn != next {
			return fmt.Errorf("record %d instead of %d", lsn, next)
		}
		if !bytes.Equal(p, payload(lsn, scriptPayload)) {
			return fmt.Errorf("record %d has a foreign payload", lsn)
		}
		next++
		return nil
	}
	l, err := wal.Open(opts, kept, check)
	if err != nil {
		return err
	}
	if next-1 < acked {
		return errors.Join(fmt.Errorf("%d was acknowledged, only %d came back", acked, next-1), l.Close())
	}
	end := max(next, l.LastLSN()+1)
	lsn, err := appendOne(l, payload(end, scriptPayload))
	if err == nil {
		err = a.wait(lsn)
	}
	if err = errors.Join(err, l.Close()); err != nil {
		return err
	}
	next = kept + 1
	opts.FirstSeq = max(seq, 1)
	l, err = wal.Open(opts, kept, check)
	if err != nil {
		return fmt.Errorf("second open: %w", err)
	}
	if next != lsn+1 {
		err = fmt.Errorf("second open ended at %d instead of %d", next-1, lsn)
	}
	return errors.Join(err, l.Close())
}

// TestCrashAfterEveryOperation lets a script run on a file system that is cloned, as a power cut would leave it,
// before each writing operation.
func TestCrashAfterEveryOperation(t *testing.T) {
	for _, script := range []*crashScript{{policy: wal.SyncAlways}, {policy: wal.SyncNone}, {policy: wal.SyncAlways, maxSize: 8 << 10, each: 60}} {
		for _, percent := range []int{0, 50, 100} {
			t.Run(fmt.Sprintf("%v/%d/%d", script.policy, script.each, percent), func(t *testing.T) {
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				mem := vfs.NewCrashableMem()
				require.NoError(t, mem.MkdirAll("wal", 0o755))
				require.NoError(t, syncRoot(mem))
				s := &crashScript{policy: script.policy, maxSize: script.maxSize, each: script.each}
				var mu sync.Mutex
				rng := rand.New(rand.NewPCG(seed, 0))
				crashes := 0
				s.fs = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
						return nil
					}
					mu.Lock()
					defer mu.Unlock()
					for range 1 + 2*min(percent%100, 1) {
						acked, kept := s.acked.Load(), s.kept.Load()
						seq := s.seq.Load()
						clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
						if later := s.seq.Load(); later != seq {
							continue
						}
						crashes++
						if err := s.verify(clone, seq, kept, acked); err != nil {
							t.Errorf("crash %d before %v %s: seq %d kept %d acked %d: %v", crashes, op.Kind, op.Path, seq, kept, acked, err)
						}
					}
					return nil
				}))
				require.NoError(t, s.run())
				require.Greater(t, crashes, 100)
				require.Equal(t, s.each > 0, s.recycled > 0, "files written anew")
				t.Logf("%d crashes, %d files written anew", crashes, s.recycled)
			})
		}
	}
}

// TestCrashDuringRecovery crashes a log, then crashes its recovery before each writing operation, and recovers that.
func TestCrashDuringRecovery(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	mem := vfs.NewCrashableMem()
	require.NoError(t, mem.MkdirAll("wal", 0o755))
	require.NoError(t, syncRoot(mem))
	s := &crashScript{fs: mem}
	l, err := wal.Open(s.options(mem), 0, nil)
	require.NoError(t, err)
	s.seq.Store(1)
	a := newAcks()
	require.NoError(t, l.Close())
	l, err = wal.Open(a.with(s.options(mem)), 0, nil)
	require.NoError(t, err)
	for i := range uint64(15) {
		mustAppend(t, l, a, payload(i+1, scriptPayload))
	}
	const acked = 15
	for i := range uint64(6) { // a group in flight
		_, err := appendOne(l, payload(acked+i+1, scriptPayload))
		require.NoError(t, err)
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 60, RNG: rng})
	require.NoError(t, l.Close())

	var mu sync.Mutex // the log's two goroutines come here
	recoveries := 0
	injected := errorfs.Wrap(crashed, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		recoveries++
		clone := crashed.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
		if err := s.verify(clone, 1, 0, acked); err != nil {
			t.Errorf("crash before %v %s: %v", op.Kind, op.Path, err)
		}
		return nil
	}))
	require.NoError(t, s.verify(injected, 1, 0, acked))
	require.Greater(t, recoveries, 10)
}

// TestErrorAtEveryOperation fails the k-th writing operation and all after it, for every k: the log must end with an
// error rather than lose what it acknowledged.
func TestErrorAtEveryOperation(t *testing.T) {
	for k := int64(0); ; k++ {
		mem := vfs.NewCrashableMem()
		require.NoError(t, mem.MkdirAll("wal", 0o755))
		require.NoError(t, syncRoot(mem))
		var n atomic.Int64
		hit := atomic.Bool{}
		s := &crashScript{}
		s.fs = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose && n.Add(1) > k {
				hit.Store(true)
				return errorfs.ErrInjected
			}
			return nil
		}))
		err := s.run()
		if !hit.Load() {
			require.NoError(t, err)
			return
		}
		seq := s.seq.Load()
		require.NoError(t, s.verify(mem.CrashClone(vfs.CrashCloneCfg{}), seq, s.kept.Load(), s.acked.Load()), "operation %d", k)
		require.NoError(t, s.verify(mem, seq, s.kept.Load(), s.acked.Load()), "operation %d", k)
	}
}

func TestSyncErrorPoisons(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpFileSyncData, errorfs.OpFileWriteAt} {
		mem := vfs.NewCrashableMem()
		var armed atomic.Bool
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if armed.Load() && op.Kind == kind && strings.Contains(op.Path, "000001") {
				return errorfs.ErrInjected
			}
			return nil
		}))
		a := newAcks()
		l, err := wal.Open(a.with(wal.Options{FS: fs, Dir: "wal", QueueBytes: 2000}), 0, nil)
		require.NoError(t, err)
		mustAppend(t, l, a, []byte("acknowledged"))
		held, err := l.Prepare(context.Background(), make([]byte, 1800))
		require.NoError(t, err)
		blocked := make(chan error, 1)
		go func() {
			_, err := l.Prepare(context.Background(), make([]byte, 1800))
			blocked <- err
		}()
		armed.Store(true)
		lsn, err := appendOneAfter(l, held)
		require.NoError(t, err)
		err = a.wait(lsn)
		armed.Store(false) // the device is well again: the log must not trust it
		for _, err := range []error{err, l.Err(), l.Sync(context.Background())} {
			require.ErrorIs(t, err, wal.ErrPoisoned)
			require.ErrorIs(t, err, errorfs.ErrInjected)
		}
		if err := <-blocked; err != nil {
			require.ErrorIs(t, err, wal.ErrPoisoned)
		}
		_, err = l.Prepare(context.Background(), nil)
		require.ErrorIs(t, err, wal.ErrPoisoned)
		require.EqualValues(t, 1, l.DurableLSN())
		require.ErrorIs(t, l.Close(), wal.ErrPoisoned)
		require.Equal(t, 1, a.calls)
		require.EqualValues(t, 1, a.get())

		got, err := collect(wal.Options{FS: mem, Dir: "wal", FirstSeq: 1}, 0)
		require.NoError(t, err)
		require.Equal(t, []byte("acknowledged"), got[0].payload)
	}
}

// appendOneAfter appends a record prepared before.
func appendOneAfter(l *wal.Log, r *wal.Record) (uint64, error) { return l.Append(r) }

// fullDisk refuses to prepare files while full is set.
func fullDisk(fs vfs.FS, full *atomic.Bool) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpFilePreallocate {
			return &noSpaceError{op.Path}
		}
		return nil
	}))
}

type noSpaceError struct{ path string }

func (e *noSpaceError) Error() string { return e.path + ": no space" }
func (e *noSpaceError) Unwrap() error { return syscall.ENOSPC }

func TestDiskFullIsRetryable(t *testing.T) {
	mem, a := vfs.NewMem(), newAcks()
	var full atomic.Bool
	opts := a.with(wal.Options{FS: fullDisk(mem, &full), Dir: "wal", InitialFileSize: 16 << 10, MaxFileSize: 16 << 10})
	full.Store(true)
	_, err := wal.Open(opts, 0, nil)
	require.ErrorIs(t, err, wal.ErrDiskFull, "a new log without room for its first file")
	full.Store(false)
	l, err := wal.Open(opts, 0, nil)
	require.NoError(t, err)
	full.Store(true)
	last := uint64(0)
	for {
		lsn, err := appendOne(l, payload(last+1, 1000))
		if err != nil {
			require.ErrorIs(t, err, wal.ErrDiskFull)
			require.ErrorIs(t, err, syscall.ENOSPC)
			break
		}
		last = lsn
		require.NoError(t, a.wait(lsn), "what was prepared can be appended")
	}
	require.Greater(t, last, uint64(5))
	_, err = appendOne(l, payload(last+1, 1000))
	require.ErrorIs(t, err, wal.ErrDiskFull)
	require.Equal(t, last, l.LastLSN(), "no lsn was used")
	require.NoError(t, l.Err())
	mustAppend(t, l, a, nil) // small ones still fit
	full.Store(false)
	mustAppend(t, l, a, payload(last+2, 1000))
	require.NoError(t, l.Close())

	opts.FirstSeq = 1
	full.Store(true)
	l, err = wal.Open(opts, 0, nil)
	require.NoError(t, err, "an existing log opens without room")
	_, err = appendOne(l, nil)
	require.ErrorIs(t, err, wal.ErrDiskFull)
	require.EqualValues(t, last+2, l.LastLSN())
	full.Store(false)
	mustAppend(t, l, a, []byte("resumed"))
	require.NoError(t, l.Close())
	got, err := collect(opts, 0)
	require.NoError(t, err)
	require.Len(t, got, int(last)+3)

	full.Store(true)
	l, err = wal.Open(opts, 0, nil)
	require.NoError(t, err)
	require.NoError(t, l.Truncate(l.FirstSeqFor(l.LastLSN())))
	require.NoError(t, l.Close())
	opts.FirstSeq = l.FirstSeqFor(l.LastLSN())
	got, err = collect(opts, 0)
	require.NoError(t, err)
	opts.MinLSN = 1000 // a jump, without room for the file that says so
	l, err = wal.Open(opts, 0, nil)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	again, err := collect(opts, 0)
	require.NoError(t, err)
	require.Equal(t, got, again)
}

// TestPreparedAlwaysFits drives the reservation with files of a few frames: records of very different sizes, appended
// in another order than prepared.
func TestPreparedAlwaysFits(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	fs, a := vfs.NewMem(), newAcks()
	opts := a.with(wal.Options{FS: fs, Dir: "wal", InitialFileSize: 8 << 10, MaxFileSize: 12 << 10, QueueBytes: 64 << 10})
	l, err := wal.Open(opts, 0, nil)
	require.NoError(t, err)
	count := 0
	for range 300 {
		var held []*wal.Record
		total := 0
		for range 1 + rng.IntN(12) {
			n := rng.IntN(1500)
			if rng.IntN(8) == 0 {
				n = rng.IntN(20 << 10)
			}
			if total += n + 100; total > 60<<10 {
				break
			}
			r, err := l.Prepare(context.Background(), make([]byte, n))
			require.NoError(t, err)
			held = append(held, r)
		}
		rng.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		last := uint64(0)
		for _, r := range held {
			if rng.IntN(6) == 0 {
				l.Discard(r)
				continue
			}
			last, err = l.Append(r)
			require.NoError(t, err)
			count++
			if rng.IntN(3) == 0 {
				require.NoError(t, a.wait(last))
			}
		}
		require.NoError(t, a.wait(last))
	}
	require.NoError(t, l.Close())
	opts.FirstSeq = 1
	got, err := collect(opts, 0)
	require.NoError(t, err)
	require.Len(t, got, count)
}
