package bulk

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// vectors finds the FloatVector field of a name, or the only one.
func vectors(s *schema.Schema, name string) (*schema.Field, error) {
	var only *schema.Field
	for _, f := range fields(s) {
		if f.Type != schema.TypeFloatVector || name != "" && f.Name != name {
			continue
		}
		if only != nil {
			return nil, schema.Invalid("", nil, "collection %q has several fields of type FloatVector: name one", s.Name)
		}
		only = f
	}
	if only == nil {
		return nil, schema.Invalid(name, nil, "no such field of type FloatVector in collection %q", s.Name)
	}
	return only, nil
}

// ExportFvecs writes the vectors of a FloatVector field, in the order of the primary keys, which are not in the file: each as its number of elements,
// an int32, and its elements. name may be empty where there is one such field. It returns their number. A null ends the export.
func ExportFvecs(ctx context.Context, c *engine.Collection, filter, name string, w io.Writer) (n int64, err error) {
	f, err := vectors(c.Schema(), name)
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriterSize(w, 256<<10)
	var head [4]byte
	binary.LittleEndian.PutUint32(head[:], uint32(f.Dim))
	for row, err := range c.Iterate(ctx, query.Where(filter).Output(f.Name)) {
		if err != nil {
			return n, err
		}
		rows, at := row.Source()
		d := rows.Column(f.Name).Data()
		if d.IsNull(at) {
			return n, schema.InvalidRow(f.Name, int(n), nil, "fvecs has no nulls")
		}
		if _, err := out.Write(head[:]); err != nil {
			return n, err
		}
		if _, err := out.Write(d.Value(at)); err != nil {
			return n, err
		}
		n++
	}
	return n, out.Flush()
}

// ImportFvecs upserts the vectors of a file of size bytes into a FloatVector field, and returns the number of rows that are in the collection. Keys are the
// places of the vectors in the file, from first on, unless the collection generates them. Other fields take their default values or null.
func ImportFvecs(ctx context.Context, c *engine.Collection, name string, first int64, r io.ReaderAt, size int64, o Options) (int64, error) {
	s := c.Schema()
	f, err := vectors(s, name)
	if err != nil {
		return 0, err
	}
	key := s.PrimaryKey()
	width := int64(4 + f.Width())
	rows := size / width
	if size%width != 0 {
		return 0, fmt.Errorf("%w: %d bytes are no vectors of %d elements", ErrDamaged, size, f.Dim)
	}
	if o.Skip > rows {
		return 0, fmt.Errorf("%d rows are to be skipped, the file has %d", o.Skip, rows)
	}
	if first > math.MaxInt64-rows {
		return 0, schema.Invalid(key.Name, first, "%d keys from here on are too many", rows)
	}
	to := newSink(c, o)
	to.generate = key.IsAutoID
	for batch := int64(o.batch(s)); to.done < rows; {
		n := min(batch, rows-to.done)
		raw := make([]byte, n*width)
		if err := readAt(r, raw, to.done*width); err != nil {
			return to.done, err
		}
		flat := make([]byte, 0, n*(width-4))
		ids, texts := make([]int64, n), make([]string, n)
		for i := range ids {
			if dim := int32(binary.LittleEndian.Uint32(raw)); int(dim) != f.Dim {
				return to.done, schema.InvalidRow(f.Name, int(to.done)+i, nil, "vector has %d elements, the field has %d", dim, f.Dim)
			}
			flat, raw = append(flat, raw[4:width]...), raw[width:]
			ids[i] = first + to.done + int64(i)
			texts[i] = fmt.Sprint(ids[i])
		}
		cols := []*column.Column{column.FromData(f, column.Data{Width: f.Width(), Rows: int(n), Fixed: flat})}
		switch {
		case to.generate:
		case key.Type == schema.TypeVarChar:
			cols = append(cols, column.VarChar(key.Name, texts))
		default:
			cols = append(cols, column.Int64(key.Name, ids))
		}
		if err := to.write(ctx, int(n), cols); err != nil {
			return to.done, err
		}
	}
	return to.done, nil
}
