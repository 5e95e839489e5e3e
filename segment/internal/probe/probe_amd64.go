//go:build amd64 && !purego

package probe

import (
	"sync/atomic"

	"golang.org/x/sys/cpu"
)

// fast says that this processor runs the kernels.
var fast = cpu.X86.HasAVX2 && cpu.X86.HasBMI2

func filter(blocks []Block, hashes []uint64, out []uint32) int {
	if !fast {
		return filterGo(blocks, hashes, out)
	}
	return filterAVX2(&blocks[0], len(blocks), &hashes[0], len(hashes), &out[0])
}

func table(slots []atomic.Uint64, hashes []uint64, out []uint32) int {
	if !fast {
		return tableGo(slots, hashes, out)
	}
	return tableAVX2(&slots[0], len(slots), &hashes[0], len(hashes), &out[0])
}

//go:noescape
func filterAVX2(blocks *Block, n int, hashes *uint64, count int, out *uint32) int

// tableAVX2 reads whole lines with plain loads. There is no writer meanwhile, so nothing can be torn; what a former one wrote is
// seen through the lock that was passed on.
//
//go:noescape
func tableAVX2(slots *atomic.Uint64, n int, hashes *uint64, count int, out *uint32) int
