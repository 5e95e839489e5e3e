package bulk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// maxLine bounds a line.
const maxLine = 64 << 20

// ExportJSONL writes the rows that a filter lets through, all for an empty one, and returns their number. A line is an object with the fields by name, the
// dynamic ones among them.
func ExportJSONL(ctx context.Context, c *engine.Collection, filter string, w io.Writer) (int64, error) {
	out := bufio.NewWriterSize(w, 1<<20)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	var n int64
	for row, err := range c.Iterate(ctx, query.Where(filter).Output("*")) {
		if err != nil {
			return n, err
		}
		line := map[string]any{}
		if err := row.Scan(&line); err != nil {
			return n, err
		}
		for name, v := range line {
			f, ok := c.Schema().Field(name)
			if !ok {
				continue
			}
			switch x := v.(type) {
			case column.Sparse:
				line[name] = sparse(x.Serialize())
			case []byte:
				if f.Type == schema.TypeJSON {
					line[name] = json.RawMessage(x)
				}
			}
		}
		if err := lines.Encode(line); err != nil {
			return n, fmt.Errorf("row %d: %w", n, err)
		}
		n++
	}
	return n, out.Flush()
}

// ImportJSONL upserts the rows of lines into a collection and returns the number of lines that are in it.
func ImportJSONL(ctx context.Context, c *engine.Collection, r io.Reader, o Options) (int64, error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	var rows []map[string]any
	var at []int64 // the lines of rows
	line, batch, to := int64(0), o.batch(c.Schema()), newSink(c, o)
	write := func() error {
		if err := writeRows(ctx, c, rows); err != nil {
			if f, ok := errors.AsType[*schema.FieldError](err); ok && f.Row >= 0 {
				e := *f
				e.Row = schema.NoRow
				return fmt.Errorf("line %d: %w", at[f.Row], &e)
			}
			return fmt.Errorf("lines %d to %d: %w", to.done+1, line, err)
		}
		rows, at = rows[:0], at[:0]
		return to.wrote(int(line - to.done))
	}
	for in.Scan() {
		line++
		if line <= o.Skip {
			continue
		}
		if len(bytes.TrimSpace(in.Bytes())) > 0 {
			row, err := parse(c.Schema(), in.Bytes())
			if err != nil {
				return to.done, fmt.Errorf("line %d: %w", line, err)
			}
			rows, at = append(rows, row), append(at, line)
		}
		if len(rows) == batch {
			if err := write(); err != nil {
				return to.done, err
			}
		}
	}
	if err := in.Err(); err != nil {
		return to.done, fmt.Errorf("line %d: %w", line+1, err)
	}
	if line > to.done {
		if err := write(); err != nil {
			return to.done, err
		}
	}
	return to.done, nil
}

// writeRows upserts rows, or inserts them where their keys are to be generated.
func writeRows(ctx context.Context, c *engine.Collection, rows []map[string]any) error {
	if len(rows) == 0 {
		return nil
	}
	key := c.Schema().PrimaryKey()
	put := c.UpsertRows
	if _, ok := rows[0][key.Name]; !ok && key.IsAutoID {
		put = c.InsertRows
	}
	_, err := put(ctx, rows)
	return err
}

func parse(s *schema.Schema, raw []byte) (map[string]any, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	row := make(map[string]any, len(fields))
	for name, text := range fields {
		f, ok := s.Field(name)
		v, err := parseValue(f, ok, text)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", name, err)
		}
		row[name] = v
	}
	return row, nil
}

func parseValue(f *schema.Field, known bool, text json.RawMessage) (any, error) {
	if string(text) == "null" {
		return nil, nil
	}
	if !known {
		return plain(text)
	}
	switch f.Type {
	case schema.TypeJSON:
		return bytes.Clone(text), nil
	case schema.TypeBinaryVector:
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, err
		}
		return base64.StdEncoding.DecodeString(s)
	case schema.TypeSparseFloatVector:
		var m map[uint32]float32
		err := json.Unmarshal(text, &m)
		return m, err
	case schema.TypeInt8Vector:
		var v []int8
		err := json.Unmarshal(text, &v)
		return v, err
	case schema.TypeFloatVector, schema.TypeFloat16Vector, schema.TypeBFloat16Vector:
		var v []float32
		err := json.Unmarshal(text, &v)
		return v, err
	}
	return plain(text)
}

// plain reads a value with its integers whole.
func plain(text json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return numbers(v)
}

func numbers(v any) (any, error) {
	var err error
	switch x := v.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n, nil
		}
		f, err := x.Float64()
		if err != nil {
			return nil, errors.New("number is out of range: " + x.String())
		}
		return f, nil
	case []any:
		for i := range x {
			if x[i], err = numbers(x[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range x {
			if x[k], err = numbers(x[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
