package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/internal/memory"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/wal"
)

// Engine is an open store. It is safe for concurrent use.
type Engine struct {
	dir  string
	opts Options
	fs   vfs.FS
	lock *dirLock // nil if read-only
	cat  *catalogue
	env  *partition.Env
	log  *wal.Log
	ids  *autoID

	nextSegment atomic.Uint64
	resumed     uint64 // the last LSN when recovery was done
	noted       uint64 // the newest place in the catalogue that a replayed record carries

	// gate is held for reading by each call that changes something, for as long as it runs, and for writing by Close.
	gate   sync.RWMutex
	closed atomic.Bool
	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc

	ddl     sync.Mutex // orders changes of the registry; held around catalogue commits
	applied uint64     // of a read-only engine: the last LSN that was read from the log; guarded by ddl

	mu          sync.RWMutex // guards the registry; a Collection's mu may be locked under it
	collections map[string]*Collection

	background sync.WaitGroup
	schedule   schedule

	indexer *indexer

	trash  trash
	spares spares

	replayFull bool // the disk is full: see replay

	snapshotsMu sync.Mutex // guards what follows; nothing is locked under it
	snapshots   map[string]*StoreSnapshot

	compactWakes [2]chan struct{} // of the two compactors
	pacer        pacer

	truncate sync.Mutex // one truncation of the log at a time
	counters counters
	failure  atomic.Pointer[error]
	full     atomic.Bool // the disk, when something was written last
}

// Names inside a store's directory.
const (
	segmentsDir = "seg"
	tempDir     = "tmp"
	logDir      = "wal"
)

// Open opens the store in a directory, or makes one, and recovers what a crash left. nil options mean the defaults.
//
// It returns ErrLocked if another engine has the directory open for writing, and ErrCorrupt if the files are not what was written:
// it never opens a part of a store.
func Open(dir string, o *Options) (*Engine, error) {
	e, err := openLive(dir, o.withDefaults())
	if err != nil {
		return nil, wrap("open "+dir, err)
	}
	return e, nil
}

func open(dir string, o Options) (_ *Engine, err error) {
	if err := o.checkMemory(); err != nil {
		return nil, err
	}
	made := 0
	if !o.ReadOnly && !o.MustExist {
		if made, err = makeDir(o.FS, dir); err != nil {
			return nil, err
		}
	}
	if _, err := o.FS.Stat(dir); err != nil {
		if isNotExist(err) {
			return nil, fmt.Errorf("store %w", ErrNotFound)
		}
		return nil, err
	}
	dir, err = canonical(o.FS, dir)
	if err != nil {
		return nil, err
	}
	e := &Engine{dir: dir, opts: o, fs: o.FS, collections: map[string]*Collection{}, schedule: schedule{flushers: make(chan struct{}, o.Flushers)}}
	e.spares.given = map[segment.ID]bool{}
	e.trash.wake = make(chan struct{}, 1)
	e.ids = &autoID{now: o.Now}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, e.shutDown())
		}
	}()
	if !o.ReadOnly {
		if e.lock, err = lockDir(o.FS, dir); err != nil {
			return nil, err
		}
	}
	e.env = e.newEnv()
	e.indexer = newIndexer(e)
	e.compactWakes = [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)}
	if err := e.recoverStore(made); err != nil {
		return nil, err
	}
	if !o.ReadOnly {
		e.start(workTicker, e.tick)
		e.trash.begin()
		e.start(workTrash, e.trash.run)
		if o.CompactBytes > 0 {
			e.start(workCompact, func(ctx context.Context) { e.compactor(ctx, false) })
			e.start(workTiny, func(ctx context.Context) { e.compactor(ctx, true) })
			e.wakeCompactor()
		}
	}
	e.applied = e.env.Clock.Visible()
	e.expectIndexes()
	e.start(workCodes, func(ctx context.Context) { e.indexer.run(ctx, false) })
	e.start(workGraphs, func(ctx context.Context) { e.indexer.run(ctx, true) })
	e.indexer.wake()
	return e, nil
}

func (e *Engine) newEnv() *partition.Env {
	o := e.opts
	whole := e.newMemory()
	env := &partition.Env{
		FS: e.fs, Clock: partition.NewClock(0), Cache: segment.NewCache(o.CacheBytes),
		Memory: whole, Budget: partition.NewBudget(o.GrowingBytes, whole),
		Limits: partition.Limits{
			SegmentBytes: o.SegmentBytes, SegmentRows: o.SegmentRows, MaxAge: o.MaxSegmentAge, MaxIdle: o.MaxSegmentIdle, MinIdleBytes: o.MinIdleBytes,
		},
		Logger: o.Logger, Now: o.Now,
		SegmentsDir: e.fs.PathJoin(e.dir, segmentsDir), TempDir: e.fs.PathJoin(e.dir, tempDir),
		Catalogue:     func() uint64 { return e.cat.last.Load() },
		Refused:       e.refused,
		NextSegmentID: e.nextSegmentID,
		Spare:         e.takeSpare,
		Commit:        e.commitFlush,
		Go:            e.goFlush,
		Flushed:       e.flushed,

		CommitCompaction: e.commitCompaction,
		Index:            e.indexMerged,
		Room:             e.compactRoom,
		Pace:             e.pace,
		Compacted:        e.compacted,
		Removed:          e.removed,
		Sealed:           e.sealed,
	}
	env.Budget.Waiting = e.memoryWanted
	env.Budget.Closing = e.ctx.Done()
	return env
}

// Close ends the engine: calls that write are finished, flushes in the background are given up (the log keeps their rows), and the
// log is synced. Snapshots and iterators that are in use stay valid until they end. It may be called again.
func (e *Engine) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	return wrap("close", e.shutDown())
}

func (e *Engine) shutDown() error {
	e.cancel()
	e.gate.Lock()
	defer e.gate.Unlock()
	e.closed.Store(true)
	e.background.Wait()
	e.dropSpares(true)
	e.closeSnapshots()
	var err error
	if e.log != nil {
		if e.cat.last.Load() > e.noted {
			e.noteCatalogue(context.Background())
		}
		last := e.log.LastLSN()
		failed := e.log.Err() != nil
		err = e.log.Close()
		if err == nil && !failed && !e.opts.ReadOnly {
			err = e.noteLog(e.loggedLSN(last))
		}
	}
	e.mu.Lock()
	for _, c := range e.collections {
		c.closePartitions()
	}
	e.collections = map[string]*Collection{}
	e.mu.Unlock()
	if e.cat != nil {
		err = errors.Join(err, e.cat.close())
	}
	if e.env != nil {
		e.env.Cache.Close()
	}
	if e.lock != nil {
		err = errors.Join(err, e.lock.close())
	}
	return err
}

// noteLog records in the catalogue that the log holds every LSN up to this one on disk, so that a log that lost its end is told from
// one that was never longer.
func (e *Engine) noteLog(last uint64) error {
	known := uint64(0)
	e.cat.view(func(s *state) { known = s.logLSN })
	if known >= last {
		return nil
	}
	return e.cat.commit(&edit{logLSN: last})
}

// noteCatalogue has the log say which edits of the catalogue there are, so that an older copy of the catalogue is told from the newest.
// It is not what makes an edit durable: where there is no room for it, or the log is poisoned, it is left out.
func (e *Engine) noteCatalogue(ctx context.Context) {
	if e.opts.ReadOnly || e.log.Err() != nil {
		return
	}
	if err := e.env.Note(ctx); err != nil {
		e.opts.Logger.Warn("noting the state of the catalogue in the log", "error", err)
	}
}

// loggedLSN is the LSN up to which the log's files account for every LSN up to the one given. It is smaller only while nothing was
// written since a recovery that had to pass over LSNs, those of unsynced records whose rows are in sealed segments.
func (e *Engine) loggedLSN(lsn uint64) uint64 {
	if lsn <= e.resumed {
		return min(lsn, e.log.FoundLSN())
	}
	return lsn
}

// enter begins a call that changes something. leave ends it.
func (e *Engine) enter() error {
	e.gate.RLock()
	err := e.usable()
	if err == nil && e.opts.ReadOnly {
		err = ErrReadOnly
	}
	if err == nil {
		err = e.refused()
	}
	if err != nil {
		e.gate.RUnlock()
	}
	return err
}

func (e *Engine) leave() { e.gate.RUnlock() }

func (e *Engine) usable() error {
	if e.closed.Load() {
		return ErrClosed
	}
	return nil
}

// Dir is the store's directory.
func (e *Engine) Dir() string { return e.dir }

// ReadOnly reports whether the engine was opened read-only.
func (e *Engine) ReadOnly() bool { return e.opts.ReadOnly }

// LSN is the newest place in the commit order that readers see.
func (e *Engine) LSN() uint64 { return e.env.Clock.Visible() }

// partitions lists every partition of the store.
func (e *Engine) partitions() []*Partition {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var out []*Partition
	for _, c := range e.collections {
		out = append(out, c.all()...)
	}
	return out
}

// commitFlush makes a partition's flush durable.
func (e *Engine) commitFlush(_ context.Context, f partition.FlushEdit) error {
	ed := &edit{tombstones: f.Tombstones, nextSegment: segment.ID(e.nextSegment.Load())}
	for _, m := range f.Added {
		ed.addSegments = append(ed.addSegments, segmentRecord{f.Partition, m})
	}
	for _, c := range f.Cuts {
		ed.cuts = append(ed.cuts, cutRecord{f.Partition, c})
	}
	if e.opts.Sync == wal.SyncAlways && e.log != nil { // what is being replayed may not be synced yet
		ed.logLSN = e.loggedLSN(e.env.Clock.Visible())
	}
	return e.cat.commit(ed)
}

func (e *Engine) flushed(p *partition.Partition, r partition.Receipt, err error) {
	e.counters.flushed(r, err)
	coll, part := e.namesOf(p)
	level, msg := slog.LevelInfo, "flushed"
	if err != nil {
		level, msg = slog.LevelWarn, "flush went wrong, it will be tried again"
		if errors.Is(err, context.Canceled) {
			level = slog.LevelDebug
		}
	}
	e.opts.Logger.Log(e.ctx, level, msg, "collection", coll, "partition", part, "segments", len(r.Segments), "rows", r.Rows,
		"bytes", r.Bytes, "duration", r.Duration, "error", err)
	if e.opts.Events.Flushed != nil {
		e.opts.Events.Flushed(FlushEvent{Collection: coll, Partition: part, Receipt: r, Err: translate(err)})
	}
	e.diskFull("flush", err)
	if err == nil {
		e.diskFound()
		e.settle()
		e.indexer.wake()
		e.wakeCompactor()
		e.wantSpares(r)
		if err := e.truncateLog(); err != nil {
			e.opts.Logger.Warn("truncating the log", "error", err)
		}
	}
}

func (e *Engine) sealed(p *partition.Partition, id segment.ID, rows uint32, reason partition.SealReason) {
	e.counters.seals.Add(1)
	if e.opts.Events.Sealed == nil && !e.opts.Logger.Enabled(e.ctx, slog.LevelDebug) {
		return
	}
	coll, part := e.namesOf(p)
	e.opts.Logger.Debug("sealed", "collection", coll, "partition", part, "segment", id, "rows", rows, "reason", reason)
	if e.opts.Events.Sealed != nil {
		e.opts.Events.Sealed(SealEvent{coll, part, uint64(id), int64(rows), string(reason)})
	}
}

func (e *Engine) namesOf(p *partition.Partition) (coll, part string) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for name, c := range e.collections {
		if n, ok := c.nameOf(p.ID()); ok {
			return name, n
		}
	}
	return "", ""
}

// logFailed is told by the log that it is poisoned.
func (e *Engine) logFailed(err error) {
	err = &kindError{ErrPoisoned, err}
	e.env.Clock.Fail(err)
	e.fail(err)
}

// fail refuses writes from now on. A poisoned catalogue is as bad as a poisoned log: nothing could be flushed any more, and a segment
// that the edit of unknown fate names must stay as it is.
func (e *Engine) fail(err error) {
	if !e.failure.CompareAndSwap(nil, &err) {
		return
	}
	e.env.Budget.Fail(err)
	e.opts.Logger.Error("writes are refused until the store is reopened", "error", err)
	if e.opts.Events.Failed != nil {
		e.opts.Events.Failed(FailEvent{err})
	}
}

// refused is why writes are refused, or nil.
func (e *Engine) refused() error {
	if err := e.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// memoryWanted seals the largest growing segments because a writer waits for memory.
func (e *Engine) memoryWanted() {
	used, limit := e.env.Budget.Used()
	e.counters.stalls.Add(1)
	if e.opts.Events.Stalled != nil {
		e.opts.Events.Stalled(StallEvent{UsedBytes: used, LimitBytes: limit, For: memory.Growing.String()})
	}
	parts := e.partitions()
	slices.SortFunc(parts, func(a, b *Partition) int { return int(b.p.GrowingBytes() - a.p.GrowingBytes()) })
	for _, p := range parts {
		if used -= p.p.GrowingBytes(); p.p.GrowingBytes() > 0 {
			p.p.Seal(partition.SealMemory)
		}
		if used < limit/2 {
			return
		}
	}
}

// tick looks at ages, idle times and the size of the log now and then.
func (e *Engine) tick(ctx context.Context) {
	t := time.NewTicker(e.opts.Tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, p := range e.partitions() {
			p.p.SealDue(e.opts.Now())
		}
		e.boundLog()
		e.dropSpares(false)
		e.settle()
		e.indexer.wake() // what failed may be due again
		e.wakeCompactor()
	}
}

// boundLog seals the partitions that keep an overlong log from being cut.
func (e *Engine) boundLog() {
	if e.opts.LogBytes <= 0 || e.log.Size() <= e.opts.LogBytes {
		return
	}
	type need struct {
		p   *Partition
		lsn uint64
	}
	var needs []need
	for _, p := range e.partitions() {
		if lsn := p.p.OldestNeeded(); lsn != 0 {
			needs = append(needs, need{p, lsn})
		}
	}
	if len(needs) == 0 {
		if err := e.truncateLog(); err != nil {
			e.opts.Logger.Warn("truncating the log", "error", err)
		}
		return
	}
	oldest := slices.MinFunc(needs, func(a, b need) int { return int(int64(a.lsn) - int64(b.lsn)) })
	seq := e.log.FirstSeqFor(oldest.lsn - 1)
	if seq == e.log.FirstSeqFor(e.log.LastLSN()) {
		return // it is the file being written, which cannot be cut
	}
	for _, n := range needs {
		if e.log.FirstSeqFor(n.lsn-1) == seq {
			n.p.p.Seal(partition.SealLogSize)
		}
	}
}

// truncateLog removes the log files that nothing needs any more. Commit point: the catalogue names the first file needed; the files
// before it are removed after that.
func (e *Engine) truncateLog() error {
	e.truncate.Lock()
	defer e.truncate.Unlock()
	if e.log == nil {
		return nil // recovery is still replaying it
	}
	needed := e.env.Clock.Visible() + 1 // taken first: what comes later is newer
	for _, p := range e.partitions() {
		if lsn := p.p.OldestNeeded(); lsn != 0 {
			needed = min(needed, lsn)
		}
	}
	seq := e.log.FirstSeqFor(needed - 1)
	known := uint64(0)
	e.cat.view(func(s *state) { known = s.walFirst })
	if seq > known {
		if err := e.cat.commit(&edit{walFirst: seq}); err != nil {
			return err
		}
	}
	return e.log.Truncate(seq)
}
