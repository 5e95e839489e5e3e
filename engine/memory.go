package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/selkiedb/selkie/internal/memory"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/segment"
)

// leastMemory is the least Options.MemoryBudget: with less, a segment would be smaller than a chunk of it.
const leastMemory = 16 << 20

// budgeted fills in the bounds that follow from a memory budget, where they are not given.
//
//	3/8  growing and sealing segments
//	1/8  the block cache
//	1/2  indexes in memory, builds, merges, batches on their way, reads: whoever asks first
func (o *Options) budgeted() {
	m := max(o.MemoryBudget, 0)
	o.MemoryBudget = m
	if m == 0 {
		return
	}
	bound := func(v *int64, most int64) {
		if *v == 0 {
			*v = most
		}
	}
	bound(&o.CacheBytes, min(64<<20, m/8))
	bound(&o.GrowingBytes, min(1<<30, m*3/8))
	if o.GrowingBytes > 0 {
		bound(&o.SegmentBytes, min(128<<20, o.GrowingBytes/4))
		bound(&o.BatchBytes, min(64<<20, o.GrowingBytes/4))
	}
}

// checkMemory refuses bounds that leave too little of the memory budget for the rest. REQUIRES: the defaults are filled in.
func (o *Options) checkMemory() error {
	m := o.MemoryBudget
	switch {
	case m == 0:
		return nil
	case m < leastMemory:
		return fmt.Errorf("%w: Options.MemoryBudget of %d bytes, at least %d", ErrInvalid, m, leastMemory)
	case o.GrowingBytes == 0 || o.CacheBytes+o.GrowingBytes > m*3/4:
		return fmt.Errorf("%w: Options.MemoryBudget of %d bytes with GrowingBytes %d (0: no limit) and CacheBytes %d: together they may take three quarters, %d",
			ErrInvalid, m, o.GrowingBytes, o.CacheBytes, m*3/4)
	case o.BatchBytes == 0 || o.BatchBytes > o.GrowingBytes/2:
		return fmt.Errorf("%w: Options.BatchBytes of %d, at most half of GrowingBytes %d with a MemoryBudget", ErrInvalid, o.BatchBytes, o.GrowingBytes)
	}
	return nil
}

// logQueueBytes bounds the records that wait for the log; 0 leaves it to the log.
func (o *Options) logQueueBytes() int64 {
	if o.MemoryBudget == 0 {
		return 0
	}
	return max(o.MemoryBudget/16, 1<<20)
}

func (e *Engine) newMemory() *memory.Budget {
	o := e.opts
	held := int64(0)
	if o.MemoryBudget > 0 {
		held = o.GrowingBytes + o.CacheBytes
	}
	b := memory.New(o.MemoryBudget, held)
	b.Closing = e.ctx.Done()
	b.Reclaim = e.reclaim
	b.Waits = func(c memory.Component, bytes int64) {
		e.counters.stalls.Add(1)
		use, _, _ := b.Look()
		e.opts.Logger.Debug("waiting for memory", "for", c, "bytes", bytes, "used", use.Total(), "limit", o.MemoryBudget)
		if e.opts.Events.Stalled != nil {
			e.opts.Events.Stalled(StallEvent{UsedBytes: use.Total(), LimitBytes: o.MemoryBudget, For: c.String(), WantedBytes: bytes})
		}
	}
	return b
}

// settle measures, where there is a limit, and gives back what is held beyond it. It is called when segments or indexes have come, and now and
// then.
func (e *Engine) settle() {
	if e.env.Memory.Limit() > 0 {
		e.measure()
		e.env.Memory.Shrink()
	}
}

// measure notes what is counted by those who hold it.
func (e *Engine) measure() {
	var rows, indexes int64
	for _, p := range e.partitions() {
		sealed, release := p.p.Sealed()
		for _, s := range sealed {
			rows += s.RowBytes()
			indexes += s.IndexBytes()
		}
		release()
	}
	m := e.env.Memory
	m.Set(memory.Rows, rows)
	m.Set(memory.Indexes, indexes)
	m.Set(memory.Cache, e.env.Cache.Bytes())
}

// reclaim gives back memory of indexes: those that were least used go first, and are mapped from then on. If that is not enough, what segments keep
// of their rows goes, too: reads take it again from the tables.
func (e *Engine) reclaim(bytes int64) {
	type loaded struct {
		segment.LoadedIndex
		s *segment.Sealed
	}
	var all []loaded
	var kept []*segment.Sealed
	for _, p := range e.partitions() {
		sealed, release := p.p.Sealed()
		defer release()
		kept = append(kept, sealed...)
		for _, s := range sealed {
			for _, x := range s.LoadedIndexes() {
				all = append(all, loaded{x, s})
			}
		}
	}
	slices.SortFunc(all, func(a, b loaded) int { return cmp.Or(a.Used.Compare(b.Used), cmp.Compare(b.Bytes, a.Bytes)) })
	for _, x := range all {
		if bytes <= 0 {
			break
		}
		n, err := x.s.UnloadIndex(e.ctx, x.ID, e.unloadDir())
		if err != nil {
			e.opts.Logger.Warn("unloading an index", "segment", x.s.ID(), "index", x.ID, "error", err)
			continue
		}
		if n > 0 {
			bytes -= n
			e.counters.indexUnloads.Add(1)
		}
	}
	if bytes > 0 {
		for _, s := range kept {
			s.ReleaseRows()
		}
	}
	e.measure()
}

// unloadDir is where files of indexes are made that need one to be unloaded; "" in a read-only store.
func (e *Engine) unloadDir() string {
	if e.opts.ReadOnly {
		return ""
	}
	return e.env.TempDir
}

// indexNeed is what an index of a segment takes.
func (e *Engine) indexNeed(s *segment.Sealed, x *index) (segment.IndexNeed, error) {
	spec := x.spec
	spec.Graph.Workers = e.opts.IndexWorkers
	return s.IndexNeed(spec)
}

// fits reports whether an index of so many bytes may be in memory.
func (e *Engine) fits(bytes int64) bool {
	if e.opts.MapIndexes {
		return false
	}
	free, limited := e.env.Memory.Free(memory.Indexes)
	return !limited || free >= bytes
}

// buildRoom waits for the memory of building an index, between the least it takes and the most it can use; 0 means no bound. release gives it
// back.
func (e *Engine) buildRoom(ctx context.Context, least, most int64) (granted int64, release func(), err error) {
	bound := e.opts.IndexBuildBytes
	if bound > 0 {
		most = min(most, bound) // with less than least the build itself says no
		least = min(least, most)
	}
	m := e.env.Memory
	granted, err = m.Acquire(ctx, memory.Builds, least, most)
	if err != nil {
		return 0, nil, err
	}
	release = func() {
		e.settle() // first: what was built is held by others now
		m.Add(memory.Builds, -granted)
	}
	if m.Limit() == 0 {
		return bound, release, nil
	}
	return granted, release, nil
}

// codeRoom waits for the memory of a segment's codes, and until there is room for its graph besides: codes that fill the memory would never get
// graphs, and stay. release gives it back.
func (e *Engine) codeRoom(ctx context.Context, need segment.IndexNeed) (release func(), err error) {
	m := e.env.Memory
	graph := need.Least
	if need.Codes+graph > m.Most(memory.Builds) {
		graph = 0 // it gets none
	}
	if _, err := m.Acquire(ctx, memory.Builds, need.Codes+graph, need.Codes+graph); err != nil {
		return nil, err
	}
	m.Add(memory.Builds, -graph)
	return func() {
		e.settle() // first: the codes are held by the segment now
		m.Add(memory.Builds, -need.Codes)
	}, nil
}

// mergeRow is the memory that a merge of segments takes for each row: its place in the order and in the output, keys, the key filter.
const mergeRow = 64

// compactLimitsOf are the limits of a partition's compactions. With a memory budget no segment is made whose index could not be built.
func (e *Engine) compactLimitsOf(p *partition.Partition) partition.CompactLimits {
	l := e.compactLimits()
	if most := e.mostRows(e.collectionOf(p)); most > 0 {
		l.TargetRows = min(l.TargetRows, most)
	}
	return l
}

// mostRows is the greatest number of rows of a segment that can be merged and indexed within the memory budget; 0 without one.
func (e *Engine) mostRows(c *Collection) int64 {
	most := e.env.Memory.Most(memory.Builds) * 3 / 4 // the rest is for what segments keep of their rows
	if most == 0 || c == nil {
		return 0
	}
	const bound = 1 << 24
	return int64(max(1, sort.Search(bound, func(rows int) bool { return int64(rows+1)*mergeRow+e.indexNeeds(c, rows+1).Least > most })))
}

// limitRows keeps the segments of a collection so small that they can be merged and indexed.
func (c *Collection) limitRows() {
	if most := c.e.mostRows(c); most > 0 {
		for _, p := range c.all() {
			p.p.LimitRows(most)
		}
	}
}

// indexNeeds is what the indexes of a segment of so many rows take: the memory of the dearest one, codes included, the disk of all.
func (e *Engine) indexNeeds(c *Collection, rows int) (need segment.IndexNeed) {
	if c == nil {
		return need
	}
	for _, x := range c.indexList() {
		if !x.built() {
			continue
		}
		spec := x.spec
		spec.Graph.Workers = e.opts.IndexWorkers
		if n, err := spec.IndexNeed(rows); err == nil {
			need.Least, need.Most = max(need.Least, n.Codes+n.Least), max(need.Most, n.Codes+n.Most)
			need.Disk += n.Disk
		}
	}
	return need
}

// compactRoom waits for what a compaction takes.
func (e *Engine) compactRoom(ctx context.Context, p *partition.Partition, rows, bytes int64) (partition.Room, error) {
	own, need := rows*mergeRow, e.indexNeeds(e.collectionOf(p), int(rows))
	if err := e.diskRoom("compaction", bytes+need.Disk); err != nil {
		return partition.Room{}, err
	}
	m := e.env.Memory
	least := own + need.Least
	if m.Limit() > 0 && least > m.Most(memory.Builds) { // asked for by hand, or of one large segment: without its index it may go
		least = own
	}
	granted, err := m.Acquire(ctx, memory.Builds, least, own+2*need.Most)
	if err != nil {
		return partition.Room{}, err
	}
	if bytes > partition.SmallMerge {
		e.pacer.begin(e.foreground())
	}
	room := partition.Room{IndexMemory: e.opts.IndexBuildBytes, Release: func() {
		e.settle()
		m.Add(memory.Builds, -granted)
	}}
	if m.Limit() > 0 {
		room.IndexMemory = max(granted-own, 1)
		if b := e.opts.IndexBuildBytes; b > 0 {
			room.IndexMemory = min(room.IndexMemory, b)
		}
	}
	return room, nil
}

// queryRoom waits for the scratch space of a read. Small ones are not counted.
func (e *Engine) queryRoom(ctx context.Context, bytes int64) (release func(), err error) {
	const small = 64 << 10
	if bytes < small {
		return func() {}, nil
	}
	m := e.env.Memory
	if bytes, err = m.Acquire(ctx, memory.Queries, bytes, bytes); err != nil {
		return nil, err
	}
	return func() { m.Add(memory.Queries, -bytes) }, nil
}

// Load reads the indexes of the partition's sealed segments into memory, where they are mapped files. It is refused with ErrTooLarge when
// Options.MemoryBudget has no room for all of them, and loads as many as there is room for.
func (p *Partition) Load(ctx context.Context) error { return wrap("load", p.load(ctx)) }

func (p *Partition) load(ctx context.Context) error {
	if err := p.usable(); err != nil {
		return err
	}
	e := p.c.e
	sealed, release := p.p.Sealed()
	defer release()
	for _, s := range sealed {
		for _, info := range s.Indexes() {
			missing := info.DiskBytes - info.MemoryBytes
			if info.State != segment.IndexReady || missing <= info.DiskBytes/2 {
				continue
			}
			if free, limited := e.env.Memory.Free(memory.Indexes); limited && free < missing {
				return fmt.Errorf("%w: index of field %q of segment %s: %d bytes, %d of Options.MemoryBudget %d are free",
					ErrTooLarge, info.Field, s.ID(), missing, max(free, 0), e.opts.MemoryBudget)
			}
			if err := s.ReloadIndex(ctx, info.ID); err != nil {
				return err
			}
			e.measure()
		}
	}
	return ctx.Err()
}

// Release gives back the memory of the partition's sealed segments: their indexes are mapped from now on, what was copied of their rows goes.
// Everything can be searched and read as before, more slowly at first. Growing segments stay in memory: flush them.
func (p *Partition) Release(ctx context.Context) error { return wrap("release", p.release(ctx)) }

func (p *Partition) release(ctx context.Context) error {
	if err := p.usable(); err != nil {
		return err
	}
	sealed, release := p.p.Sealed()
	defer release()
	defer p.c.e.measure()
	for _, s := range sealed {
		for _, x := range s.LoadedIndexes() {
			if _, err := s.UnloadIndex(ctx, x.ID, p.c.e.unloadDir()); err != nil {
				return err
			}
		}
		s.ReleaseRows()
	}
	return ctx.Err()
}

// Load is Partition.Load for each partition of the collection.
func (c *Collection) Load(ctx context.Context) error {
	return c.eachPartition("load", func(p *Partition) error { return p.load(ctx) })
}

// Release is Partition.Release for each partition of the collection.
func (c *Collection) Release(ctx context.Context) error {
	return c.eachPartition("release", func(p *Partition) error { return p.release(ctx) })
}

func (c *Collection) eachPartition(op string, fn func(p *Partition) error) error {
	for _, p := range c.all() {
		if err := fn(p); err != nil && !errors.Is(err, ErrNotFound) { // it was dropped meanwhile
			return wrap(op, fmt.Errorf("partition %q: %w", p.Name(), err))
		}
	}
	return wrap(op, c.usable())
}

// MemoryUse is what an engine holds of memory, in bytes, as it counts it: besides it there are the program itself, what the collector has
// not taken back, and mapped files.
type MemoryUse struct {
	Limit int64 // Options.MemoryBudget
	Peak  int64 // the most that ever was: what reads copy of rows is noticed after the fact, and can pass the limit for a while
	Waits int64 // how often somebody had to wait

	Growing, Writes, Rows, Indexes, Cache, Builds, Queries int64
}

// Total is what is held.
func (m MemoryUse) Total() int64 {
	return m.Growing + m.Writes + m.Rows + m.Indexes + m.Cache + m.Builds + m.Queries
}

func (e *Engine) memoryUse() MemoryUse {
	e.measure()
	use, peak, waits := e.env.Memory.Look()
	return MemoryUse{
		Limit: e.opts.MemoryBudget, Peak: peak, Waits: waits,
		Growing: use[memory.Growing], Writes: use[memory.Writes], Rows: use[memory.Rows], Indexes: use[memory.Indexes],
		Cache: use[memory.Cache], Builds: use[memory.Builds], Queries: use[memory.Queries],
	}
}
