package engine_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
)

// stopped is a store some of whose operations stand still while the gate is shut.
type stopped struct {
	*faultRun
	shut    atomic.Bool
	arrived chan struct{} // an operation stands at the gate
	gate    chan struct{} // closed by let
}

func newStopped(t *testing.T, at func(op fsOp) bool, change func(o *engine.Options)) *stopped {
	s := &stopped{arrived: make(chan struct{}, 100), gate: make(chan struct{})}
	s.faultRun = newFaultRun(func(op fsOp) error {
		if s.shut.Load() && at(op) {
			s.arrived <- struct{}{}
			<-s.gate
		}
		return nil
	})
	change(s.opts)
	s.play(context.Background, life()[:3])
	require.NoError(t, s.err)
	return s
}

// let lets the operations at the gate go on.
func (s *stopped) let() {
	s.shut.Store(false)
	close(s.gate)
}

// mustExpire runs a step that has to wait until its context's deadline.
func (s *stopped) mustExpire(t *testing.T, st step) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	err := s.run(ctx, st)
	require.ErrorIs(t, err, context.DeadlineExceeded, "%v", st)
	s.failed(st, err)
}

func (s *stopped) mustRun(t *testing.T, st step) {
	t.Helper()
	require.NoError(t, s.run(context.Background(), st), "%v", st)
	s.succeeded(st)
}

func (s *stopped) finish(t *testing.T) {
	t.Helper()
	s.look("at the end")
	s.end()
	require.NoError(t, s.err)
}

func buildsSegments(op fsOp) bool { return strings.Contains(op.path, "/seg/") && op.kind == opCreate }

func TestCancelWaitForMemory(t *testing.T) {
	s := newStopped(t, buildsSegments, func(o *engine.Options) { o.GrowingBytes = 1 })
	s.shut.Store(true)
	st := step{kind: insert, coll: "plain", keys: keyRange(60, 4), ver: 70, to: "auto"}
	s.mustExpire(t, st)
	s.mustExpire(t, step{kind: upsert, coll: "plain", keys: keyRange(0, 2), ver: 71})
	s.look("while memory is spent")
	s.let()
	s.mustRun(t, st)
	s.finish(t)
}

func TestCancelFlush(t *testing.T) {
	s := newStopped(t, buildsSegments, func(*engine.Options) {})
	s.shut.Store(true)
	s.mustExpire(t, step{kind: flush, coll: "plain"})
	s.mustExpire(t, step{kind: flushColl, coll: "plain"})
	s.mustRun(t, step{kind: insert, coll: "plain", keys: keyRange(60, 4), ver: 70}) // inserts do not wait for a flush
	s.look("while a flush stands still")
	c, err := s.eng.Collection("plain")
	require.NoError(t, err)
	require.Zero(t, c.NumEntities())
	s.let()
	require.Eventually(t, func() bool { return c.NumEntities() == 6 }, waitLong, waitStep, "it goes on in the background")
	s.finish(t)
}

// TestCancelWaitForSync cancels a write that has its place in the log: its fate is the log's, and the call waits to tell.
func TestCancelWaitForSync(t *testing.T) {
	s := newStopped(t, func(op fsOp) bool { return op.kind == opSync && strings.Contains(op.path, ".wal") },
		func(o *engine.Options) { o.LogFileBytes = 1 << 20 }) // so that the only sync is that of the write
	s.shut.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	st := step{kind: insert, coll: "plain", keys: keyRange(60, 4), ver: 70}
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, st) }()
	<-s.arrived
	cancel()
	select {
	case err := <-done:
		t.Fatalf("it returned %v while the sync stood still", err)
	case <-time.After(20 * time.Millisecond):
	}
	s.look("while a sync stands still")
	s.let()
	require.NoError(t, <-done)
	s.succeeded(st)
	s.finish(t)
}

func TestCancelWaitForDiskSpace(t *testing.T) {
	s := newStopped(t, func(op fsOp) bool { return op.kind == opAlloc }, func(*engine.Options) {})
	s.shut.Store(true)
	for i := 0; ; i++ {
		require.Less(t, i, 1000)
		st := step{kind: insert, coll: "plain", keys: keyRange(1000+10*i, 10), ver: 70, to: "auto"}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		err := s.run(ctx, st)
		cancel()
		if err == nil {
			s.succeeded(st)
			continue
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		s.failed(st, err)
		s.look("while the log waits for its next file")
		s.let()
		s.mustRun(t, st)
		break
	}
	s.finish(t)
}

// TestCanceledBefore makes every call with a context that has ended: nothing happens.
func TestCanceledBefore(t *testing.T) {
	script := life()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := newFaultRun(nil)
	require.NoError(t, r.open())
	for _, st := range script {
		if st.kind != reopen {
			err := r.run(ctx, st)
			require.ErrorIs(t, err, context.Canceled, "%v", st)
			r.failures = 0
			r.failed(st, err)
		}
		require.NoError(t, r.run(context.Background(), st))
		r.succeeded(st)
	}
	r.end()
	require.NoError(t, r.err)
}

// TestCloseEndsWaits closes a store while calls wait in it.
func TestCloseEndsWaits(t *testing.T) {
	s := newStopped(t, buildsSegments, func(o *engine.Options) { o.GrowingBytes = 1 })
	s.shut.Store(true)
	calls := []step{
		{kind: insert, coll: "plain", keys: keyRange(60, 4), ver: 70},
		{kind: flush, coll: "plain"},
	}
	errs := make(chan error, len(calls))
	for _, st := range calls {
		other := &session{eng: s.eng}
		go func() { errs <- other.run(context.Background(), st) }()
	}
	<-s.arrived
	time.Sleep(10 * time.Millisecond)
	closed := make(chan error, 1)
	eng := s.eng
	go func() { closed <- eng.Close() }()
	time.Sleep(10 * time.Millisecond)
	s.let()
	for range calls {
		if err := <-errs; err != nil { // the flush may have come through
			require.ErrorIs(t, err, engine.ErrClosed)
		}
	}
	require.NoError(t, <-closed)
	for _, l := range s.possible {
		for _, p := range l.colls["plain"].parts {
			p.auto = true
		}
	}
	s.end()
	require.NoError(t, s.err)
}
