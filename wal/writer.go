package wal

import (
	"fmt"
	"runtime"
	"time"
)

const (
	// directPayload is the payload size from which on a payload is written from the caller's memory with a write of
	// its own, instead of being copied into the group's buffer.
	directPayload = 64 << 10
	// bufferLimit bounds the group's buffer.
	bufferLimit = 1 << 20
)

// writer is the log's one writing goroutine. Everything here is owned by it (by Open before it starts, and by Close
// after it ended), or for one group by the caller of AppendLeading: Log.writing and Log.leading say by whom.
//
// Each turn takes all queued records as one group and writes it, syncs it if the policy says so, writes a mark that
// carries the new durable offset, and only then reports the group as durable. Nothing of the next group is written
// before the sync returned: a frame's durable offset is therefore never beyond what a crash can undo.
type writer struct {
	l *Log

	cur     *file  // being written; nil if the log has no file yet
	off     int64  // where the next frame goes in cur; buf ends there
	durable int64  // bytes of cur known to be on disk
	chain   uint32 // over cur's frames
	salt    uint64 // of cur
	lastLSN uint64 // of the last record written
	prev    link   // where cur ends; REQUIRED valid only while cur is nil

	buf    []byte // frames not yet written
	bufOff int64  // where buf belongs in cur

	dirty    bool      // records were written to cur
	unsynced bool      // records were written to cur since the last sync
	deadline time.Time // of the next interval sync, if unsynced
	group    []*Record // the records being written, reused
	syncTime time.Duration
	crowd    int64 // records in the last group, and in the queue when it became durable
	vain     int   // waits of gather in which no record came, in a row; beyond maxVain, groups since

	led       error // what went wrong in AppendLeading
	wholeSync bool  // SyncTo syncs instead of beginning to
}

// run is the writer's loop. It ends when the log is closed and drained, or poisoned.
// INVARIANT: whoever gives it something to do kicks Log.wake afterwards, or leads and kicks it in the end.
func (w *writer) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if owner, poisoned := w.claim(); poisoned {
			return
		} else if !owner {
			<-w.l.wake
			continue
		}
		w.gather()
		interval := w.unsynced && w.l.opts.Policy == SyncInterval
		due := interval && !time.Now().Before(w.deadline)
		w.l.mu.Lock()
		pending, closing := len(w.l.queue) > 0, w.l.closing
		wanted := len(w.l.syncWaiters) > 0
		w.l.writing = due || wanted || pending || closing
		w.l.mu.Unlock()

		var err error
		switch {
		case due, wanted && !pending:
			err = w.sync()
		case pending:
			err = w.writeGroup()
		case closing:
			if err = w.finish(); err == nil {
				return
			}
		default:
			var tick <-chan time.Time
			if interval { // then nobody leads
				timer.Reset(time.Until(w.deadline))
				tick = timer.C
			}
			select {
			case <-w.l.wake:
			case <-tick:
			case <-w.l.stop:
				// closing was set before stop was closed: the next turn drains.
			}
		}
		if err != nil {
			w.l.poison(err)
			return
		}
	}
}

// gather waits a moment for those who were about when the last group became durable, in it or in the queue behind it: most of them
// append again at once. Without it they fall into two crowds, of which each waits for the other's sync. It goes on while records keep
// coming. A lone appender is never made to wait.
func (w *writer) gather() {
	before := w.l.queued.Load()
	if w.crowd < 2 || w.l.opts.Policy != SyncAlways || before == 0 {
		return
	}
	if w.vain >= maxVain {
		if w.vain++; w.vain < maxVain+groupsAfterVain {
			return
		}
	}
	patience := min(max(w.syncTime/4, 20*time.Microsecond), 200*time.Microsecond)
	queued, start := before, time.Now()
	for last := start; queued < w.crowd; {
		runtime.Gosched()
		now, n := time.Now(), w.l.queued.Load()
		if n > queued {
			queued, last = n, now
		}
		if now.Sub(last) > patience || now.Sub(start) > 2*w.syncTime {
			break
		}
	}
	if queued > before || queued >= w.crowd {
		w.vain = 0
	} else {
		w.vain = min(w.vain+1, maxVain)
	}
}

// After maxVain waits in which no record came, groupsAfterVain groups are written at once, and then one wait tries again: those who
// append have more to do in between than is worth waiting for.
const (
	maxVain         = 3
	groupsAfterVain = 15
)

// writeGroup writes all that is queued.
func (w *writer) writeGroup() error {
	if err := w.beginGroup(); err != nil {
		return err
	}
	return w.endGroup()
}

// beginGroup hands all that is queued to the operating system.
func (w *writer) beginGroup() error {
	enter, err := w.take()
	if err != nil {
		return err
	}
	for _, r := range w.group {
		for w.cur != r.file {
			if err := w.enter(enter[0], r.lsn); err != nil {
				return err
			}
			enter = enter[1:]
		}
		if w.off != r.off {
			return fmt.Errorf("wal: %s: record %d was placed at %d, the file is at %d", w.cur.path, r.lsn, r.off, w.off)
		}
		fr := frame{kind: kindData, length: uint32(len(r.payload)), payloadCRC: r.crc, lsn: r.lsn}
		if err := w.put(fr, r.payload); err != nil {
			return err
		}
		w.lastLSN = r.lsn
	}
	if err := w.flush(); err != nil {
		return err
	}
	if !w.unsynced {
		w.unsynced, w.deadline = true, time.Now().Add(w.l.opts.SyncInterval)
	}
	return nil
}

// endGroup makes the group as durable as the policy wants it, and reports it.
// Commit point under SyncAlways: the return of SyncData.
func (w *writer) endGroup() (err error) {
	if w.l.opts.Policy == SyncAlways {
		err = w.syncAndMark()
	}
	if err != nil {
		return err
	}
	wanted := w.publish()
	w.l.opts.Durable(w.lastLSN)
	if wanted && w.unsynced {
		return w.sync()
	}
	return nil
}

// take turns the queue into the next group and places each record in a file. enter lists the files that have to be
// made active on the way, in order.
func (w *writer) take() (enter []*file, err error) {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	w.group, l.queue = l.queue, w.group[:0]
	l.queued.Store(0)
	for _, r := range w.group {
		for {
			if len(l.bins) == 0 {
				return nil, fmt.Errorf("wal: no file for record %d, which holds a reservation", r.lsn)
			}
			b := l.bins[0]
			if !b.entered {
				b.entered = true
				enter = append(enter, b)
			}
			if b.room() >= r.charge {
				r.file, r.off = b, b.off
				b.off += r.span
				b.lastLSN = r.lsn
				break
			}
			l.bins = l.bins[1:]
		}
		l.unreserveLocked(r)
	}
	cur := w.group[len(w.group)-1].file
	if l.opts.Policy == SyncAlways {
		cur.off += frameHeaderLen // the mark
	}
	if len(l.bins) == 1 && cur.off > cur.size/2 && !l.preparing && !l.aheadFailed {
		l.wantAhead = true
		kick(l.prepKick)
	}
	return enter, nil
}

// publish counts the group, frees its room in the queue and tells the Sync calls that are done. wanted says that
// others wait for a sync.
func (w *writer) publish() (wanted bool) {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	l.durable.Store(w.lastLSN)
	l.shown.seq, l.shown.end, l.shown.lsn = w.cur.seq, w.bufOff, w.lastLSN
	l.stats.Groups++
	l.stats.Records += uint64(len(w.group))
	l.stats.LastGroup = len(w.group)
	w.crowd = int64(len(w.group) + len(l.queue))
	bytes := int64(0)
	for _, r := range w.group {
		bytes += r.span
		r.payload = nil
	}
	l.inFlight -= bytes
	if l.meanGroup == 0 {
		l.meanGroup = bytes
	}
	l.meanGroup += (bytes - l.meanGroup) / 8
	clear(w.group)
	l.admitLocked()
	return w.syncedLocked()
}

// syncedLocked tells the Sync calls that are done, if everything written is synced, and whether others wait.
func (w *writer) syncedLocked() (waiting bool) {
	l := w.l
	if !w.unsynced {
		l.synced = max(l.synced, w.lastLSN)
	}
	rest := l.syncWaiters[:0]
	for _, s := range l.syncWaiters {
		if s.lsn <= l.synced {
			s.done <- nil
		} else {
			rest = append(rest, s)
		}
	}
	l.syncWaiters = rest
	return len(rest) > 0
}

// sync brings everything written to disk, for the interval timer and for Sync.
func (w *writer) sync() error {
	if w.unsynced {
		w.l.mu.Lock()
		w.cur.off += frameHeaderLen // the mark
		w.l.mu.Unlock()
		if err := w.syncAndMark(); err != nil {
			return err
		}
	}
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.syncedLocked()
	return nil
}

// syncAndMark syncs cur and appends a mark that says so. The mark is not synced: it tells damage from a torn tail
// after a process kill at once, and after a power cut as soon as the operating system wrote it or the log goes on.
// REQUIRES: the caller accounted for the mark in cur.off.
func (w *writer) syncAndMark() error {
	start := time.Now()
	if err := w.syncFile(); err != nil {
		return err
	}
	w.syncTime = time.Since(start)
	return w.mark()
}

func (w *writer) mark() error {
	if err := w.put(frame{kind: kindMark, lsn: w.lastLSN}, nil); err != nil {
		return err
	}
	return w.flush()
}

// syncFile makes everything written to cur durable. It does not touch what is still in buf.
func (w *writer) syncFile() error {
	w.count(0, 1)
	if err := w.syncError(w.cur.f.SyncData()); err != nil {
		return err
	}
	w.durable, w.unsynced = w.bufOff, false
	return nil
}

func (w *writer) syncError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("wal: sync %s: %w", w.cur.path, err)
}

// finish marks the end and syncs, if anything was written to cur.
func (w *writer) finish() error {
	if !w.dirty {
		return nil
	}
	if err := w.sync(); err != nil {
		return err
	}
	w.l.mu.Lock()
	w.cur.off += frameHeaderLen
	w.l.mu.Unlock()
	if err := w.mark(); err != nil {
		return err
	}
	return w.syncFile()
}

// enter ends cur, if there is one, and makes next the current file. firstLSN is the LSN of its first record.
//
//  1. cur is synced
//  2. next gets its header, which names cur's valid end, and is synced under its temporary name
//  3. next gets its name, and the directory is synced
//  4. cur gets a rotate frame, which says that next exists, and is synced
//
// A crash before 3 leaves a file that Open removes; one between 3 and 4 leaves an empty last file, and Open makes up
// for the missing rotate frame.
func (w *writer) enter(next *file, firstLSN uint64) error {
	l, old := w.l, w.cur
	prev := w.prev
	if old != nil {
		if err := w.flush(); err != nil {
			return err
		}
		if w.off > w.durable {
			if err := w.syncFile(); err != nil {
				return err
			}
		}
		prev = link{seq: old.seq, lsn: w.lastLSN, end: w.off, chain: w.chain}
	}
	h := fileHeader{seq: next.seq, salt: newSalt(), size: next.size, firstLSN: firstLSN, prev: prev}
	if _, err := next.f.WriteAt(h.encode(), 0); err != nil {
		return fmt.Errorf("wal: write %s: %w", next.temp, err)
	}
	w.count(fileHeaderLen, 1)
	if err := next.f.Sync(); err != nil {
		return fmt.Errorf("wal: sync %s: %w", next.temp, err)
	}
	if err := l.opts.FS.Rename(next.temp, next.path); err != nil {
		return fmt.Errorf("wal: rename %s: %w", next.temp, err)
	}
	if err := l.syncDir(); err != nil {
		return err
	}
	if old != nil {
		// The tail reserve has room for it, unless the file is none of ours.
		rotate := w.off+frameHeaderLen <= old.size
		if rotate {
			if err := w.put(frame{kind: kindRotate, lsn: w.lastLSN}, nil); err != nil {
				return err
			}
			if err := w.flush(); err != nil {
				return err
			}
			if err := w.syncFile(); err != nil {
				return err
			}
		}
		if err := old.f.Close(); err != nil {
			return fmt.Errorf("wal: close %s: %w", old.path, err)
		}
		old.f = nil
	}
	w.cur, w.salt, w.chain = next, h.salt, h.crc
	w.off, w.bufOff, w.durable = fileHeaderLen, fileHeaderLen, fileHeaderLen
	w.dirty, w.unsynced = false, false

	l.mu.Lock()
	defer l.mu.Unlock()
	if old != nil {
		old.off = prev.end + frameHeaderLen
	}
	next.active = true
	next.lastLSN = max(next.lastLSN, w.lastLSN)
	if n := len(l.files); n > 0 && l.files[n-1].seq == next.seq {
		l.files = l.files[:n-1] // replaced by the rename
	}
	l.files = append(l.files, next)
	l.stats.Rotations++
	if next.recycled {
		l.stats.Recycled++
	}
	return nil
}

// put adds a frame to the group. Salt and durable offset are filled in. Large payloads are written at once.
func (w *writer) put(fr frame, payload []byte) error {
	fr.salt, fr.durable = w.salt, uint64(w.durable)
	start := len(w.buf)
	w.buf = appendFrameHeader(w.buf, w.off, fr)
	w.chain = chainFrame(w.chain, w.buf[start:])
	if fr.kind == kindData {
		w.dirty = true
	}
	w.off += fr.span()
	if len(payload) < directPayload {
		w.buf = append(w.buf, payload...)
		w.buf = append(w.buf, zeros[:fr.span()-frameHeaderLen-int64(len(payload))]...)
		if len(w.buf) < bufferLimit {
			return nil
		}
		return w.flush()
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.writeAt(payload, w.bufOff); err != nil {
		return err
	}
	w.bufOff += int64(len(payload))
	w.buf = append(w.buf, zeros[:w.off-w.bufOff]...) // the padding
	return nil
}

// flush writes buf.
func (w *writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if err := w.writeAt(w.buf, w.bufOff); err != nil {
		return err
	}
	w.bufOff += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

func (w *writer) writeAt(b []byte, off int64) error {
	w.count(len(b), 0)
	if _, err := w.cur.f.WriteAt(b, off); err != nil {
		return fmt.Errorf("wal: write %s: %w", w.cur.path, err)
	}
	return nil
}

// count adds to the statistics.
func (w *writer) count(bytes int, syncs uint64) {
	w.l.mu.Lock()
	w.l.stats.BytesWritten += uint64(bytes)
	w.l.stats.Syncs += syncs
	w.l.mu.Unlock()
}

// closeFile closes the current file's handle.
func (w *writer) closeFile() {
	if w.cur == nil || w.cur.f == nil {
		return
	}
	if err := w.cur.f.Close(); err != nil {
		w.l.opts.Logger.Warn("wal: close", "file", w.cur.path, "error", err)
	}
	w.cur.f = nil
}
