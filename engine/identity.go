package engine

// ID is the collection's number in the catalogue: it stays when the collection is renamed and is never used again.
func (c *Collection) ID() uint64 { return c.id }

// ID is the partition's number in the catalogue: it stays when the partition is renamed and is never used again.
func (p *Partition) ID() uint64 { return p.p.ID() }
