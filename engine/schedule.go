package engine

import (
	"context"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

// work is a kind of background work; it is the goroutine's label in profiles ("selkie").
type work string

// The kinds of background work, those that go first before those that give way.
const (
	workTicker  work = "ticker"      // looks at ages, idle times, the log's size and what failed; short
	workFlush   work = "flush"       // gives back memory and log: it waits for nobody; Options.Flushers at a time
	workSpares  work = "spares"      // makes directories of segments ahead, for small flushes; short
	workTrash   work = "trash"       // removes files that nobody reads any more
	workCodes   work = "index codes" // loads index files and codes rows; one at a time
	workCompact work = "compaction"  // one merge at a time, at Options.CompactShare; gives way to flushes
	workTiny    work = "compaction of tiny segments"
	workGraphs  work = "index graphs" // one graph at a time, by Options.IndexWorkers goroutines; gives way to flushes
)

// How long work gives way: constant flushes must not stop the rest.
const (
	yieldAtMost = 20 * time.Millisecond
	yieldGrain  = 4 // one step of so many
)

// schedule owns the background work of an engine: all of it begins in start, and is joined by shutDown. Segments' files are removed by the last reader that
// lets go of them, tombstones become durable with the flushes.
type schedule struct {
	flushers chan struct{} // a place for each flush that may run

	mu       sync.Mutex // guards what follows; nothing is locked under it
	flushing int
	still    chan struct{} // closed when no flush runs any more; nil if none does
	steps    int
}

// start runs fn in a goroutine that Close joins. ctx ends when Close begins.
func (e *Engine) start(kind work, fn func(ctx context.Context)) {
	e.background.Add(1)
	go pprof.Do(e.ctx, pprof.Labels("selkie", string(kind)), func(ctx context.Context) {
		defer e.background.Done()
		fn(ctx)
	})
}

// goFlush runs a flush in the background when there is a place for it.
func (e *Engine) goFlush(fn func(ctx context.Context)) {
	e.start(workFlush, func(ctx context.Context) {
		s := &e.schedule
		select {
		case s.flushers <- struct{}{}:
			defer func() { <-s.flushers }()
		case <-ctx.Done(): // fn still has callers to answer
		}
		s.flush(1)
		defer s.flush(-1)
		fn(ctx)
	})
}

// flush counts the flushes that run.
func (s *schedule) flush(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushing += n
	switch {
	case s.flushing == 0:
		close(s.still)
		s.still = nil
	case s.still == nil:
		s.still = make(chan struct{})
	}
}

// yield lets whoever waits for a processor have this one, and flushes go first, for a moment. Work that takes long calls it now and then.
func (e *Engine) yield() {
	runtime.Gosched()
	s := &e.schedule
	s.mu.Lock()
	s.steps++
	still := s.still
	if s.steps%yieldGrain != 0 {
		still = nil
	}
	s.mu.Unlock()
	if still == nil {
		return
	}
	t := time.NewTimer(yieldAtMost)
	defer t.Stop()
	select {
	case <-still:
	case <-t.C:
	case <-e.ctx.Done():
	}
}
