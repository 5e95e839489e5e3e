package engine

import (
	"context"

	"github.com/selkiedb/selkie/segment"
)

// expectIndexes tells the segments of a store that was just opened which of their indexes are in files. The indexer loads them one after the
// other; a search that comes sooner has the ones it needs loaded at once, because to compare all vectors would take longer.
func (e *Engine) expectIndexes() {
	for _, c := range e.collectionList() {
		for _, def := range c.indexList() {
			if !def.built() {
				continue
			}
			for _, p := range c.all() {
				sealed, release := p.p.Sealed()
				for _, s := range sealed {
					if s.HasIndexFile(def.id) {
						s.ExpectIndex(def.spec, func(ctx context.Context) { e.indexer.loadNow(ctx, c, p, def, s) })
					}
				}
				release()
			}
		}
	}
}

// loadNow does what the quick goroutine would do with an index, or waits for it to be done. REQUIRES: the caller holds a reference to s.
func (x *indexer) loadNow(ctx context.Context, c *Collection, p *Partition, def *index, s *segment.Sealed) {
	ctx, release := x.e.bind(ctx)
	defer release()
	for ctx.Err() == nil && c.hasIndex(def) {
		changed := x.changes()
		if _, ok := s.IndexInfo(def.id); ok || x.do(ctx, false, c, p, def, s) || !x.busy(indexKey{s.ID(), def.id}) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// busy reports whether an index is being worked on.
func (x *indexer) busy(k indexKey) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.jobs[k] != nil
}
