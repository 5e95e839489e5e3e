package segment

import (
	"fmt"
	"sort"
	"sync/atomic"
	"time"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// Growing is a segment in memory that takes rows. It is durable only through the log.
//
// One writer at a time may call Append, Delete and Newest: the owner's shard lock sees to it. Readers go through At, hold no
// lock and never wait for the writer: rows are written before their count is published, and nothing that was published changes,
// but for the tombstone of a row, which is one atomic word.
type Growing struct {
	id     ID
	schema *schema.Schema
	key    int // index of the primary key in schema.Fields
	ttl    int // index of the field of expiry; -1: no row expires
	born   time.Time

	rows   atomic.Uint32    // published rows
	cols   []*growingColumn // in the order of schema.Fields
	lsns   *chunks          // the LSN that inserted each row, ascending
	dead   deadLSNs
	keys   *keyTable
	bytes  atomic.Int64 // memory held
	billed atomic.Int64 // memory that Charge has reported
	raw    atomic.Int64 // bytes of the values themselves
	marked atomic.Uint32

	firstExpiry atomic.Int64 // when the first row expires, in milliseconds since 1970

	firstLSN atomic.Uint64 // of the oldest row; 0 while empty
	lastLSN  atomic.Uint64
	lastTime atomic.Int64 // unix nanoseconds of the last append
	sealed   atomic.Bool  // sealing: Append refuses
}

// NewGrowing returns an empty growing segment for a finished schema.
func NewGrowing(id ID, s *schema.Schema, now time.Time) *Growing {
	g := &Growing{id: id, schema: s, key: s.PrimaryKeyIndex(), born: now, lsns: newChunks(8), keys: newKeyTable()}
	g.ttl = -1
	if s.TTLField != "" {
		g.ttl = s.Index(s.TTLField)
	}
	g.firstExpiry.Store(never)
	g.dead.dir.Store(&[]*deadLSNChunk{})
	g.cols = make([]*growingColumn, len(s.Fields))
	for i, f := range s.Fields {
		g.cols[i] = newGrowingColumn(f.Width(), f.IsNullable)
	}
	g.bytes.Store(firstSlots * 8)
	g.lastTime.Store(now.UnixNano())
	return g
}

// ID names the segment.
func (g *Growing) ID() ID { return g.id }

// Schema is the schema that the rows were checked against.
func (g *Growing) Schema() *schema.Schema { return g.schema }

// Rows is the number of rows appended, published or not yet visible, dead or alive.
func (g *Growing) Rows() uint32 { return g.rows.Load() }

// Marked is the number of rows that carry a tombstone, visible or not yet.
func (g *Growing) Marked() uint32 { return g.marked.Load() }

// MemoryBytes is the memory the segment holds.
func (g *Growing) MemoryBytes() int64 { return g.bytes.Load() }

// Charge returns the memory that came to be held since the last call. REQUIRES: the caller is the one writer.
func (g *Growing) Charge() int64 {
	now := g.bytes.Load()
	return now - g.billed.Swap(now)
}

// Charged is what Charge has reported in all.
func (g *Growing) Charged() int64 { return g.billed.Load() }

// RawBytes is the size of the values themselves.
func (g *Growing) RawBytes() int64 { return g.raw.Load() }

// LSNs returns the LSN of the first and of the last row; zero if there is none.
func (g *Growing) LSNs() (first, last uint64) { return g.firstLSN.Load(), g.lastLSN.Load() }

// Born is the time of creation.
func (g *Growing) Born() time.Time { return g.born }

// LastAppend is the time of the last append, or of creation.
func (g *Growing) LastAppend() time.Time { return time.Unix(0, g.lastTime.Load()) }

// Seal makes the segment immutable but for tombstones.
func (g *Growing) Seal() { g.sealed.Store(true) }

// CanTake reports whether n more rows fit.
func (g *Growing) CanTake(n int) bool { return int64(g.rows.Load())+int64(n) <= MaxRows }

// Append adds the rows of a batch under one LSN. They are seen by views at that LSN or later.
// REQUIRES: the caller is the one writer, the batch was built for the segment's schema, and lsn is not below the last one.
func (g *Growing) Append(b *column.Batch, lsn uint64, now time.Time) error {
	at := g.rows.Load()
	if g.sealed.Load() {
		return fmt.Errorf("segment %s is sealing and takes no rows", g.id)
	}
	if !g.CanTake(b.Rows) {
		return fmt.Errorf("%w: %d rows and %d more pass %d", ErrFull, at, b.Rows, int64(MaxRows))
	}
	if len(b.Cols) != len(g.cols) {
		return fmt.Errorf("batch of %d columns for a segment of %d", len(b.Cols), len(g.cols))
	}
	var grown int64
	for i, c := range g.cols {
		n, err := c.append(at, b.Cols[i])
		if err != nil {
			return fmt.Errorf("field %q: %w", g.schema.Fields[i].Name, err)
		}
		grown += n
	}
	end := at + uint32(b.Rows)
	grown += g.lsns.reserve(end)
	for row := at; row < end; {
		run := g.lsns.run(row, end)
		for i := 0; i < len(run); i += 8 {
			putUint64(run[i:], lsn)
		}
		row += uint32(len(run) / 8)
	}
	grown += g.keys.reserve(b.Rows)
	keys := b.Keys()
	for i := range b.Rows {
		grown += g.keys.insert(keys.Hash(i), at+uint32(i), func(earlier uint32) bool { return g.holds(earlier, keys, i) })
	}
	g.noteExpiry(b)
	g.bytes.Add(grown)
	g.raw.Add(b.Bytes())
	if at == 0 {
		g.firstLSN.Store(lsn)
	}
	g.lastLSN.Store(lsn)
	g.lastTime.Store(now.UnixNano())
	g.rows.Store(end)
	return nil
}

// Ahead has the memory for about n rows ready that Append will need next: getting it takes longer than filling it. It may be called
// beside the one writer.
func (g *Growing) Ahead(n int) {
	for _, c := range g.cols {
		if c.fixed != nil && !g.sealed.Load() {
			g.bytes.Add(c.fixed.ahead(n))
		}
	}
}

// holds reports whether a row's primary key is the i-th of the list.
func (g *Growing) holds(row uint32, keys column.Keys, i int) bool {
	raw, _ := g.cols[g.key].value(row)
	return keyEqual(keys, i, raw)
}

// Live calls fn for each row of the keys that carries no tombstone, published or not: what the writer must know before it accepts or
// replaces rows. i is the key's place in the list; only keys for which want, if given, is true are looked at.
// REQUIRES: the caller is the one writer; hashes are those of the keys.
func (g *Growing) Live(keys column.Keys, hashes []uint64, want func(i int) bool, fn func(i int, row uint32)) {
	var left [probeBatch]uint32
	for from := 0; from < len(hashes); from += len(left) {
		n := g.keys.among(hashes[from:min(from+len(left), len(hashes))], left[:])
		for _, j := range left[:n] {
			if i := from + int(j); want == nil || want(i) {
				g.live(keys, i, hashes[i], fn)
			}
		}
	}
}

func (g *Growing) live(keys column.Keys, i int, hash uint64, fn func(i int, row uint32)) {
	row, ok := g.keys.newest(hash, func(r uint32) bool { return g.holds(r, keys, i) })
	for ok {
		if g.dead.at(row) == 0 {
			fn(i, row)
		}
		row, ok = g.keys.next(row)
	}
}

// Delete puts a tombstone on a row, seen by views at lsn or later. It reports whether the row was alive.
// REQUIRES: the caller is the one writer.
func (g *Growing) Delete(row uint32, lsn uint64) bool {
	ok, grown := g.dead.mark(row, lsn)
	if ok {
		g.marked.Add(1)
	}
	g.bytes.Add(grown)
	return ok
}

// Tombstones calls fn for each row that carries a tombstone, with its LSN, in the order of the rows.
func (g *Growing) Tombstones(fn func(row uint32, lsn uint64)) {
	g.dead.each(g.rows.Load(), fn)
}

// At returns what a reader at the LSN may see.
func (g *Growing) At(lsn uint64) *GrowingView {
	n := g.rows.Load()
	if n > 0 && g.lastLSN.Load() > lsn {
		n = uint32(sort.Search(int(n), func(i int) bool { return getUint64(g.lsns.at(uint32(i))) > lsn }))
	}
	return &GrowingView{g: g, lsn: lsn, rows: n}
}

func putUint64(b []byte, v uint64) {
	_ = b[7]
	putUint32(b, uint32(v))
	putUint32(b[4:], uint32(v>>32))
}

const (
	deadLSNShift = 12
	deadLSNRows  = 1 << deadLSNShift
)

type deadLSNChunk [deadLSNRows]atomic.Uint64

// deadLSNs holds the LSN of each row's tombstone, 0 for none. Chunks without a tombstone are not allocated.
type deadLSNs struct {
	dir   atomic.Pointer[[]*deadLSNChunk]
	first atomic.Uint64 // the smallest LSN in it; 0 for none
}

func (d *deadLSNs) at(row uint32) uint64 {
	dir := *d.dir.Load()
	if i := int(row >> deadLSNShift); i < len(dir) && dir[i] != nil {
		return dir[i][row%deadLSNRows].Load()
	}
	return 0
}

func (d *deadLSNs) mark(row uint32, lsn uint64) (alive bool, grown int64) {
	dir := *d.dir.Load()
	i := int(row >> deadLSNShift)
	if i >= len(dir) || dir[i] == nil {
		next := make([]*deadLSNChunk, max(len(dir), i+1))
		copy(next, dir)
		next[i] = new(deadLSNChunk)
		grown = deadLSNRows * 8
		d.dir.Store(&next)
		dir = next
	}
	if dir[i][row%deadLSNRows].Load() != 0 {
		return false, grown
	}
	dir[i][row%deadLSNRows].Store(lsn)
	if d.first.Load() == 0 {
		d.first.Store(lsn)
	}
	return true, grown
}

func (d *deadLSNs) each(rows uint32, fn func(row uint32, lsn uint64)) {
	for i, c := range *d.dir.Load() {
		if c == nil {
			continue
		}
		for j := range c {
			row := uint32(i)<<deadLSNShift + uint32(j)
			if row >= rows {
				return
			}
			if lsn := c[j].Load(); lsn != 0 {
				fn(row, lsn)
			}
		}
	}
}

// upTo returns the rows below n whose tombstone's LSN is at most lsn.
func (d *deadLSNs) upTo(n uint32, lsn uint64) *Dead {
	if first := d.first.Load(); first == 0 || first > lsn || n == 0 {
		return nil
	}
	var set *Dead
	var rows []uint32
	d.each(n, func(row uint32, at uint64) {
		if at <= lsn {
			rows = append(rows, row)
		}
	})
	if len(rows) > 0 {
		set = set.With(rows)
	}
	return set
}
