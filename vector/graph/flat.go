package graph

// WantsGraph reports whether a build with these options gives an index of the
// same rows a graph, or thinks that reading all codes is as fast.
func (ix *Index) WantsGraph(o Options) (bool, error) {
	o, err := o.withDefaults(ix.n)
	return ix.n > 2 && len(ix.codes) > o.FlatBytes, err
}
