package column

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/selkiedb/selkie/schema"
)

// Mode tells what a batch is for, which decides what becomes of generated primary keys.
type Mode uint8

const (
	// Insert refuses values for a primary key that the engine generates.
	Insert Mode = iota
	// Upsert requires the primary key in every case: it says which rows to replace.
	Upsert
)

// DefaultMaxBytes is the size limit of a batch, that of a Milvus call.
const DefaultMaxBytes = 64 << 20

// maxRows keeps row numbers within 32 bits on all targets.
const maxRows = math.MaxInt32

// BuildOptions say how Build treats a batch. The zero value inserts with DefaultMaxBytes.
type BuildOptions struct {
	Mode Mode
	// AutoID returns n fresh primary keys; needed to insert where the schema has them generated. It is called once, after
	// all else has passed, so that a refused batch uses up no keys.
	AutoID func(n int) ([]int64, error)
	// MaxBytes bounds Batch.Bytes; 0 = DefaultMaxBytes, negative = no limit but that of 32-bit offsets.
	MaxBytes int64
	// Partial leaves out fields that are not given, but for the primary key: Batch.Given tells which those are. The batch is then to be
	// completed, see Batch.Complete.
	Partial bool
	// Now is the time of insertion; time.Now if it is nil.
	Now func() time.Time
}

func (o BuildOptions) maxBytes() int64 {
	switch {
	case o.MaxBytes == 0:
		return DefaultMaxBytes
	case o.MaxBytes < 0:
		return math.MaxInt64
	}
	return o.MaxBytes
}

// Build checks the columns against a finished schema and returns them as a batch, or refuses them all with a
// *schema.FieldError (errors.Is schema.ErrInvalid, and schema.ErrTooLarge for a batch beyond MaxBytes).
//
// Columns may come in any order. A missing one, or a null, takes the field's default value, else null where the field allows
// it. With a dynamic field, columns that name no field become keys of "$meta"; a JSON column "$meta" may be given too.
// Equal primary keys within the batch are not refused here: what they mean is the partition's to say.
//
// The batch shares the memory of flat slices, so the caller leaves these alone until it is done with the batch.
func Build(s *schema.Schema, cols []*Column, o BuildOptions) (*Batch, error) {
	b := builder{schema: s, options: o}
	// 1. The columns as a whole: names, lengths, types. 2. Their size, before anything that costs time in proportion to it.
	// 3. Values, field by field. 4. Dynamic keys. 5. Generated keys.
	if err := b.arrange(cols); err != nil {
		return nil, err
	}
	if err := b.checkSize(); err != nil {
		return nil, err
	}
	b.batch = &Batch{Schema: s, Rows: b.rows, Cols: make([]Data, len(s.Fields))}
	for i, f := range s.Fields {
		var err error
		switch {
		case b.leaveOut(i) || s.MadeBy(f.Name) != nil:
			continue
		case f.IsInsertTime:
			b.batch.Cols[i] = b.options.insertTimes(b.rows)
		case f.IsDynamic:
			b.batch.Cols[i], err = b.dynamic(f, b.given[i])
		case b.generates(f):
			continue
		default:
			b.batch.Cols[i], err = b.values(f, b.given[i])
		}
		if err != nil {
			return nil, err
		}
	}
	if err := b.generate(); err != nil {
		return nil, err
	}
	if err := b.batch.makeFields(); err != nil {
		return nil, err
	}
	if n := b.batch.Bytes(); n > o.maxBytes() { // defaults and nulls may have added to it
		return nil, tooLarge(b.rows, n, o.maxBytes())
	}
	return b.batch, nil
}

// builder is the state of one Build.
type builder struct {
	schema  *schema.Schema
	options BuildOptions
	rows    int
	given   []*Column // by position of the field; nil = not given
	extra   []*Column // columns that name no field
	batch   *Batch
}

// arrange puts each column at its field's position and checks what concerns columns as a whole.
func (b *builder) arrange(cols []*Column) error {
	b.given = make([]*Column, len(b.schema.Fields))
	for i, c := range cols {
		if c == nil {
			return schema.Invalid("", nil, "column %d of %d is nil", i, len(cols))
		}
		if i == 0 {
			b.rows = c.Len()
		}
		at := b.schema.Index(c.name)
		if at < 0 {
			if err := b.addExtra(c); err != nil {
				return err
			}
			continue
		}
		if b.given[at] != nil {
			return schema.Invalid(c.name, nil, "column is given twice")
		}
		b.given[at] = c
		if err := b.checkType(b.schema.Fields[at], c); err != nil {
			return err
		}
	}
	for _, c := range cols {
		for _, f := range c.faults {
			if f.row == schema.NoRow {
				return schema.Invalid(c.name, f.value, "%s", f.reason)
			}
		}
		if c.Len() != b.rows {
			return schema.Invalid(c.name, nil, "column has %d rows, column %q has %d", c.Len(), cols[0].name, b.rows)
		}
	}
	if b.rows == 0 {
		return schema.Invalid("", nil, "batch has no rows")
	}
	if b.rows > maxRows {
		e := schema.Invalid("", nil, "batch has %d rows, at most %d are allowed", b.rows, maxRows)
		e.Err = schema.ErrTooLarge
		return e
	}
	return nil
}

func (b *builder) addExtra(c *Column) error {
	if !b.schema.Dynamic {
		return schema.Invalid(c.name, nil, "collection %q has no such field, and no dynamic field to take it", b.schema.Name)
	}
	for _, other := range b.extra {
		if other.name == c.name {
			return schema.Invalid(c.name, nil, "column is given twice")
		}
	}
	if c.typ.IsVector() {
		return schema.Invalid(c.name, nil, "collection %q has no such field, and the dynamic field takes no %s column", b.schema.Name, c.typ)
	}
	b.extra = append(b.extra, c)
	return nil
}

func (b *builder) checkType(f *schema.Field, c *Column) error {
	if f.IsPrimaryKey && f.IsAutoID && b.options.Mode == Insert {
		return schema.Invalid(f.Name, nil, "primary key is generated, an insert cannot give it")
	}
	if f.IsInsertTime {
		return schema.Invalid(f.Name, nil, "the time of insertion cannot be given")
	}
	if fn := b.schema.MadeBy(f.Name); fn != nil {
		return schema.Invalid(f.Name, nil, "field is made of field %q and cannot be given", fn.Input)
	}
	switch {
	case c.typ != f.Type:
		return schema.Invalid(f.Name, nil, "column is %s, the field is %s", c.typ, f.Type)
	case c.elem != f.ElementType:
		return schema.Invalid(f.Name, nil, "array holds %s, the field's elements are %s", c.elem, f.ElementType)
	case c.dim != f.Dim:
		return schema.Invalid(f.Name, nil, "vectors have dim %d, the field has dim %d", c.dim, f.Dim)
	}
	return nil
}

// checkSize bounds what was handed over.
func (b *builder) checkSize() error {
	var n int64
	for _, c := range b.given {
		if c != nil {
			n += c.data.Size()
		}
	}
	for _, c := range b.extra {
		n += c.data.payload()
	}
	if n > b.options.maxBytes() {
		return tooLarge(b.rows, n, b.options.maxBytes())
	}
	return nil
}

func tooLarge(rows int, n, most int64) error {
	e := schema.Invalid("", nil, "batch of %d rows takes %d bytes, at most %d are allowed", rows, n, most)
	e.Err = schema.ErrTooLarge
	return e
}

// generates tells whether f's values are to be generated in this batch.
func (b *builder) generates(f *schema.Field) bool {
	return f.IsPrimaryKey && f.IsAutoID && b.options.Mode == Insert
}

// generate fills the primary key where the engine makes it.
func (b *builder) generate() error {
	i := b.schema.PrimaryKeyIndex()
	f := b.schema.Fields[i]
	if !b.generates(f) {
		return nil
	}
	if b.options.AutoID == nil {
		return errors.New("primary keys are to be generated, but BuildOptions.AutoID is not set")
	}
	ids, err := b.options.AutoID(b.rows)
	if err != nil {
		return fmt.Errorf("generate primary keys: %w", err)
	}
	if len(ids) != b.rows {
		return fmt.Errorf("generate primary keys: got %d keys for %d rows", len(ids), b.rows)
	}
	if f.Type == schema.TypeInt64 {
		b.batch.Cols[i] = IntKeys(ids...).Data()
		return nil
	}
	d := Data{Rows: b.rows, Offs: make([]uint32, b.rows+1)}
	for row, id := range ids {
		d.Bytes = strconv.AppendInt(d.Bytes, id, 10)
		d.Offs[row+1] = uint32(len(d.Bytes))
	}
	b.batch.Cols[i] = d
	return nil
}

// values returns the checked values of a field that is not generated. c is nil when no column was given.
func (b *builder) values(f *schema.Field, c *Column) (Data, error) {
	def, err := f.DefaultBytes()
	if err != nil {
		return Data{}, err
	}
	if c == nil {
		switch {
		case def != nil:
			if w := int64(f.Width()); w == 0 && int64(b.rows)*int64(len(def)) > min(b.options.maxBytes(), math.MaxUint32) {
				return Data{}, tooLarge(b.rows, int64(b.rows)*int64(len(def)), b.options.maxBytes())
			}
			return repeated(f.Width(), b.rows, def), nil
		case f.IsNullable:
			if n := int64(f.Width()) * int64(b.rows); n > b.options.maxBytes() {
				return Data{}, tooLarge(b.rows, n, b.options.maxBytes())
			}
			return nulls(f.Width(), b.rows), nil
		}
		return Data{}, schema.Invalid(f.Name, nil, "column is missing, and the field is neither nullable nor has a default value")
	}
	d := c.data
	for _, x := range c.faults {
		if !d.IsNull(x.row) {
			return Data{}, schema.InvalidRow(f.Name, x.row, x.value, "%s", x.reason)
		}
	}
	switch {
	case !d.hasNulls():
		d.Valid = nil
	case def != nil:
		if n := d.payload() + int64(d.Rows)*int64(len(def)); d.Width == 0 && n > math.MaxUint32 {
			return Data{}, tooLarge(b.rows, n, min(b.options.maxBytes(), math.MaxUint32))
		}
		d = replaceNulls(d, def)
	case f.IsNullable:
		d = clearNulls(d)
	default:
		for row := range d.Rows {
			if d.IsNull(row) {
				return Data{}, schema.InvalidRow(f.Name, row, nil, "value is null, and the field is neither nullable nor has a default value")
			}
		}
	}
	return d, checkValues(f, d)
}

// replaceNulls puts a value in place of every null.
func replaceNulls(d Data, value []byte) Data {
	b := NewBuilder(d.Width, false)
	b.Grow(d.Rows, int(d.payload()))
	for row := range d.Rows {
		if d.IsNull(row) {
			b.AppendValue(value, true)
		} else {
			b.AppendValue(d.Value(row), true)
		}
	}
	return b.Data()
}

// clearNulls makes the values at nulls zero or empty; it copies only if any is not.
func clearNulls(d Data) Data {
	for row := range d.Rows {
		if d.IsNull(row) && !isClear(d, row) {
			b := NewBuilder(d.Width, true)
			b.Grow(d.Rows, int(d.payload()))
			for row := range d.Rows {
				b.AppendRow(d, row)
			}
			return b.Data()
		}
	}
	return d
}

func isClear(d Data, row int) bool {
	v := d.Value(row)
	if d.Width == 0 {
		return len(v) == 0
	}
	for _, x := range v {
		if x != 0 {
			return false
		}
	}
	return true
}
