package inverted

import "fmt"

// Options are the choices of a build. The zero value is a good one. Milvus's
// inverted_index_algo is not among them: all its algorithms give the same hits,
// and one way of searching serves them all. Nor is drop_ratio_build, which is
// deprecated there and would make the index inexact.
type Options struct {
	// MemoryBudget bounds the memory of a build in bytes; 0 means no bound. A
	// build that cannot keep to it is refused with ErrMemory, as soon as that is
	// known. See Memory.
	MemoryBudget int64
}

// termBytes bounds what a build holds of one distinct index besides the
// index's own sections: 24 bytes of counts and 8 to 16 of hash table, and both
// once more while they grow.
const termBytes = 96

// Memory returns the bytes that a build holds at most, apart from what its
// Source needs, for rows vectors of pairs non-zero values in all at terms
// distinct indices:
//
//	96 · terms + Size
//
// where Size, that of the file and of the index in memory, is
//
//	7 · pairs + 8 · chunks + 16 · terms + rows/8
//
// and up to 1.2 KiB; and 2 MiB for each section of at least 8 MiB, for the
// sake of its alignment. Chunks, the postings of one term in 16384 rows, are
// at most pairs, and at most terms · rows/16384, rounded up.
func Memory(rows, pairs, terms int) int64 {
	s := shape{rows: rows, terms: terms, postings: pairs}
	s.chunks = int(min(int64(pairs), int64(terms)*int64(s.windows())))
	return s.memory()
}

// memory is what a build of this shape takes.
func (s *shape) memory() int64 {
	_, lengths, size := s.layout()
	for _, l := range lengths {
		if l >= 4*hugePage {
			size += hugePage
		}
	}
	return size + termBytes*int64(s.terms)
}

// check refuses a build that needs more than its budget.
func (o Options) check(need int64, what string, n int) error {
	if o.MemoryBudget > 0 && need > o.MemoryBudget {
		return fmt.Errorf("%w: an index of %d %s needs %d bytes to build, the budget is %d", ErrMemory, n, what, need, o.MemoryBudget)
	}
	return nil
}
