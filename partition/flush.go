package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/selkiedb/selkie/internal/memory"
	"github.com/selkiedb/selkie/segment"
)

// Receipt tells what a flush did.
type Receipt struct {
	Segments   []segment.ID // the sealed segments it made, in ascending order
	Rows       int64        // their rows
	Bytes      int64        // the bytes of their files
	Tombstones int64        // deletes of rows in older sealed segments that it made durable
	Duration   time.Duration
}

// flushQueue sees to it that one flush of a partition runs at a time, and that whoever asks while one runs gets the next.
type flushQueue struct {
	mu      sync.Mutex // guards what follows; nothing is locked under it
	running bool
	waiting []*flushCall
}

type flushCall struct {
	done    chan struct{}
	receipt Receipt
	err     error
}

// Flush seals every growing segment of the partition and returns when all that was acknowledged before the call is in sealed
// segments on disk. Later inserts start a new growing segment. It waits for no index. On an empty partition it does nothing.
//
// When ctx ends first, Flush returns an error that wraps ctx.Err(); nothing is lost, and the flush completes in the background.
func (p *Partition) Flush(ctx context.Context) (Receipt, error) {
	if p.dropped.Load() {
		return Receipt{}, ErrDropped
	}
	if !p.sealAll(SealFlush) && !p.hasUnsaved() {
		return Receipt{}, ctx.Err()
	}
	call := p.requestFlush()
	if err := ctx.Err(); err != nil { // it ended first, however quick the flush is
		return Receipt{}, fmt.Errorf("flush goes on in the background: %w", err)
	}
	select {
	case <-call.done:
		return call.receipt, call.err
	case <-ctx.Done():
		return Receipt{}, fmt.Errorf("flush goes on in the background: %w", ctx.Err())
	}
}

func (p *Partition) hasUnsaved() bool {
	v := p.pin()
	defer v.unref()
	for _, s := range v.sealed {
		if s.Tombstones().OldestUnsaved() != 0 {
			return true
		}
	}
	return false
}

// requestFlush has everything that is sealing now written in the background.
func (p *Partition) requestFlush() *flushCall {
	call := &flushCall{done: make(chan struct{})}
	q := &p.flush
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, call)
	if !q.running {
		q.running = true
		p.env.Go(p.flushLoop)
	}
	return call
}

func (p *Partition) flushLoop(ctx context.Context) {
	for {
		q := &p.flush
		q.mu.Lock()
		calls := q.waiting
		q.waiting = nil
		if len(calls) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		r, err := p.flushOnce(ctx)
		if p.env.Flushed != nil && (err != nil || len(r.Segments) > 0 || r.Tombstones > 0) {
			p.env.Flushed(p, r, err)
		}
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %v", ErrClosing, err) // the callers' contexts have nothing to do with it
		}
		for _, c := range calls {
			c.receipt, c.err = r, err
			close(c.done)
		}
	}
}

// built is a sealing segment on its way to disk.
type built struct {
	from     sealing
	manifest segment.Manifest
	order    []segment.RowRef // nil if no row was alive
	sealed   *segment.Sealed
}

// flushOnce writes all that is sealing and commits it in one edit of the catalogue.
//
//  1. wait until the log holds all of it
//  2. build each segment, sync it and the directory of segments, read it back meanwhile
//  3. commit one edit: the segments, the cuts, the tombstones of older segments. Commit point: the edit is synced
//  4. swap sealed for sealing in the version, carrying over the tombstones that came meanwhile
//
// A crash before 3 leaves files that the catalogue does not name, removed at the next open; the log still has the rows. A crash
// after it leaves records in the log that the cuts tell replay to skip.
func (p *Partition) flushOnce(ctx context.Context) (Receipt, error) {
	if err := p.env.Refused(); err != nil {
		return Receipt{}, fmt.Errorf("flush: %w", err)
	}
	start := p.env.Now()
	v := p.pin()
	defer v.unref()
	todo := v.sealing
	var upTo uint64
	for _, s := range todo {
		upTo = max(upTo, s.lsn)
	}
	if err := p.env.Clock.WaitContext(ctx, upTo); err != nil {
		return Receipt{}, fmt.Errorf("flush: %w", err)
	}
	at := p.env.Clock.Visible()
	builds := make([]built, len(todo))
	keep := false
	defer func() {
		for _, b := range builds {
			if b.sealed != nil && !keep {
				b.sealed.Unref()
			}
		}
	}()
	for i, s := range todo {
		builds[i].from = s
		if err := p.build(ctx, &builds[i], at); err != nil {
			return Receipt{}, fmt.Errorf("flush of segment %s: %w", s.ID(), err)
		}
	}
	p.committing.Lock()
	defer p.committing.Unlock()
	now := p.pin() // a compaction may have changed what is sealed
	defer now.unref()
	edit, saved := p.flushEdit(now, builds, at)
	if len(edit.Added) == 0 && len(edit.Cuts) == 0 && saved == 0 {
		return Receipt{}, nil
	}
	if p.dropped.Load() {
		return Receipt{}, ErrDropped
	}
	if err := p.env.Commit(ctx, edit); err != nil {
		return Receipt{}, fmt.Errorf("flush: %w", err)
	}
	keep = true
	p.install(now, builds, edit, at)
	p.lastFlush.Store(p.env.Now().UnixNano())
	r := Receipt{Duration: p.env.Now().Sub(start), Tombstones: saved}
	for _, m := range edit.Added {
		r.Segments = append(r.Segments, m.ID)
		r.Rows += int64(m.Rows)
		r.Bytes += m.Bytes()
	}
	return r, nil
}

// buildMemory is about what it takes to write a segment of so many rows: their order, the hashes of their keys, a few chunks.
func buildMemory(rows int) int64 { return int64(rows)*24 + 2<<20 }

const (
	// smallSegment is the size up to which a new segment is read back through the cache that it will be read by.
	smallSegment = 256 << 10
	// readBackCache is the size of the cache through which a larger one is read back.
	readBackCache = 1 << 20
)

// build writes one segment and opens it, with the rows that live at the LSN.
func (p *Partition) build(ctx context.Context, b *built, at uint64) error {
	views := []segment.View{b.from.At(at).Without(p.now())}
	order, err := segment.Order(ctx, p.Schema(), views)
	if err != nil || len(order) == 0 {
		return err
	}
	// A flush waits for nobody: it is what gives memory back.
	p.env.Memory.Add(memory.Builds, buildMemory(len(order)))
	defer p.env.Memory.Add(memory.Builds, -buildMemory(len(order)))
	first, last := b.from.LSNs()
	b.order = order
	b.manifest, b.sealed, err = p.write(ctx, segment.BuildSpec{ID: b.from.ID(), Shard: b.from.shard, MinLSN: first, MaxLSN: last}, views, order, at)
	return err
}

// write builds a segment, reads it back and opens it. It is durable then, and garbage until an edit of the catalogue names it. The partition's
// part of the spec is filled in. After an error nothing is left.
func (p *Partition) write(
	ctx context.Context, spec segment.BuildSpec, views []segment.View, order []segment.RowRef, at uint64,
) (_ segment.Manifest, _ *segment.Sealed, err error) {
	fs, env := p.env.FS, p.env
	none := segment.Manifest{}
	dir := fs.PathJoin(env.SegmentsDir, spec.ID.String())
	defer func() {
		if err != nil {
			err = errors.Join(err, fs.RemoveAll(dir))
		}
	}()
	if spec.Prepared = env.Spare(spec.ID); !spec.Prepared {
		if err := fs.RemoveAll(dir); err != nil { // what a crash left, of a growing segment whose number came back
			return none, nil, err
		}
		if err := fs.MkdirAll(dir, 0o755); err != nil {
			return none, nil, err
		}
	}
	spec.FS, spec.Dir, spec.Partition, spec.Schema, spec.Now = fs, dir, p.id, p.Schema(), env.Now()
	man, synced, err := segment.BuildSyncing(ctx, spec, views, order)
	if err != nil {
		return none, nil, err
	}
	sealed, err := p.readBack(ctx, spec, man, at)
	if err = errors.Join(err, synced()); err != nil {
		if sealed != nil {
			sealed.Unref()
		}
		return none, nil, err
	}
	return man, sealed, nil
}

// readBack opens a segment that was just written, and reads all of it.
func (p *Partition) readBack(ctx context.Context, spec segment.BuildSpec, man segment.Manifest, at uint64) (_ *segment.Sealed, err error) {
	fs, dir, sch := spec.FS, spec.Dir, spec.Schema
	defer func() {
		if err != nil {
			err = fmt.Errorf("reading back: %w", err)
		}
	}()
	small := man.Bytes() <= smallSegment
	if !small {
		// Through a cache of its own, so that its blocks do not drive out those that readers use.
		cache := segment.NewCache(readBackCache)
		defer cache.Close()
		check, err := segment.Open(fs, dir, man, sch, cache, nil, at)
		if err != nil {
			return nil, err
		}
		err = check.Verify(ctx)
		check.Unref()
		if err != nil {
			return nil, err
		}
	}
	sealed, err := segment.Open(fs, dir, man, sch, p.env.Cache, nil, at)
	if err == nil && small {
		if err = sealed.Verify(ctx); err != nil {
			sealed.Unref()
		}
	}
	if err != nil {
		return nil, err
	}
	return sealed, nil
}

func (p *Partition) flushEdit(v *version, builds []built, at uint64) (FlushEdit, int64) {
	edit := FlushEdit{Partition: p.id}
	var saved int64
	cuts := map[int]uint64{}
	for _, b := range builds {
		if b.sealed != nil {
			edit.Added = append(edit.Added, b.manifest)
		}
		cuts[b.from.shard] = max(cuts[b.from.shard], b.from.lsn)
	}
	for shard := range p.shards {
		if lsn, ok := cuts[shard]; ok {
			edit.Cuts = append(edit.Cuts, Cut{shard, lsn})
		}
	}
	for _, s := range v.sealed {
		if rows := s.Tombstones().Unsaved(at); len(rows) > 0 {
			edit.Tombstones = append(edit.Tombstones, TombstoneEdit{s.ID(), rows})
			saved += int64(len(rows))
		}
	}
	return edit, saved
}

// install makes the new segments part of the version: readers see each row in one of the two, never in both or in neither.
func (p *Partition) install(v *version, builds []built, edit FlushEdit, at uint64) {
	p.lockAll()
	defer p.unlockAll()
	for _, c := range edit.Cuts {
		p.shards[c.Shard].cut = c.LSN
	}
	for _, s := range v.sealed {
		s.Tombstones().Saved(at)
	}
	if p.dropped.Load() {
		for _, b := range builds {
			if b.sealed != nil {
				b.sealed.Drop(nil)
				b.sealed.Unref()
			}
		}
		return
	}
	next := p.version.Load().edit()
	done := map[segment.ID]bool{}
	var freed int64
	for _, b := range builds {
		done[b.from.ID()] = true
		freed += b.from.Charged()
		if b.sealed == nil {
			continue
		}
		carryOver(b, at)
		next.sealed = append(next.sealed, b.sealed)
	}
	kept := next.sealing[:0]
	for _, s := range next.sealing {
		if !done[s.ID()] {
			kept = append(kept, s)
		}
	}
	next.sealing = kept
	p.swapVersion(next)
	for _, b := range builds {
		if b.sealed != nil {
			b.sealed.Unref() // the version holds it now
		}
	}
	p.env.Budget.release(freed)
}

// carryOver gives the sealed segment the tombstones that its rows got after the build began, in the order of their LSNs.
func carryOver(b built, at uint64) {
	type late struct {
		row uint32
		lsn uint64
	}
	var lates []late
	b.from.Tombstones(func(row uint32, lsn uint64) {
		if lsn > at {
			lates = append(lates, late{row, lsn})
		}
	})
	if len(lates) == 0 {
		return
	}
	place := make(map[uint32]uint32, len(lates))
	for _, l := range lates {
		place[l.row] = gone // one that had expired was not written
	}
	for to, ref := range b.order {
		if _, ok := place[ref.Row]; ok {
			place[ref.Row] = uint32(to)
		}
	}
	byLSN := map[uint64][]uint32{}
	lsns := make([]uint64, 0, len(lates))
	for _, l := range lates {
		if byLSN[l.lsn] == nil {
			lsns = append(lsns, l.lsn)
		}
		if to := place[l.row]; to != gone {
			byLSN[l.lsn] = append(byLSN[l.lsn], to)
		}
	}
	slices.Sort(lsns)
	for _, lsn := range lsns {
		b.sealed.Tombstones().Add(byLSN[lsn], lsn)
	}
}
