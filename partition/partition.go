package partition

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/internal/memory"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/wal"
)

// Env is what an engine lends its partitions. All of it is shared and safe for concurrent use.
type Env struct {
	FS     vfs.FS
	Clock  *Clock
	Log    *wal.Log // nil during replay; takes no records in a read-only engine
	Cache  *segment.Cache
	Memory *memory.Budget
	Budget *Budget // of growing and sealing segments, a part of Memory
	Limits Limits
	Logger *slog.Logger
	Now    func() time.Time

	SegmentsDir string // holds a directory a sealed segment
	TempDir     string // where files are built that get their name when they are whole

	// NextSegmentID gives out an identifier. To what may become a small segment it may give one for which segment.Prepare has made a directory; Spare
	// tells whether, once: who asks uses the directory or removes it.
	NextSegmentID func(small bool) segment.ID
	Spare         func(id segment.ID) bool
	// Catalogue is the place up to which the catalogue's edits are durable. Every record of the log carries it.
	Catalogue func() uint64
	// Refused is why writes are refused, or nil. Then no flush is begun: it would replace files that an edit of unknown fate may name.
	Refused func() error
	// Commit makes an edit durable in the catalogue, all of it or nothing.
	Commit func(ctx context.Context, e FlushEdit) error
	// Go runs fn in the background under the engine's limit of flushes; ctx ends when the engine closes.
	Go func(fn func(ctx context.Context))
	// CommitCompaction is Commit for a compaction.
	CommitCompaction func(ctx context.Context, e CompactEdit) error
	// Index builds the indexes of a segment that was made of others, before it takes their place. Nil: it is left to whoever sees to it later.
	Index func(ctx context.Context, p *Partition, s *segment.Sealed, from []segment.MergeSource, room Room) error
	// Room is asked, before a compaction, for what it will take: memory, which may have to be waited for, and space on the disk. Nil: there is
	// enough.
	Room func(ctx context.Context, p *Partition, rows, bytes int64) (Room, error)
	// Pace is called as a compaction of more than SmallMerge bytes writes; it may wait. Nil: as fast as it goes.
	Pace func(bytes int)
	// Compacted is told of each compaction.
	Compacted func(p *Partition, r CompactReceipt, err error)
	// Removed is told when the last reader of a segment that ended is done, and how closing its files went: it removes them.
	Removed func(s *segment.Sealed, err error)
	// Flushed is told of each flush that wrote something or went wrong.
	Flushed func(p *Partition, r Receipt, err error)
	// Sealed is told of each segment that stopped growing.
	Sealed func(p *Partition, id segment.ID, rows uint32, reason SealReason)
}

// Limits say when a growing segment is sealed without being asked. Zero means no limit.
type Limits struct {
	SegmentBytes int64         // raw bytes of its values
	SegmentRows  int64         // rows
	MaxAge       time.Duration // since its first row
	MaxIdle      time.Duration // since its last row, if it holds MinIdleBytes
	MinIdleBytes int64
}

// Room is what a compaction was given.
type Room struct {
	IndexMemory int64  // bytes for building the indexes; 0: no bound
	Release     func() // gives it back
}

// FlushEdit is what a flush makes durable in one step.
type FlushEdit struct {
	Partition  uint64
	Added      []segment.Manifest
	Cuts       []Cut
	Tombstones []TombstoneEdit
}

// Cut says that every operation on a shard up to the LSN is in sealed segments: replay skips them.
type Cut struct {
	Shard int
	LSN   uint64
}

// TombstoneEdit lists rows of a sealed segment that died since its tombstones were last made durable.
type TombstoneEdit struct {
	Segment segment.ID
	Rows    []uint32
}

// SealReason says why a segment stopped growing.
type SealReason string

// The reasons for a seal.
const (
	SealFlush   SealReason = "flush"    // Flush was called
	SealBytes   SealReason = "bytes"    // it reached Limits.SegmentBytes
	SealRows    SealReason = "rows"     // it reached Limits.SegmentRows
	SealAge     SealReason = "age"      // it reached Limits.MaxAge
	SealIdle    SealReason = "idle"     // it reached Limits.MaxIdle
	SealLogSize SealReason = "log size" // it kept the log from being truncated
	SealSchema  SealReason = "schema"   // the schema was changed
	SealFull    SealReason = "full"     // it reached the most rows a segment may hold
	SealMemory  SealReason = "memory"   // a writer waits for memory
)

// Partition holds the segments of one partition of a collection.
type Partition struct {
	id     uint64
	env    *Env
	schema atomic.Pointer[schema.Schema] // changed under the locks of all shards
	shards []*shard

	version  atomic.Pointer[version]
	changing sync.Mutex // held from reading the version to swapping in a changed one; after the shards' locks, before Clock.swap
	dropped  atomic.Bool
	closed   atomic.Bool
	mostRows atomic.Int64 // see LimitRows

	flush flushQueue

	compacting sync.RWMutex // held for writing by Compact, for reading by the merges of the background; outermost
	merging    merging
	committing sync.Mutex   // held from the look at the sealed segments' tombstones to the swap of what was committed; before the shards' locks
	lastFlush  atomic.Int64 // Unix nanoseconds
}

// shard is the growing end of the rows whose keys hash to it.
type shard struct {
	// mu orders the writers of a shard, and with it the LSNs of its operations. Lock order: shards by (partition, number),
	// then Clock.swap, then Clock.mu or a segment's own.
	mu  sync.Mutex
	cut uint64 // every operation up to this LSN is in sealed segments; guarded by mu
}

// Restored is what recovery knows of a partition from the catalogue.
type Restored struct {
	Sealed []*segment.Sealed // the caller's references pass over
	Cuts   []Cut
}

// New makes a partition for a finished schema. With a log in env it takes writes.
func New(id uint64, env *Env, s *schema.Schema, r Restored) *Partition {
	n := max(1, s.Shards)
	p := &Partition{id: id, env: env, shards: make([]*shard, n)}
	p.schema.Store(s)
	for i := range p.shards {
		p.shards[i] = &shard{}
	}
	for _, c := range r.Cuts {
		if c.Shard < n {
			p.shards[c.Shard].cut = c.LSN
		}
	}
	p.lastFlush.Store(env.Now().UnixNano())
	slices.SortFunc(r.Sealed, func(a, b *segment.Sealed) int { return cmp.Compare(a.ID(), b.ID()) })
	p.swapVersion(&version{growing: make([]*segment.Growing, n), sealed: r.Sealed})
	for _, s := range r.Sealed {
		s.Unref() // the version holds them now
	}
	return p
}

// ID is the partition's number in the catalogue.
func (p *Partition) ID() uint64 { return p.id }

// Schema is the schema of the partition's rows at the moment.
func (p *Partition) Schema() *schema.Schema { return p.schema.Load() }

// SetSchema gives the partition a later version of its schema. Growing segments, which have the columns of the earlier one, are sealed; batches that were
// checked against it are refused with ErrSchema from now on. Sealed segments stay as they are: a column that they do not have reads as the
// field's default value or null, one that the schema has no more is not read.
func (p *Partition) SetSchema(s *schema.Schema) {
	p.lockAll()
	sealed := false
	for i, g := range p.version.Load().growing {
		if g == nil {
			continue
		}
		if p.sealShard(i, SealSchema) != nil {
			sealed = true
			continue
		}
		p.env.Budget.release(g.Charged()) // it is empty
		p.change(func(next *version) { next.growing[i] = nil })
	}
	p.schema.Store(s)
	p.unlockAll()
	if sealed {
		p.requestFlush()
	}
}

// LimitRows sets a number of rows at which a growing segment is sealed, besides Limits.SegmentRows; 0 for none.
func (p *Partition) LimitRows(n int64) { p.mostRows.Store(n) }

// shardOf routes a key. The hash is the same on every machine and for ever: see column.Keys.
func (p *Partition) shardOf(hash uint64) int { return int(hash % uint64(len(p.shards))) }

// lockAll locks every shard.
func (p *Partition) lockAll() {
	for _, s := range p.shards {
		s.mu.Lock()
	}
}

func (p *Partition) unlockAll() {
	for _, s := range p.shards {
		s.mu.Unlock()
	}
}

// pin returns the current version with a reference, which the caller gives back with unref.
func (p *Partition) pin() *version {
	p.env.Clock.swap.RLock()
	defer p.env.Clock.swap.RUnlock()
	v := p.version.Load()
	v.refs.Add(1)
	return v
}

// pinSealed is pin for those who need the sealed segments alone, and may need them for long: it keeps no growing segment in memory whose rows have
// been flushed meanwhile.
func (p *Partition) pinSealed() *version {
	v := p.pin()
	defer v.unref()
	only := &version{sealed: v.sealed}
	for _, s := range only.sealed {
		s.Ref()
	}
	only.refs.Store(1)
	return only
}

// Close gives the partition's segments back. Writers and flushes must have ended; snapshots live on.
func (p *Partition) Close() {
	p.lockAll()
	defer p.unlockAll()
	p.closed.Store(true) // first: who finds the empty version must know why it is empty
	p.swapVersion(&version{growing: make([]*segment.Growing, len(p.shards))})
}

// Sealed lists the sealed segments of the moment. They stay open until release is called.
func (p *Partition) Sealed() (segments []*segment.Sealed, release func()) {
	v := p.pinSealed()
	return v.sealed, v.unref
}

// Settled is Sealed at a moment when no edit is on its way to the catalogue or from there to the version. while runs in that moment; it must not
// commit.
func (p *Partition) Settled(while func(segments []*segment.Sealed)) (segments []*segment.Sealed, release func()) {
	p.committing.Lock()
	defer p.committing.Unlock()
	segments, release = p.Sealed()
	while(segments)
	return segments, release
}

// Drop ends the partition: writes are refused from now on, and the files of its segments go with the last snapshot that reads them.
// REQUIRES: the catalogue no longer names it.
func (p *Partition) Drop(removed func(s *segment.Sealed, err error)) {
	p.lockAll()
	defer p.unlockAll()
	p.dropped.Store(true)
	v := p.version.Load()
	for _, s := range v.sealed {
		s.Drop(removed)
	}
	for _, g := range v.growing {
		if g != nil {
			p.env.Budget.release(g.Charged())
		}
	}
	for _, g := range v.sealing {
		p.env.Budget.release(g.Charged())
	}
	p.swapVersion(&version{growing: make([]*segment.Growing, len(p.shards))})
}

// OldestNeeded is the smallest LSN whose record in the log is still needed for this partition, or 0 if none is.
func (p *Partition) OldestNeeded() uint64 {
	v := p.pin()
	defer v.unref()
	var oldest uint64
	need := func(lsn uint64) {
		if lsn != 0 && (oldest == 0 || lsn < oldest) {
			oldest = lsn
		}
	}
	for _, g := range v.growing {
		if g != nil {
			first, _ := g.LSNs()
			need(first)
		}
	}
	for _, g := range v.sealing {
		first, _ := g.LSNs()
		need(first)
	}
	for _, s := range v.sealed {
		need(s.Tombstones().OldestUnsaved())
	}
	return oldest
}

// now is the time by which rows expire; 0 where none do.
func (p *Partition) now() int64 {
	if p.Schema().TTLField == "" {
		return 0
	}
	return p.env.Clock.Milliseconds(p.env.Now())
}
