//go:build !linux

package hosted

// hugeBytes returns n bytes of zeros.
func hugeBytes(n int) ([]byte, error) { return make([]byte, n), nil }
