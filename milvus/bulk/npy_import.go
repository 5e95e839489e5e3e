package bulk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// ImportNPY upserts the rows of a folder that has a file NAME.npy for each field, and returns the number of rows that are in the collection.
func ImportNPY(ctx context.Context, c *engine.Collection, dir fs.FS, o Options) (done int64, err error) {
	names, err := fs.Glob(dir, "*.npy")
	if err != nil {
		return 0, err
	}
	if len(names) == 0 {
		return 0, errors.New("no file ends in .npy")
	}
	var in []*npyColumn
	defer func() {
		for _, x := range in {
			err = errors.Join(err, x.file.Close())
		}
	}()
	to, has := newSink(c, o), false
	for _, name := range names {
		x, err := openNPY(c.Schema(), dir, name)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		in, has = append(in, x), has || x.field.IsPrimaryKey
		if x.head.rows != in[0].head.rows {
			return 0, fmt.Errorf("%s has %d rows, %s has %d", name, x.head.rows, names[0], in[0].head.rows)
		}
	}
	if err := to.checkKey(has); err != nil {
		return 0, err
	}
	rows := in[0].head.rows
	if o.Skip > rows {
		return 0, fmt.Errorf("%d rows are to be skipped, the files have %d", o.Skip, rows)
	}
	for batch := int64(o.batch(c.Schema())); to.done < rows; {
		n := min(batch, rows-to.done)
		cols := make([]*column.Column, len(in))
		for i, x := range in {
			if cols[i], err = x.read(to.done, int(n)); err != nil {
				return to.done, fmt.Errorf("%s: %w", names[i], err)
			}
		}
		if err := to.write(ctx, int(n), cols); err != nil {
			return to.done, err
		}
	}
	return to.done, nil
}

// npyColumn is a field's file.
type npyColumn struct {
	field *schema.Field
	head  npyHeader
	file  fs.File
	at    io.ReaderAt
}

func openNPY(s *schema.Schema, dir fs.FS, name string) (*npyColumn, error) {
	f, err := field(s, strings.TrimSuffix(name, ".npy"))
	if err != nil {
		return nil, err
	}
	file, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	x := &npyColumn{field: f, file: file}
	info, err := file.Stat()
	if err == nil {
		var ok bool
		if x.at, ok = file.(io.ReaderAt); !ok {
			err = errors.New("it cannot be read from any place")
		}
	}
	if err == nil {
		x.head, err = readNPYHeader(x.at, info.Size())
	}
	if err == nil && !x.fits() {
		err = schema.Invalid(f.Name, nil, "a field of type %s cannot be read from %c%d, %d in a row", f.Type, x.head.kind, x.head.width, max(x.head.each, 1))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return x, nil
}

// fits tells whether the values can be the field's.
func (x *npyColumn) fits() bool {
	f, h := x.field, x.head
	is := func(kinds string, widths ...int) bool {
		for _, w := range widths {
			if h.width == w && strings.IndexByte(kinds, h.kind) >= 0 {
				return true
			}
		}
		return false
	}
	switch f.Type {
	case schema.TypeBool:
		return h.each == 0 && is("b", 1)
	case schema.TypeInt8, schema.TypeInt16, schema.TypeInt32, schema.TypeInt64:
		return h.each == 0 && is("iu", 1, 2, 4, 8)
	case schema.TypeFloat, schema.TypeDouble:
		return h.each == 0 && (is("f", 4) || is("f", 8) && f.Type == schema.TypeDouble)
	case schema.TypeVarChar, schema.TypeJSON:
		return h.each == 0 && (h.kind == 'U' || h.kind == 'S')
	case schema.TypeFloatVector:
		return h.each == f.Dim && is("f", 4, 8)
	case schema.TypeFloat16Vector:
		return h.each == 2*f.Dim && is("u", 1) || h.each == f.Dim && is("f", 2, 4)
	case schema.TypeBFloat16Vector:
		return h.each == 2*f.Dim && is("u", 1) || h.each == f.Dim && is("f", 4)
	case schema.TypeInt8Vector:
		return h.each == f.Dim && is("i", 1)
	case schema.TypeBinaryVector:
		return h.each == f.Dim/8 && is("u", 1)
	}
	return false
}

// read makes the column of n rows from one on. REQUIRES: the file has them.
func (x *npyColumn) read(first int64, n int) (*column.Column, error) {
	f, h, size := x.field, x.head, x.head.rowSize()
	raw := make([]byte, n*size)
	if err := readAt(x.at, raw, h.start+first*int64(size)); err != nil {
		return nil, err
	}
	switch {
	case f.Type == schema.TypeBool:
		if at := bytes.IndexFunc(raw, func(r rune) bool { return r > 1 }); at >= 0 {
			return nil, schema.InvalidRow(f.Name, int(first)+at, nil, "%d is neither true nor false", raw[at])
		}
	case f.Type.IsInt() && (h.width != f.Width() || h.kind == 'u'):
		return x.integers(raw, first, n)
	case h.kind == 'U' || h.kind == 'S':
		return x.texts(raw, first, n)
	case f.Type == schema.TypeDouble && h.width == 4:
		out := make([]float64, n)
		for i := range out {
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
		}
		return column.Double(f.Name, out), nil
	case h.kind == 'f' && f.Type.IsVector() && (h.width != 4 || f.Type != schema.TypeFloatVector) && !(h.width == 2 && f.Type == schema.TypeFloat16Vector):
		return x.floats(raw, n), nil
	}
	return column.FromData(f, column.Data{Width: f.Width(), Rows: n, Fixed: raw}), nil
}

// integers reads whole numbers of another width, which must fit.
func (x *npyColumn) integers(raw []byte, first int64, n int) (*column.Column, error) {
	f, w := x.field, x.head.width
	b := column.NewBuilder(f.Width(), false)
	var word [8]byte
	for i := range n {
		fill := byte(0)
		if x.head.kind == 'i' && raw[(i+1)*w-1] >= 0x80 {
			fill = 0xff
		}
		for j := copy(word[:], raw[i*w:(i+1)*w]); j < 8; j++ {
			word[j] = fill
		}
		v := int64(binary.LittleEndian.Uint64(word[:]))
		bits := 8 * f.Width()
		if v>>(bits-1) != 0 && v>>(bits-1) != -1 || x.head.kind == 'u' && v < 0 {
			return nil, schema.InvalidRow(f.Name, int(first)+i, nil, "the value does not fit %s", f.Type)
		}
		b.AppendValue(word[:f.Width()], true)
	}
	return column.FromData(f, b.Data()), nil
}

// texts reads texts, less the zeros that fill them up.
func (x *npyColumn) texts(raw []byte, first int64, n int) (*column.Column, error) {
	size := x.head.rowSize()
	b := column.NewBuilder(0, false)
	var text []byte
	for i := range n {
		row := raw[i*size : (i+1)*size]
		if x.head.kind == 'S' {
			b.AppendValue(bytes.TrimRight(row, "\x00"), true)
			continue
		}
		for len(row) > 0 && binary.LittleEndian.Uint32(row[len(row)-4:]) == 0 {
			row = row[:len(row)-4]
		}
		text = text[:0]
		for ; len(row) > 0; row = row[4:] {
			r := rune(binary.LittleEndian.Uint32(row))
			if !utf8.ValidRune(r) {
				return nil, schema.InvalidRow(x.field.Name, int(first)+i, nil, "%#x is no character", uint32(r))
			}
			text = utf8.AppendRune(text, r)
		}
		b.AppendValue(text, true)
	}
	return column.FromData(x.field, b.Data()), nil
}

// floats reads vectors of floats of another width.
func (x *npyColumn) floats(raw []byte, n int) *column.Column {
	f := x.field
	flat := make([]float32, n*f.Dim)
	for i := range flat {
		if x.head.width == 8 {
			flat[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		} else {
			flat[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	}
	if f.Type == schema.TypeFloatVector {
		return column.FloatVectorFlat(f.Name, f.Dim, flat)
	}
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = flat[i*f.Dim : (i+1)*f.Dim]
	}
	if f.Type == schema.TypeFloat16Vector {
		return column.Float16Vector(f.Name, f.Dim, rows)
	}
	return column.BFloat16Vector(f.Name, f.Dim, rows)
}
