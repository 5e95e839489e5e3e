package graph

// DefaultFlatBytes is Options.FlatBytes where it is not given.
const DefaultFlatBytes = 768 << 10

// LeastMemory returns the bytes below which a build of rows vectors of dim elements
// is refused with ErrMemory: the least useful MemoryBudget.
func (o Options) LeastMemory(rows, dim int) (int64, error) {
	o.leastOnly = true
	return o.Memory(rows, dim)
}

// MergeMemory returns the bytes that a merge into rows vectors of dim elements
// allocates, besides its parts.
func (o Options) MergeMemory(rows, dim int) (int64, error) {
	o, err := o.withDefaults(rows)
	if err != nil {
		return 0, err
	}
	return o.mergeMemory(rows, codeBytes(dim)), nil
}

// IndexMemory returns about the bytes of a finished index: its codes, and its edges
// where it has a graph.
func (o Options) IndexMemory(rows, dim int) (codes, edges int64, err error) {
	if o, err = o.withDefaults(rows); err != nil {
		return 0, 0, err
	}
	codes = int64(rows) * int64(codeBytes(dim)+8)
	return codes, int64(rows) * int64(4*o.Degree+4), nil
}

// codeBytes is the size of a row's code.
func codeBytes(dim int) int { return (&quantizer{dim: dim, copies: 1, bits: 8}).rowBytes() }
