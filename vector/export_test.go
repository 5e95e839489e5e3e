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
	return newQuery(classNamed(class), m, e, dim, raw)
}

// NewCodeQueryClass is NewCodeQuery with the kernels of the named class.
func NewCodeQueryClass(class string, k CodeKind, q []int8) *CodeQuery {
	c := &CodeQuery{}
	c.reset(classNamed(class), k, q)
	return c
}

func classNamed(name string) *class {
	for _, c := range classes() {
		if c.name == name {
			return c
		}
	}
	panic("no class " + name)
}
