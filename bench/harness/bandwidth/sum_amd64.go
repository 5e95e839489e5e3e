package bandwidth

import "golang.org/x/sys/cpu"

//go:noescape
func sum512(p *byte, blocks int, out *[8]uint64)

// Name says by what Sum reads.
func Name() string {
	if cpu.X86.HasAVX512F {
		return "AVX-512"
	}
	return "Go"
}

// Sum adds up the little-endian 64-bit words of b. A tail of less than a word does not count.
func Sum(b []byte) uint64 {
	const block = 512
	total := uint64(0)
	if blocks := len(b) / block; blocks > 0 && cpu.X86.HasAVX512F {
		var lanes [8]uint64
		sum512(&b[0], blocks, &lanes)
		for _, x := range lanes {
			total += x
		}
		b = b[blocks*block:]
	}
	return total + sumGo(b)
}
