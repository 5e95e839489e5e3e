package column

import "github.com/selkiedb/selkie/schema"

// Batch is a checked set of columns in the order of the schema's fields: what one insert or upsert writes. Build makes it;
// see the package's invariants 1 and 2.
type Batch struct {
	Schema *schema.Schema // finished
	Rows   int
	Cols   []Data // len(Schema.Fields), each with Rows rows
}

// Keys returns the primary keys, sharing memory.
func (b *Batch) Keys() Keys {
	i := b.Schema.PrimaryKeyIndex()
	return KeysOf(b.Schema.Fields[i], b.Cols[i])
}

// Bytes returns the memory that the values take, offsets and validity included.
func (b *Batch) Bytes() int64 {
	var n int64
	for _, d := range b.Cols {
		n += d.Size()
	}
	return n
}

// Pick gathers rows, in the order given, into a new batch with its own memory. REQUIRES: each below b.Rows.
func (b *Batch) Pick(rows []uint32) *Batch {
	p := &Batch{Schema: b.Schema, Rows: len(rows), Cols: make([]Data, len(b.Cols))}
	for i, d := range b.Cols {
		p.Cols[i] = d.Pick(rows)
	}
	return p
}

// Slice returns the rows from lo up to hi, sharing memory. REQUIRES: 0 <= lo <= hi <= b.Rows.
func (b *Batch) Slice(lo, hi int) *Batch {
	p := &Batch{Schema: b.Schema, Rows: hi - lo, Cols: make([]Data, len(b.Cols))}
	for i, d := range b.Cols {
		p.Cols[i] = d.Slice(lo, hi)
	}
	return p
}

// Columns returns the batch as named columns, sharing memory.
func (b *Batch) Columns() []*Column {
	cols := make([]*Column, len(b.Cols))
	for i, d := range b.Cols {
		cols[i] = FromData(b.Schema.Fields[i], d)
	}
	return cols
}
