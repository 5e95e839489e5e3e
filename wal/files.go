package wal

import (
	"fmt"

	"github.com/cockroachdb/errors/oserror"
)

// FirstSeqFor returns the sequence of the oldest file needed to replay the records with an LSN greater than lsn.
// All files below it hold only records <= lsn, now and later. 0 if there is no file (a new log opened read-only).
//
// To shorten the log: write FirstSeqFor(lsn) to the catalogue durably, then call Truncate with it.
func (l *Log) FirstSeqFor(lsn uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.files {
		if f.lastLSN > lsn {
			return f.seq
		}
	}
	if n := len(l.files); n > 0 {
		return l.files[n-1].seq
	}
	return 0
}

// Truncate removes the files with a sequence lower than firstSeq, oldest first, but never the last one. A crash
// in between leaves files that the next Open removes. A full-grown one may be kept, under a name that the next Open removes, to be written anew.
// REQUIRES: whoever opens the log next passes Options.FirstSeq >= firstSeq, as far as those files existed.
func (l *Log) Truncate(firstSeq uint64) error {
	l.truncMu.Lock()
	defer l.truncMu.Unlock()
	removed := false
	for {
		l.mu.Lock()
		if l.opts.ReadOnly || l.closing {
			err := l.refuseLocked()
			l.mu.Unlock()
			return err
		}
		if len(l.files) < 2 || l.files[0].seq >= firstSeq {
			l.mu.Unlock()
			break
		}
		f, keep := l.files[0], l.spare == nil && l.recyclableLocked(l.files[0])
		l.mu.Unlock()
		var spare *file
		if temp := f.path + ".tmp"; keep && l.opts.FS.Rename(f.path, temp) == nil {
			spare = &file{seq: f.seq, size: f.size, temp: temp}
		} else if err := l.opts.FS.Remove(f.path); err != nil && !oserror.IsNotExist(err) {
			return fmt.Errorf("wal: remove %s: %w", f.path, err)
		}
		removed = true
		l.mu.Lock()
		l.files = l.files[1:]
		if spare != nil {
			l.spare = spare // only Truncate and, after the last, Close set it
		}
		l.mu.Unlock()
	}
	if removed {
		return l.syncDir()
	}
	return nil
}

// recyclableLocked tells whether a file that is no longer needed may be written anew. What it holds does no harm: frames say which file
// they were written for.
func (l *Log) recyclableLocked(f *file) bool {
	return !f.shared && f.size == l.opts.MaxFileSize && l.nextSize == f.size && !l.closing && l.err == nil
}

// Size returns the bytes of frames in the files still kept, without file headers and preallocated space.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sizeLocked()
}

func (l *Log) sizeLocked() int64 {
	n := int64(0)
	for _, f := range l.files {
		n += f.off - fileHeaderLen
	}
	return n
}

// syncDir makes created, renamed and removed names durable.
func (l *Log) syncDir() error {
	l.mu.Lock()
	l.stats.Syncs++
	l.mu.Unlock()
	if err := l.dir.Sync(); err != nil {
		return fmt.Errorf("wal: sync %s: %w", l.opts.Dir, err)
	}
	return nil
}
