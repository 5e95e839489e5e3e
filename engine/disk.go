package engine

import "fmt"

// diskRoom refuses work that would leave less than Options.DiskReserve of the store's disk. That is the space that builds leave free, so that the log, flushes and a recovery have room: recovery rewrites the catalogue, begins
// a log file, and writes out what passes the limits of growing segments. A file system that does not tell how much is free lets everything
// through; then the disk itself says so.
func (e *Engine) diskRoom(op string, bytes int64) error {
	reserve := e.opts.DiskReserve
	if reserve <= 0 || e.opts.ReadOnly {
		return nil
	}
	use, err := e.fs.GetDiskUsage(e.dir)
	if err != nil || use.TotalBytes == 0 {
		return nil
	}
	need := uint64(max(bytes, 0)) + uint64(reserve)
	if use.AvailBytes >= need {
		return nil
	}
	err = fmt.Errorf("%s of about %d bytes: %d are free, %d are kept free (Options.DiskReserve): %w", op, bytes, use.AvailBytes, reserve, ErrDiskFull)
	e.diskFull(op, err)
	return err
}

// diskFull tells of work that found no room on the disk, once until some was found again.
func (e *Engine) diskFull(op string, err error) {
	if !isDiskFull(err) {
		return
	}
	e.counters.diskFull.Add(1)
	if e.full.Swap(true) {
		return
	}
	free := int64(-1)
	if use, err := e.fs.GetDiskUsage(e.dir); err == nil {
		free = int64(use.AvailBytes)
	}
	e.opts.Logger.Warn("the disk is full", "operation", op, "free", free, "error", err)
	if e.opts.Events.DiskFull != nil {
		e.opts.Events.DiskFull(DiskFullEvent{Operation: op, FreeBytes: free, Err: translate(err)})
	}
}

// diskFound notes that something was written.
func (e *Engine) diskFound() {
	if e.full.Load() {
		e.full.Store(false)
	}
}
