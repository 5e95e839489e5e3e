package wal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Record is a payload on its way into the log: it holds its room in the queue and on disk from Prepare until it is
// durable, or until Discard. It serves one Append.
type Record struct {
	payload []byte
	crc     uint32
	span    int64 // bytes of its frame
	charge  int64 // reserved on disk: the frame, and the mark that may follow its group

	// Guarded by Log.mu until appended, then owned by the writer.
	used bool // appended or discarded
	lsn  uint64
	file *file
	off  int64
}

// waiter is a Prepare call that waits for room. done is written once, by whoever takes it off the list.
type waiter struct {
	r    *Record
	done chan error // cap 1; nil: the record has its room
}

// syncWaiter is a Sync call that waits for lsn to be on disk.
type syncWaiter struct {
	lsn  uint64
	done chan error // cap 1
}

// Prepare does what can be done for a record before its place in the order is known: it computes the payload's
// checksum and waits until the bytes fit the queue and room for them is set aside on disk. Callers are served in
// order of arrival. The payload must not change until the record is durable or discarded.
//
// Errors: ctx.Err(), ErrTooLarge, ErrDiskFull, ErrPoisoned, ErrClosed or ErrReadOnly, wrapped; another error if the
// next file could not be made. After any of them the log is as before, and nothing has to be given back.
func (l *Log) Prepare(ctx context.Context, payload []byte) (*Record, error) {
	if int64(len(payload)) > l.opts.MaxRecord {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(payload), l.opts.MaxRecord)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("wal: prepare: %w", err)
	}
	r := &Record{payload: payload, crc: checksum(payload), span: frameSpan(int64(len(payload)))}
	r.charge = r.span + frameHeaderLen

	l.mu.Lock()
	if err := l.refuseLocked(); err != nil {
		l.mu.Unlock()
		return nil, err
	}
	if len(l.waiters) == 0 && l.fitsQueueLocked(r) && l.fitsDiskLocked(r) {
		l.grantLocked(r)
		l.mu.Unlock()
		return r, nil
	}
	w := &waiter{r: r, done: make(chan error, 1)}
	l.waiters = append(l.waiters, w)
	l.admitLocked()
	l.mu.Unlock()

	select {
	case err := <-w.done:
		if err != nil {
			return nil, err
		}
		return r, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiters, w); i >= 0 {
		l.waiters = slices.Delete(l.waiters, i, i+1)
	} else if err := <-w.done; err == nil {
		l.releaseLocked(r)
	}
	l.admitLocked()
	return nil, fmt.Errorf("wal: prepare: %w", ctx.Err())
}

// Append gives the record the next LSN and queues it. It never blocks on I/O. Durable reports when the record is
// durable; until then the payload belongs to the log. On an error (poisoned, closed) the room is given back.
func (l *Log) Append(r *Record) (lsn uint64, err error) {
	l.mu.Lock()
	err = l.appendLocked(r)
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	kick(l.wake)
	return r.lsn, nil
}

func (l *Log) appendLocked(r *Record) (err error) {
	if r.used {
		return errors.New("wal: append: record was already appended or discarded")
	}
	r.used = true
	if err = l.refuseLocked(); err == nil && l.last.Load() >= math.MaxUint64-1 {
		err = errors.New("wal: lsn space exhausted")
	}
	if err != nil {
		l.releaseLocked(r)
		return err
	}
	r.lsn = l.last.Load() + 1
	l.last.Store(r.lsn)
	l.queue = append(l.queue, r)
	l.queued.Add(1)
	return nil
}

// Discard gives an unused reservation back. It does nothing for a record that was appended or discarded.
func (l *Log) Discard(r *Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.used {
		return
	}
	r.used = true
	l.releaseLocked(r)
	l.admitLocked()
}

// Sync returns when all records appended before the call are on disk, whatever the policy.
func (l *Log) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wal: sync: %w", err)
	}
	l.mu.Lock()
	lsn := l.last.Load()
	if l.err != nil {
		defer l.mu.Unlock()
		return l.err
	}
	if l.synced >= lsn {
		l.mu.Unlock()
		return nil
	}
	// While closing, the writer is still there and ends with a sync.
	w := syncWaiter{lsn: lsn, done: make(chan error, 1)}
	l.syncWaiters = append(l.syncWaiters, w)
	l.mu.Unlock()
	kick(l.wake)
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wal: sync: %w", ctx.Err())
	}
}

// fitsQueueLocked tells whether the queue has room. A record larger than the whole queue is let in alone.
func (l *Log) fitsQueueLocked(r *Record) bool {
	return l.inFlight == 0 || l.inFlight+r.span <= l.opts.QueueBytes
}

// fitsDiskLocked tells whether the record and all others with a reservation fit the files at hand, in whatever
// order they will be appended.
//
// The writer fills the bins in order, and goes on to the next one when a record does not fit (frames do not span
// files). So it leaves less than the largest charge unused in each bin it goes past, and all fit if, for some m, what
// the bins before m are sure to take, and the room in bin m, add up to the reserved sum. Appending or discarding
// records in any order keeps that true, since filling bins in order never gets worse by leaving a record out.
func (l *Log) fitsDiskLocked(r *Record) bool {
	need, largest := l.reserved+r.charge, max(l.reservedMax, r.charge)
	for _, b := range l.bins {
		if b.room() >= need {
			return true
		}
		need -= max(0, b.room()-largest)
	}
	return false
}

func (l *Log) grantLocked(r *Record) {
	l.inFlight += r.span
	l.reserved += r.charge
	l.reservedMax = max(l.reservedMax, r.charge)
}

// releaseLocked gives back a reservation that was not used.
func (l *Log) releaseLocked(r *Record) {
	l.inFlight -= r.span
	l.unreserveLocked(r)
	r.payload = nil
}

func (l *Log) unreserveLocked(r *Record) {
	l.reserved -= r.charge
	if l.reserved == 0 {
		l.reservedMax = 0
	}
}

// admitLocked serves the waiters that can be served, in order, and asks for a new file if the next one needs it.
// If such a file could not be made, all who would need it are told, once.
func (l *Log) admitLocked() {
	rest := l.waiters[:0]
	failed := l.prepError
	l.prepError, l.wantSpace = nil, 0
	for i, w := range l.waiters {
		if !l.fitsQueueLocked(w.r) {
			rest = append(rest, l.waiters[i:]...)
			break
		}
		if l.fitsDiskLocked(w.r) {
			l.grantLocked(w.r)
			w.done <- nil
			continue
		}
		if failed == nil {
			l.wantSpace = l.reserved + w.r.charge
			rest = append(rest, l.waiters[i:]...)
			break
		}
		w.done <- failed
	}
	clear(l.waiters[len(rest):])
	l.waiters = rest
	if l.wantSpace > 0 && !l.preparing {
		kick(l.prepKick)
	}
}

func (l *Log) failWaitersLocked(err error) {
	for _, w := range l.waiters {
		w.done <- err
	}
	l.waiters = nil
}

func (l *Log) failSyncWaitersLocked(err error) {
	for _, w := range l.syncWaiters {
		w.done <- err
	}
	l.syncWaiters = nil
}
