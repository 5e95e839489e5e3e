//go:build !amd64

package bandwidth

// Name says by what Sum reads.
func Name() string { return "Go" }

// Sum adds up the little-endian 64-bit words of b. A tail of less than a word does not count.
func Sum(b []byte) uint64 { return sumGo(b) }
