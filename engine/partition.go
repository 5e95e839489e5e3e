package engine

import (
	"context"
	"fmt"

	"github.com/selkiedb/selkie/partition"
)

// FlushReceipt tells what a flush did.
type FlushReceipt = partition.Receipt

// SegmentInfo describes one segment of a partition.
type SegmentInfo = partition.SegmentInfo

// Stats are counts of rows, segments and bytes at one instant.
type Stats = partition.Stats

// DuplicateKeyError names the primary keys for which a call was refused.
type DuplicateKeyError = partition.DuplicateKeyError

// Partition is a part of a collection with segments of its own.
type Partition struct {
	c      *Collection
	p      *partition.Partition
	name   string // guarded by the collection's mu
	hidden bool
}

// Name is the partition's name of the moment.
func (p *Partition) Name() string {
	p.c.mu.RLock()
	defer p.c.mu.RUnlock()
	return p.name
}

// Collection is the collection that the partition belongs to.
func (p *Partition) Collection() *Collection { return p.c }

// usable answers why the partition cannot be used, or nil.
func (p *Partition) usable() error {
	if err := p.c.usable(); err != nil {
		return err
	}
	p.c.mu.RLock()
	defer p.c.mu.RUnlock()
	if p.c.parts[p.name] != p {
		return fmt.Errorf("partition %q %w", p.name, ErrNotFound)
	}
	return nil
}

// Flush seals every growing segment of the partition and returns when every entity acknowledged before the call is in a sealed segment
// on disk. Insertions after the call start a new growing segment. On an empty partition it does nothing.
//
// The deadline of ctx is the timeout: when it passes first, Flush returns an error that wraps ctx.Err(), nothing is lost, and the
// flush completes in the background. Flush may be called after every insert.
func (p *Partition) Flush(ctx context.Context) (FlushReceipt, error) {
	if err := p.c.enter(); err != nil {
		return FlushReceipt{}, wrap("flush", err)
	}
	defer p.c.e.leave()
	if err := p.usable(); err != nil {
		return FlushReceipt{}, wrap("flush", err)
	}
	r, err := p.p.Flush(ctx)
	return r, wrap("flush", err)
}

// NumEntities is the number of live entities in sealed segments: exact at every instant, and as cheap as the number of segments is
// small. Entities that are not flushed yet are in Stats and Count. After Close it is 0, as nothing is there to count.
func (p *Partition) NumEntities() int64 {
	if s := p.c.frozen; s != nil {
		_, st := s.held.Describe(p.p.ID())
		return st.Sealed
	}
	return p.p.NumEntities()
}

// Count is the number of live entities that a reader sees now, growing or sealed.
func (p *Partition) Count(ctx context.Context) (int64, error) {
	if err := p.usable(); err != nil {
		return 0, wrap("count", err)
	}
	return p.c.e.count(ctx, p.c, []*Partition{p})
}

// Stats counts the partition's rows, segments and bytes.
func (p *Partition) Stats() Stats {
	_, s := p.describe()
	return s
}

// Segments lists the partition's segments: sealed ones first, then those that wait to be written, then growing ones.
func (p *Partition) Segments() []SegmentInfo {
	infos, _ := p.describe()
	return infos
}

func (p *Partition) describe() ([]SegmentInfo, Stats) {
	if s := p.c.frozen; s != nil {
		return s.held.Describe(p.p.ID())
	}
	infos, st, _ := p.p.Describe() // a dropped partition has nothing
	return infos, st
}
