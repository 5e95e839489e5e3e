package segment

import (
	"context"
	"slices"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// expectedIndex is an index whose file is there, and that nobody has loaded yet.
type expectedIndex struct {
	spec IndexSpec
	load func(ctx context.Context)
}

// ExpectIndex tells a segment that was just opened that load can have searches use the definition's index. A search that would use it calls load
// first, if nobody has loaded it by then: that takes no longer than to compare all vectors. load returns when the index is there, or cannot be had.
// REQUIRES: there is a file: see HasIndexFile.
func (s *Sealed) ExpectIndex(spec IndexSpec, load func(ctx context.Context)) {
	x := &s.indexes
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.find(spec.ID) != nil {
		return
	}
	list := append(slices.Clone(x.expected()), &expectedIndex{spec, load})
	x.expecting.Store(&list)
}

// HasIndexFile reports whether the definition's index has a file. It is not looked into.
func (s *Sealed) HasIndexFile(id uint64) bool {
	_, err := s.fs.Stat(s.fs.PathJoin(s.dir, indexFileName(id)))
	return err == nil
}

func (x *segmentIndexes) expected() []*expectedIndex {
	if l := x.expecting.Load(); l != nil {
		return *l
	}
	return nil
}

// await has an index loaded that would fit, and returns it; nil if none is expected, or there is none after all.
func (x *segmentIndexes) await(ctx context.Context, f *schema.Field, q *vector.Query) *attachedIndex {
	for _, e := range x.expected() {
		if !e.spec.fits(f, q) {
			continue
		}
		e.load(ctx)
		if ctx.Err() == nil {
			x.mu.Lock()
			x.unexpect(e.spec.ID)
			x.mu.Unlock()
		}
		return x.choose(f, q)
	}
	return nil
}

// unexpect ends the wait for an index. REQUIRES: mu is held.
func (x *segmentIndexes) unexpect(id uint64) {
	if all := x.expected(); len(all) > 0 {
		left := slices.DeleteFunc(slices.Clone(all), func(e *expectedIndex) bool { return e.spec.ID == id })
		x.expecting.Store(&left)
	}
}

// fits reports whether an index of this kind can answer a search.
func (x IndexSpec) fits(f *schema.Field, q *vector.Query) bool {
	return x.Field.ID == f.ID && x.Metric == q.Metric() && x.element() == q.Element()
}
