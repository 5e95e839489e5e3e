package column

import (
	"bytes"
	"encoding/json"
	"iter"
	"reflect"
	"sync/atomic"

	"github.com/selkiedb/selkie/schema"
)

// Rows is a set of result columns, read row by row. It shares the columns' memory.
type Rows struct {
	cols []*Column
	n    int
	meta *Column                  // "$meta", when it is among cols
	scan atomic.Pointer[scanPlan] // of the struct type scanned last
}

// NewRows makes a set of rows. REQUIRES: all columns are equally long.
func NewRows(cols ...*Column) *Rows {
	r := &Rows{cols: cols}
	for i, c := range cols {
		if i == 0 || c.Len() < r.n {
			r.n = c.Len()
		}
		if c.name == schema.MetaName && c.typ == schema.TypeJSON {
			r.meta = c
		}
	}
	return r
}

// Len returns the number of rows.
func (r *Rows) Len() int { return r.n }

// Columns returns the columns.
func (r *Rows) Columns() []*Column { return r.cols }

// Column returns the column of that name, nil when there is none.
func (r *Rows) Column(name string) *Column {
	for _, c := range r.cols {
		if c.name == name {
			return c
		}
	}
	return nil
}

// At returns row i. REQUIRES: 0 <= i < r.Len().
func (r *Rows) At(i int) Row { return Row{r, i} }

// All yields the rows with their positions.
func (r *Rows) All() iter.Seq2[int, Row] {
	return func(yield func(int, Row) bool) {
		for i := range r.n {
			if !yield(i, r.At(i)) {
				return
			}
		}
	}
}

// Collect scans all rows into structs, or maps, see Row.Scan.
func Collect[T any](r *Rows) ([]T, error) {
	out := make([]T, r.n)
	for i := range out {
		if err := r.At(i).Scan(&out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Row is one row of a set. It is a small value; the zero Row has no values.
type Row struct {
	rows *Rows
	i    int
}

// Value returns the value of a column as Column.Value does, or of a dynamic key when "$meta" is among the columns: bool,
// int64, float64, string, []any, map[string]any. It is nil for null and for names that the row does not have.
func (r Row) Value(name string) any {
	if r.rows == nil {
		return nil
	}
	if c := r.rows.Column(name); c != nil {
		return c.Value(r.i)
	}
	if raw, ok := r.dynamic(name); ok {
		v, err := decodeAny(raw)
		if err == nil {
			return v
		}
	}
	return nil
}

// dynamic returns the JSON text of a dynamic key's value.
func (r Row) dynamic(name string) ([]byte, bool) {
	m := r.rows.meta
	if m == nil || m.IsNull(r.i) || !json.Valid(m.data.Value(r.i)) {
		return nil, false
	}
	return member(m.data.Value(r.i), name)
}

// Has tells whether the row has a column or dynamic key of that name, null or not.
func (r Row) Has(name string) bool {
	if r.rows == nil {
		return false
	}
	if r.rows.Column(name) != nil {
		return true
	}
	_, ok := r.dynamic(name)
	return ok
}

// Bool returns a Bool value; false for null, another type or no such name, which Value tells apart.
func (r Row) Bool(name string) bool {
	v, _ := r.Value(name).(bool)
	return v
}

// Int64 returns the value of an integer column of any width; 0 for null, another type or no such name.
func (r Row) Int64(name string) int64 {
	if v := reflect.ValueOf(r.Value(name)); v.IsValid() && v.CanInt() {
		return v.Int()
	}
	return 0
}

// Float64 returns the value of a Float or Double column; 0 for null, another type or no such name.
func (r Row) Float64(name string) float64 {
	if v := reflect.ValueOf(r.Value(name)); v.IsValid() && v.CanFloat() {
		return v.Float()
	}
	return 0
}

// String returns a VarChar value; "" for null, another type or no such name.
func (r Row) String(name string) string {
	v, _ := r.Value(name).(string)
	return v
}

// JSON returns the text of a JSON value; nil for null, another type or no such name.
func (r Row) JSON(name string) []byte {
	if r.rows == nil {
		return nil
	}
	if c := r.rows.Column(name); c != nil {
		if c.typ != schema.TypeJSON || c.IsNull(r.i) {
			return nil
		}
		return c.data.Value(r.i)
	}
	raw, _ := r.dynamic(name)
	return raw
}

// FloatVector returns the elements of a vector of floats of any width; nil for null, another type or no such name.
func (r Row) FloatVector(name string) []float32 {
	v, _ := r.Value(name).([]float32)
	return v
}

// decodeAny reads a JSON text: whole numbers that fit become int64, others float64.
func decodeAny(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return numbers(v), nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		x, _ := v.Float64() // infinite beyond the range, as JSON allows such numbers
		return x
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}
