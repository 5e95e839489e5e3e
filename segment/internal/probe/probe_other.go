//go:build !amd64 || purego

package probe

import "sync/atomic"

func filter(blocks []Block, hashes []uint64, out []uint32) int { return filterGo(blocks, hashes, out) }

func table(slots []atomic.Uint64, hashes []uint64, out []uint32) int {
	return tableGo(slots, hashes, out)
}
