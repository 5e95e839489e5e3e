package partition

import (
	"context"
	"time"

	"github.com/selkiedb/selkie/segment"
)

// sealShard moves a shard's growing segment, if it holds rows, to those that wait to be written. The next insert starts a new one.
// REQUIRES: the shard's lock is held. It returns nil if there was nothing to seal.
func (p *Partition) sealShard(shard int, reason SealReason) *segment.Growing {
	g := p.version.Load().growing[shard]
	if g == nil || g.Rows() == 0 {
		return nil
	}
	g.Seal()
	// Under the shard's lock no operation on the shard is between its LSN and memory: all of them up to the segment's last are in.
	_, last := g.LSNs()
	p.change(func(next *version) {
		next.growing[shard] = nil
		next.sealing = append(next.sealing, sealing{Growing: g, shard: shard, lsn: last})
	})
	if p.env.Sealed != nil {
		p.env.Sealed(p, g.ID(), g.Rows(), reason)
	}
	return g
}

// sealFull seals a segment that reached a limit, unless someone else did, and has it written in the background.
func (p *Partition) sealFull(f fullShard) {
	s := p.shards[f.shard]
	s.mu.Lock()
	ok := p.version.Load().growing[f.shard] == f.g && p.sealShard(f.shard, f.reason) != nil
	s.mu.Unlock()
	if ok {
		p.requestFlush()
	}
}

// Seal seals every growing segment of the partition and has them, and the tombstones of the others, written in the background.
func (p *Partition) Seal(reason SealReason) {
	if p.sealAll(reason) || p.hasUnsaved() {
		p.requestFlush()
	}
}

// GrowingBytes is the memory that sealing the partition's growing segments would, after their flush, give back.
func (p *Partition) GrowingBytes() int64 {
	var n int64
	for _, g := range p.version.Load().growing {
		if g != nil {
			n += g.Charged()
		}
	}
	return n
}

// FlushFull writes out the growing segments that reached a limit. Recovery calls it while no one else uses the partition.
func (p *Partition) FlushFull(ctx context.Context) error {
	any := false
	p.lockAll()
	for shard, g := range p.version.Load().growing {
		if g == nil {
			continue
		}
		if reason, full := p.isFull(g); full {
			any = p.sealShard(shard, reason) != nil || any
		}
	}
	p.unlockAll()
	if !any {
		return nil
	}
	_, err := p.flushOnce(ctx)
	return err
}

// sealAll seals the growing segments of all shards at one point of the commit order.
func (p *Partition) sealAll(reason SealReason) (any bool) {
	p.lockAll()
	defer p.unlockAll()
	for i := range p.shards {
		any = p.sealShard(i, reason) != nil || any
	}
	return any || len(p.version.Load().sealing) > 0
}

// SealDue seals the growing segments that are old or idle, and retries a flush that went wrong. The engine calls it now and then.
func (p *Partition) SealDue(now time.Time) {
	v := p.version.Load()
	retry := len(v.sealing) > 0
	for shard, g := range v.growing {
		if g == nil {
			continue
		}
		if reason, due := p.due(g, now); due {
			p.sealFull(fullShard{p, shard, g, reason})
		}
	}
	if retry {
		p.requestFlush()
	}
}
