package segment

import (
	"context"
	"slices"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// ExpectIndex tells a segment that was just opened that the definition's index has a file: see HasIndexFile. Until LoadIndex has loaded it, a search
// that would use it maps the file, which takes a fraction of the time of comparing all vectors, and less than reading it.
func (s *Sealed) ExpectIndex(spec IndexSpec) {
	x := &s.indexes
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.find(spec.ID) == nil {
		list := append(slices.Clone(x.expected()), spec)
		x.expecting.Store(&list)
	}
}

// HasIndexFile reports whether the definition's index has a file. It is not looked into.
func (s *Sealed) HasIndexFile(id uint64) bool {
	_, err := s.fs.Stat(s.fs.PathJoin(s.dir, indexFileName(id)))
	return err == nil
}

// expected are the definitions whose indexes nobody has loaded yet.
func (x *segmentIndexes) expected() []IndexSpec {
	if l := x.expecting.Load(); l != nil {
		return *l
	}
	return nil
}

// unexpect ends the wait for an index. REQUIRES: mu is held.
func (x *segmentIndexes) unexpect(id uint64) {
	if all := x.expected(); len(all) > 0 {
		left := slices.DeleteFunc(slices.Clone(all), func(e IndexSpec) bool { return e.ID == id })
		x.expecting.Store(&left)
	}
}

// early returns an index that is expected and fits, mapped; nil if there is none. What is wrong with its file is LoadIndex's to tell.
func (s *Sealed) early(ctx context.Context, f *schema.Field, q *vector.Query) *attachedIndex {
	x := &s.indexes
	if len(x.expected()) == 0 {
		return nil
	}
	// One search maps it, the others wait for that one.
	x.mapping.Lock()
	defer x.mapping.Unlock()
	for _, spec := range x.expected() {
		if spec.fits(f, q) && ctx.Err() == nil {
			s.mapExpected(spec)
		}
	}
	return x.choose(f, q)
}

// mapFirst maps an index that is expected, before it is read into memory: searches need not wait for that. Nothing else of the file is read meanwhile.
func (s *Sealed) mapFirst(spec IndexSpec) {
	x := &s.indexes
	x.mapping.Lock()
	defer x.mapping.Unlock()
	if slices.ContainsFunc(x.expected(), func(e IndexSpec) bool { return e.ID == spec.ID }) {
		s.mapExpected(spec)
	}
}

// mapExpected has searches use an expected index's file, mapped, if it can be used. REQUIRES: mapping is held.
func (s *Sealed) mapExpected(spec IndexSpec) {
	x := &s.indexes
	a := s.openEarly(spec)
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case !slices.ContainsFunc(x.expected(), func(e IndexSpec) bool { return e.ID == spec.ID }): // it was loaded or dropped meanwhile
		if a != nil {
			a.release()
		}
	case a == nil:
		x.unexpect(spec.ID)
	default:
		x.swap(spec.ID, a)
	}
}

// openEarly opens an index's file; nil if it cannot be used.
func (s *Sealed) openEarly(spec IndexSpec) *attachedIndex {
	var ix fieldIndex
	var size int64
	var err error
	switch {
	case s.cols[uint32(spec.Field.ID)] == nil:
		return nil
	case spec.sparse():
		ix, size, err = s.openSparse(spec, true)
	default:
		var col *vectorColumn
		if col, err = s.columnOf(spec.Field); err == nil && col != nil {
			ix, size, err = s.openIndex(col, spec, true)
		}
	}
	if err != nil || ix == nil {
		return nil
	}
	a := newAttached(spec, ix, IndexReady, size)
	a.early = true
	return a
}

// fits reports whether an index of this kind can answer a search.
func (x IndexSpec) fits(f *schema.Field, q *vector.Query) bool {
	return x.Field.ID == f.ID && x.Metric == q.Metric() && x.element() == q.Element()
}
