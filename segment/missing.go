package segment

import (
	"context"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

const missingRun = 4096

// scanMissing walks a field that the segment does not hold because it was added to the schema later.
func scanMissing(ctx context.Context, f *schema.Field, from, to uint32, fn func(first uint32, d column.Data) error) error {
	if from >= to {
		return ctx.Err()
	}
	b := column.NewBuilder(f.Width(), true)
	if err := readMissing(f, int(min(to-from, missingRun)), b); err != nil {
		return err
	}
	d := b.Data()
	for row := from; row < to; row += missingRun {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(row, d.Slice(0, int(min(to-row, missingRun)))); err != nil {
			return err
		}
	}
	return nil
}

// readMissing appends n values of a field that the segment does not hold: its default, or null.
func readMissing(f *schema.Field, n int, dst *column.Builder) error {
	raw, err := f.DefaultBytes()
	if err != nil {
		return err
	}
	valid := raw != nil
	if !valid {
		raw = make([]byte, f.Width())
	}
	for range n {
		dst.AppendValue(raw, valid)
	}
	return nil
}
