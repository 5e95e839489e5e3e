// Package probe looks a list of keys up where nearly all of them are absent: in the key filter of a sealed segment, and in the key
// table of a growing one. It rules keys out; those that it cannot rule out are for the caller to look at closely.
//
// Such a look-up is a read of memory that is in no near cache, and a verdict that no branch predictor foresees. So each function
// takes a whole list and writes the places of those that are left with stores and additions, without a branch that depends on what
// was read: the processor then has many reads under way at once.
//
// On amd64 with AVX2 each is a kernel in assembly; the plain Go twin is its test's oracle, what runs elsewhere, and what the build
// tag purego gives. Entering assembly costs 1 to 2.5 ns a call, not a key.
package probe

import (
	"fmt"
	"math/bits"
	"sync/atomic"
)

// Block is one block of a key filter. A key sets one bit in each word of one block.
type Block [8]uint32

// salt spreads a seed over the words of a block; odd numbers from the Parquet specification.
var salt = Block{0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31}

// mixer is the first multiplier of splitmix64's output function.
const mixer = 0xbf58476d1ce4e5b9

// place says to which of n blocks a hash belongs, and from which seed its bits there are made. It mixes the hash once more, because
// its bits also route keys to shards.
func place(hash uint64, n int) (block int, seed uint32) {
	hash ^= hash >> 29
	hash *= mixer
	hash ^= hash >> 32
	hi, _ := bits.Mul64(hash, uint64(n))
	return int(hi), uint32(hash)
}

// bit is the bit that a seed sets in word w.
func bit(seed uint32, w int) uint32 { return 1 << (seed * salt[w] >> 27) }

// AddToFilter adds a key's hash to a filter of at least one block. The filter is on disk: where the bits go never changes.
func AddToFilter(blocks []Block, hash uint64) {
	i, seed := place(hash, len(blocks))
	for w := range blocks[i] {
		blocks[i][w] |= bit(seed, w)
	}
}

// Filter writes the places of the hashes that a filter of at least one block does not rule out into out, ascending, and returns their
// number. REQUIRES: out is not shorter than hashes; it panics otherwise.
func Filter(blocks []Block, hashes []uint64, out []uint32) int {
	if len(out) < len(hashes) || len(blocks) == 0 {
		panic(fmt.Sprintf("probe: %d hashes into %d places in a filter of %d blocks", len(hashes), len(out), len(blocks)))
	}
	if len(hashes) == 0 {
		return 0
	}
	return filter(blocks, hashes, out)
}

func filterGo(blocks []Block, hashes []uint64, out []uint32) (n int) {
	out = out[:len(hashes)]
	for i, h := range hashes { // so that many reads are under way at once
		at, _ := place(h, len(blocks))
		out[i] = blocks[at][0]
	}
	for i, h := range hashes {
		at, seed := place(h, len(blocks))
		b := &blocks[at]
		missing := uint32(0)
		for w := range b {
			missing |= bit(seed, w) &^ b[w]
		}
		out[n] = uint32(i)
		n += int((uint64(missing) - 1) >> 63) // 1 if missing is 0
	}
	return n
}

// A key table is open addressing over 64-bit slots in lines of LineSlots, as many as a cache line holds. A slot is 0 if it is free;
// otherwise its upper half is the upper half of a key's hash, and its lower half is not 0. A key's search begins at the first slot
// of its line, and goes on slot by slot, into the next lines too, until it finds a free one.

// LineSlots is the number of slots of a line. A table's slots are a power of two, one line at least.
const LineSlots = 8

// Start is the first slot of the line where the search for a hash begins, in a table of n slots. It is a function of what a slot keeps
// of the hash, so that a table can grow without the keys.
func Start(hash uint64, n int) int { return int(hash>>32) & (n - 1) &^ (LineSlots - 1) }

// Table writes the places of the hashes that the table may hold into out, ascending, and returns their number: those whose line has a
// slot with their upper half, or has no free slot. REQUIRES: out is not shorter than hashes, and the slots are a table; it panics
// otherwise. No one writes to the table meanwhile.
func Table(slots []atomic.Uint64, hashes []uint64, out []uint32) int {
	if n := len(slots); len(out) < len(hashes) || n < LineSlots || n&(n-1) != 0 {
		panic(fmt.Sprintf("probe: %d hashes into %d places in a table of %d slots", len(hashes), len(out), n))
	}
	if len(hashes) == 0 {
		return 0
	}
	return table(slots, hashes, out)
}

func tableGo(slots []atomic.Uint64, hashes []uint64, out []uint32) (n int) {
	out = out[:len(hashes)]
	for i, h := range hashes { // so that many reads are under way at once
		out[i] = uint32(slots[Start(h, len(slots))].Load())
	}
	for i, h := range hashes {
		start := Start(h, len(slots))
		line := slots[start : start+LineSlots]
		full, same := uint64(1), uint64(0)
		for s := range line {
			v := line[s].Load()
			if v == 0 {
				full = 0
			}
			same |= (v>>32 ^ h>>32) - 1 // the top bit says that they are equal
		}
		out[n] = uint32(i)
		n += int(full | same>>63)
	}
	return n
}
