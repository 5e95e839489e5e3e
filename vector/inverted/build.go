package inverted

import (
	"context"
	"errors"
	"fmt"
)

// Build makes an index of all rows of src. It reads them twice: first to count
// the postings of each term and to find its greatest values, which weights are
// relative to, then to fill lists whose places are known by then. So nothing is
// sorted but the terms, and no posting is held twice. One goroutine does it;
// the same rows give the same index to the bit.
//
// The error wraps ErrInvalid, ErrMemory, that of ctx, or that of src.
func Build(ctx context.Context, src Source, o Options) (*Index, error) {
	n := src.Rows()
	if n < 0 || n > maxRows {
		return nil, fmt.Errorf("%w: %d rows, want at most %d", ErrInvalid, n, maxRows)
	}
	if o.MemoryBudget < 0 {
		return nil, fmt.Errorf("%w: memory budget %d", ErrInvalid, o.MemoryBudget)
	}
	b := &builder{options: o, ix: &Index{shape: shape{rows: n}}}
	if err := readRows(ctx, src, b.count); err != nil {
		return nil, err
	}
	if err := o.check(b.ix.memory(), "pairs", b.ix.postings); err != nil {
		return nil, err
	}
	b.allocate()
	if err := readRows(ctx, src, b.fill); err != nil {
		return nil, err
	}
	return b.ix, b.finish()
}

type builder struct {
	options Options
	ix      *Index
	terms   terms
}

// count takes a row of the first pass.
func (b *builder) count(row uint32, raw []byte, _ bool) error {
	s, before := &b.ix.shape, len(b.terms.list)
	for ; len(raw) >= pairBytes; raw = raw[pairBytes:] {
		index, value := pair(raw)
		if value == 0 {
			continue // adds nothing to any score
		}
		p := b.terms.find(index)
		if p < 0 {
			p = b.terms.add(index)
		}
		t := &b.terms.list[p]
		t.postings++
		s.postings++
		if w := row >> windowBits; t.window != w {
			t.window = w
			t.chunks++
			s.chunks++
		}
		t.high, t.low = max(t.high, value), max(t.low, -value)
	}
	s.terms = len(b.terms.list)
	switch {
	case s.postings > maxPostings:
		return fmt.Errorf("%w: more than %d pairs in all", ErrInvalid, maxPostings)
	case s.terms > maxTerms:
		return fmt.Errorf("%w: more than %d distinct indices", ErrInvalid, maxTerms)
	case s.terms > before:
		return b.options.check(termBytes*int64(s.terms), "distinct indices", s.terms)
	}
	return nil
}

// allocate makes all sections, and turns the counts of each term into its
// places in them.
func (b *builder) allocate() {
	b.terms.sort()
	ix := b.ix
	ix.terms = aligned[uint32](ix.shape.terms)
	ix.peaks = aligned[float32](2 * ix.shape.terms)
	ix.lists = aligned[uint32](ix.shape.terms + 1)
	ix.heads = aligned[uint32](ix.chunks)
	ix.starts = aligned[uint32](ix.chunks + 1)
	ix.locals = aligned[uint16](ix.postings)
	ix.weights = aligned[byte](ix.postings)
	ix.values = aligned[float32](ix.postings)
	ix.present = aligned[uint64]((ix.rows + 63) / 64)
	chunk, posting := uint32(0), uint32(0)
	for p := range b.terms.list {
		t := &b.terms.list[p]
		ix.terms[p] = t.index
		ix.peaks[2*p], ix.peaks[2*p+1] = t.high, t.low
		ix.lists[p] = chunk
		ix.starts[chunk] = posting
		chunk, t.chunks = chunk+t.chunks, chunk
		posting, t.postings = posting+t.postings, posting
		t.window = noWindow
	}
	ix.lists[ix.shape.terms] = chunk
	ix.starts[chunk] = posting
}

// errChanged is what ErrInvalid is joined by when the second pass finds more,
// or less, than the first.
var errChanged = errors.New("the source changed between two readings")

// fill takes a row of the second pass.
func (b *builder) fill(row uint32, raw []byte, absent bool) error {
	ix := b.ix
	if absent {
		return nil
	}
	ix.present[row/64] |= 1 << (row % 64)
	for ; len(raw) >= pairBytes; raw = raw[pairBytes:] {
		index, value := pair(raw)
		if value == 0 {
			continue
		}
		p := b.terms.find(index)
		if p < 0 {
			return fmt.Errorf("%w: %w", ErrInvalid, errChanged)
		}
		t := &b.terms.list[p]
		if w := row >> windowBits; t.window != w {
			if t.chunks == ix.lists[p+1] {
				return fmt.Errorf("%w: %w", ErrInvalid, errChanged)
			}
			t.window = w
			ix.heads[t.chunks] = w << weightBits
			ix.starts[t.chunks] = t.postings
			t.chunks++
		}
		if int(t.postings) == b.end(p) || max(value, -value) > max(t.high, t.low) {
			return fmt.Errorf("%w: %w", ErrInvalid, errChanged)
		}
		weight := weightOf(value, max(t.high, t.low))
		ix.locals[t.postings] = uint16(row % windowRows)
		ix.weights[t.postings] = weight
		ix.values[t.postings] = value
		t.postings++
		if head := &ix.heads[t.chunks-1]; byte(*head) < weight {
			*head = *head&^(1<<weightBits-1) | uint32(weight)
		}
	}
	return nil
}

// finish checks that the second pass filled what the first had counted.
func (b *builder) finish() error {
	for p := range b.terms.list {
		if t := &b.terms.list[p]; t.chunks != b.ix.lists[p+1] || int(t.postings) != b.end(p) {
			return fmt.Errorf("%w: %w", ErrInvalid, errChanged)
		}
	}
	return nil
}

// end returns where the postings of a term end.
func (b *builder) end(p int) int {
	ix := b.ix
	return int(ix.starts[ix.lists[p+1]])
}
