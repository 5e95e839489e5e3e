package segment

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// keyFilter answers "this key is not in the segment" without reading the segment. It is a split block Bloom filter
// (Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2009; the block layout is Parquet's): a key sets one
// bit in each of the eight 32-bit words of one 32-byte block. With 16 bits a key about one miss in a thousand is not seen.
type keyFilter struct {
	blocks []filterBlock
}

type filterBlock [8]uint32

const (
	filterBitsPerKey = 16
	filterBlockBytes = 32
)

// filterSalt spreads a hash over the eight words of a block; odd numbers from the Parquet specification.
var filterSalt = filterBlock{0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31}

func newKeyFilter(keys int) *keyFilter {
	n := (keys*filterBitsPerKey + filterBlockBytes*8 - 1) / (filterBlockBytes * 8)
	return &keyFilter{blocks: make([]filterBlock, max(n, 1))}
}

// place mixes the key's hash once more, because its bits also route keys to shards, and splits it in block and mask seed.
func (f *keyFilter) place(hash uint64) (block uint64, seed uint32) {
	hash ^= hash >> 29
	hash *= 0xbf58476d1ce4e5b9
	hash ^= hash >> 32
	hi, _ := bits.Mul64(hash, uint64(len(f.blocks)))
	return hi, uint32(hash)
}

func (f *keyFilter) add(hash uint64) {
	i, seed := f.place(hash)
	b := &f.blocks[i]
	for w := range b {
		b[w] |= 1 << (seed * filterSalt[w] >> 27)
	}
}

func (f *keyFilter) has(hash uint64) bool {
	i, seed := f.place(hash)
	b := &f.blocks[i]
	for w := range b {
		if b[w]&(1<<(seed*filterSalt[w]>>27)) == 0 {
			return false
		}
	}
	return true
}

// among appends the places of the hashes that the filter does not rule out. It first reads one word of each block, so that the
// processor has many reads under way at once.
func (f *keyFilter) among(hashes []uint64, dst []int) []int {
	var first [256]uint32
	for from := 0; from < len(hashes); from += len(first) {
		part := hashes[from:min(from+len(first), len(hashes))]
		for j, h := range part {
			i, seed := f.place(h)
			first[j] = f.blocks[i][0] & (1 << (seed * filterSalt[0] >> 27))
		}
		for j, h := range part {
			if first[j] != 0 && f.has(h) {
				dst = append(dst, from+j)
			}
		}
	}
	return dst
}

func (f *keyFilter) encode(dst []byte) []byte {
	for i := range f.blocks {
		for _, w := range f.blocks[i] {
			dst = binary.LittleEndian.AppendUint32(dst, w)
		}
	}
	return dst
}

func (f *keyFilter) bytes() int64 { return int64(len(f.blocks)) * filterBlockBytes }

func decodeKeyFilter(b []byte) (*keyFilter, error) {
	if len(b) == 0 || len(b)%filterBlockBytes != 0 {
		return nil, errors.New("key filter is no whole number of 32-byte blocks")
	}
	f := &keyFilter{blocks: make([]filterBlock, len(b)/filterBlockBytes)}
	for i := range f.blocks {
		for w := range f.blocks[i] {
			f.blocks[i][w] = binary.LittleEndian.Uint32(b[i*filterBlockBytes+w*4:])
		}
	}
	return f, nil
}
