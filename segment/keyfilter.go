package segment

import (
	"encoding/binary"
	"errors"

	"github.com/selkiedb/selkie/segment/internal/probe"
)

// keyFilter answers "this key is not in the segment" without reading the segment. It is a split block Bloom filter
// (Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2009; the block layout is Parquet's): a key sets one
// bit in each of the eight 32-bit words of one 32-byte block. With 16 bits a key about one miss in a thousand is not seen.
type keyFilter struct {
	blocks []probe.Block
}

const (
	filterBitsPerKey = 16
	filterBlockBytes = 32
)

func newKeyFilter(keys int) *keyFilter {
	n := (keys*filterBitsPerKey + filterBlockBytes*8 - 1) / (filterBlockBytes * 8)
	return &keyFilter{blocks: make([]probe.Block, max(n, 1))}
}

func (f *keyFilter) add(hash uint64) { probe.AddToFilter(f.blocks, hash) }

// among appends the places of the hashes that the filter does not rule out.
func (f *keyFilter) among(hashes []uint64, dst []int) []int {
	var left [probeBatch]uint32
	for from := 0; from < len(hashes); from += len(left) {
		n := probe.Filter(f.blocks, hashes[from:min(from+len(left), len(hashes))], left[:])
		for _, i := range left[:n] {
			dst = append(dst, from+int(i))
		}
	}
	return dst
}

// probeBatch is the number of hashes that are looked up at once: enough for many reads under way, few enough for the stack.
const probeBatch = 256

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
	f := &keyFilter{blocks: make([]probe.Block, len(b)/filterBlockBytes)}
	for i := range f.blocks {
		for w := range f.blocks[i] {
			f.blocks[i][w] = binary.LittleEndian.Uint32(b[i*filterBlockBytes+w*4:])
		}
	}
	return f, nil
}
