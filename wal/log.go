package wal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Log is an open write-ahead log. All methods are safe for concurrent use, except that a Record belongs to one
// caller until it is appended or discarded.
type Log struct {
	opts Options
	dir  vfs.File // open handle of the directory, for syncing it; nil if read-only
	w    writer

	wake     chan struct{} // cap 1: the writer has something to look at
	prepKick chan struct{} // cap 1: the preparer has something to look at
	stop     chan struct{} // closed by Close
	wg       sync.WaitGroup

	queued  atomic.Int64  // records in queue; lets the writer watch it without the lock
	durable atomic.Uint64 // last LSN reported as durable
	last    atomic.Uint64 // last LSN assigned
	found   uint64        // what Open found; see FoundLSN

	closeOnce sync.Once
	closeErr  error

	// truncMu serializes Truncate. Lock order: truncMu, mu.
	truncMu sync.Mutex

	// mu guards everything below. It is never held during I/O or a callback.
	mu      sync.Mutex
	err     error // the poison
	closing bool

	// Who owns the writer's state: its goroutine while it is at work, or the caller of AppendLeading. Never both.
	writing, leading bool

	queue    []*Record // appended, not yet taken by the writer; in LSN order
	inFlight int64     // payload bytes from Prepare until durable: what QueueBytes bounds
	waiters  []*waiter // in Prepare, first come first served

	reserved    int64   // charges of records prepared or queued, not yet placed in a file
	reservedMax int64   // no such charge is larger; reset when reserved is zero
	bins        []*file // where records are placed: bins[0], then the prepared ones in order
	files       []*file // that exist under their final name, oldest first; the last one is being written
	nextSeq     uint64  // of the next file to prepare
	nextSize    int64   // its usual size
	preparing   bool
	wantSpace   int64 // a waiter needs a file with that much room; 0: none does
	wantAhead   bool  // the writer asks for the next file ahead of need
	aheadFailed bool  // the last preparation failed: the next one waits for a need
	spare       *file // an old file that becomes the next one; nil: none
	meanGroup   int64 // moving average of bytes in a group
	prepError   error // of the last preparation, while no waiter has seen it

	synced      uint64 // last LSN on disk, whatever the policy
	syncWaiters []syncWaiter

	shown struct { // what the last published group left: whole frames
		seq uint64
		end int64
		lsn uint64
	}

	stats Stats
}

// Stats counts what a log did since Open, except where said otherwise.
type Stats struct {
	Records      uint64 // written
	Groups       uint64 // of records written together
	Syncs        uint64 // fdatasyncs and fsyncs of log files and their directory, including those of rotation
	BytesWritten uint64 // frames and file headers, without the zero-filling of prepared files
	BytesZeroed  uint64 // zero-filled ahead
	Rotations    uint64 // files made active
	Recycled     uint64 // of them, those that were old files
	Replayed     uint64 // records delivered by Open
	LastGroup    int    // records in the last group

	Files      int   // now kept, with the one being written, without prepared ones
	Size       int64 // now: bytes of frames in these files
	DiskSize   int64 // now: bytes these files and the prepared ones occupy
	QueueBytes int64 // now: payload bytes prepared or appended, not yet durable
	LastLSN    uint64
	DurableLSN uint64
}

// Open replays every record with an LSN greater than from, in LSN order, and makes the log ready for appending.
// payload is valid only during the call and 8-byte aligned; memory is bounded by the largest record. An error from
// replay ends Open. The old files are left as they are but for a rotate frame behind the end of the last one.
//
// Order of steps, each harmless to repeat after a crash:
//  1. remove files below FirstSeq and half-prepared ones
//  2. replay; write the last file's unsynced end once more and sync it, so that what was replayed is durable
//  3. prepare a new file, write its header with the old one's valid end, sync, rename, sync the directory
//  4. append the rotate frame to the old file, sync
//
// A last file that holds nothing but its header is used further, or, if its header names another next LSN, replaced
// under its sequence: opening a log again and again does not pile up files. If there is no room for step 3 the log
// opens nevertheless, and Prepare returns ErrDiskFull until there is.
func Open(opts Options, from uint64, replay func(lsn uint64, payload []byte) error) (*Log, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if !opts.ReadOnly {
		if err := opts.FS.MkdirAll(opts.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("wal: make directory %s: %w", opts.Dir, err)
		}
	}
	replayed := uint64(0)
	r := recoverer{opts: opts, from: from, replay: func(lsn uint64, payload []byte) error {
		replayed++
		if replay == nil {
			return nil
		}
		return replay(lsn, payload)
	}}
	if err := r.run(); err != nil {
		return nil, err
	}
	l := &Log{
		opts:     opts,
		wake:     make(chan struct{}, 1),
		prepKick: make(chan struct{}, 1),
		stop:     make(chan struct{}),
		files:    r.rec.files,
		nextSize: opts.InitialFileSize,
	}
	for _, f := range l.files {
		f.shared = true // by a checkpoint of before
	}
	l.stats.Replayed = replayed
	l.found = r.rec.foundLSN()
	l.synced = max(opts.MinLSN, l.found)
	if l.synced == math.MaxUint64 {
		return nil, errors.New("wal: lsn space exhausted")
	}
	l.last.Store(l.synced)
	l.durable.Store(l.synced)
	if opts.ReadOnly {
		return l, nil
	}
	if err := l.startWriting(&r.rec); err != nil {
		if l.dir != nil {
			l.dir.Close()
		}
		return nil, err
	}
	l.start()
	return l, nil
}

// startWriting takes steps 1, 3 and 4 of Open, and the sync of step 2.
func (l *Log) startWriting(rec *recovery) error {
	fs := l.opts.FS
	for _, name := range slices.Concat(rec.stale, rec.temps) {
		if err := fs.Remove(fs.PathJoin(l.opts.Dir, name)); err != nil {
			return fmt.Errorf("wal: remove %s: %w", name, err)
		}
	}
	dir, err := fs.OpenDir(l.opts.Dir)
	if err != nil {
		return fmt.Errorf("wal: open %s: %w", l.opts.Dir, err)
	}
	l.dir = dir
	if len(rec.stale) > 0 {
		if err := dir.Sync(); err != nil {
			return fmt.Errorf("wal: sync %s: %w", l.opts.Dir, err)
		}
	}
	l.w = writer{l: l, lastLSN: rec.lastLSN, buf: make([]byte, 0, 64<<10)}
	l.nextSeq = 1
	if len(rec.files) > 0 {
		if err := l.resume(rec); err != nil {
			l.w.closeFile()
			return err
		}
		if len(l.bins) > 0 {
			return nil
		}
	}
	f, err := l.prepareFile(l.nextSeq, l.nextSize, true)
	switch {
	case err == nil:
		l.addBinLocked(f)
		f.entered = true
		err = l.w.enter(f, l.last.Load()+1)
	case errors.Is(err, ErrDiskFull) && len(l.files) > 0:
		l.opts.Logger.Warn("wal: opened without room to write", "error", err)
		err = nil
	}
	if err != nil {
		l.w.closeFile()
	}
	return err
}

// resume settles the last file and hands it to the writer: to go on in it if it is vacant, else to end it when the
// next file is entered.
func (l *Log) resume(rec *recovery) error {
	n := len(rec.files)
	tail, h := rec.files[n-1], rec.headers[n-1]
	if n > 1 && !rec.files[n-2].rotated {
		// A crash came between the rename of the last file and the rotate frame, or even before the sync of the rename:
		// the frame must not say that the file exists before that is so.
		if err := l.syncDir(); err != nil {
			return err
		}
		if err := l.rotateLate(rec.files[n-2].path, rec.headers[n-2], h.prev); err != nil {
			return err
		}
	}
	f, err := l.opts.FS.OpenReadWrite(tail.path, writeCategory)
	if err != nil {
		return fmt.Errorf("wal: open %s: %w", tail.path, err)
	}
	l.stats.Syncs++
	if err := settle(f, rec.settled, rec.tail.end); err != nil {
		return errors.Join(fmt.Errorf("wal: settle %s: %w", tail.path, err), f.Close())
	}
	w := &l.w
	if rec.vacant && h.firstLSN != l.last.Load()+1 {
		l.nextSeq, w.prev = tail.seq, h.prev
		return f.Close()
	}
	tail.f = f
	w.cur, w.salt, w.chain = tail, h.salt, rec.tail.chain
	w.off, w.bufOff, w.durable = rec.tail.end, rec.tail.end, rec.tail.end
	l.nextSeq = tail.seq + 1
	if !rec.vacant {
		return nil
	}
	// Its name may not be durable yet: records come only after that.
	tail.entered, tail.active = true, true
	l.bins = append(l.bins, tail)
	return l.syncDir()
}

// rotateLate appends the rotate frame to a finished file that lacks it.
func (l *Log) rotateLate(path string, h fileHeader, end link) error {
	if end.end+frameHeaderLen > h.size {
		return nil
	}
	f, err := l.opts.FS.OpenReadWrite(path, writeCategory)
	if err != nil {
		return fmt.Errorf("wal: open %s: %w", path, err)
	}
	l.stats.Syncs++
	fr := frame{kind: kindRotate, salt: h.salt, lsn: end.lsn, durable: uint64(end.end)}
	if _, err = f.WriteAt(appendFrameHeader(nil, end.end, fr), end.end); err == nil {
		err = f.SyncData()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("wal: write %s: %w", path, err)
	}
	return nil
}

// settle makes the bytes [from, end) of a replayed file durable by writing them again, unchanged, and syncing. A sync
// alone would not do after an earlier one failed: Linux then holds pages that read back as written, are not on disk,
// and are clean. Since the same bytes are written, a crash in between changes nothing.
func settle(f vfs.File, from, end int64) error {
	buf := make([]byte, min(readChunk, end-from))
	for from < end {
		b := buf[:min(int64(len(buf)), end-from)]
		if _, err := f.ReadAt(b, from); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, from); err != nil {
			return err
		}
		from += int64(len(b))
	}
	return f.SyncData()
}

// start is the only place where goroutines begin; Close joins them.
func (l *Log) start() {
	for name, run := range map[string]func(){"writer": l.w.run, "preparer": l.runPreparer} {
		l.wg.Go(func() {
			pprof.Do(context.Background(), pprof.Labels("selkie", "wal-"+name), func(context.Context) { run() })
		})
	}
}

// Close writes what is queued, marks the end, syncs and stops the goroutines. Waiting calls return ErrClosed. It
// returns the error that poisoned the log, if one did; further calls return the same.
func (l *Log) Close() error {
	l.closeOnce.Do(func() {
		l.mu.Lock()
		l.closing = true
		l.failWaitersLocked(ErrClosed)
		l.mu.Unlock()
		close(l.stop)
		kick(l.wake) // the writer may wait for a leader that is done
		l.wg.Wait()
		if l.dir == nil {
			return
		}
		l.w.closeFile()
		l.mu.Lock()
		unused := l.bins
		if l.spare != nil {
			unused = append(unused, l.spare)
		}
		l.bins, l.spare = nil, nil
		l.closeErr = l.err
		l.failSyncWaitersLocked(ErrClosed)
		l.mu.Unlock()
		for _, f := range unused {
			if !f.active {
				l.dropPrepared(f)
			}
		}
		l.truncMu.Lock() // a Truncate under way syncs the directory
		defer l.truncMu.Unlock()
		if err := l.dir.Close(); err != nil && l.closeErr == nil {
			l.closeErr = fmt.Errorf("wal: close %s: %w", l.opts.Dir, err)
		}
	})
	return l.closeErr
}

// Err returns the error that poisoned the log, or nil. It matches ErrPoisoned.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// FoundLSN returns the last LSN that the files accounted for when Open had read them: that of the last record, or the
// one that a last file without records goes on from. Unlike LastLSN it knows nothing of Options.MinLSN.
func (l *Log) FoundLSN() uint64 { return l.found }

// LastLSN returns the last LSN assigned, or found by Open.
func (l *Log) LastLSN() uint64 { return l.last.Load() }

// DurableLSN returns the LSN up to which records are durable in the sense of the policy.
func (l *Log) DurableLSN() uint64 { return l.durable.Load() }

// Stats returns a snapshot of the counters.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Files = len(l.files)
	s.Size = l.sizeLocked()
	for _, f := range l.files {
		s.DiskSize += f.size
	}
	for _, f := range l.bins {
		if !f.active {
			s.DiskSize += f.size
		}
	}
	if l.spare != nil {
		s.DiskSize += l.spare.size
	}
	s.QueueBytes = l.inFlight
	s.LastLSN, s.DurableLSN = l.last.Load(), l.durable.Load()
	return s
}

// poison refuses all further writes, once. Called by the owner of the writer only.
func (l *Log) poison(cause error) {
	l.mu.Lock()
	err := fmt.Errorf("%w: %w", ErrPoisoned, cause)
	l.err = err
	l.queue = nil
	l.queued.Store(0)
	l.failWaitersLocked(err)
	l.failSyncWaitersLocked(err)
	l.mu.Unlock()
	l.opts.Logger.Error("wal: log poisoned", "error", cause)
	l.opts.Failed(err)
}

// refuseLocked returns why nothing can be appended, or nil.
func (l *Log) refuseLocked() error {
	switch {
	case l.err != nil:
		return l.err
	case l.opts.ReadOnly:
		return ErrReadOnly
	case l.closing:
		return ErrClosed
	}
	return nil
}

// kick wakes the goroutine behind ch, if it is not about to wake anyway.
func kick(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
