package partition

import (
	"container/heap"
	"context"
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// Find returns the live rows that hold the keys, in the order of the keys' values.
func (s *Snapshot) Find(ctx context.Context, keys column.Keys) ([]segment.RowRef, error) {
	type match struct {
		key int
		ref segment.RowRef
	}
	var all []match
	for i, v := range s.views {
		if err := v.Find(ctx, keys, func(k int, row uint32) {
			all = append(all, match{k, segment.RowRef{View: uint32(i), Row: row}})
		}); err != nil {
			return nil, err
		}
	}
	out := make([]segment.RowRef, 0, len(all))
	if keys.Len() == 1 { // every row was found once
		for _, m := range all {
			out = append(out, m.ref)
		}
		return out, nil
	}
	slices.SortStableFunc(all, func(a, b match) int { return keys.At(a.key).Compare(keys.At(b.key)) })
	seen := map[segment.RowRef]bool{}
	for _, m := range all {
		if !seen[m.ref] { // a key may be listed twice
			seen[m.ref] = true
			out = append(out, m.ref)
		}
	}
	return out, nil
}

// Fetch reads fields of rows, in the order of the rows.
func (s *Snapshot) Fetch(ctx context.Context, fields []*schema.Field, refs []segment.RowRef) ([]*column.Column, error) {
	if oneView(refs) {
		return s.fetchOf(ctx, fields, refs)
	}
	byView := map[uint32][]int{}
	for i, r := range refs {
		byView[r.View] = append(byView[r.View], i)
	}
	out := make([]*column.Column, len(fields))
	for n, f := range fields {
		parts := make(map[uint32]column.Data, len(byView))
		for view, places := range byView {
			rows := make([]uint32, len(places))
			for j, i := range places {
				rows[j] = refs[i].Row
			}
			b := column.NewBuilder(f.Width(), f.IsNullable)
			if err := s.views[view].Read(ctx, f, rows, b); err != nil {
				return nil, err
			}
			parts[view] = b.Data()
		}
		next := map[uint32]int{}
		b := column.NewBuilder(f.Width(), f.IsNullable)
		for _, r := range refs {
			b.AppendRow(parts[r.View], next[r.View])
			next[r.View]++
		}
		out[n] = column.FromData(f, b.Data())
	}
	return out, nil
}

func oneView(refs []segment.RowRef) bool {
	for _, r := range refs {
		if r.View != refs[0].View {
			return false
		}
	}
	return len(refs) > 0
}

// fetchOf is Fetch of rows that are all of one view: they are read as they are returned.
func (s *Snapshot) fetchOf(ctx context.Context, fields []*schema.Field, refs []segment.RowRef) ([]*column.Column, error) {
	rows := make([]uint32, len(refs))
	for i, r := range refs {
		rows[i] = r.Row
	}
	out := make([]*column.Column, len(fields))
	for i, f := range fields {
		b := column.NewBuilder(f.Width(), f.IsNullable)
		b.Grow(len(rows), 0)
		if err := s.views[refs[0].View].Read(ctx, f, rows, b); err != nil {
			return nil, err
		}
		out[i] = column.FromData(f, b.Data())
	}
	return out, nil
}

// Refs gives the places of hits, for Fetch.
func Refs(hits []Hit) []segment.RowRef {
	refs := make([]segment.RowRef, len(hits))
	for i, h := range hits {
		refs[i] = h.ref
	}
	return refs
}

// iterateBatch is the number of rows that Iterate hands on at a time.
const iterateBatch = 1024

// Iterate calls fn with the live rows that match in the order of the primary key, in batches, until fn returns false; nil matches let
// all through. Memory stays bounded: a batch for each segment, and the order of the growing ones.
func (s *Snapshot) Iterate(ctx context.Context, m *Matches, key *schema.Field, fields []*schema.Field, fn func(cols []*column.Column) (bool, error)) error {
	w, err := s.Rows(ctx, m, key)
	if err != nil {
		return err
	}
	for {
		cols, err := w.Next(ctx, fields, iterateBatch)
		if err != nil || cols == nil {
			return err
		}
		if more, err := fn(cols); err != nil || !more {
			return err
		}
	}
}

// RowWalk gives the live rows that match in the order of the primary key. After an error it must not be used. It is not safe for concurrent use.
type RowWalk struct {
	s    *Snapshot
	heap cursorHeap
	refs []segment.RowRef
}

// Rows begins a walk; nil matches let all rows through. The snapshot must be held until the walk is done.
func (s *Snapshot) Rows(ctx context.Context, m *Matches, key *schema.Field) (*RowWalk, error) {
	w := &RowWalk{s: s}
	for i, v := range s.views {
		c := &cursor{view: v, number: uint32(i), key: key, matches: m}
		order, err := v.KeyOrder(ctx)
		if err != nil {
			return nil, err
		}
		c.order, c.dead = order, v.Dead()
		ok, err := c.next(ctx)
		if err != nil {
			return nil, err
		}
		if ok {
			w.heap = append(w.heap, c)
		}
	}
	heap.Init(&w.heap)
	return w, nil
}

// Skip passes over rows, and returns how many there were: less than n only at the end.
func (w *RowWalk) Skip(ctx context.Context, n int) (int, error) {
	for i := range n {
		if ok, err := w.step(ctx); !ok || err != nil {
			return i, err
		}
	}
	return n, nil
}

// Next reads fields of the next rows, n at most; nil at the end.
func (w *RowWalk) Next(ctx context.Context, fields []*schema.Field, n int) ([]*column.Column, error) {
	for len(w.refs) < n && len(w.heap) > 0 {
		ref := w.heap[0].ref()
		if _, err := w.step(ctx); err != nil {
			return nil, err
		}
		w.refs = append(w.refs, ref)
	}
	if len(w.refs) == 0 {
		return nil, nil
	}
	defer func() { w.refs = w.refs[:0] }()
	return w.s.Fetch(ctx, fields, w.refs)
}

// step passes over the row at the front.
func (w *RowWalk) step(ctx context.Context) (bool, error) {
	if len(w.heap) == 0 {
		return false, nil
	}
	switch ok, err := w.heap[0].next(ctx); {
	case err != nil:
		return false, err
	case !ok:
		heap.Pop(&w.heap)
	default:
		heap.Fix(&w.heap, 0)
	}
	return true, nil
}

// cursor walks the live rows of one view in key order.
type cursor struct {
	view    segment.View
	number  uint32
	key     *schema.Field
	order   []uint32
	dead    *segment.Dead
	matches *Matches

	at    uint32   // next place in the order to read
	rows  []uint32 // live rows whose keys are in keys
	keys  column.Keys
	place int
	now   column.Key
}

func (c *cursor) ref() segment.RowRef { return segment.RowRef{View: c.number, Row: c.rows[c.place-1]} }

// next moves to the next live row.
func (c *cursor) next(ctx context.Context) (bool, error) {
	for c.place == len(c.rows) {
		if c.at == c.view.Rows() {
			return false, nil
		}
		c.rows, c.place = c.rows[:0], 0
		for ; c.at < c.view.Rows() && len(c.rows) < iterateBatch; c.at++ {
			row := c.at
			if c.order != nil {
				row = c.order[c.at]
			}
			if !c.dead.Has(row) && (c.matches == nil || c.matches.sets[c.number].Has(row)) {
				c.rows = append(c.rows, row)
			}
		}
		if len(c.rows) == 0 {
			continue
		}
		b := column.NewBuilder(c.key.Width(), false)
		b.Grow(len(c.rows), 0)
		if err := c.view.Read(ctx, c.key, c.rows, b); err != nil {
			return false, err
		}
		c.keys = column.KeysOf(c.key, b.Data())
	}
	c.now = c.keys.At(c.place)
	c.place++
	return true, nil
}

type cursorHeap []*cursor

func (h cursorHeap) Len() int           { return len(h) }
func (h cursorHeap) Less(i, j int) bool { return h[i].now.Compare(h[j].now) < 0 }
func (h cursorHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *cursorHeap) Push(x any)        { *h = append(*h, x.(*cursor)) }
func (h *cursorHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
