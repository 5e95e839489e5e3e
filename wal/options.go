package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// SyncPolicy says what must have happened to a record before it is acknowledged (Options.Durable).
type SyncPolicy int

const (
	// SyncAlways acknowledges a record once fdatasync returned: it survives a process kill and a power cut.
	SyncAlways SyncPolicy = iota
	// SyncInterval acknowledges a record once it was handed to the operating system and syncs every
	// Options.SyncInterval: a power cut loses up to that much time of acknowledged records, a process kill none.
	SyncInterval
	// SyncNone acknowledges like SyncInterval, but syncs only at rotation, Sync and Close.
	SyncNone
)

func (p SyncPolicy) String() string {
	switch p {
	case SyncAlways:
		return "always"
	case SyncInterval:
		return "interval"
	case SyncNone:
		return "none"
	}
	return fmt.Sprintf("SyncPolicy(%d)", int(p))
}

// Defaults of Options.
const (
	DefaultSyncInterval    = 100 * time.Millisecond
	DefaultMaxFileSize     = 64 << 20
	DefaultInitialFileSize = 1 << 20
	DefaultQueueBytes      = 64 << 20
	DefaultMaxRecord       = 1 << 30
)

// maxRecordLimit bounds Options.MaxRecord: a frame header holds the length in 32 bits.
const maxRecordLimit = math.MaxUint32 &^ (frameAlign - 1)

// minFileSize leaves room for a header block and one block of frames.
const minFileSize = 2 * fileHeaderLen

// Options configure Open. Zero values stand for the defaults named beside each field.
type Options struct {
	// FS is where the log lives. Default: the operating system's file system.
	FS vfs.FS
	// Dir is the log's directory; it is created if it does not exist. Nothing but the log may keep files named
	// *.wal or *.wal.tmp there.
	Dir string
	// Policy says when a record counts as durable. Default: SyncAlways.
	Policy SyncPolicy
	// SyncInterval is the longest time between two fdatasyncs under the SyncInterval policy. Default: 100 ms.
	SyncInterval time.Duration
	// MaxFileSize is the size in bytes of a full-grown file. Default: 64 MiB. A file is made larger than this
	// only if a single record, or all that waits in the queue, asks for it.
	MaxFileSize int64
	// InitialFileSize is the size in bytes of the first file after Open; each further one is twice as large, up
	// to MaxFileSize, so that tiny stores stay tiny. Default: 1 MiB.
	InitialFileSize int64
	// QueueBytes bounds the bytes that were prepared and are not yet durable. Default: 64 MiB. One record larger
	// than that is let in alone.
	QueueBytes int64
	// MaxRecord is the largest payload in bytes. Default: 1 GiB; at most 4 GiB - 8.
	MaxRecord int64
	// FirstSeq is the sequence of the oldest file that must exist; older ones are leftovers of an interrupted
	// Truncate and are removed. 0 says that the log is new: it must hold no record, and file 1 is created.
	FirstSeq uint64
	// MinLSN makes the next LSN handed out greater than max(MinLSN, last LSN found).
	MinLSN uint64
	// HeldLSN is the LSN up to which the caller knows that the log once held every record on disk. A log that ends
	// before it is corrupt: its last file is an older copy, or was cut, or is gone.
	HeldLSN uint64
	// ReadOnly replays and does nothing else: no file is created, written or removed, no goroutine is started.
	ReadOnly bool
	// DurableOnly ends the replay of a read-only log at the last record that the log itself says is on disk. What another
	// process is writing at this moment is left out.
	DurableOnly bool
	// Durable is called from the log's goroutine or FinishLeading, with rising LSNs: every record <= lsn is durable in the sense
	// of Policy. It must not block for long, and must not call Close or Sync.
	Durable func(lsn uint64)
	// Failed is called once, when the log is poisoned: records appended and not yet reported by Durable will
	// never be acknowledged (a later Open may still find them). Durable is not called afterwards. The same rules as
	// for Durable hold.
	Failed func(err error)
	// Logger gets a few lines about recovery and failures. nil: discard.
	Logger *slog.Logger
}

// withDefaults fills in the zero values and checks the rest.
func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("wal: options: no directory")
	}
	if o.Policy < SyncAlways || o.Policy > SyncNone {
		return o, fmt.Errorf("wal: options: unknown sync policy %d", int(o.Policy))
	}
	if o.SyncInterval < 0 || o.MaxFileSize < 0 || o.InitialFileSize < 0 || o.QueueBytes < 0 || o.MaxRecord < 0 {
		return o, errors.New("wal: options: negative size or interval")
	}
	if o.MaxRecord > maxRecordLimit {
		return o, fmt.Errorf("wal: options: max record %d exceeds %d", o.MaxRecord, int64(maxRecordLimit))
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.SyncInterval == 0 {
		o.SyncInterval = DefaultSyncInterval
	}
	if o.MaxFileSize == 0 {
		o.MaxFileSize = DefaultMaxFileSize
	}
	if o.InitialFileSize == 0 {
		o.InitialFileSize = DefaultInitialFileSize
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = DefaultQueueBytes
	}
	if o.MaxRecord == 0 {
		o.MaxRecord = DefaultMaxRecord
	}
	if o.Durable == nil {
		o.Durable = func(uint64) {}
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.MaxFileSize = blockRound(max(o.MaxFileSize, minFileSize))
	o.InitialFileSize = blockRound(min(max(o.InitialFileSize, minFileSize), o.MaxFileSize))
	return o, nil
}

// blockRound rounds n up to whole file-header blocks.
func blockRound(n int64) int64 {
	return (n + fileHeaderLen - 1) / fileHeaderLen * fileHeaderLen
}
