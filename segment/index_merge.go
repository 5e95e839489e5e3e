package segment

import (
	"context"
	"fmt"

	"github.com/selkiedb/selkie/vector/graph"
)

// MergeSource is a segment of which another was made.
type MergeSource struct {
	Sealed *Sealed
	Place  []uint32 // by row: its row in the other segment, graph.NoRow if it is not there
}

// MergeIndex is BuildIndex for a segment that was made of others: it starts from their graphs, where all of them have the definition's
// index. REQUIRES: the caller holds a reference to each.
func (s *Sealed) MergeIndex(ctx context.Context, spec IndexSpec, b IndexBuild, from []MergeSource) error {
	if !spec.Coded() {
		return s.BuildIndex(ctx, spec, b)
	}
	col, err := s.columnOf(spec.Field)
	if err != nil {
		return err
	}
	var parts []graph.Part
	if from, err = s.within(spec, b, from); err != nil {
		return err
	}
	for _, src := range from {
		a := src.Sealed.indexes.find(spec.ID)
		if a == nil || !a.acquire() {
			break
		}
		defer a.release()
		d, ok := a.ix.(*denseIndex)
		if ok && d.file != nil { // a fault in the merge's goroutines could not be caught
			d, _, err = src.Sealed.openIndex(d.col, spec, false)
			ok = err == nil
		}
		if !ok {
			break
		}
		parts = append(parts, graph.Part{Index: d.g, Rows: src.Place})
	}
	if col == nil || len(parts) == 0 || len(parts) < len(from) {
		return s.BuildIndex(ctx, spec, b)
	}
	running := &indexBuild{}
	if !s.indexes.begin(spec.ID, running) {
		return fmt.Errorf("%w: index %d of segment %s", ErrIndexBusy, spec.ID, s.man.ID)
	}
	defer s.indexes.end(spec.ID)
	src, err := newVectorSource(ctx, s, col, spec.Field.Dim)
	if err != nil {
		return err
	}
	o := spec.Graph
	o.Workers, o.MemoryBudget, o.Progress = b.Workers, b.MemoryBudget, b.Progress
	g, err := graph.Merge(ctx, parts, src, spec.Metric, o)
	if err != nil {
		return err
	}
	return s.finishIndex(ctx, col, spec, b, running, g)
}

// mergedRows is the number of rows from which on graphs are merged. A graph that is made of others many times over, from the smallest on, is
// searched a sixth more slowly at equal recall; one of few rows is soon built anew.
const mergedRows = 50_000

// within returns the sources if a merge of their indexes keeps to its memory, and none if it does not. Indexes that are mapped are read into
// memory for it.
func (s *Sealed) within(spec IndexSpec, b IndexBuild, from []MergeSource) ([]MergeSource, error) {
	if s.man.Rows < mergedRows {
		return nil, nil
	}
	if b.MemoryBudget == 0 || spec.sparse() {
		return from, nil
	}
	o := spec.Graph
	o.Workers = b.Workers
	need, err := o.MergeMemory(int(s.man.Rows), spec.Field.Dim)
	if err != nil {
		return nil, err
	}
	for _, src := range from {
		if a := src.Sealed.indexes.find(spec.ID); a != nil && a.acquire() {
			if d, ok := a.ix.(*denseIndex); ok && d.file != nil {
				need += a.disk
			}
			a.release()
		}
	}
	if need > b.MemoryBudget {
		return nil, nil
	}
	return from, nil
}
