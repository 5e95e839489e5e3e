package column

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/selkiedb/selkie/schema"
)

// Keys is a list of primary keys of one type: Ints when Str is false, else strings as offsets and bytes, like Data.
type Keys struct {
	Ints  []int64
	Offs  []uint32 // Len()+1 ascending offsets into Bytes
	Bytes []byte
	Str   bool
}

// Key is one primary key. It is comparable, so that it can be a map's key.
type Key struct {
	Int   int64
	Str   string
	IsStr bool
}

// IntKeys makes a list that shares the slice's memory.
func IntKeys(ids ...int64) Keys { return Keys{Ints: ids} }

// StringKeys makes a list of copies.
func StringKeys(ids ...string) Keys {
	size := 0
	for _, s := range ids {
		size += len(s)
	}
	k := Keys{Str: true, Offs: make([]uint32, 1, len(ids)+1), Bytes: make([]byte, 0, size)}
	for _, s := range ids {
		k.Bytes = append(k.Bytes, s...)
		k.Offs = append(k.Offs, uint32(len(k.Bytes)))
	}
	return k
}

// KeysOf returns the values of an Int64 or VarChar field as keys, sharing memory. REQUIRES: no nulls.
func KeysOf(f *schema.Field, d Data) Keys {
	if f.Type == schema.TypeVarChar {
		return Keys{Str: true, Offs: d.Offs, Bytes: d.Bytes}
	}
	return Keys{Ints: viewOf[int64](d.Fixed)}
}

// Data returns the keys in the physical layout, sharing memory.
func (k Keys) Data() Data {
	if k.Str {
		return Data{Rows: k.Len(), Offs: k.Offs, Bytes: k.Bytes}
	}
	return Data{Width: 8, Rows: len(k.Ints), Fixed: bytesOf(k.Ints)}
}

// Len returns the number of keys.
func (k Keys) Len() int {
	if k.Str {
		return max(len(k.Offs)-1, 0)
	}
	return len(k.Ints)
}

// At returns key i; a string is copied.
func (k Keys) At(i int) Key {
	if k.Str {
		return Key{Str: string(k.raw(i)), IsStr: true}
	}
	return Key{Int: k.Ints[i]}
}

// raw returns the bytes of a string key.
func (k Keys) raw(i int) []byte { return k.Bytes[k.Offs[i]:k.Offs[i+1]] }

// Hash returns a 64-bit hash of key i: splitmix64's output function for integers, xxhash64 with seed 0 for strings.
// It routes rows to shards and hidden partitions and fills the key filters on disk, so it never changes;
// docs/format/batch.md has its definition and test values.
func (k Keys) Hash(i int) uint64 {
	if k.Str {
		return xxhash.Sum64(k.raw(i))
	}
	return hashInt(k.Ints[i])
}

// hashInt mixes a key (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014; the constants of
// splitmix64). It is a bijection: distinct integers never collide.
func hashInt(v int64) uint64 {
	z := uint64(v) + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Slice returns the keys from lo up to hi, sharing memory.
func (k Keys) Slice(lo, hi int) Keys {
	if k.Str {
		if k.Offs == nil {
			return k
		}
		return Keys{Str: true, Offs: k.Offs[lo : hi+1], Bytes: k.Bytes}
	}
	return Keys{Ints: k.Ints[lo:hi]}
}

// Pick gathers keys into new memory.
func (k Keys) Pick(rows []uint32) Keys {
	if k.Str {
		d := k.Data().Pick(rows)
		return Keys{Str: true, Offs: d.Offs, Bytes: d.Bytes}
	}
	return Keys{Ints: pick(k.Ints, rows)}
}

// equal tells whether keys i and j of the list are equal.
func (k Keys) equal(i, j int) bool {
	if k.Str {
		return bytes.Equal(k.raw(i), k.raw(j))
	}
	return k.Ints[i] == k.Ints[j]
}

func (k Keys) compare(i, j int) int {
	if k.Str {
		return bytes.Compare(k.raw(i), k.raw(j))
	}
	return cmp.Compare(k.Ints[i], k.Ints[j])
}

// FirstDuplicate returns the first key that occurred before: i < j, keys i and j equal, j as small as possible. Ascending
// lists take one pass and no memory, others 16 to 24 bytes a key, which in lists of usual length is kept for the next list.
func (k Keys) FirstDuplicate() (i, j int, dup bool) {
	if !k.Str {
		// The common case, ascending numbers, without a call for each.
		for j = 1; j < len(k.Ints) && k.Ints[j-1] < k.Ints[j]; j++ {
		}
	} else {
		j = 1
	}
	for n := k.Len(); j < n; j++ {
		switch c := k.compare(j-1, j); {
		case c == 0:
			return j - 1, j, true
		case c > 0:
			t := chainTables.Get().(*chainTable)
			i, j, dup = t.firstDuplicate(k)
			if len(t.heads) <= maxKeptHeads {
				chainTables.Put(t)
			}
			return i, j, dup
		}
	}
	return 0, 0, false
}

// chainTable finds equal keys in a list: keys whose hashes end alike hang in a chain, the latest first. Places are plus one, 0 is none.
type chainTable struct {
	heads   []uint32 // by the hash's lower bits
	next    []uint32 // by key: the one before it in its chain
	suspect []uint32 // keys that were not the first of their chain; not plus one
}

// chainTables keeps the memory of lists for the next ones, and maxKeptHeads bounds it.
var chainTables = sync.Pool{New: func() any { return new(chainTable) }}

const maxKeptHeads = 1 << 18

// firstDuplicate first hangs all keys into their chains, without a branch that depends on one, and then looks along the few chains of
// more than one key: with two heads or more a key, every fifth key at most comes upon another.
func (t *chainTable) firstDuplicate(k Keys) (i, j int, dup bool) {
	n, size := k.Len(), 16
	for size < 2*n {
		size *= 2
	}
	t.heads = slices.Grow(t.heads[:0], size)[:size]
	clear(t.heads)
	t.next = slices.Grow(t.next[:0], n)[:n]
	t.suspect = slices.Grow(t.suspect[:0], n)[:n]
	left := 0
	if k.Str {
		for j := range n {
			left += t.hang(xxhash.Sum64(k.raw(j)), j, left)
		}
	} else {
		for j, v := range k.Ints {
			left += t.hang(hashInt(v), j, left)
		}
	}
	for _, j := range t.suspect[:left] {
		for i := t.next[j]; i != 0; i = t.next[i-1] {
			if k.equal(int(i-1), int(j)) {
				return int(i - 1), int(j), true
			}
		}
	}
	return 0, 0, false
}

// hang puts key j into its chain, and at the end of the list of suspects; it belongs there if 1 is returned rather than 0.
func (t *chainTable) hang(hash uint64, j, left int) int {
	head := &t.heads[hash&uint64(len(t.heads)-1)]
	before := *head
	*head, t.next[j], t.suspect[left] = uint32(j+1), before, uint32(j)
	return int((uint64(before) + 1<<32 - 1) >> 32)
}

// Compare orders integers numerically and strings bytewise; integers come before strings.
func (k Key) Compare(o Key) int {
	switch {
	case k.IsStr && o.IsStr:
		return strings.Compare(k.Str, o.Str)
	case k.IsStr:
		return 1
	case o.IsStr:
		return -1
	}
	return cmp.Compare(k.Int, o.Int)
}

// String returns the decimal number, or the string quoted.
func (k Key) String() string {
	if k.IsStr {
		return strconv.Quote(k.Str)
	}
	return strconv.FormatInt(k.Int, 10)
}

// Append appends an encoding whose bytewise order is that of Compare among keys of one type: an integer as 8 bytes
// big-endian with its sign bit flipped, a string as it is.
func (k Key) Append(dst []byte) []byte {
	if k.IsStr {
		return append(dst, k.Str...)
	}
	return binary.BigEndian.AppendUint64(dst, uint64(k.Int)^1<<63)
}

// Sorted returns the positions of the keys in ascending order, equal ones in their order in the list.
func (k Keys) Sorted() []uint32 {
	order := make([]uint32, k.Len())
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortStableFunc(order, func(a, b uint32) int { return k.compare(int(a), int(b)) })
	return order
}
