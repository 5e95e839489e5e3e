package engine

import (
	"log/slog"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/wal"
)

// SyncPolicy says what an acknowledged write survives; see Options.Sync.
type SyncPolicy = wal.SyncPolicy

// The sync policies.
const (
	SyncAlways   = wal.SyncAlways
	SyncInterval = wal.SyncInterval
	SyncNone     = wal.SyncNone
)

// LogTail is how much of the log a read-only engine reads: which writes it shows besides those that were flushed.
type LogTail int

const (
	// LogTailAll reads every whole record: what an open for writing would recover. Beside a process that writes, that may be a write a moment
	// before it is on disk and acknowledged.
	LogTailAll LogTail = iota
	// LogTailDurable reads the records that the log says are on disk. Under SyncAlways these are the acknowledged ones; under the other
	// policies it lags behind by their delay.
	LogTailDurable
	// LogTailNone reads what was flushed and nothing else.
	LogTailNone
)

// Options configure Open. The zero value, and nil, mean the defaults.
type Options struct {
	// ReadOnly opens the store without a lock and without changing a byte. The log is replayed in memory. Another process may write to the
	// store meanwhile; see Engine.Refresh.
	ReadOnly bool
	// LogTail says how much of the log a read-only engine reads. Default: all of it.
	LogTail LogTail
	// MustExist refuses to make a new store. ReadOnly implies it.
	MustExist bool

	// Sync says what an acknowledged write survives. Default: SyncAlways, a power cut. With SyncInterval a power cut may
	// lose the writes of the last Options.SyncInterval, with SyncNone those since the last rotation of the log or close that are not flushed;
	// both survive a killed process.
	Sync SyncPolicy
	// SyncInterval is the time between syncs under the policy of that name. Default 100 ms.
	SyncInterval time.Duration

	// MemoryBudget bounds the memory of the whole engine: growing segments, batches on their way, indexes, the block cache, builds, merges and the
	// scratch space of reads ask for their part of it. Writers wait when theirs is spent; merges and builds take what there is, or wait; indexes
	// that were least used are mapped instead of loaded; segments are kept so small that their indexes can be built. A batch or a read that could
	// never fit is refused with ErrTooLarge. GrowingBytes, CacheBytes, SegmentBytes and BatchBytes follow from it where they are not given; at
	// least 16 MiB. The program itself, what the collector has not taken back yet and mapped files come on top: set GOMEMLIMIT to the budget, and the
	// limit of the process to twice as much, and 64 MiB more where that is little. Default 0: no common bound; then the bounds of the parts hold, and indexes
	// and their builds take what they need.
	MemoryBudget int64
	// SegmentBytes is the size of its values at which a growing segment is sealed. Default 128 MiB; negative: no limit.
	SegmentBytes int64
	// SegmentRows is the number of rows at which a growing segment is sealed. Default 0: no limit.
	SegmentRows int64
	// MaxSegmentAge is the age at which a growing segment is sealed. Default 24 h; negative: no limit.
	MaxSegmentAge time.Duration
	// MaxSegmentIdle is the time without an insert after which a growing segment of at least MinIdleBytes is sealed.
	// Default 10 min; negative: no limit.
	MaxSegmentIdle time.Duration
	// MinIdleBytes: see MaxSegmentIdle. Default 16 MiB.
	MinIdleBytes int64
	// GrowingBytes bounds the memory of growing and sealing segments; writers wait when it is reached. Default 1 GiB; negative:
	// no limit.
	GrowingBytes int64
	// LogBytes is the size of the log beyond which the segments that keep it from being cut are sealed. Default 1 GiB.
	LogBytes int64
	// LogFileBytes is the size of a full-grown log file. Default 64 MiB.
	LogFileBytes int64
	// CatalogueBytes is the size from which on the catalogue is rewritten when it has grown to four times what it began with.
	// Default 1 MiB.
	CatalogueBytes int64
	// CacheBytes is the size of the block cache that all sealed segments share. Default 64 MiB.
	CacheBytes int64
	// BatchBytes bounds the size of the values in one call. Default 64 MiB, Milvus's limit of a request.
	BatchBytes int64
	// DiskReserve is the space of the disk that merges and index builds leave free, so that writes, flushes and recovery have room: those that
	// would not are put off, with ErrDiskFull. Default 256 MiB; negative: none.
	DiskReserve int64
	// Flushers is how many partitions are flushed side by side. Default 2.
	Flushers int

	// CompactBytes is the size up to which small sealed segments are merged in the background, as many of like size at a time as make it worth
	// while; segments with more than a fifth of their rows dead are rewritten. Default 1 GiB; negative: only Compact merges, up to 1 GiB.
	CompactBytes int64
	// CompactRows is the number of rows up to which segments are merged. Default 2 million.
	CompactRows int64
	// CompactIdle is the time without a flush after which small segments are merged however few they are. Default 10 s; negative: never.
	CompactIdle time.Duration
	// CompactShare is the share of one processor that merging takes while there is other work, 0 to 1. Default 0.5. Building the indexes of what
	// was merged is not counted.
	CompactShare float64

	// IndexWorkers is how many goroutines build an index. Default: GOMAXPROCS.
	IndexWorkers int
	// IndexBuildBytes bounds the memory of building one index; one that needs more is not built, and its segment searched by codes. Default
	// 0: no limit.
	IndexBuildBytes int64
	// MapIndexes leaves index files to the operating system's cache instead of reading them into memory: for stores whose indexes are larger
	// than memory.
	MapIndexes bool

	// Logger gets what happens in the background. Default: nothing.
	Logger *slog.Logger
	// Events is called for what happens in the background.
	Events EventListener

	// FS is the file system. Default: the operating system's.
	FS vfs.FS
	// Now is the clock for ages, idle times and generated keys. Default: time.Now.
	Now func() time.Time
	// Tick is how often ages, idle times and the size of the log are looked at. Default 1 s.
	Tick time.Duration
}

// defaultCompactBytes is Options.CompactBytes where it is not given.
const defaultCompactBytes = 1 << 30

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	out.budgeted()
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
		*v = max(*v, 0)
	}
	defTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
		*v = max(*v, 0)
	}
	def(&out.SegmentBytes, 128<<20)
	def(&out.SegmentRows, 0)
	def(&out.MinIdleBytes, 16<<20)
	def(&out.GrowingBytes, 1<<30)
	def(&out.LogBytes, 1<<30)
	def(&out.CatalogueBytes, defaultCatalogueBytes)
	def(&out.CacheBytes, 64<<20)
	def(&out.BatchBytes, 64<<20)
	def(&out.DiskReserve, 256<<20)
	def(&out.CompactBytes, defaultCompactBytes)
	def(&out.CompactRows, 2_000_000)
	defTime(&out.CompactIdle, 10*time.Second)
	if !(out.CompactShare > 0 && out.CompactShare <= 1) {
		out.CompactShare = 0.5
	}
	defTime(&out.MaxSegmentAge, 24*time.Hour)
	defTime(&out.MaxSegmentIdle, 10*time.Minute)
	if out.Tick <= 0 {
		out.Tick = time.Second
	}
	if out.Flushers <= 0 {
		out.Flushers = 2
	}
	if out.IndexWorkers <= 0 {
		out.IndexWorkers = runtime.GOMAXPROCS(0)
	}
	out.IndexBuildBytes = max(out.IndexBuildBytes, 0)
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.FS == nil {
		out.FS = vfs.Default
	}
	if out.Now == nil {
		out.Now = time.Now
	}
	return out
}

// EventListener is told of what happens in the background. A nil function is not called. The functions must return soon and must
// not call the engine's writing or closing methods.
type EventListener struct {
	Sealed  func(SealEvent)
	Flushed func(FlushEvent)
	// Stalled tells that somebody has to wait for memory.
	Stalled func(StallEvent)
	// DiskFull tells that a write, a flush, a merge or an index build found no room on the disk; not again before something was written.
	DiskFull func(DiskFullEvent)
	Failed   func(FailEvent)
	Indexed  func(IndexEvent)
	// Compacted tells of a merge of segments, or one that went wrong; then it will be tried again.
	Compacted func(CompactEvent)
	// IndexRejected tells of an index file that cannot be used. It is built again.
	IndexRejected func(IndexRejectEvent)
}

// SealEvent tells that a segment stopped growing.
type SealEvent struct {
	Collection, Partition string
	Segment               uint64
	Rows                  int64
	Reason                string // "flush", "bytes", "rows", "age", "idle", "log size", "memory", "full"
}

// FlushEvent tells that a flush made segments durable, or went wrong; then it will be tried again.
type FlushEvent struct {
	Collection, Partition string
	Receipt               FlushReceipt
	Err                   error
}

// IndexEvent tells that a segment has an index, or that building it went wrong; then it will be tried again.
type IndexEvent struct {
	Collection, Partition string
	Segment               uint64
	Index                 string
	Rows                  int64
	Loaded                bool // from its file
	Duration              time.Duration
	Err                   error
}

// CompactEvent tells that segments were merged, or that it went wrong.
type CompactEvent struct {
	Collection, Partition string
	Receipt               CompactReceipt
	Err                   error
}

// IndexRejectEvent tells that the file of a segment's index is damaged, or of another version.
type IndexRejectEvent struct {
	Segment uint64
	Index   string
	Err     error
}

// StallEvent tells that somebody waits for memory: a write for that of growing segments, or whoever it names for a part of Options.MemoryBudget.
type StallEvent struct {
	UsedBytes, LimitBytes int64
	For                   string // "growing segments", "writes", "builds", "queries"
	WantedBytes           int64  // 0 for growing segments
}

// DiskFullEvent tells that there is no room on the disk. What it stopped can be tried again: a write by its caller; flushes, merges and builds
// are by themselves.
type DiskFullEvent struct {
	Operation string // "write", "flush", "compaction", "index build"
	FreeBytes int64  // -1 if it is not known
	Err       error
}

// FailEvent tells that the store refuses writes until it is reopened.
type FailEvent struct{ Err error }
