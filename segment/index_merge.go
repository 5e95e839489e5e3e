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
	col, err := s.columnOf(spec.Field)
	if err != nil {
		return err
	}
	var parts []graph.Part
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
	if col == nil || len(parts) < len(from) {
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
