package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
)

// fault is a way in which operations of a file system go wrong.
type fault struct {
	name  string
	err   error
	short bool               // half of what is written gets through
	stays bool               // every operation from the k-th on fails, not only that one
	hits  func(op fsOp) bool // which operations can fail this way
}

func changing(op fsOp) bool { return op.changes() }

// needsSpace is what a full disk refuses. A log file has its space before it gets its name.
func needsSpace(op fsOp) bool {
	switch op.kind {
	case opCreate, opMkdir, opAlloc:
		return !strings.HasSuffix(op.path, ".wal")
	case opWrite:
		return !strings.Contains(op.path, ".wal")
	}
	return false
}

var faults = []fault{
	{name: "EIO once", err: syscall.EIO, hits: func(fsOp) bool { return true }},
	{name: "EIO from then on", err: syscall.EIO, stays: true, hits: changing},
	{name: "ENOSPC once", err: syscall.ENOSPC, hits: needsSpace},
	{name: "ENOSPC from then on", err: syscall.ENOSPC, stays: true, hits: needsSpace},
	{name: "short write, EIO", err: syscall.EIO, short: true, hits: func(op fsOp) bool { return op.kind == opWrite }},
	{name: "short write, ENOSPC", err: syscall.ENOSPC, short: true, hits: func(op fsOp) bool { return op.kind == opWrite && needsSpace(op) }},
}

// of makes the fault's error for an operation, as the operating system would put it.
func (f fault) of(op fsOp) error {
	err := error(&fs.PathError{Op: string(op.kind), Path: op.path, Err: f.err})
	if f.short {
		return &shortWrite{keep: op.n / 2, err: err}
	}
	return err
}

// faultRun is a script run on a file system that fails.
type faultRun struct {
	session
	mem      *vfs.MemFS
	possible []*ledger // states that the store may be in when it is opened again
	certain  *ledger   // what readers see meanwhile
	poisoned bool
	failures int
	err      error // what must not be
}

func newFaultRun(before func(op fsOp) error) *faultRun {
	r := &faultRun{mem: vfs.NewCrashableMem(), possible: []*ledger{newLedger()}, certain: newLedger()}
	r.session = session{dir: imageDir, opts: tiny(newHookFS(r.mem, before))}
	return r
}

// play runs the script to its end or to the point where the store is closed and cannot be opened.
func (r *faultRun) play(ctx func() context.Context, script []step) {
	if err := r.open(); err != nil {
		r.failures++
		return
	}
	for _, st := range script {
		err := r.run(ctx(), st)
		if err == nil {
			r.succeeded(st)
		} else {
			r.failed(st, err)
		}
		if r.eng == nil {
			return
		}
	}
	if r.failures > 0 {
		r.look("at the end")
	}
}

func (r *faultRun) succeeded(st step) {
	if st.kind == reopen && r.poisoned { // now it is known what became of the step that failed
		r.settle()
		return
	}
	var next []*ledger
	for _, l := range r.possible {
		if l.apply(st) == nil {
			next = append(next, l)
		}
	}
	if r.possible = next; len(next) == 0 {
		r.complain("%v succeeded, but no state allows it", st)
	}
	if err := r.certain.apply(st); err != nil {
		r.complain("%v succeeded: %w", st, err)
	}
}

// settle finds the state that the opened store is in.
func (r *faultRun) settle() {
	o, err := observe(context.Background(), r.eng)
	var found *ledger
	if err == nil {
		found, err = o.match(r.possible)
	}
	if err != nil {
		r.complain("reopened: %w", err)
		return
	}
	r.poisoned, r.certain, r.possible = false, found.clone(), []*ledger{found}
}

func (r *faultRun) failed(st step, err error) {
	r.failures++
	for _, c := range r.certain.colls { // a flush may have been done in part, or be done later
		for _, p := range c.parts {
			p.auto = true
		}
	}
	if errors.Is(err, engine.ErrCorrupt) {
		r.complain("%v: a failing disk is taken for damage: %w", st, err)
	}
	if errors.Is(err, syscall.ENOSPC) != errors.Is(err, engine.ErrDiskFull) && !errors.Is(err, engine.ErrPoisoned) {
		r.complain("%v: ENOSPC and ErrDiskFull are not the same here: %w", st, err)
	}
	// Only where a sync failed is it unknown what is on disk; once poisoned, the store refuses at once.
	if errors.Is(err, engine.ErrPoisoned) && !r.poisoned {
		r.poisoned = true
		for _, l := range r.possible {
			if after := l.clone(); after.apply(st) == nil {
				r.possible = append(r.possible, after)
			}
		}
	}
	for _, l := range r.possible {
		for _, c := range l.colls {
			for _, p := range c.parts {
				p.auto = true
			}
		}
	}
	if r.failures == 1 && r.eng != nil {
		r.look(fmt.Sprintf("after the failure of %v", st))
	}
}

// look reads everything: reads go on, and see all that was acknowledged and nothing else.
func (r *faultRun) look(when string) {
	o, err := observe(context.Background(), r.eng)
	if err == nil {
		_, err = o.match([]*ledger{r.certain})
	}
	if err != nil {
		r.complain("reading %s: %w", when, err)
	}
}

func (r *faultRun) complain(format string, args ...any) {
	r.err = errors.Join(r.err, fmt.Errorf(format, args...))
}

// end closes the store, which must not hang, whatever went wrong, and opens what a restart and what a power cut leaves.
func (r *faultRun) end() {
	done := make(chan struct{})
	go func() {
		_ = r.close() // it may tell of the fault
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(waitLong):
		buf := make([]byte, 1<<20)
		r.complain("close hangs:\n%s", buf[:runtime.Stack(buf, true)])
		return
	}
	for what, fs := range map[string]*vfs.MemFS{"power cut": r.mem.CrashClone(vfs.CrashCloneCfg{}), "restart": r.mem} {
		if err := survive(fs, r.possible); err != nil {
			r.complain("after a %s: %w", what, err)
		}
	}
}

// TestFaultAtEveryOperation fails operations of a store's life in every way.
func TestFaultAtEveryOperation(t *testing.T) {
	rng := seeded(t)
	script := life()
	every := 24 * thinner
	if *long {
		every = 1
	}
	for _, f := range faults {
		first := 1 + rng.IntN(every)
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			runs, failures := 0, 0
			for k := first; ; k += every {
				r, hit := failAt(f, k, script)
				if r.err != nil {
					t.Errorf("operation %d: %v", k, r.err)
				}
				if !hit || t.Failed() {
					break
				}
				runs++
				failures += r.failures
			}
			figures(t, "%d runs, %d failed calls, 0 lost", runs, failures)
		})
	}
}

// failAt plays a script in which the k-th operation that can fail this way does.
func failAt(f fault, k int, script []step) (r *faultRun, hit bool) {
	var n atomic.Int64
	r = newFaultRun(func(op fsOp) error {
		if !f.hits(op) {
			return nil
		}
		if at := n.Add(1); at == int64(k) || f.stays && at > int64(k) {
			return f.of(op)
		}
		return nil
	})
	r.play(context.Background, script)
	r.end()
	return r, n.Load() >= int64(k)
}

// TestCancelAtEveryOperation cancels the context of the call that runs when the k-th operation begins. The call does all or nothing.
func TestCancelAtEveryOperation(t *testing.T) {
	rng := seeded(t)
	script := life()
	every := 16 * thinner
	if *long {
		every = 1
	}
	runs, canceled := 0, 0
	for k := 1 + rng.IntN(every); ; k += every {
		var n atomic.Int64
		var mu sync.Mutex
		cancel := func() {}
		r := newFaultRun(func(fsOp) error {
			if n.Add(1) == int64(k) {
				mu.Lock()
				defer mu.Unlock()
				cancel()
			}
			return nil
		})
		r.play(func() context.Context {
			mu.Lock()
			defer mu.Unlock()
			cancel()
			var ctx context.Context
			ctx, cancel = context.WithCancel(context.Background())
			return ctx
		}, script)
		cancel()
		r.end()
		require.NoError(t, r.err, "operation %d", k)
		runs, canceled = runs+1, canceled+r.failures
		if n.Load() < int64(k) {
			break
		}
	}
	figures(t, "%d runs, %d calls gave up", runs, canceled)
}

// TestFailedSync lets one sync fail and all others succeed: the store must not believe them.
func TestFailedSync(t *testing.T) {
	for _, file := range []string{".wal", "CATALOGUE"} {
		t.Run(file, func(t *testing.T) {
			var armed atomic.Bool
			r := newFaultRun(func(op fsOp) error {
				// A log file that is being prepared is synced with its metadata; no record depends on that.
				if op.kind == opSync && strings.Contains(op.path, file) && (op.n == 1 || file != ".wal") && armed.CompareAndSwap(true, false) {
					return &fs.PathError{Op: "sync", Path: op.path, Err: syscall.EIO}
				}
				return nil
			})
			r.opts.CatalogueBytes, r.opts.Tick = 1<<20, time.Millisecond
			failed := make(chan error, 1)
			r.opts.Events.Failed = func(e engine.FailEvent) { failed <- e.Err }
			r.play(context.Background, life()[:12])
			require.NoError(t, r.err)
			breaking := step{kind: insert, coll: "dup", keys: []int{77}, ver: 90}
			if file == "CATALOGUE" {
				breaking = step{kind: flush, coll: "dup"}
			}
			armed.Store(true)
			err := r.run(context.Background(), breaking)
			for try := 1; err == nil && try < 10; try++ {
				// The sync that failed was that of a log file in preparation, which nothing depends on.
				require.Equal(t, ".wal", file)
				r.succeeded(breaking)
				breaking.keys = []int{77 + try}
				armed.Store(true)
				err = r.run(context.Background(), breaking)
			}
			require.ErrorIs(t, err, engine.ErrPoisoned)
			require.ErrorIs(t, err, syscall.EIO)
			r.failed(breaking, err)
			require.ErrorIs(t, <-failed, engine.ErrPoisoned)
			time.Sleep(20 * time.Millisecond) // the background has its chance to make it worse
			for _, st := range []step{
				{kind: insert, coll: "plain", keys: keyRange(800, 3), ver: 91},
				{kind: upsert, coll: "keyed", keys: []int{1}, ver: 92},
				{kind: remove, coll: "plain", keys: []int{0}},
				{kind: flush, coll: "plain"},
				{kind: createColl, coll: "more", collKind: plainColl},
				{kind: dropColl, coll: "plain"},
			} {
				err := r.run(context.Background(), st)
				require.ErrorIs(t, err, engine.ErrPoisoned, "%v", st)
				r.failed(st, err)
			}
			r.look("a poisoned store")
			r.end()
			require.NoError(t, r.err)
		})
	}
}

// TestDiskFull fills the disk and empties it again under one open store.
func TestDiskFull(t *testing.T) {
	var full atomic.Bool
	r := newFaultRun(func(op fsOp) error {
		if full.Load() && needsSpace(op) {
			return &fs.PathError{Op: string(op.kind), Path: op.path, Err: syscall.ENOSPC}
		}
		return nil
	})
	r.opts.Tick = time.Millisecond
	r.play(context.Background, life()[:20])
	require.NoError(t, r.err)
	for round := range 3 {
		full.Store(true)
		refused := 0
		for i := 0; refused < 5; i++ {
			st := step{kind: insert, coll: "plain", keys: keyRange(1000*(round+1)+10*i, 10), ver: int64(100 + i), to: "auto"}
			err := r.run(context.Background(), st)
			if err == nil {
				r.succeeded(st)
				continue
			}
			require.ErrorIs(t, err, engine.ErrDiskFull, "%v", st)
			require.ErrorIs(t, err, syscall.ENOSPC)
			r.failed(st, err)
			refused++
		}
		for _, st := range []step{
			{kind: flushColl, coll: "plain"},
			{kind: createColl, coll: "more", collKind: plainColl},
			{kind: createPart, coll: "plain", part: "more"},
		} {
			err := r.run(context.Background(), st)
			require.ErrorIs(t, err, engine.ErrDiskFull, "%v", st)
			r.failed(st, err)
		}
		r.look("a store on a full disk")
		full.Store(false)
		for _, st := range []step{
			{kind: insert, coll: "plain", keys: keyRange(9000+100*round, 20), ver: 300, to: "auto"},
			{kind: flushColl, coll: "plain"},
			{kind: createPart, coll: "plain", part: fmt.Sprintf("more%d", round)},
			{kind: remove, coll: "plain", keys: []int{9001 + 100*round}},
		} {
			require.NoError(t, r.run(context.Background(), st), "%v", st)
			r.succeeded(st)
		}
		r.look("a store that has room again")
		require.NoError(t, r.err)
	}
	r.end()
	require.NoError(t, r.err)
}
