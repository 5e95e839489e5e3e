package bulk

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// ImportParquet upserts the rows of a file of size bytes and returns the number of rows that are in the collection.
func ImportParquet(ctx context.Context, c *engine.Collection, r io.ReaderAt, size int64, o Options) (done int64, err error) {
	to := newSink(c, o)
	defer func() {
		done = to.done
		if p := recover(); p != nil { // the library reads damaged pages so
			err = fmt.Errorf("rows from %d on: %w: %v", to.done, ErrDamaged, p)
		}
	}()
	f, err := parquet.OpenFile(r, size, parquet.SkipBloomFilters(true))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	cols, err := parquetColumns(c.Schema(), f.Root())
	if err != nil {
		return 0, err
	}
	has := false
	for _, x := range cols {
		has = has || x.field.IsPrimaryKey
	}
	if err := to.checkKey(has); err != nil {
		return 0, err
	}
	if o.Skip > f.NumRows() {
		return 0, fmt.Errorf("%d rows are to be skipped, the file has %d", o.Skip, f.NumRows())
	}
	left := o.Skip
	for _, g := range f.RowGroups() {
		if g.NumRows() <= left {
			left -= g.NumRows()
			continue
		}
		if err := to.rowGroup(ctx, g, cols, left, o.batch(c.Schema())); err != nil {
			return 0, err
		}
		left = 0
	}
	return 0, nil
}

// rowGroup writes the rows of a group from one on.
func (s *sink) rowGroup(ctx context.Context, g parquet.RowGroup, cols []parquetColumn, from int64, batch int) (err error) {
	rows := g.Rows()
	defer func() { err = errors.Join(err, rows.Close()) }()
	if err := rows.SeekToRow(from); err != nil {
		return fmt.Errorf("row %d: %w: %w", s.done, ErrDamaged, err)
	}
	buffer := make([]parquet.Row, batch)
	for left := g.NumRows() - from; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := rows.ReadRows(buffer[:min(int64(batch), left)])
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			return fmt.Errorf("rows from %d on: %w: %w", s.done, ErrDamaged, errors.Join(err, ctx.Err()))
		}
		out := make([]*column.Column, len(cols))
		for i, c := range cols {
			if out[i], err = c.read(buffer[:n], s.done); err != nil {
				return err
			}
		}
		if err := s.write(ctx, n, out); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// read makes the field's column of some rows, the first of which is row first of the file.
func (c *parquetColumn) read(rows []parquet.Row, first int64) (*column.Column, error) {
	f := c.field
	b := column.NewBuilder(f.Width(), true)
	var raw []byte
	for i, row := range rows {
		var values []parquet.Value
		row.Range(func(at int, v []parquet.Value) bool {
			if at == c.at {
				values = v
			}
			return at < c.at
		})
		if len(values) == 0 || !c.list && len(values) != 1 {
			return nil, schema.InvalidRow(f.Name, int(first)+i, nil, "the row has %d values", len(values))
		}
		level := values[0].DefinitionLevel()
		if level < c.present || !c.list && level < c.whole {
			b.AppendValue(nil, false)
			continue
		}
		if c.list && level < c.element {
			values = nil
		}
		var err error
		if raw, err = c.value(raw[:0], values); err != nil {
			return nil, schema.InvalidRow(f.Name, int(first)+i, nil, "%v", err)
		}
		b.AppendValue(raw, true)
	}
	return column.FromData(f, b.Data()), nil
}

// value appends a value's bytes, as column.Data has them.
func (c *parquetColumn) value(to []byte, values []parquet.Value) ([]byte, error) {
	f := c.field
	for _, v := range values {
		if v.DefinitionLevel() < c.whole {
			return nil, errors.New("a list has a null")
		}
	}
	var err error
	switch f.Type {
	case schema.TypeArray:
		to = binary.LittleEndian.AppendUint32(to, uint32(len(values)))
		for _, v := range values {
			if f.ElementType == schema.TypeVarChar {
				to = binary.LittleEndian.AppendUint32(to, uint32(len(v.ByteArray())))
			}
			if to, err = c.scalar(to, f.ElementType, v); err != nil {
				return nil, err
			}
		}
		return to, nil
	case schema.TypeSparseFloatVector:
		var m map[uint32]float32
		if err := json.Unmarshal(values[0].ByteArray(), &m); err != nil {
			return nil, err
		}
		return append(to, pairs(m)...), nil
	case schema.TypeFloatVector, schema.TypeInt8Vector, schema.TypeFloat16Vector, schema.TypeBFloat16Vector, schema.TypeBinaryVector:
		width := f.Width()
		element, each := schema.TypeInt8, 1
		if f.Type == schema.TypeFloatVector {
			element, each = schema.TypeFloat, 4
		}
		if len(values)*each != width {
			return nil, fmt.Errorf("a list has %d elements, %d are expected", len(values), width/each)
		}
		for _, v := range values {
			if f.Type != schema.TypeFloatVector && f.Type != schema.TypeInt8Vector {
				n, err := c.integer(v, 0, math.MaxUint8)
				if err != nil {
					return nil, err
				}
				to = append(to, byte(n))
				continue
			}
			if to, err = c.scalar(to, element, v); err != nil {
				return nil, err
			}
		}
		return to, nil
	}
	return c.scalar(to, f.Type, values[0])
}

func (c *parquetColumn) scalar(to []byte, t schema.DataType, v parquet.Value) ([]byte, error) {
	switch t {
	case schema.TypeBool:
		if v.Boolean() {
			return append(to, 1), nil
		}
		return append(to, 0), nil
	case schema.TypeInt8:
		n, err := c.integer(v, math.MinInt8, math.MaxInt8)
		return append(to, byte(n)), err
	case schema.TypeInt16:
		n, err := c.integer(v, math.MinInt16, math.MaxInt16)
		return binary.LittleEndian.AppendUint16(to, uint16(n)), err
	case schema.TypeInt32:
		n, err := c.integer(v, math.MinInt32, math.MaxInt32)
		return binary.LittleEndian.AppendUint32(to, uint32(n)), err
	case schema.TypeInt64:
		n, err := c.integer(v, math.MinInt64, math.MaxInt64)
		return binary.LittleEndian.AppendUint64(to, uint64(n)), err
	case schema.TypeFloat:
		return binary.LittleEndian.AppendUint32(to, math.Float32bits(float32(c.float(v)))), nil
	case schema.TypeDouble:
		return binary.LittleEndian.AppendUint64(to, math.Float64bits(c.float(v))), nil
	}
	return append(to, v.ByteArray()...), nil
}

func (c *parquetColumn) float(v parquet.Value) float64 {
	if c.kind == parquet.Float {
		return float64(v.Float())
	}
	return v.Double()
}

// integer reads a whole number that must be in a range.
func (c *parquetColumn) integer(v parquet.Value, low, high int64) (int64, error) {
	n := v.Int64()
	switch {
	case c.kind == parquet.Int32 && c.unsigned:
		n = int64(uint32(v.Int32()))
	case c.kind == parquet.Int32:
		n = int64(v.Int32())
	case c.unsigned && n < 0:
		return 0, fmt.Errorf("%d is out of range", uint64(n))
	}
	if n < low || n > high {
		return 0, fmt.Errorf("%d is out of range [%d, %d]", n, low, high)
	}
	return n, nil
}
