package graph

// Reachable returns the number of labels that can be reached from the first.
func (ix *Index) Reachable() int { return ix.reachable() }

// Passes returns the number of parts in which a build would make its lists.
func (o Options) Passes(rows, dim int) (int, error) {
	o, err := o.withDefaults(rows)
	if err != nil {
		return 0, err
	}
	p, err := o.plan(rows, (&quantizer{dim: dim, copies: 1, bits: 8}).rowBytes())
	return p.passes, err
}

// Neighbours returns the row offsets of a row's neighbours.
func (ix *Index) Neighbours(row uint32) []uint32 {
	var out []uint32
	for _, l := range ix.neighbours(ix.labelOf(row)) {
		out = append(out, ix.rowOf(l))
	}
	return out
}

// AbsentRows returns the bits of the rows that have no vector.
func (ix *Index) AbsentRows() []uint64 { return ix.absent }

// IsAbsent reports that a row has no vector.
func (ix *Index) IsAbsent(row uint32) bool { return ix.isAbsent(row) }

// Codes returns a row's code.
func (ix *Index) Codes(row uint32) []byte { return ix.at(ix.labelOf(row)) }

// Reach returns how far searches look; 0 means as far for every query.
func (ix *Index) Reach() int { return ix.reach }

// SetReach sets that and returns what it was.
func (ix *Index) SetReach(reach int) int {
	was := ix.reach
	ix.reach = reach
	return was
}

// Entries returns the row offsets of the entries.
func (ix *Index) Entries() []uint32 {
	var out []uint32
	for _, l := range ix.entries {
		out = append(out, ix.rowOf(l))
	}
	return out
}

// For the tests of sorting.
var (
	SortKeys  = sortKeys
	Smallest  = smallest
	MergeKeys = mergeKeys
	HeapSort  = heapSort
)

// ForceWalk makes filtered searches walk from that many matching rows for each
// candidate on, and returns the function that ends it.
func ForceWalk(matches int) func() {
	old := scanEach
	scanEach = matches
	return func() { scanEach = old }
}
