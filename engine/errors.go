package engine

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/internal/memory"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/wal"
)

// The errors that callers tell apart with errors.Is.
var (
	ErrNotFound     = errors.New("not found")
	ErrExists       = errors.New("exists already")
	ErrClosed       = errors.New("engine is closed")
	ErrReadOnly     = errors.New("engine is read-only")
	ErrLocked       = errors.New("directory is locked by another engine")
	ErrCorrupt      = errors.New("corrupt")
	ErrDiskFull     = errors.New("disk is full")
	ErrPoisoned     = errors.New("writes are refused until the store is reopened")
	ErrInvalid      = schema.ErrInvalid
	ErrTooLarge     = schema.ErrTooLarge
	ErrVersion      = errors.New("made by a newer version") // a file is intact, and of a format that this program does not know
	ErrDuplicateKey = partition.ErrDuplicateKey
)

// CorruptionError reports bytes on disk that are not what was written, or a file that is missing.
type CorruptionError struct {
	Path   string // the file
	Offset int64  // where in the file the damaged piece begins; -1 when the file as a whole is meant
	// Kind says in a word or two what is wrong: "checksum", "missing", "size", "identity" or "format" for the catalogue and
	// segments, one of wal's kinds for the log, "record" for a write in it that cannot be read.
	Kind string
	Err  error
}

// Error names the file, the offset and what is wrong.
func (e *CorruptionError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("corrupt: %s: %s: %v", e.Path, e.Kind, e.Err)
	}
	return fmt.Sprintf("corrupt: %s at offset %d: %s: %v", e.Path, e.Offset, e.Kind, e.Err)
}

// Unwrap gives the cause.
func (e *CorruptionError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptionError) Is(target error) bool { return target == ErrCorrupt }

// LockedError says who holds a directory.
type LockedError struct {
	Dir string
	PID int // 0 if it is not known
}

// Error names the directory and the process.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%v: %s", ErrLocked, e.Dir)
	}
	return fmt.Sprintf("%v: %s (process %d)", ErrLocked, e.Dir, e.PID)
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// PartialFlushError is returned by a collection's flush when some of its partitions were flushed and others were not.
type PartialFlushError struct {
	Partition string
	Err       error
}

// Error names the first partition that was not flushed.
func (e *PartialFlushError) Error() string {
	return fmt.Sprintf("partition %q: %v", e.Partition, e.Err)
}

// Unwrap gives the cause.
func (e *PartialFlushError) Unwrap() error { return e.Err }

func isDiskFull(err error) bool {
	return errors.Is(err, ErrDiskFull) || errors.Is(err, wal.ErrDiskFull) || vfs.IsNoSpaceError(err)
}

// wrap gives an error of the inner packages the engine's own kinds, and the name of the operation.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", op, translate(err))
}

func translate(err error) error {
	var own *CorruptionError
	if errors.As(err, &own) {
		return err
	}
	var inSegment *segment.CorruptionError
	if errors.As(err, &inSegment) {
		return &CorruptionError{Path: inSegment.Path, Offset: inSegment.Offset, Kind: inSegment.Kind, Err: inSegment.Err}
	}
	var inLog *wal.CorruptionError
	if errors.As(err, &inLog) {
		return &CorruptionError{Path: inLog.Path, Offset: inLog.Offset, Kind: inLog.Kind, Err: inLog.Err}
	}
	switch {
	case errors.Is(err, wal.ErrVersion) || errors.Is(err, segment.ErrVersion) || errors.Is(err, partition.ErrVersion):
		return &kindError{ErrVersion, err}
	case isDiskFull(err) && !errors.Is(err, ErrDiskFull):
		return &kindError{ErrDiskFull, err}
	case errors.Is(err, wal.ErrPoisoned) && !errors.Is(err, ErrPoisoned):
		return &kindError{ErrPoisoned, err}
	case (errors.Is(err, wal.ErrClosed) || errors.Is(err, partition.ErrClosing) || errors.Is(err, memory.ErrClosing)) && !errors.Is(err, ErrClosed):
		return &kindError{ErrClosed, err}
	case (errors.Is(err, wal.ErrTooLarge) || errors.Is(err, memory.ErrTooSmall)) && !errors.Is(err, ErrTooLarge):
		return &kindError{ErrTooLarge, err}
	case errors.Is(err, partition.ErrDropped) && !errors.Is(err, ErrNotFound):
		return &kindError{ErrNotFound, err}
	}
	return err
}

// kindError gives an error a kind for errors.Is besides its own.
type kindError struct {
	kind error
	err  error
}

func (e *kindError) Error() string   { return fmt.Sprintf("%v: %v", e.kind, e.err) }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
