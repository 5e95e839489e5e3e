package wal

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// writeCategory labels the log's writes in pebble's disk statistics.
const writeCategory = vfs.DiskWriteCategory("selkie-wal")

// zeroPiece is how much a prepared file is zero-filled at once.
const zeroPiece = 1 << 20

var zeros [zeroPiece]byte // never written

// runPreparer is the goroutine that makes files ahead, so that the writer overwrites allocated, zeroed blocks:
// fdatasync then commits no metadata, and a full disk is noticed before an LSN is given out.
func (l *Log) runPreparer() {
	for {
		select {
		case <-l.prepKick:
		case <-l.stop:
			return
		}
		l.mu.Lock()
		for (l.wantSpace > 0 || l.wantAhead) && l.err == nil && !l.closing {
			l.prepareNextLocked()
		}
		l.mu.Unlock()
	}
}

// prepareNextLocked makes one file and adds it to the bins. It gives up the lock meanwhile.
func (l *Log) prepareNextLocked() {
	need := int64(0)
	if l.wantSpace > 0 {
		need = blockRound(fileHeaderLen + l.wantSpace + tailReserve)
	}
	size := max(l.nextSize, need)
	// Someone who waits with a large record should not wait for zeros too.
	large := len(l.waiters) > 0 && l.waiters[0].r.charge >= leanGroup
	seq, fill := l.nextSeq, l.meanGroup < leanGroup && !large
	l.preparing, l.wantAhead = true, false
	spare := l.spare
	if spare != nil && spare.size >= size {
		l.spare = nil
	} else {
		spare = nil
	}
	l.mu.Unlock()
	f, err := l.recycle(spare, seq)
	if f == nil {
		f, err = l.prepareFile(seq, size, fill)
	}
	if errors.Is(err, ErrDiskFull) && need > 0 && need < size {
		f, err = l.prepareFile(seq, need, fill)
	}
	l.mu.Lock()
	l.preparing = false
	if err != nil {
		if !l.aheadFailed && !l.closing {
			l.opts.Logger.Warn("wal: no file prepared", "error", err)
		}
		l.aheadFailed = true
		if len(l.waiters) > 0 {
			l.prepError = err
		}
	} else {
		l.aheadFailed = false
		l.addBinLocked(f)
	}
	l.admitLocked()
}

// addBinLocked makes a prepared file available to the writer.
func (l *Log) addBinLocked(f *file) {
	l.bins = append(l.bins, f)
	l.nextSeq = f.seq + 1
	l.nextSize = min(2*l.nextSize, l.opts.MaxFileSize)
	l.stats.BytesZeroed += uint64(f.zeroed)
}

// recycle makes an old file, if there is one, the one with that sequence: blocks that were written once are overwritten at half the cost, and their pages are
// often still in memory. f is nil if that cannot be.
func (l *Log) recycle(spare *file, seq uint64) (f *file, err error) {
	if spare == nil {
		return nil, nil
	}
	f = &file{seq: seq, size: spare.size, off: fileHeaderLen, temp: spare.temp, recycled: true}
	f.path = l.opts.FS.PathJoin(l.opts.Dir, fileName(seq))
	if f.f, err = l.opts.FS.OpenReadWrite(f.temp, writeCategory); err != nil {
		f.f = nil
		l.dropPrepared(f)
		return nil, err
	}
	return f, nil
}

// leanGroup is the mean size of a group, in bytes, from which on zero-filling ahead costs more than it saves: each
// byte then goes to the disk twice, while the metadata commit it avoids is small beside the data. Measured with one
// appender (MB/s filled / allocated only): 30 KB 110 / 100, 60 KB 225 / 187, 120 KB 315 / 275, 240 KB 375 / 435,
// 400 KB 450 / 555 (a plain loop on a growing file: 498), 400 KB from 64 appenders 810 / 1,040.
const leanGroup = 192 << 10

// prepareFile creates a file of the given size under its temporary name, with all blocks allocated and reading as
// zeros, and syncs it. With fill the blocks are also written, so that overwriting them changes no metadata.
// A file that could not be prepared is removed and never used: nothing depends on it, hence no poison.
func (l *Log) prepareFile(seq uint64, size int64, fill bool) (*file, error) {
	fs := l.opts.FS
	f := &file{seq: seq, size: size, off: fileHeaderLen, lastLSN: 0}
	f.path = fs.PathJoin(l.opts.Dir, fileName(seq))
	f.temp = f.path + ".tmp"
	err := fs.Remove(f.temp) // of an attempt that could not clean up
	if err == nil || oserror.IsNotExist(err) {
		f.f, err = fs.OpenReadWrite(f.temp, writeCategory)
	}
	if err == nil {
		err = l.allocate(f, fill)
	}
	if err == nil {
		return f, nil
	}
	l.dropPrepared(f)
	if isDiskFull(err) {
		return nil, fmt.Errorf("%w: prepare %s with %d bytes: %w", ErrDiskFull, f.temp, size, err)
	}
	return nil, fmt.Errorf("wal: prepare %s: %w", f.temp, err)
}

// allocate gives f its size.
func (l *Log) allocate(f *file, fill bool) error {
	if err := f.f.Preallocate(0, f.size); err != nil {
		if isDiskFull(err) {
			return err
		}
		fill = true // not supported here
	}
	if runtime.GOOS != "linux" {
		fill = true // Preallocate does nothing there
	}
	step := int64(zeroPiece)
	for off := int64(0); off < f.size; off += step {
		select {
		case <-l.stop:
			return ErrClosed
		default:
		}
		if n := min(step, f.size-off); fill || off == 0 || off+n == f.size {
			if _, err := f.f.WriteAt(zeros[:n], off); err != nil {
				return err
			}
			f.zeroed += n
		}
	}
	return f.f.Sync()
}

// dropPrepared removes a file that never became active. Errors don't matter: the next Open, or the next attempt to
// prepare that sequence, removes it too.
func (l *Log) dropPrepared(f *file) {
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
	if err := l.opts.FS.Remove(f.temp); err != nil && !oserror.IsNotExist(err) {
		l.opts.Logger.Warn("wal: prepared file stays behind", "file", f.temp, "error", err)
	}
}
