package partition

import "github.com/selkiedb/selkie/segment"

// Adoption is a partition of a store that another process writes, and what it is to become.
type Adoption struct {
	To, From *Partition                   // From is nobody else's, and is empty afterwards
	Dead     map[*segment.Sealed][]uint32 // rows of From's segments that the catalogue says are dead
}

// Adopt makes partitions what others are, all in one step: a reader sees all of them as they were, or all as they are at the LSN.
// REQUIRES: nobody writes to the partitions; From was made with their Env.
func Adopt(c *Clock, lsn uint64, list []Adoption) {
	old := make([]*version, len(list))
	c.swap.Lock()
	for i, a := range list {
		for s, rows := range a.Dead {
			s.Tombstones().Settle(rows, lsn)
		}
		a.To.schema.Store(a.From.schema.Load())
		old[i] = a.To.version.Swap(a.From.version.Load())
		empty := &version{growing: make([]*segment.Growing, len(a.From.shards))}
		empty.refs.Store(1)
		a.From.version.Store(empty)
	}
	c.Restart(lsn)
	c.swap.Unlock()
	for i, a := range list {
		for j, s := range a.From.shards {
			a.To.shards[j].mu.Lock()
			a.To.shards[j].cut = s.cut
			a.To.shards[j].mu.Unlock()
		}
		a.To.release(old[i])
	}
}

// Forget ends a partition that another process dropped. Its files are that one's.
func (p *Partition) Forget() {
	p.lockAll()
	defer p.unlockAll()
	p.dropped.Store(true)
	empty := &version{growing: make([]*segment.Growing, len(p.shards))}
	empty.refs.Store(1)
	p.env.Clock.swap.Lock()
	old := p.version.Swap(empty)
	p.env.Clock.swap.Unlock()
	p.release(old)
}

// release gives back a version that nobody gets any more, and its share of the budget.
func (p *Partition) release(old *version) {
	for _, g := range old.unsealed() {
		p.env.Budget.release(g.Charged())
	}
	old.unref()
}
