package bulk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// ExportNPY writes the rows that a filter lets through, all for an empty one, to a folder that is there: for each field a file by its name, with .npy
// behind. It returns the number of rows. names say which fields; none: all, which must be such as npy can hold. A null ends the export.
//
// The rows are read twice, as of one instant: texts have one width for all rows, that of the longest.
func ExportNPY(ctx context.Context, c *engine.Collection, filter string, names []string, dir string) (n int64, err error) {
	files, err := npyFiles(c.Schema(), names)
	if err != nil {
		return 0, err
	}
	snap, err := c.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer snap.Release()
	var output []string
	for _, f := range files {
		output = append(output, f.field.Name)
	}
	each := func(do func(f *npyFile, d column.Data, at int) error) (rows int64, err error) {
		for row, err := range snap.Iterate(ctx, query.Where(filter).Output(output...)) {
			if err != nil {
				return rows, err
			}
			from, at := row.Source()
			for _, f := range files {
				d := from.Column(f.field.Name).Data()
				if d.IsNull(at) && !f.field.IsDynamic {
					return rows, schema.InvalidRow(f.field.Name, int(rows), nil, "npy has no nulls")
				}
				if err := do(f, d, at); err != nil {
					return rows, err
				}
			}
			rows++
		}
		return rows, nil
	}
	rows, err := each(func(f *npyFile, d column.Data, at int) error {
		if f.head.kind == 'U' {
			f.head.width = max(f.head.width, utf8.RuneCount(f.value(d, at)))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.close())
		}
	}()
	for _, f := range files {
		f.head.rows = rows
		if err := f.create(dir); err != nil {
			return 0, err
		}
	}
	return each(func(f *npyFile, d column.Data, at int) error { return f.write(f.value(d, at)) })
}

// npyFile is a field on its way to a file.
type npyFile struct {
	field *schema.Field
	head  npyHeader
	file  *os.File
	out   *bufio.Writer
	buf   []byte
}

func npyFiles(s *schema.Schema, names []string) ([]*npyFile, error) {
	var files []*npyFile
	add := func(f *schema.Field) error {
		head, ok := npyLayout(f)
		if !ok {
			return schema.Invalid(f.Name, nil, "npy cannot hold a field of type %s: name the fields to be written", f.Type)
		}
		if head.kind == 'U' {
			head.width = 1 // numpy has no texts of no width
		}
		files = append(files, &npyFile{field: f, head: head})
		return nil
	}
	for _, name := range names {
		f, err := field(s, strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if err := add(f); err != nil {
			return nil, err
		}
	}
	if len(names) > 0 {
		return files, nil
	}
	for _, f := range fields(s) {
		if err := add(f); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func (f *npyFile) create(dir string) (err error) {
	if f.file, err = os.OpenFile(filepath.Join(dir, f.field.Name+".npy"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666); err != nil {
		return err
	}
	f.out = bufio.NewWriterSize(f.file, 256<<10)
	_, err = f.out.Write(appendNPYHeader(nil, f.head))
	return err
}

func (f *npyFile) close() error {
	if f.file == nil {
		return nil
	}
	return errors.Join(f.out.Flush(), f.file.Sync(), f.file.Close())
}

// value gives a row's bytes. The dynamic field of a row without any keys is an empty object.
func (f *npyFile) value(d column.Data, at int) []byte {
	if f.field.IsDynamic && (d.IsNull(at) || len(d.Value(at)) == 0) {
		return []byte("{}")
	}
	return d.Value(at)
}

func (f *npyFile) write(raw []byte) error {
	if f.head.kind == 'U' {
		if bytes.HasSuffix(raw, []byte{0}) {
			return fmt.Errorf("field %q: npy cannot hold a text that ends with a zero character", f.field.Name)
		}
		f.buf = f.buf[:0]
		for _, r := range string(raw) {
			f.buf = binary.LittleEndian.AppendUint32(f.buf, uint32(r))
		}
		raw = append(f.buf, make([]byte, f.head.size()-len(f.buf))...)
	}
	_, err := f.out.Write(raw)
	return err
}
