package segment

import (
	"sync/atomic"
	"unsafe"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/segment/internal/probe"
)

// keyTable finds the rows of a primary key in a growing segment: open addressing over 64-bit slots that hold the upper 32 bits of the
// key's hash and the newest row's offset + 1. Older rows of the same key hang behind it in a chain. A search begins at the first slot
// of a cache line (see probe.Start), so that most look at one line only.
//
// One writer inserts; readers walk it without a lock. A slot changes only from empty to a row, or to a newer row of the same
// key; a table that has become too small is replaced whole.
type keyTable struct {
	slots atomic.Pointer[[]atomic.Uint64]
	used  int     // slots in use; the writer's
	older *chunks // row → the next older row of its key, + 1; 0 ends the chain. Written before the row appears in a slot
	// chained is set once any key has had more than one row: until then no chain is looked at and none is stored.
	chained atomic.Bool
}

const firstSlots = 128

func newKeyTable() *keyTable {
	t := &keyTable{older: newChunks(4)}
	s := make([]atomic.Uint64, firstSlots)
	t.slots.Store(&s)
	return t
}

func slotTag(hash uint64) uint64 { return hash >> 32 << 32 }

// reserve makes room for n more keys and returns the bytes that the table grew by.
func (t *keyTable) reserve(n int) (grown int64) {
	old := *t.slots.Load()
	size := len(old)
	for (t.used+n)*4 > size*3 {
		size *= 2
	}
	if size == len(old) {
		return 0
	}
	// No one else sees it yet, so it is filled without atomic stores, each of which would wait for memory.
	raw := alignedBytes(size * 8)
	fresh := unsafe.Slice((*uint64)(unsafe.Pointer(&raw[0])), size)
	mask := size - 1
	for i := range old {
		v := old[i].Load()
		if v == 0 {
			continue
		}
		j := probe.Start(v, size)
		for fresh[j] != 0 {
			j = (j + 1) & mask
		}
		fresh[j] = v
	}
	next := unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(&raw[0])), size)
	t.slots.Store(&next)
	return int64(size-len(old)) * 8
}

// insert makes row the newest row of its key. same reports whether an earlier row holds the same key.
// REQUIRES: reserve was called.
func (t *keyTable) insert(hash uint64, row uint32, same func(earlier uint32) bool) (grown int64) {
	slots := *t.slots.Load()
	mask := len(slots) - 1
	tag := slotTag(hash)
	for i := probe.Start(hash, len(slots)); ; i = (i + 1) & mask {
		v := slots[i].Load()
		if v == 0 {
			slots[i].Store(tag | uint64(row+1))
			t.used++
			return grown
		}
		if slotTag(v) == tag && same(uint32(v)-1) {
			grown += t.older.reserve(row + 1)
			var raw [4]byte
			putUint32(raw[:], uint32(v))
			t.older.write(row, raw[:])
			t.chained.Store(true)
			slots[i].Store(tag | uint64(row+1))
			return grown
		}
	}
}

// among writes the places of the hashes that the table may hold into dst, and returns their number.
// REQUIRES: the caller is the one writer; dst is not shorter than hashes.
func (t *keyTable) among(hashes []uint64, dst []uint32) int {
	return probe.Table(*t.slots.Load(), hashes, dst)
}

// newest returns the newest row of the key.
func (t *keyTable) newest(hash uint64, same func(row uint32) bool) (row uint32, ok bool) {
	slots := *t.slots.Load()
	mask := len(slots) - 1
	tag := slotTag(hash)
	for i := probe.Start(hash, len(slots)); ; i = (i + 1) & mask {
		v := slots[i].Load()
		if v == 0 {
			return 0, false
		}
		if slotTag(v) == tag && same(uint32(v)-1) {
			return uint32(v) - 1, true
		}
	}
}

// next returns the row of the same key that came before row.
func (t *keyTable) next(row uint32) (older uint32, ok bool) {
	if !t.chained.Load() {
		return 0, false
	}
	dir := *t.older.dir.Load()
	if int(row>>t.older.shift) >= len(dir) {
		return 0, false
	}
	chunk := dir[row>>t.older.shift]
	off := int(row&(1<<t.older.shift-1)) * 4
	if off+4 > len(chunk) {
		return 0, false
	}
	v := getUint32(chunk[off:])
	return v - 1, v != 0
}

func putUint32(b []byte, v uint32) {
	_ = b[3]
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

func getUint32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// keyEqual compares a key of a list with the raw value of a primary key column.
func keyEqual(k column.Keys, i int, raw []byte) bool {
	if k.Str {
		return string(k.Bytes[k.Offs[i]:k.Offs[i+1]]) == string(raw)
	}
	return uint64(k.Ints[i]) == getUint64(raw)
}

func getUint64(b []byte) uint64 {
	_ = b[7]
	return uint64(getUint32(b)) | uint64(getUint32(b[4:]))<<32
}
