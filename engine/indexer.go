package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/selkiedb/selkie/segment"
)

// The indexer gives sealed segments their indexes. It compares what is with what should be each time it is woken: nothing has to be told
// to it, and nothing is forgotten by a crash or an error. Two goroutines share the work, so that a new segment need not wait for the
// graph of another: the first loads files and codes rows, which is quick; the second builds graphs, one at a time.
type indexer struct {
	e     *Engine
	wakes [2]chan struct{}

	mu      sync.Mutex // guards what follows; nothing is locked under it
	changed chan struct{}
	jobs    map[indexKey]*indexJob
	failed  map[indexKey]*indexFailure
	toBuild map[indexKey]bool // indexes without codes that no file holds
}

// indexKey names an index of one segment.
type indexKey struct {
	segment segment.ID
	index   uint64
}

// indexJob is work under way.
type indexJob struct {
	cancel context.CancelFunc
	share  float64 // of the work, done
}

// indexFailure keeps an index that could not be built from being tried again at once.
type indexFailure struct {
	err   error
	tries int
	retry time.Time
}

// The times between tries of an index that cannot be built.
const (
	firstRetry = time.Second
	lastRetry  = 10 * time.Minute
)

func newIndexer(e *Engine) *indexer {
	return &indexer{
		e: e, wakes: [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)},
		changed: make(chan struct{}), jobs: map[indexKey]*indexJob{}, failed: map[indexKey]*indexFailure{},
		toBuild: map[indexKey]bool{},
	}
}

// wake has the indexer look for work.
func (x *indexer) wake() {
	for _, c := range x.wakes {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// changes gives a channel that is closed when an index is there, or could not be built.
func (x *indexer) changes() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.changed
}

// look returns the share of the work on an index that is done, and why it could not be built, if it was tried.
func (x *indexer) look(k indexKey) (share float64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if j := x.jobs[k]; j != nil {
		return j.share, nil
	}
	if f := x.failed[k]; f != nil {
		return 0, f.err
	}
	return 0, nil
}

// forget gives up work, and what is known of failures.
func (x *indexer) forget(which func(k indexKey) bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for k, j := range x.jobs {
		if which(k) {
			j.cancel()
		}
	}
	for k := range x.failed {
		if which(k) {
			delete(x.failed, k)
		}
	}
	maps.DeleteFunc(x.toBuild, func(k indexKey, _ bool) bool { return which(k) })
}

// unloaded reports whether no file holds an index that has no codes.
func (x *indexer) unloaded(k indexKey) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.toBuild[k]
}

// run does the work of one of the two goroutines until ctx ends.
func (x *indexer) run(ctx context.Context, slow bool) {
	wake := x.wakes[0]
	if slow {
		wake = x.wakes[1]
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
		for ctx.Err() == nil && x.next(ctx, slow) {
		}
	}
}

// next does one piece of work, if there is any.
func (x *indexer) next(ctx context.Context, slow bool) bool {
	if slow && x.e.opts.ReadOnly {
		return false
	}
	for _, c := range x.e.collectionList() {
		for _, def := range c.indexList() {
			if !def.built() {
				continue
			}
			for _, p := range c.all() {
				if x.nextOf(ctx, slow, c, p, def) {
					return true
				}
			}
		}
	}
	return false
}

func (x *indexer) nextOf(ctx context.Context, slow bool, c *Collection, p *Partition, def *index) bool {
	sealed, release := p.p.Sealed()
	defer release()
	for _, s := range sealed {
		info, ok := s.IndexInfo(def.id)
		if ok && (!slow || info.State == segment.IndexReady) {
			continue
		}
		// What has no codes waits for the slow goroutine once the quick one has found no file.
		if !ok && x.unloaded(indexKey{s.ID(), def.id}) != slow {
			continue
		}
		if x.do(ctx, slow, c, p, def, s) {
			return true
		}
	}
	return false
}

// do builds or loads one index, unless that is being done, or failed not long ago.
func (x *indexer) do(ctx context.Context, slow bool, c *Collection, p *Partition, def *index, s *segment.Sealed) bool {
	k := indexKey{s.ID(), def.id}
	now := x.e.opts.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	x.mu.Lock()
	if f := x.failed[k]; x.jobs[k] != nil || f != nil && now.Before(f.retry) {
		x.mu.Unlock()
		return false
	}
	job := &indexJob{cancel: cancel}
	x.jobs[k] = job
	x.mu.Unlock()

	loaded, err := x.work(ctx, slow, def, s, job)
	wanted := c.hasIndex(def)
	gone := !wanted || ctx.Err() != nil

	x.mu.Lock()
	delete(x.jobs, k)
	switch {
	case err == nil:
		delete(x.failed, k)
		if delete(x.toBuild, k); !slow && !loaded && !def.spec.Coded() {
			if _, ok := s.IndexInfo(def.id); !ok {
				x.toBuild[k] = true
			}
		}
	case !gone:
		f := x.failed[k]
		if f == nil {
			f = &indexFailure{}
			x.failed[k] = f
		}
		f.err = err
		f.tries++
		f.retry = x.e.opts.Now().Add(min(firstRetry<<min(f.tries-1, 20), lastRetry))
	}
	close(x.changed)
	x.changed = make(chan struct{})
	x.mu.Unlock()
	if !wanted && x.e.opts.ReadOnly {
		s.DetachIndex(def.id)
		return true
	}
	if !wanted {
		if err := s.DropIndex(def.id); err != nil { // it was dropped while it was made
			x.e.opts.Logger.Warn("removing a dropped index", "segment", s.ID(), "error", err)
		}
		return true
	}
	if gone {
		return true
	}
	x.report(c, p, def, s, loaded, x.e.opts.Now().Sub(now), err)
	if !slow {
		x.wake() // a graph may be wanted now
	}
	return true
}

// work loads the index, or codes the segment's rows (the quick goroutine); or builds its graph (the slow one).
func (x *indexer) work(ctx context.Context, slow bool, def *index, s *segment.Sealed, job *indexJob) (loaded bool, err error) {
	o := x.e.opts
	b := segment.IndexBuild{
		TmpDir: x.e.env.TempDir, Workers: o.IndexWorkers, MemoryBudget: o.IndexBuildBytes, Mapped: o.MapIndexes,
		Progress: func(done, total int) {
			if slow {
				x.e.yield()
			}
			x.mu.Lock()
			defer x.mu.Unlock()
			job.share = float64(done) / float64(max(total, 1))
		},
	}
	need, err := x.e.indexNeed(s, def)
	if err != nil {
		return false, err
	}
	if slow {
		if err := x.e.diskRoom("index build", need.Disk); err != nil {
			return false, err
		}
		granted, release, err := x.e.buildRoom(ctx, need.Least, need.Most)
		if err != nil {
			return false, err
		}
		defer release()
		b.MemoryBudget, b.Mapped = granted, !x.e.fits(need.After-need.Codes)
		return false, s.BuildIndex(ctx, def.spec, b)
	}
	err = s.LoadIndex(ctx, def.spec, !x.e.fits(need.After))
	if err == nil {
		x.e.settle()
		return true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
		x.e.counters.indexRejected.Add(1)
		o.Logger.Warn("an index cannot be used and is built again", "segment", s.ID(), "index", def.def.Name, "error", err)
		if o.Events.IndexRejected != nil {
			o.Events.IndexRejected(IndexRejectEvent{Segment: uint64(s.ID()), Index: def.def.Name, Err: translate(err)})
		}
	}
	release, err := x.e.codeRoom(ctx, need)
	if err != nil {
		return false, err
	}
	defer release()
	return false, s.CodeIndex(ctx, def.spec, b)
}

// report tells of an index that is there, or could not be made.
func (x *indexer) report(c *Collection, p *Partition, def *index, s *segment.Sealed, loaded bool, took time.Duration, err error) {
	n := &x.e.counters
	info, _ := s.IndexInfo(def.id)
	switch {
	case err != nil:
		n.indexErrors.Add(1)
		x.e.diskFull("index build", err)
	case loaded:
		n.indexLoads.Add(1)
	case info.State == segment.IndexReady:
		n.indexBuilds.Add(1)
	default:
		return // codes alone
	}
	level, msg := slog.LevelInfo, "index is there"
	if err != nil {
		level, msg = slog.LevelWarn, "an index could not be built, it will be tried again"
	}
	ev := IndexEvent{
		Collection: c.Name(), Partition: p.Name(), Segment: uint64(s.ID()), Index: def.def.Name, Rows: int64(s.Manifest().Rows),
		Loaded: loaded, Duration: took, Err: translate(err),
	}
	x.e.opts.Logger.Log(x.e.ctx, level, msg, "collection", ev.Collection, "partition", ev.Partition, "segment", s.ID(), "index", ev.Index,
		"rows", ev.Rows, "loaded", loaded, "duration", took, "error", err)
	if x.e.opts.Events.Indexed != nil {
		x.e.opts.Events.Indexed(ev)
	}
}

// hasIndex reports whether the definition is still the collection's, if under another name of its field.
func (c *Collection) hasIndex(x *index) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return !c.dropped && c.indexes[x.id] != nil
}

// collectionList lists the collections that have indexes.
func (e *Engine) collectionList() []*Collection {
	e.mu.RLock()
	defer e.mu.RUnlock()
	out := make([]*Collection, 0, len(e.collections))
	for _, c := range e.collections {
		out = append(out, c)
	}
	return out
}

// restoreIndexes gives the collections their definitions, as the catalogue has them.
func (e *Engine) restoreIndexes(snap *edit, colls map[uint64]*Collection) error {
	for _, r := range snap.putIndexes {
		c := colls[r.collection]
		x, err := newIndex(r, c.Schema())
		if err != nil {
			return &CorruptionError{
				Path: e.fs.PathJoin(e.dir, catalogueName(e.cat.seq)), Offset: -1, Kind: "format",
				Err: fmt.Errorf("index %d of collection %q: %w", r.id, c.Name(), err),
			}
		}
		c.setIndex(r.id, x)
	}
	return nil
}

// removeIndexGarbage removes index files of definitions that are gone.
func (e *Engine) removeIndexGarbage() error {
	for _, c := range e.collectionList() {
		keep := map[uint64]bool{}
		for _, x := range c.indexList() {
			keep[x.id] = x.built()
		}
		for _, p := range c.all() {
			sealed, release := p.p.Sealed()
			for _, s := range sealed {
				if err := s.RemoveIndexFiles(func(id uint64) bool { return keep[id] }); err != nil {
					release()
					return err
				}
			}
			release()
		}
	}
	return nil
}
