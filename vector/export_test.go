package vector

// Classes returns the names of the kernel classes this processor can run,
// plain Go first.
func Classes() []string {
	var names []string
	for _, c := range classes() {
		names = append(names, c.name)
	}
	return names
}

// NewQueryClass is NewQuery with the kernels of the named class.
func NewQueryClass(class string, m Metric, e Element, dim int, raw []byte) (*Query, error) {
	for _, c := range classes() {
		if c.name == class {
			return newQuery(c, m, e, dim, raw)
		}
	}
	panic("no class " + class)
}
