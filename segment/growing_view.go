package segment

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// GrowingView is a growing (or sealing) segment at one LSN.
type GrowingView struct {
	g    *Growing
	lsn  uint64
	rows uint32

	now     int64 // rows that have expired by then are dead, if expires is set
	expires bool

	deadOnce sync.Once
	dead     *Dead

	orderOnce sync.Once
	order     []uint32
}

var _ View = (*GrowingView)(nil)

// Segment is the segment that is seen.
func (v *GrowingView) Segment() *Growing { return v.g }

// ID names the segment.
func (v *GrowingView) ID() ID { return v.g.id }

// Rows is the number of rows the view sees, dead ones included.
func (v *GrowingView) Rows() uint32 { return v.rows }

// Dead returns the rows below Rows that are dead at the view's LSN.
func (v *GrowingView) Dead() *Dead {
	v.deadOnce.Do(func() { v.dead = v.lessExpired(v.g.dead.upTo(v.rows, v.lsn)) })
	return v.dead
}

// Scan walks the values of a field; see View.
func (v *GrowingView) Scan(ctx context.Context, f *schema.Field, from, to uint32, fn func(first uint32, d column.Data) error) error {
	to = min(to, v.rows)
	i := indexOf(v.g.schema, f)
	if i < 0 {
		return scanMissing(ctx, f, from, to, fn)
	}
	c := v.g.cols[i]
	var b *column.Builder
	for row := from; row < to; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var d column.Data
		if c.fixed != nil {
			d = column.Data{Width: c.fixed.width, Fixed: c.fixed.run(row, to)}
			d.Rows = len(d.Fixed) / d.Width
		} else {
			d = c.varRun(&b, row, to)
		}
		if c.valid != nil {
			d.Valid = c.valid.runOf(row, d.Rows)
		}
		if err := fn(row, d); err != nil {
			return err
		}
		row += uint32(d.Rows)
	}
	return nil
}

// varRun gathers a run of variable-length values; the builder is made on first use and reused.
func (c *growingColumn) varRun(b **column.Builder, row, to uint32) column.Data {
	if *b == nil {
		*b = column.NewBuilder(0, false)
	}
	(*b).Reset()
	for size, n := 0, uint32(0); row+n < to && n < 4096 && size < chunkBytes; n++ {
		raw, _ := c.value(row + n)
		(*b).AppendValue(raw, true)
		size += len(raw)
	}
	return (*b).Data()
}

// runOf returns n values from row on, copied only if they cross a chunk.
func (c *chunks) runOf(row uint32, n int) []byte {
	run := c.run(row, row+uint32(n))
	if len(run) == n*c.width {
		return run
	}
	out := append(make([]byte, 0, n*c.width), run...)
	for len(out) < n*c.width {
		out = append(out, c.run(row+uint32(len(out)/c.width), row+uint32(n))...)
	}
	return out
}

// Read appends the values of the rows to dst.
func (v *GrowingView) Read(ctx context.Context, f *schema.Field, rows []uint32, dst *column.Builder) error {
	i := indexOf(v.g.schema, f)
	if i < 0 {
		return readMissing(f, len(rows), dst)
	}
	c := v.g.cols[i]
	for n := 0; n < len(rows); {
		if err := ctx.Err(); err != nil {
			return err
		}
		for end := min(n+4096, len(rows)); n < end; {
			n += c.read(rows[n:end], dst)
		}
	}
	return nil
}

// read appends the first rows of the list, as many as lie one after another in one chunk, and returns their number.
func (c *growingColumn) read(rows []uint32, dst *column.Builder) int {
	run := 1
	for run < len(rows) && rows[run] == rows[0]+uint32(run) {
		run++
	}
	if c.fixed == nil || run == 1 {
		raw, ok := c.value(rows[0])
		dst.AppendValue(raw, ok)
		return 1
	}
	d := column.Data{Width: c.fixed.width, Fixed: c.fixed.run(rows[0], rows[0]+uint32(run))}
	d.Rows = len(d.Fixed) / d.Width
	if c.valid != nil {
		d.Valid = c.valid.runOf(rows[0], d.Rows)
	}
	dst.AppendData(d, 0, d.Rows)
	return d.Rows
}

// Find calls fn for the live rows of the keys.
func (v *GrowingView) Find(ctx context.Context, keys column.Keys, fn func(i int, row uint32)) error {
	if v.rows == 0 {
		return ctx.Err()
	}
	for i := range keys.Len() {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, ok := v.g.keys.newest(keys.Hash(i), func(r uint32) bool { return v.g.holds(r, keys, i) })
		for ; ok; row, ok = v.g.keys.next(row) {
			if row >= v.rows {
				continue
			}
			if at := v.g.dead.at(row); (at == 0 || at > v.lsn) && !v.expired(row) {
				fn(i, row)
			}
		}
	}
	return nil
}

// KeyOrder sorts the view's rows by primary key, rows of one key by the order of insertion. It is done once a view.
func (v *GrowingView) KeyOrder(ctx context.Context) ([]uint32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v.orderOnce.Do(func() { v.order = v.g.keyOrder(v.rows) })
	return v.order, nil
}

func (g *Growing) keyOrder(n uint32) []uint32 {
	order := make([]uint32, n)
	for i := range order {
		order[i] = uint32(i)
	}
	c := g.cols[g.key]
	if c.fixed == nil {
		slices.SortFunc(order, func(a, b uint32) int {
			if d := bytes.Compare(c.vars.at(a), c.vars.at(b)); d != 0 {
				return d
			}
			return int(int64(a) - int64(b))
		})
		return order
	}
	type keyRow struct {
		key int64
		row uint32
	}
	pairs := make([]keyRow, n)
	sorted := true
	for i := range pairs {
		pairs[i] = keyRow{int64(getUint64(c.fixed.at(uint32(i)))), uint32(i)}
		sorted = sorted && (i == 0 || pairs[i-1].key <= pairs[i].key)
	}
	if sorted {
		return order
	}
	slices.SortFunc(pairs, func(a, b keyRow) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return int(int64(a.row) - int64(b.row))
	})
	for i, p := range pairs {
		order[i] = p.row
	}
	return order
}

// indexOf finds a field by its identifier, which survives renames.
func indexOf(s *schema.Schema, f *schema.Field) int {
	for i, have := range s.Fields {
		if have.ID == f.ID {
			return i
		}
	}
	return -1
}

// KeyBefore reports whether row a comes before row b in the order of the primary key, rows of one key in the order of insertion.
func (v *GrowingView) KeyBefore(a, b uint32) bool {
	c := v.g.cols[v.g.key]
	if c.fixed != nil {
		x, y := int64(getUint64(c.fixed.at(a))), int64(getUint64(c.fixed.at(b)))
		return x < y || x == y && a < b
	}
	d := bytes.Compare(c.vars.at(a), c.vars.at(b))
	return d < 0 || d == 0 && a < b
}
