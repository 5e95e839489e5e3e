package bulk

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// Options say how an import is carried out. The zero value reads the whole file.
type Options struct {
	Skip     int64                  // rows, or lines, that an import before this one has written
	Batch    int                    // rows written at a time. Default 1,000, or fewer that take 16 MiB
	Progress func(rows int64) error // called after each batch with the rows of the file that are written; an error ends the import
}

// batchBytes bounds the vectors of a batch.
const batchBytes = 16 << 20

// batch is the number of rows to be read or written at a time.
func (o Options) batch(s *schema.Schema) int {
	if o.Batch > 0 {
		return o.Batch
	}
	width := 1
	for _, f := range s.Fields {
		width += f.Width()
	}
	return max(1, min(1000, batchBytes/width))
}

// sink writes batches.
type sink struct {
	c        *engine.Collection
	generate bool  // keys are generated
	done     int64 // rows of the file that are written
	progress func(int64) error
}

func newSink(c *engine.Collection, o Options) *sink {
	return &sink{c: c, done: o.Skip, progress: o.Progress}
}

// write adds rows that follow one another in the file.
func (s *sink) write(ctx context.Context, rows int, cols []*column.Column) error {
	if rows == 0 {
		return nil
	}
	put := s.c.Upsert
	if s.generate {
		put = s.c.Insert
	}
	if _, err := put(ctx, cols...); err != nil {
		return s.name(err, rows)
	}
	return s.wrote(rows)
}

func (s *sink) wrote(rows int) error {
	s.done += int64(rows)
	if s.progress != nil {
		return s.progress(s.done)
	}
	return nil
}

// name gives the place in the file of what was refused in a batch.
func (s *sink) name(err error, rows int) error {
	if f, ok := errors.AsType[*schema.FieldError](err); ok {
		e := *f
		if e.Row >= 0 {
			e.Row += int(s.done)
		}
		return &e
	}
	return fmt.Errorf("rows %d to %d: %w", s.done, s.done+int64(rows)-1, err)
}

// ErrDamaged is wrapped where a file cannot be what a writer of its format wrote.
var ErrDamaged = errors.New("the file is damaged")

// fields are the fields that a file can hold.
func fields(s *schema.Schema) []*schema.Field {
	var out []*schema.Field
	for _, f := range s.Fields {
		if s.MadeBy(f.Name) == nil && !f.IsInsertTime {
			out = append(out, f)
		}
	}
	return out
}

// field finds the field of a name in a file.
func field(s *schema.Schema, name string) (*schema.Field, error) {
	for _, f := range fields(s) {
		if f.Name == name {
			return f, nil
		}
	}
	return nil, schema.Invalid(name, nil, "no such field in collection %q", s.Name)
}

// checkKey decides whether keys are generated, from whether the file has the field of the primary key.
func (s *sink) checkKey(has bool) error {
	key := s.c.Schema().PrimaryKey()
	if s.generate = !has; s.generate && !key.IsAutoID {
		return schema.Invalid(key.Name, nil, "the file does not have the primary key")
	}
	return nil
}

// readAt fills buf.
func readAt(r io.ReaderAt, buf []byte, at int64) error {
	if n, err := r.ReadAt(buf, at); n < len(buf) {
		return fmt.Errorf("%w: it ends at byte %d: %w", ErrDamaged, at+int64(n), err)
	}
	return nil
}
