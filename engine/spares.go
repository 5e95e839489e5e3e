package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/segment"
)

// spares are directories of segments, made and synced before they are needed. Where small flushes follow each other that spares each of them the
// making of a directory and two of three syncs: many are made by as many syncs as one. No catalogue names them, so a crash makes garbage of them,
// which the next open removes.
type spares struct {
	mu     sync.Mutex // guards what follows; nothing is locked under it
	ready  []segment.ID
	given  map[segment.ID]bool // and not asked for so far
	making bool
	quick  int // small flushes that followed each other closely
	last   time.Time
}

const (
	spareBatch = 16
	// spareMost bounds those that were given to segments whose rows died before they were flushed.
	spareMost = 64
	// spareAfter is how many small flushes must follow each other within sparePause.
	spareAfter = 8
	sparePause = time.Second
	// spareBytes is what a flush writes at most for which a sync more or less says something.
	spareBytes = 256 << 10
)

// nextSegmentID gives out an identifier, to what may become a small segment one with a directory, if there is any.
func (e *Engine) nextSegmentID(small bool) segment.ID {
	s := &e.spares
	s.mu.Lock()
	defer s.mu.Unlock()
	if !small || len(s.ready) == 0 {
		return segment.ID(e.nextSegment.Add(1) - 1)
	}
	id := s.ready[0]
	s.ready = s.ready[1:]
	s.given[id] = true
	return id
}

// takeSpare tells, once, whether the segment has a directory.
func (e *Engine) takeSpare(id segment.ID) bool {
	s := &e.spares
	s.mu.Lock()
	defer s.mu.Unlock()
	ok := s.given[id]
	delete(s.given, id)
	return ok
}

// wantSpares has directories made when small flushes follow each other. It is told of each flush, by the goroutine that flushed.
func (e *Engine) wantSpares(r partition.Receipt) {
	if len(r.Segments) == 0 || r.Bytes > spareBytes {
		return
	}
	s := &e.spares
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last) > sparePause {
		s.quick = 0
	}
	s.quick++
	s.last = now
	if s.making || s.quick < spareAfter || len(s.ready) > spareBatch/2 || len(s.given) > spareMost {
		return
	}
	s.making = true
	e.start(workSpares, e.makeSpares)
}

func (e *Engine) makeSpares(context.Context) {
	ids, dirs := make([]segment.ID, spareBatch), make([]string, spareBatch)
	for i := range ids {
		ids[i] = e.nextSegmentID(false)
		dirs[i] = e.fs.PathJoin(e.env.SegmentsDir, ids[i].String())
	}
	err := segment.Prepare(e.fs, e.env.SegmentsDir, dirs...)
	if err != nil {
		e.opts.Logger.Debug("making directories of segments ahead", "error", err)
		ids = nil
	}
	s := &e.spares
	s.mu.Lock()
	defer s.mu.Unlock()
	s.making, s.quick = false, 0
	s.ready = append(s.ready, ids...)
}

// dropSpares removes the directories that nobody asked for, when nobody flushed for a while or the engine closes. Growing segments wait for their
// directories to be gone before they make them anew.
func (e *Engine) dropSpares(closing bool) {
	s := &e.spares
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.making || !closing && time.Since(s.last) < 10*sparePause {
		return
	}
	for id := range s.given {
		s.ready = append(s.ready, id)
	}
	for _, id := range slices.Sorted(slices.Values(s.ready)) {
		if err := e.fs.RemoveAll(e.fs.PathJoin(e.env.SegmentsDir, id.String())); err != nil {
			e.opts.Logger.Debug("removing a directory made ahead", "segment", id, "error", err)
		}
	}
	s.ready = nil
	clear(s.given)
}
