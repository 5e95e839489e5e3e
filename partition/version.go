package partition

import (
	"sync/atomic"

	"github.com/selkiedb/selkie/segment"
)

// version is the list of a partition's segments at one moment. It is immutable; a change makes a new one. Each version holds a
// reference to its sealed segments for as long as it is current or pinned by a snapshot.
type version struct {
	growing []*segment.Growing // by shard; nil where nothing was inserted since the last seal
	sealing []sealing          // in the order of sealing
	sealed  []*segment.Sealed
	refs    atomic.Int32
}

// sealing is a segment that takes no more rows and waits to be written.
type sealing struct {
	*segment.Growing
	shard int
	lsn   uint64 // every operation on the shard up to it is in this or an earlier segment
}

func (v *version) unref() {
	if v.refs.Add(-1) == 0 {
		for _, s := range v.sealed {
			s.Unref()
		}
	}
}

// change makes a changed copy of the version the partition's version. REQUIRES: the locks of all shards whose segments change are held.
// Two shards may change at a time; each finds what the other did.
func (p *Partition) change(fn func(next *version)) {
	p.changing.Lock()
	defer p.changing.Unlock()
	next := p.version.Load().edit()
	fn(next)
	p.swapVersion(next)
}

// swapVersion makes next the partition's version. REQUIRES: p.changing, or the locks of all shards, or that no
// one else has the partition.
func (p *Partition) swapVersion(next *version) {
	for _, s := range next.sealed {
		s.Ref()
	}
	next.refs.Store(1)
	p.env.Clock.swap.Lock()
	old := p.version.Swap(next)
	p.env.Clock.swap.Unlock()
	if old != nil {
		old.unref()
	}
}

// edit returns a copy of the version to change.
func (v *version) edit() *version {
	return &version{
		growing: append([]*segment.Growing(nil), v.growing...),
		sealing: append([]sealing(nil), v.sealing...),
		sealed:  append([]*segment.Sealed(nil), v.sealed...),
	}
}
