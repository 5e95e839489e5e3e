package segment

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sort"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// SealedView is a sealed segment with the tombstones of one LSN.
type SealedView struct {
	s    *Sealed
	dead *Dead
}

var _ View = (*SealedView)(nil)

// At returns what a reader at the LSN may see. ok is false if the segment's tombstones have moved past the LSN; the reader then
// takes a newer one.
func (s *Sealed) At(lsn uint64) (v *SealedView, ok bool) {
	v = &SealedView{}
	return v, s.ViewAt(lsn, v)
}

// ViewAt is At into a view that the caller has; that of a failed call must not be used.
func (s *Sealed) ViewAt(lsn uint64, v *SealedView) (ok bool) {
	v.s = s
	v.dead, ok = s.tombs.At(lsn)
	return ok
}

// Segment is the segment that is seen.
func (v *SealedView) Segment() *Sealed { return v.s }

// ID names the segment.
func (v *SealedView) ID() ID { return v.s.man.ID }

// Rows is the number of rows, dead ones included.
func (v *SealedView) Rows() uint32 { return v.s.man.Rows }

// Dead returns the rows that are dead at the view's LSN.
func (v *SealedView) Dead() *Dead { return v.dead }

// KeyOrder is nil: the rows lie in the order of the primary key.
func (v *SealedView) KeyOrder(ctx context.Context) ([]uint32, error) { return nil, ctx.Err() }

// Scan walks the values of a field; see View.
func (v *SealedView) Scan(ctx context.Context, f *schema.Field, from, to uint32, fn func(first uint32, d column.Data) error) error {
	to = min(to, v.s.man.Rows)
	if from >= to {
		return ctx.Err()
	}
	c := v.s.cols[uint32(f.ID)]
	if c == nil {
		return scanMissing(ctx, f, from, to, fn)
	}
	return v.s.walkChunks(ctx, c, c.chunkOf(from), c.chunkOf(to-1)+1, func(chunk int, d column.Data) error {
		first := c.starts[chunk]
		lo, hi := max(first, from), min(first+uint32(d.Rows), to)
		return fn(lo, d.Slice(int(lo-first), int(hi-first)))
	})
}

// Read appends the values of the rows to dst.
func (v *SealedView) Read(ctx context.Context, f *schema.Field, rows []uint32, dst *column.Builder) error {
	c := v.s.cols[uint32(f.ID)]
	if c == nil {
		return readMissing(f, len(rows), dst)
	}
	if ok, err := v.s.readFew(ctx, f, c, rows, dst); ok || err != nil {
		return err
	}
	if slices.IsSorted(rows) {
		return v.s.readAscending(ctx, c, rows, dst)
	}
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return rows[order[a]] < rows[order[b]] })
	sorted, rank := make([]uint32, len(rows)), make([]int, len(rows))
	for i, o := range order {
		sorted[i], rank[o] = rows[o], i
	}
	b := column.NewBuilder(c.width, c.nullable)
	if err := v.s.readAscending(ctx, c, sorted, b); err != nil {
		return err
	}
	d := b.Data()
	for _, r := range rank {
		dst.AppendRow(d, r)
	}
	return nil
}

// readAscending reads rows that ascend, each chunk once.
func (s *Sealed) readAscending(ctx context.Context, c *columnMeta, rows []uint32, dst *column.Builder) error {
	for len(rows) > 0 {
		chunk := c.chunkOf(rows[0])
		n := sort.Search(len(rows), func(i int) bool { return rows[i] >= c.end(chunk, s.man.Rows) })
		mine := rows[:n]
		err := s.walkChunks(ctx, c, chunk, chunk+1, func(_ int, d column.Data) error {
			first := c.starts[chunk]
			for i := 0; i < len(mine); {
				run := 1
				for i+run < len(mine) && mine[i+run] == mine[i]+uint32(run) {
					run++
				}
				dst.AppendData(d, int(mine[i]-first), int(mine[i]-first)+run)
				i += run
			}
			return nil
		})
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// Find calls fn for the live rows of the keys.
func (v *SealedView) Find(ctx context.Context, keys column.Keys, fn func(i int, row uint32)) error {
	return v.s.Locate(ctx, keys, nil, func(i int, row uint32) {
		if !v.dead.Has(row) {
			fn(i, row)
		}
	})
}

// Locate calls fn for each row that holds one of the keys, dead or alive. Only the keys that the filter does not rule out cost a read.
// hashes are the keys' hashes, if the caller has them.
func (s *Sealed) Locate(ctx context.Context, keys column.Keys, hashes []uint64, fn func(i int, row uint32)) error {
	if hashes == nil {
		hashes = make([]uint64, keys.Len())
		for i := range hashes {
			hashes[i] = keys.Hash(i)
		}
	}
	var room [fewRows]int
	among := s.filter.among(hashes, room[:0])
	if len(among) == 0 || s.locateFew(ctx, keys, among, fn) {
		return ctx.Err()
	}
	type probe struct {
		i     int
		chunk int
		enc   []byte
	}
	var probes []probe
	var enc []byte
	lo, hi := s.key.bounds[0].Min, s.key.bounds[len(s.key.bounds)-1].Max
	for _, i := range among {
		enc = keys.At(i).Append(enc[:0])
		if bytes.Compare(enc, lo) < 0 || bytes.Compare(enc, hi) > 0 {
			continue
		}
		// The first chunk whose greatest key is not below this one.
		chunk := sort.Search(len(s.key.bounds), func(c int) bool { return bytes.Compare(s.key.bounds[c].Max, enc) >= 0 })
		if bytes.Compare(s.key.bounds[chunk].Min, enc) > 0 {
			continue
		}
		probes = append(probes, probe{i, chunk, bytes.Clone(enc)})
	}
	if len(probes) == 0 {
		return ctx.Err()
	}
	sort.Slice(probes, func(a, b int) bool { return bytes.Compare(probes[a].enc, probes[b].enc) < 0 })
	for len(probes) > 0 {
		chunk := probes[0].chunk
		n := sort.Search(len(probes), func(i int) bool { return probes[i].chunk > chunk })
		mine := probes[:n]
		probes = probes[n:]
		// Rows of one key may run on into the next chunks where duplicates are allowed.
		for last := chunk; len(mine) > 0; last++ {
			err := s.walkChunks(ctx, s.key, last, last+1, func(_ int, d column.Data) error {
				for _, p := range mine {
					at := sort.Search(d.Rows, func(r int) bool { return compareKey(d.Value(r), keys, p.i) >= 0 })
					for ; at < d.Rows && compareKey(d.Value(at), keys, p.i) == 0; at++ {
						fn(p.i, s.key.starts[last]+uint32(at))
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			if last+1 >= len(s.key.bounds) {
				break
			}
			next := s.key.bounds[last+1].Min
			mine = slices.DeleteFunc(slices.Clone(mine), func(p probe) bool { return !bytes.Equal(p.enc, next) })
		}
	}
	return nil
}

// compareKey compares the raw value of a primary key column with a key of a list.
func compareKey(raw []byte, keys column.Keys, i int) int {
	if keys.Str {
		return bytes.Compare(raw, keys.Bytes[keys.Offs[i]:keys.Offs[i+1]])
	}
	return cmp.Compare(int64(getUint64(raw)), keys.Ints[i])
}
