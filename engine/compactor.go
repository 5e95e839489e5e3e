package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/wal"
)

// CompactReceipt tells what one merge of segments did.
type CompactReceipt = partition.CompactReceipt

// The choices that Options leaves to the engine.
const (
	compactFanIn     = 4
	compactDeadShare = 0.2
	compactIdleBytes = 64 << 20
)

func (e *Engine) compactLimits() partition.CompactLimits {
	target := e.opts.CompactBytes
	if target == 0 {
		target = defaultCompactBytes
	}
	return partition.CompactLimits{
		TargetBytes: target, TargetRows: e.opts.CompactRows, FanIn: compactFanIn, DeadShare: compactDeadShare,
		Idle: e.opts.CompactIdle, IdleBytes: compactIdleBytes,
	}
}

// wakeCompactor has the compactor look for work.
func (e *Engine) wakeCompactor() {
	for _, wake := range e.compactWakes {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// compactor merges segments in the background, one merge at a time, until ctx ends. There is one for all segments, and one for tiny ones alone.
func (e *Engine) compactor(ctx context.Context, small bool) {
	wake := e.compactWakes[0]
	if small {
		wake = e.compactWakes[1]
	}
	var retry time.Time
	wait := firstRetry
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
		if e.opts.Now().Before(retry) {
			continue // the ticker wakes it again
		}
		err := e.compactAll(ctx, small)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			retry = e.opts.Now().Add(wait)
			wait = min(2*wait, lastRetry)
		default:
			wait = firstRetry
		}
	}
}

// compactAll merges until no partition needs it.
func (e *Engine) compactAll(ctx context.Context, small bool) error {
	var errs error
	for more := true; more && ctx.Err() == nil; {
		more = false
		for _, p := range e.partitions() {
			did, err := p.p.CompactDue(ctx, e.compactLimitsOf(p.p), small)
			if err != nil && !errors.Is(err, partition.ErrDropped) {
				errs = errors.Join(errs, err)
				continue
			}
			more = more || did && err == nil
		}
	}
	return errs
}

// Compact merges the partition's sealed segments into as few as Options.CompactBytes allows, and rids them of deleted entities. The engine
// does so by itself when it is worth it; Compact does it now.
func (p *Partition) Compact(ctx context.Context) error {
	if err := p.c.enter(); err != nil {
		return wrap("compact", err)
	}
	defer p.c.e.leave()
	if err := p.usable(); err != nil {
		return wrap("compact", err)
	}
	ctx, stop := p.c.e.bind(ctx)
	defer stop()
	return wrap("compact", p.p.Compact(ctx, p.c.e.compactLimitsOf(p.p)))
}

// Compact is Partition.Compact for each partition of the collection.
func (c *Collection) Compact(ctx context.Context) error {
	for _, p := range c.all() {
		if err := p.Compact(ctx); err != nil && !errors.Is(err, ErrNotFound) { // it was dropped meanwhile
			return err
		}
	}
	return wrap("compact", c.usable())
}

// bind makes a context that ends when Close begins, too.
func (e *Engine) bind(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(e.ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// commitCompaction makes a compaction durable.
func (e *Engine) commitCompaction(_ context.Context, c partition.CompactEdit) error {
	ed := &edit{dropSegments: c.Dropped, nextSegment: segment.ID(e.nextSegment.Load())}
	for _, m := range c.Added {
		ed.addSegments = append(ed.addSegments, segmentRecord{c.Partition, m})
		if len(c.Dead) > 0 {
			ed.tombstones = append(ed.tombstones, partition.TombstoneEdit{Segment: m.ID, Rows: c.Dead})
		}
	}
	if e.opts.Sync == wal.SyncAlways {
		ed.logLSN = e.loggedLSN(e.env.Clock.Visible())
	}
	return e.cat.commit(ed)
}

// indexMerged builds the indexes of a segment that was made of others. One that cannot be built is left to the indexer.
func (e *Engine) indexMerged(ctx context.Context, p *partition.Partition, s *segment.Sealed, from []segment.MergeSource, room partition.Room) error {
	c := e.collectionOf(p)
	if c == nil {
		return nil
	}
	b := segment.IndexBuild{TmpDir: e.env.TempDir, Workers: e.compactWorkers(), MemoryBudget: room.IndexMemory}
	for _, x := range c.indexList() {
		if !x.built() {
			continue
		}
		need, err := e.indexNeed(s, x)
		if err != nil {
			return err
		}
		b.Mapped = !e.fits(need.After)
		if err := s.MergeIndex(ctx, x.spec, b, from); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			e.counters.indexErrors.Add(1)
			e.opts.Logger.Warn("merging indexes", "segment", s.ID(), "index", x.def.Name, "error", err)
			continue
		}
		e.counters.indexMerges.Add(1)
	}
	return nil
}

// compactWorkers is how many goroutines build an index in a compaction: its share of those that any other build takes.
func (e *Engine) compactWorkers() int {
	return max(1, int(float64(e.opts.IndexWorkers)*e.opts.CompactShare))
}

// collectionOf finds the collection of a partition.
func (e *Engine) collectionOf(p *partition.Partition) *Collection {
	for _, c := range e.collectionList() {
		if _, ok := c.nameOf(p.ID()); ok {
			return c
		}
	}
	return nil
}

// compacted is told of each compaction.
func (e *Engine) compacted(p *partition.Partition, r CompactReceipt, err error) {
	n := &e.counters
	e.diskFull("compaction", err)
	level, msg := slog.LevelInfo, "compacted"
	if err != nil {
		n.compactErrors.Add(1)
		level, msg = slog.LevelWarn, "a compaction went wrong, it will be tried again"
		if errors.Is(err, context.Canceled) || errors.Is(err, partition.ErrDropped) {
			level = slog.LevelDebug
		}
	} else {
		e.diskFound()
		n.compactions.Add(1)
		n.compactRead.Add(r.Read)
		n.compactWritten.Add(r.Written)
		n.compactDropped.Add(r.Dropped)
		e.dropStaleIndexes(p, r.Output)
		e.indexer.wake()
	}
	coll, part := e.namesOf(p)
	e.opts.Logger.Log(e.ctx, level, msg, "collection", coll, "partition", part, "reason", r.Reason, "inputs", len(r.Inputs), "output", r.Output,
		"rows", r.Rows, "dropped", r.Dropped, "read", r.Read, "written", r.Written, "duration", r.Duration, "error", err)
	if e.opts.Events.Compacted != nil {
		e.opts.Events.Compacted(CompactEvent{Collection: coll, Partition: part, Receipt: r, Err: translate(err)})
	}
}

// dropStaleIndexes takes from a new segment the indexes whose definitions ended while they were built.
func (e *Engine) dropStaleIndexes(p *partition.Partition, id segment.ID) {
	c := e.collectionOf(p)
	if c == nil {
		return
	}
	sealed, release := p.Sealed()
	defer release()
	for _, s := range sealed {
		if s.ID() != id {
			continue
		}
		for _, info := range s.Indexes() {
			if !c.definesIndex(info.ID) {
				if err := s.DropIndex(info.ID); err != nil {
					e.opts.Logger.Warn("removing a dropped index", "segment", id, "error", err)
				}
			}
		}
	}
}

func (c *Collection) definesIndex(id uint64) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.indexes[id] != nil
}

// pacer keeps a compaction to its share of a processor while there is other work.
type pacer struct {
	mu    sync.Mutex
	since time.Time
	work  int64 // what the counters said then
}

// begin starts the time of a compaction: what was before it is no work to rest for.
func (x *pacer) begin(work int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.since, x.work = time.Now(), work
}

// foreground counts what others do.
func (e *Engine) foreground() int64 {
	return e.counters.searches.Load() + e.counters.inserted.Load() + e.counters.deleted.Load()
}

// yieldBytes is the size of a written chunk from which on a merge gives way to flushes.
const yieldBytes = 64 << 10

// restPiece is the least time that is rested at once: shorter rests are imprecise.
const restPiece = 2 * time.Millisecond

// pace rests for as long as the share asks for, unless nobody else did anything meanwhile.
func (e *Engine) pace(bytes int) {
	if bytes >= yieldBytes { // what merges tiny segments is done sooner than a flush
		e.yield()
	}
	share := e.opts.CompactShare
	if share >= 1 {
		return
	}
	x := &e.pacer
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	busy := now.Sub(x.since)
	rest := time.Duration(float64(busy) * (1/share - 1))
	if rest < restPiece {
		return
	}
	work := e.foreground()
	if busy < time.Second && work != x.work { // else the last compaction was long ago
		t := time.NewTimer(rest)
		defer t.Stop()
		select {
		case <-t.C:
		case <-e.ctx.Done():
		}
	}
	x.since, x.work = time.Now(), work
}
