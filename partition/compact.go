package partition

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/selkiedb/selkie/segment"
)

// CompactReceipt tells what one merge did.
type CompactReceipt struct {
	Reason   CompactReason
	Inputs   []segment.ID
	Output   segment.ID // 0 if no row of the inputs was alive
	Rows     int64      // of the output
	Dropped  int64      // dead rows that are gone
	Read     int64      // bytes of the inputs' files
	Written  int64      // bytes of the output's files
	Duration time.Duration
}

// CompactEdit is what a compaction makes durable in one step.
type CompactEdit struct {
	Partition uint64
	Added     []segment.Manifest // one at most
	Dropped   []segment.ID
	Dead      []uint32 // rows of the added segment
}

// merging lists the segments that are being merged in the background, so that no two merges choose one.
type merging struct {
	mu   sync.Mutex // guards what follows; Clock.swap is locked under it
	busy map[segment.ID]bool
}

// choose takes the segments that the limits ask to be merged, of those that nobody merges, and pins them.
func (x *merging) choose(p *Partition, l CompactLimits, small bool) (v *version, in []candidateSegment, reason CompactReason) {
	x.mu.Lock()
	defer x.mu.Unlock()
	v = p.pinSealed() // under the lock: what another merge has replaced is either busy still, or not in it
	idle := p.env.Now().Sub(time.Unix(0, p.lastFlush.Load()))
	if small {
		idle = 0
	}
	all := slices.DeleteFunc(p.candidates(v), func(c candidateSegment) bool { return x.busy[c.s.ID()] || small && c.bytes > smallInput })
	in, reason = l.choose(all, idle)
	if x.busy == nil {
		x.busy = map[segment.ID]bool{}
	}
	for _, c := range in {
		x.busy[c.s.ID()] = true
	}
	return v, in, reason
}

func (x *merging) end(in []candidateSegment) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range in {
		delete(x.busy, c.s.ID())
	}
}

// CompactDue merges what the limits ask for, one merge, and reports whether it did. With small it looks at tiny segments only: two goroutines, one of
// each kind, keep those from piling up behind a merge of large ones.
func (p *Partition) CompactDue(ctx context.Context, l CompactLimits, small bool) (bool, error) {
	p.compacting.RLock()
	defer p.compacting.RUnlock()
	v, in, reason := p.merging.choose(p, l, small)
	defer v.unref()
	if len(in) == 0 {
		return false, nil
	}
	defer p.merging.end(in)
	return true, p.compact(ctx, in, reason)
}

// Compact merges the sealed segments of each shard into as few as the limits let a segment grow, and rids them of dead rows.
func (p *Partition) Compact(ctx context.Context, l CompactLimits) error {
	p.compacting.Lock()
	defer p.compacting.Unlock()
	v := p.pinSealed()
	defer v.unref() // a drop meanwhile must not close what is being read
	all := p.candidates(v)
	for shard := range p.shards {
		var mine []candidateSegment
		for _, c := range all {
			if c.shard == shard {
				mine = append(mine, c)
			}
		}
		slices.SortFunc(mine, func(a, b candidateSegment) int { return int(a.bytes - b.bytes) })
		for len(mine) > 0 {
			in := l.fit(mine, l.TargetBytes)
			if len(in) == 0 { // larger than the target by itself
				in = mine[:1]
			}
			mine = mine[len(in):]
			if len(in) == 1 && in[0].live == in[0].rows {
				continue
			}
			if err := p.compact(ctx, in, CompactAsk); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Partition) candidates(v *version) []candidateSegment {
	now := p.now()
	out := make([]candidateSegment, len(v.sealed))
	for i, s := range v.sealed {
		m := s.Manifest()
		rows := int64(m.Rows)
		out[i] = candidateSegment{s: s, shard: m.Shard, bytes: m.Bytes(), rows: rows, live: rows - int64(s.Gone(now))}
	}
	return out
}

// compact makes one segment of several of a shard:
//
//  1. build it of the rows that live now, in the order of their keys; sync it and the directory of segments; read it back
//  2. build its indexes
//  3. commit one edit: the new segment, the end of the old ones, the deletes of its rows that came meanwhile. Commit point: the edit is
//     synced
//  4. swap it for the old ones in the version, carrying over the tombstones that came since
//
// A crash before 3 leaves files that the catalogue does not name, after it the old ones: the next open removes them. No flush of the
// partition commits between the look at the tombstones and the swap: it would save some for a segment that is about to end.
func (p *Partition) compact(ctx context.Context, in []candidateSegment, reason CompactReason) (err error) {
	if err := p.env.Refused(); err != nil {
		return fmt.Errorf("compaction: %w", err)
	}
	r := CompactReceipt{Reason: reason}
	start := p.env.Now()
	defer func() {
		r.Duration = p.env.Now().Sub(start)
		if p.env.Compacted != nil {
			p.env.Compacted(p, r, err)
		}
		if err != nil {
			err = fmt.Errorf("compaction: %w", err)
		}
	}()
	for _, c := range in {
		r.Inputs = append(r.Inputs, c.s.ID())
		r.Read += c.bytes
	}
	room := Room{Release: func() {}}
	if p.env.Room != nil {
		var rows int64
		for _, c := range in {
			rows += c.live
		}
		if room, err = p.env.Room(ctx, p, rows, r.Read); err != nil {
			return err
		}
	}
	defer room.Release()
	m := &merge{p: p, in: in}
	m.look()
	defer m.release()
	if err := m.build(ctx); err != nil {
		return err
	}
	if m.sealed != nil {
		r.Output, r.Rows, r.Written = m.manifest.ID, int64(m.manifest.Rows), m.manifest.Bytes()
		if p.env.Index != nil {
			if err := p.env.Index(ctx, p, m.sealed, m.sources(), room); err != nil {
				return err
			}
		}
	}
	for _, c := range in {
		r.Dropped += c.rows
	}
	r.Dropped -= r.Rows
	return m.finish(ctx)
}

// merge is one compaction under way.
type merge struct {
	p     *Partition
	in    []candidateSegment
	views []segment.View
	order []segment.RowRef

	manifest segment.Manifest
	sealed   *segment.Sealed // nil if no row was alive
	tried    bool            // to commit it
	kept     bool            // the version holds it
	place    [][]uint32      // by input and row: the row of the output; gone if there is none
}

const gone = math.MaxUint32

// look takes the inputs as they are now.
func (m *merge) look() {
	for ok := false; !ok; {
		m.views, ok = m.viewsAt(m.p.env.Clock.Visible())
	}
	now := m.p.now()
	for i, v := range m.views {
		m.views[i] = v.(*segment.SealedView).Without(now) // what has expired goes
	}
}

// viewsAt fails if a reader has seen newer tombstones.
func (m *merge) viewsAt(at uint64) ([]segment.View, bool) {
	views := make([]segment.View, len(m.in))
	for i, c := range m.in {
		v, ok := c.s.At(at)
		if !ok {
			return nil, false
		}
		views[i] = v
	}
	return views, true
}

func (m *merge) build(ctx context.Context) error {
	p := m.p
	var err error
	if m.order, err = segment.Order(ctx, p.Schema(), m.views); err != nil || len(m.order) == 0 {
		return err
	}
	var bytes int64
	for _, c := range m.in {
		bytes += c.bytes
	}
	spec := segment.BuildSpec{ID: p.env.NextSegmentID(bytes <= SmallMerge), Shard: m.in[0].shard, MinLSN: math.MaxUint64}
	if bytes > SmallMerge {
		spec.Pace = p.env.Pace
	}
	for _, c := range m.in {
		man := c.s.Manifest()
		spec.MinLSN, spec.MaxLSN = min(spec.MinLSN, man.MinLSN), max(spec.MaxLSN, man.MaxLSN)
	}
	if m.manifest, m.sealed, err = p.write(ctx, spec, m.views, m.order, p.env.Clock.Visible()); err != nil {
		return err
	}
	m.place = make([][]uint32, len(m.in))
	for i, c := range m.in {
		m.place[i] = slices.Repeat([]uint32{gone}, int(c.rows))
	}
	for row, ref := range m.order {
		m.place[ref.View][ref.Row] = uint32(row)
	}
	return nil
}

// sources are the inputs and where their rows went, for the merge of their indexes.
func (m *merge) sources() []segment.MergeSource {
	out := make([]segment.MergeSource, len(m.in))
	for i, c := range m.in {
		out[i] = segment.MergeSource{Sealed: c.s, Place: m.place[i]}
	}
	return out
}

// finish commits the edit and swaps the segments.
func (m *merge) finish(ctx context.Context) error {
	p := m.p
	p.committing.Lock()
	defer p.committing.Unlock()
	if p.dropped.Load() {
		return ErrDropped
	}
	edit := CompactEdit{Partition: p.id}
	for _, c := range m.in {
		edit.Dropped = append(edit.Dropped, c.s.ID())
	}
	var at uint64
	var dead []uint32
	for ok := false; !ok; {
		at = p.env.Clock.Visible()
		dead, ok = m.deadAt(at)
	}
	if m.sealed != nil {
		edit.Added = []segment.Manifest{m.manifest}
		edit.Dead = dead
		m.sealed.Tombstones().Reset(segment.DeadOf(dead), at)
	}
	m.tried = true
	if err := p.env.CommitCompaction(ctx, edit); err != nil {
		return err
	}
	m.install(at)
	return nil
}

// deadAt lists the rows of the output that died by the LSN, ascending.
func (m *merge) deadAt(at uint64) ([]uint32, bool) {
	views, ok := m.viewsAt(at)
	if !ok {
		return nil, false
	}
	var dead []uint32
	for i, v := range views {
		if m.place == nil {
			break
		}
		v.Dead().Each(func(row uint32) {
			if to := m.place[i][row]; to != gone {
				dead = append(dead, to)
			}
		})
	}
	slices.Sort(dead)
	return dead, true
}

// install makes the output part of the version in the place of the inputs.
func (m *merge) install(at uint64) {
	p := m.p
	p.lockAll()
	defer p.unlockAll()
	for _, c := range m.in {
		c.s.Drop(p.env.Removed)
	}
	if p.dropped.Load() {
		return
	}
	m.carryOver(at)
	p.change(func(next *version) {
		next.sealed = slices.DeleteFunc(next.sealed, func(s *segment.Sealed) bool {
			return slices.ContainsFunc(m.in, func(c candidateSegment) bool { return c.s == s })
		})
		if m.sealed != nil {
			next.sealed = append(next.sealed, m.sealed)
			m.kept = true
		}
	})
}

// carryOver gives the output the tombstones that its rows got after the LSN, in the order of their LSNs.
func (m *merge) carryOver(at uint64) {
	if m.sealed == nil {
		return
	}
	rows := map[uint64][]uint32{}
	var lsns []uint64
	for i, c := range m.in {
		c.s.Tombstones().UnsavedAfter(at, func(row uint32, lsn uint64) {
			if to := m.place[i][row]; to != gone {
				if rows[lsn] == nil {
					lsns = append(lsns, lsn)
				}
				rows[lsn] = append(rows[lsn], to)
			}
		})
	}
	slices.Sort(lsns)
	for _, lsn := range lsns {
		m.sealed.Tombstones().Add(rows[lsn], lsn)
	}
}

// release gives the output back: the version holds it now, or it is not wanted. Then its files go, unless an edit of unknown fate names them.
func (m *merge) release() {
	if m.sealed == nil {
		return
	}
	if !m.kept && (!m.tried || m.p.env.Refused() == nil) {
		m.sealed.Drop(m.p.env.Removed)
	}
	m.sealed.Unref()
}
