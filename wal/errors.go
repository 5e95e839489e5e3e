package wal

import (
	"errors"
	"fmt"
	"syscall"
)

// Sentinels, matched with errors.Is. The errors returned wrap them together with their cause.
var (
	// ErrCorrupt says that bytes which were once durable are damaged, missing or not the ones written. Every
	// *CorruptionError matches it.
	ErrCorrupt = errors.New("wal: corrupt log")
	// ErrClosed says that the log was closed.
	ErrClosed = errors.New("wal: log is closed")
	// ErrPoisoned says that an earlier write or fsync failed: what reached the disk is not known, so the log
	// accepts nothing more until it is opened anew. The cause is wrapped beside it.
	ErrPoisoned = errors.New("wal: log is poisoned")
	// ErrTooLarge says that a payload exceeds Options.MaxRecord.
	ErrTooLarge = errors.New("wal: record too large")
	// ErrDiskFull says that no room could be set aside for a record. Nothing was written and no LSN was used;
	// the next Prepare tries again.
	ErrDiskFull = errors.New("wal: disk full")
	// ErrVersion says that a file is intact, and of a format version that this code does not know.
	ErrVersion = errors.New("unknown format version")
	// ErrStop is returned by a replay function to end the replay of a read-only log before the record.
	ErrStop = errors.New("wal: replay was ended")
	// ErrReadOnly says that the log was opened with Options.ReadOnly.
	ErrReadOnly = errors.New("wal: log is read-only")
)

// Kinds of corruption, as they stand in CorruptionError.Kind.
const (
	KindMissing  = "missing file" // a file of the chain does not exist
	KindHeader   = "file header"  // the header block does not decode, or belongs to another file
	KindSize     = "file size"    // the file is not as long as its header declares
	KindChain    = "chain"        // two neighbouring files do not fit together
	KindFrame    = "frame"        // a frame is damaged although it was known to be durable
	KindEnd      = "end"          // the log ends before Options.HeldLSN
	KindSequence = "lsn sequence" // a well-formed frame stands where it cannot have been written
)

// CorruptionError tells where a log is damaged.
type CorruptionError struct {
	Path   string // of the damaged or missing file
	Offset int64  // of the first byte that cannot be trusted; 0 if the whole file is concerned
	Kind   string // one of the Kind constants
	Err    error  // detail; may be nil
}

func (e *CorruptionError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("wal: corrupt log: %s: %s at offset %d", e.Path, e.Kind, e.Offset)
	}
	return fmt.Sprintf("wal: corrupt log: %s: %s at offset %d: %v", e.Path, e.Kind, e.Offset, e.Err)
}

// Unwrap makes ErrCorrupt and the detail match with errors.Is.
func (e *CorruptionError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrCorrupt}
	}
	return []error{ErrCorrupt, e.Err}
}

// corrupt builds a *CorruptionError with a formatted detail.
func corrupt(path string, off int64, kind, format string, args ...any) error {
	return &CorruptionError{Path: path, Offset: off, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// isDiskFull tells whether err means that there is no room, as opposed to a failing device.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
