package filter

import (
	"fmt"

	"github.com/selkiedb/selkie/schema"
)

// operand is something that has a value in each row.
type operand interface {
	kind() kind // of all values; kindJSON where it differs from row to row
	// at returns the value of row i of the tile: kindNull for unknown, kindNone for missing.
	at(r *run, i int) scalar
	bind(b *binder) // numbers the columns and paths, once the expression is folded
	append(b []byte) []byte
	cost() int
}

// numeric is an operand of kindInt or kindFloat that knows how to fill a tile at once.
type numeric interface {
	operand
	// ints returns the values of the tile's rows in a buffer of r.ints, and sets the rows of n that have none.
	ints(r *run, want []uint64, n *numbers) []int64
	floats(r *run, want []uint64, n *numbers) []float64
}

// numbers says which rows of a tile have a number: known are those that are not null, here those that are not missing.
type numbers struct{ known, here []uint64 }

// scalar is the value of one row.
type scalar struct {
	kind kind
	esc  bool   // raw is the inside of a JSON string with escapes
	num  uint64 // as in value
	raw  []byte // of strings; of JSON arrays and objects the text
}

const (
	kindNull   kind = 100 + iota // the field is null
	kindObject                   // a JSON object
	kindItems                    // a JSON array
)

func (s scalar) value() value { return value{kind: s.kind, num: s.num} }

// binder collects the columns and paths that an expression reads.
type binder struct {
	fields []*schema.Field
	docs   []docPlan
	paths  int
}

func (b *binder) column(f *schema.Field) int {
	for i, g := range b.fields {
		if g == f {
			return i
		}
	}
	b.fields = append(b.fields, f)
	return len(b.fields) - 1
}

// columnOp is a field.
type columnOp struct {
	field *schema.Field
	col   int
}

func (c *columnOp) kind() kind             { return kindOf(c.field.Type) }
func (c *columnOp) bind(b *binder)         { c.col = b.column(c.field) }
func (c *columnOp) cost() int              { return costOf(c.kind()) }
func (c *columnOp) append(b []byte) []byte { return append(b, c.field.Name...) }

func (c *columnOp) at(r *run, i int) scalar {
	d, ok := r.column(c.col)
	if !ok || d.IsNull(i) {
		return scalar{kind: kindNull}
	}
	return decode(c.field.Type, d.Value(i))
}

// How dear it is to evaluate a predicate, for the order in which the sides of and and or are tried.
const (
	costFixed = iota + 1
	costString
	costPattern
	costArray
	costJSON
	costText
)

func costOf(k kind) int {
	switch k {
	case kindString:
		return costString
	case kindArray:
		return costArray
	case kindJSON:
		return costJSON
	}
	return costFixed
}

// describe names an operand in an error, with its type.
func describe(x operand) string {
	if c, ok := x.(*columnOp); ok {
		if c.field.Type == schema.TypeArray {
			return fmt.Sprintf("field %q (Array of %s)", c.field.Name, c.field.ElementType)
		}
		return fmt.Sprintf("field %q (%s)", c.field.Name, c.field.Type)
	}
	if c, ok := x.(*constant); ok {
		return c.value.show()
	}
	if p, ok := x.(*path); ok && len(p.steps) == 0 {
		return fmt.Sprintf("field %q (JSON)", p.field.Name)
	}
	text := string(x.append(nil))
	if len(text) > shownBytes {
		text = "an expression"
	}
	return fmt.Sprintf("%s (%s)", text, x.kind())
}

// fieldOf returns the field that an operand is about, nil if there is not exactly one.
func fieldOf(x operand) *schema.Field {
	switch x := x.(type) {
	case *columnOp:
		return x.field
	case *element:
		return x.field
	case *path:
		return x.field
	}
	return nil
}

// constant is an operand that is the same in each row.
type constant struct{ value value }

func (c *constant) kind() kind             { return c.value.kind }
func (c *constant) bind(*binder)           {}
func (c *constant) cost() int              { return 0 }
func (c *constant) append(b []byte) []byte { return c.value.appendTo(b) }
func (c *constant) at(*run, int) scalar {
	return scalar{kind: c.value.kind, num: c.value.num, raw: []byte(c.value.str)}
}
