package column

import (
	"bytes"
	"cmp"
)

// Compare orders key i before, with or after key j of o, by value. REQUIRES: both lists are of one kind.
func (k Keys) Compare(i int, o Keys, j int) int {
	if k.Str {
		return bytes.Compare(k.raw(i), o.raw(j))
	}
	return cmp.Compare(k.Ints[i], o.Ints[j])
}
