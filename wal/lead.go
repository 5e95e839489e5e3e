package wal

// leadMin is the size from which on a payload is worth leading for, where files are not tiny: below, the hand-overs cost little, and
// those who append meanwhile are better served by a goroutine that does nothing else. leadMax bounds how long they wait for a
// leader's other work, which is in proportion to its record.
const (
	leadMin = directPayload
	leadMax = 1 << 20
)

// AppendLeading is Append for a caller that has more to do before it needs the record durable. If the record is large and nobody else
// uses the log, the caller leads: it has handed the record to the operating system, and the disk has begun with it, when AppendLeading
// returns; FinishLeading waits for the disk. That spares two hand-overs between goroutines, and the caller's other work goes on
// while the disk works. Otherwise leads is false, and it was a plain Append.
//
// REQUIRES: who leads calls FinishLeading, soon, and nothing else of the log in between that waits for a record.
func (l *Log) AppendLeading(r *Record) (lsn uint64, leads bool, err error) {
	l.mu.Lock()
	leads = l.mayLeadLocked(r)
	if err = l.appendLocked(r); err != nil {
		l.mu.Unlock()
		return 0, false, err
	}
	l.leading = l.leading || leads // another may lead already
	l.mu.Unlock()
	if !leads {
		kick(l.wake)
		return r.lsn, false, nil
	}
	lsn = r.lsn // the group is the log's from here on
	l.w.led = l.w.beginLed()
	return lsn, true, nil
}

// FinishLeading syncs what AppendLeading wrote and reports it as durable, or poisons the log. It calls Options.Durable or Options.Failed.
// REQUIRES: AppendLeading returned that the caller leads, and the caller holds no lock that those callbacks take.
func (l *Log) FinishLeading() {
	err := l.w.led
	if err == nil {
		err = l.w.endGroup()
	}
	if err != nil {
		l.poison(err)
	}
	l.mu.Lock()
	l.leading = false
	wanted := len(l.queue) > 0 || len(l.syncWaiters) > 0 || l.closing || l.err != nil
	l.mu.Unlock()
	if wanted {
		kick(l.wake) // the writer may have been woken in vain meanwhile
	}
}

// mayLeadLocked tells whether the caller that appends r may be the writer for one group: the writer rests, r is all there is, the file
// that is being written has room for it, and a sync is what acknowledges it.
func (l *Log) mayLeadLocked(r *Record) bool {
	return l.opts.Policy == SyncAlways && int64(len(r.payload)) >= min(leadMin, l.opts.MaxFileSize/64) && len(r.payload) <= leadMax &&
		!l.writing && !l.leading && !l.closing && l.err == nil &&
		len(l.queue) == 0 && l.inFlight == r.span && len(l.waiters) == 0 && len(l.syncWaiters) == 0 &&
		len(l.bins) > 0 && l.bins[0].active && l.bins[0].room() >= r.charge
}

// claim makes the writer goroutine the owner of the writer's state. It is not while another goroutine leads, nor once the log
// is poisoned.
func (w *writer) claim() (owner, poisoned bool) {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = !l.leading && l.err == nil
	return l.writing, l.err != nil
}

// beginLed writes the group and has the disk begin with it, without waiting.
func (w *writer) beginLed() error {
	if err := w.beginGroup(); err != nil {
		return err
	}
	if w.wholeSync {
		return nil
	}
	// An error that the system reports here it may not report to the sync, so it counts as the sync's.
	whole, err := w.cur.f.SyncTo(w.bufOff)
	w.wholeSync = whole // where it cannot merely begin, it is left to endGroup
	return w.syncError(err)
}
