package bulk

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"

	"github.com/parquet-go/parquet-go"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// rowGroupBytes is about the size at which a group of rows is written, before it is compressed: what Milvus's own writer takes.
const rowGroupBytes = 32 << 20

// ExportParquet writes the rows that a filter lets through, all for an empty one, and returns their number. Pages are compressed with Snappy and have
// checksums. A group of rows is held in memory, about 32 MiB.
func ExportParquet(ctx context.Context, c *engine.Collection, filter string, w io.Writer) (n int64, err error) {
	s := c.Schema()
	layout := parquetSchema(s)
	place := map[string]int{}
	for i, path := range layout.Columns() {
		place[path[0]] = i
	}
	out := parquet.NewWriter(w, layout, parquet.Compression(&parquet.Snappy))
	it, err := c.QueryIterator(ctx, query.Where(filter).Output("*"), Options{}.batch(s))
	if err != nil {
		return 0, err
	}
	defer it.Close()
	size := 0
	for {
		rows, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return n, out.Close()
		}
		if err != nil {
			return n, err
		}
		written, bytes, err := parquetRows(s, place, rows)
		if err != nil {
			return n, err
		}
		if _, err := out.WriteRows(written); err != nil {
			return n, err
		}
		n += int64(len(written))
		if size += bytes; size >= rowGroupBytes {
			if err := out.Flush(); err != nil {
				return n, err
			}
			size = 0
		}
	}
}

// parquetRows makes rows, and tells their size.
func parquetRows(s *schema.Schema, place map[string]int, rows *column.Rows) (out []parquet.Row, size int, err error) {
	fs := make([]*schema.Field, len(place)) // in the order of the file's columns
	for _, f := range fields(s) {
		fs[place[f.Name]] = f
	}
	out = make([]parquet.Row, rows.Len())
	for at, f := range fs {
		d := rows.Column(f.Name).Data()
		top := 0
		if f.IsNullable {
			top = 1
		}
		for i := range out {
			if d.IsNull(i) {
				out[i] = append(out[i], parquet.NullValue().Level(0, 0, at))
				continue
			}
			raw := d.Value(i)
			size += len(raw)
			if f.Type == schema.TypeSparseFloatVector {
				if raw, err = json.Marshal(sparse(raw)); err != nil {
					return nil, 0, err
				}
			}
			values := parquetValues(f, raw)
			if f.Type != schema.TypeArray && !listed(f.Type) {
				out[i] = append(out[i], values[0].Level(0, top, at))
				continue
			}
			if len(values) == 0 {
				out[i] = append(out[i], parquet.NullValue().Level(0, top, at))
			}
			for j, v := range values {
				out[i] = append(out[i], v.Level(min(j, 1), top+1, at))
			}
		}
	}
	return out, size, nil
}

// listed tells whether values of a type are lists in a file.
func listed(t schema.DataType) bool { return t.IsVector() && t != schema.TypeSparseFloatVector }

// parquetValues reads a value's bytes (see column.Data): one value, or the elements of a list.
func parquetValues(f *schema.Field, raw []byte) []parquet.Value {
	t := f.Type
	switch {
	case t == schema.TypeArray:
		n := binary.LittleEndian.Uint32(raw)
		out := make([]parquet.Value, n)
		raw = raw[4:]
		for i := range out {
			width := f.ElementType.Width()
			if f.ElementType == schema.TypeVarChar {
				width, raw = int(binary.LittleEndian.Uint32(raw)), raw[4:]
			}
			out[i] = parquetValue(f.ElementType, raw[:width])
			raw = raw[width:]
		}
		return out
	case t == schema.TypeFloatVector:
		out := make([]parquet.Value, len(raw)/4)
		for i := range out {
			out[i] = parquetValue(schema.TypeFloat, raw[4*i:])
		}
		return out
	case t == schema.TypeInt8Vector:
		out := make([]parquet.Value, len(raw))
		for i, b := range raw {
			out[i] = parquet.Int32Value(int32(int8(b)))
		}
		return out
	case listed(t):
		out := make([]parquet.Value, len(raw))
		for i, b := range raw {
			out[i] = parquet.Int32Value(int32(b))
		}
		return out
	}
	return []parquet.Value{parquetValue(t, raw)}
}

func parquetValue(t schema.DataType, raw []byte) parquet.Value {
	switch t {
	case schema.TypeBool:
		return parquet.BooleanValue(raw[0] != 0)
	case schema.TypeInt8:
		return parquet.Int32Value(int32(int8(raw[0])))
	case schema.TypeInt16:
		return parquet.Int32Value(int32(int16(binary.LittleEndian.Uint16(raw))))
	case schema.TypeInt32:
		return parquet.Int32Value(int32(binary.LittleEndian.Uint32(raw)))
	case schema.TypeInt64:
		return parquet.Int64Value(int64(binary.LittleEndian.Uint64(raw)))
	case schema.TypeFloat:
		return parquet.FloatValue(math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	case schema.TypeDouble:
		return parquet.DoubleValue(math.Float64frombits(binary.LittleEndian.Uint64(raw)))
	}
	return parquet.ByteArrayValue(raw)
}
