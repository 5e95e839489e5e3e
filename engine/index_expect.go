package engine

// expectIndexes tells the segments of a store that was just opened which of their indexes are in files. The indexer loads them one after the
// other; a search that comes sooner maps those that it needs, instead of comparing all vectors.
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
						s.ExpectIndex(def.spec)
					}
				}
				release()
			}
		}
	}
}
