package column

import (
	"github.com/selkiedb/selkie/schema"
)

// Column is a named run of values of one type. Callers make it with the constructor of its type to insert it, and get it
// as a result of reading.
//
// Constructors never fail: what is wrong with the values (a vector of the wrong length, say) is remembered and refused by
// Build, so that an insert can be written as one expression. The typed views return nil for a column of another type.
type Column struct {
	name   string
	typ    schema.DataType
	elem   schema.DataType // of arrays
	dim    int             // of dense vectors
	data   Data
	faults []fault
}

// fault is something wrong with one row, or with the column (row schema.NoRow). One at a null row does not matter, which is
// only known at the time of Build.
type fault struct {
	row    int
	value  any
	reason string
}

// Name returns the name.
func (c *Column) Name() string { return c.name }

// Type returns the type of the values.
func (c *Column) Type() schema.DataType { return c.typ }

// ElementType returns the type of an array's elements, schema.TypeNone for other columns.
func (c *Column) ElementType() schema.DataType { return c.elem }

// Dim returns the dimension of dense vectors (bits, for binary ones), 0 for other columns.
func (c *Column) Dim() int { return c.dim }

// Len returns the number of rows.
func (c *Column) Len() int { return c.data.Rows }

// Data returns the values in the physical layout. It shares the column's memory.
func (c *Column) Data() Data { return c.data }

// IsNull tells whether row i is null.
func (c *Column) IsNull(i int) bool { return c.data.IsNull(i) }

// WithValid marks nulls: valid has an entry for each row, false = null. The values at nulls do not matter. It changes and
// returns c.
func (c *Column) WithValid(valid []bool) *Column {
	if len(valid) != c.data.Rows {
		c.fault(schema.NoRow, nil, "validity has %d rows, the column has %d", len(valid), c.data.Rows)
		return c
	}
	c.data.Valid = bytesOf(valid)
	return c
}

// FromData makes a column of stored values of a field. It shares d's memory, which must stay as it is for as long as the
// column, or a vector or JSON value taken from it, is in use; strings taken from it are copies.
func FromData(f *schema.Field, d Data) *Column {
	return &Column{name: f.Name, typ: f.Type, elem: f.ElementType, dim: f.Dim, data: d}
}

// Slice returns the rows from lo up to hi, sharing memory. REQUIRES: 0 <= lo <= hi <= c.Len().
func (c *Column) Slice(lo, hi int) *Column {
	s := *c
	s.data = c.data.Slice(lo, hi)
	s.faults = nil
	for _, f := range c.faults {
		switch {
		case f.row == schema.NoRow:
			s.faults = append(s.faults, f)
		case f.row >= lo && f.row < hi:
			f.row -= lo
			s.faults = append(s.faults, f)
		}
	}
	return &s
}
