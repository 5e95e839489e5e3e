package segment

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/selkiedb/selkie/column"
)

const (
	chunkBytes    = 256 << 10 // a full chunk of fixed-width values holds at most this many bytes (or one value)
	firstRows     = 64        // rows the first chunk starts with, so that a tiny partition stays tiny
	slabBytes     = 256 << 10 // variable-length values lie in slabs of this size (a larger value gets its own)
	firstSlab     = 4 << 10
	maxChunkShift = 16
)

// chunks is an append-only array of fixed-width values in equally long pieces. One writer appends; readers that learned of a
// row after it was appended may read it without a lock: pieces never move, but for the first, which is copied as it grows
// and whose old copies stay true for the rows they hold.
//
// INVARIANT: a value once written is never changed.
type chunks struct {
	width int
	shift uint // log2 of the rows a chunk holds
	dir   atomic.Pointer[[][]byte]
	spare spareChunks
}

func newChunks(width int) *chunks {
	c := &chunks{width: width}
	rows := chunkBytes / width
	if rows < 1 {
		rows = 1
	}
	c.shift = min(uint(bits.Len(uint(rows))-1), maxChunkShift)
	c.dir.Store(&[][]byte{})
	return c
}

// reserve makes room for the rows [0, rows) and returns the bytes that were newly allocated.
func (c *chunks) reserve(rows uint32) (grown int64) {
	if rows == 0 {
		return 0
	}
	dir := *c.dir.Load()
	need := int((rows-1)>>c.shift) + 1
	full := c.width << c.shift
	if len(dir) > 0 && len(dir[0]) < full && int(rows)*c.width > len(dir[0]) {
		size := len(dir[0])
		for size < int(rows)*c.width && size < full {
			size *= 2
		}
		first := alignedBytes(min(size, full))
		copy(first, dir[0])
		grown += int64(len(first) - len(dir[0]))
		next := append([][]byte{first}, dir[1:]...)
		c.dir.Store(&next)
		dir = next
	}
	if len(dir) >= need {
		return grown
	}
	next := append(make([][]byte, 0, max(2*len(dir), need)), dir...)
	for len(next) < need {
		size := full
		if len(next) == 0 && int(rows) <= 1<<c.shift {
			size = c.width * min(1<<bits.Len32(max(rows, firstRows)-1), 1<<c.shift)
		}
		if size == full {
			if b := c.spare.take(); b != nil {
				next = append(next, b)
				continue
			}
		}
		next = append(next, alignedBytes(size))
		grown += int64(size)
	}
	c.dir.Store(&next)
	return grown
}

// write copies values to the rows from at on. REQUIRES: reserve was called for them.
func (c *chunks) write(at uint32, src []byte) {
	dir := *c.dir.Load()
	for len(src) > 0 {
		i, off := at>>c.shift, int(at&(1<<c.shift-1))*c.width
		n := copy(dir[i][off:], src)
		src = src[n:]
		at += uint32(n / c.width)
	}
}

// at returns the bytes of one value.
func (c *chunks) at(row uint32) []byte {
	dir := *c.dir.Load()
	off := int(row&(1<<c.shift-1)) * c.width
	return dir[row>>c.shift][off : off+c.width : off+c.width]
}

// run returns the values from row on that lie together, at most up to row to.
func (c *chunks) run(row, to uint32) []byte {
	dir := *c.dir.Load()
	last := min(to, (row>>c.shift+1)<<c.shift)
	off := int(row&(1<<c.shift-1)) * c.width
	return dir[row>>c.shift][off : off+int(last-row)*c.width]
}

// varRef says where a variable-length value lies.
type varRef struct{ slab, off, n uint32 }

const varRefBytes = 12

// slabs holds variable-length values. The same rule for readers as in chunks.
type slabs struct {
	refs *chunks
	dir  atomic.Pointer[[][]byte]
	used int // bytes used in the last slab; the writer's
}

func newSlabs() *slabs {
	s := &slabs{refs: newChunks(varRefBytes)}
	s.dir.Store(&[][]byte{})
	return s
}

// write appends the values [lo, hi) of d as the rows from at on. REQUIRES: refs.reserve was called for them.
func (s *slabs) write(at uint32, d column.Data) (grown int64) {
	for i := range d.Rows {
		ref, g := s.put(d.Value(i))
		grown += g
		var raw [varRefBytes]byte
		*(*varRef)(unsafe.Pointer(&raw)) = ref
		s.refs.write(at+uint32(i), raw[:])
	}
	return grown
}

func (s *slabs) put(v []byte) (varRef, int64) {
	dir := *s.dir.Load()
	var grown int64
	if len(dir) == 0 || s.used+len(v) > len(dir[len(dir)-1]) {
		size := slabBytes
		if len(dir) < 6 {
			size = firstSlab << len(dir)
		}
		slab := alignedBytes(max(size, len(v)))
		grown = int64(len(slab))
		next := append(make([][]byte, 0, len(dir)*2+1), dir...)
		next = append(next, slab)
		dir = next
		s.used = 0
		s.dir.Store(&next)
	}
	last := len(dir) - 1
	copy(dir[last][s.used:], v)
	ref := varRef{slab: uint32(last), off: uint32(s.used), n: uint32(len(v))}
	s.used += len(v)
	return ref, grown
}

func (s *slabs) at(row uint32) []byte {
	ref := *(*varRef)(unsafe.Pointer(&s.refs.at(row)[0]))
	dir := *s.dir.Load()
	return dir[ref.slab][ref.off : ref.off+ref.n : ref.off+ref.n]
}

// growingColumn holds the values of one field.
type growingColumn struct {
	fixed *chunks // exactly one of fixed and vars is set
	vars  *slabs
	valid *chunks // one byte a row, 1 = has a value; only for nullable fields
}

func newGrowingColumn(width int, nullable bool) *growingColumn {
	c := &growingColumn{}
	if width > 0 {
		c.fixed = newChunks(width)
	} else {
		c.vars = newSlabs()
	}
	if nullable {
		c.valid = newChunks(1)
	}
	return c
}

// append stores d as the rows from at on and returns the bytes newly allocated.
func (c *growingColumn) append(at uint32, d column.Data) (grown int64, err error) {
	if d.Rows == 0 {
		return 0, nil
	}
	end := at + uint32(d.Rows)
	if c.fixed != nil {
		if d.Width != c.fixed.width || len(d.Fixed) != d.Rows*d.Width {
			return 0, fmt.Errorf("column of width %d cannot take %d bytes for %d values of width %d", c.fixed.width, len(d.Fixed), d.Rows, d.Width)
		}
		grown += c.fixed.reserve(end)
		c.fixed.write(at, d.Fixed)
	} else {
		grown += c.vars.refs.reserve(end)
		grown += c.vars.write(at, d)
	}
	if c.valid != nil {
		grown += c.valid.reserve(end)
		if d.Valid != nil {
			c.valid.write(at, d.Valid)
		} else {
			for i := at; i < end; {
				run := c.valid.run(i, end)
				for j := range run {
					run[j] = 1
				}
				i += uint32(len(run))
			}
		}
	}
	return grown, nil
}

// value returns the raw bytes of one row and whether it has a value.
func (c *growingColumn) value(row uint32) ([]byte, bool) {
	if c.valid != nil && c.valid.at(row)[0] == 0 {
		if c.fixed != nil {
			return c.fixed.at(row), false
		}
		return nil, false
	}
	if c.fixed != nil {
		return c.fixed.at(row), true
	}
	return c.vars.at(row), true
}
