package column

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/selkiedb/selkie/schema"
)

// scanPlan matches a struct type with the columns of a Rows.
type scanPlan struct {
	typ    reflect.Type
	fields []schema.StructField
	cols   []*Column // of each field; nil = no such column, so perhaps a dynamic key
}

// Scan copies the row to *dst, a struct (see schema.Tag for its tags) or a map[string]any, which is made if nil.
//
// A struct's fields take the columns and dynamic keys of their names; those without either keep what they hold, and columns
// without a field are passed over. A null needs a pointer, slice, map or interface, which becomes nil. Numbers must fit.
// A map gets every column as Value returns it, copied, and every dynamic key, but not "$meta" itself. The errors wrap
// schema.ErrInvalid.
func (r Row) Scan(dst any) error {
	if r.rows == nil {
		return fmt.Errorf("%w: scan of a zero row", schema.ErrInvalid)
	}
	if m, ok := dst.(*map[string]any); ok && m != nil {
		return r.scanMap(m)
	}
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("%w: scan into %T, want a pointer to a struct or to a map[string]any", schema.ErrInvalid, dst)
	}
	v = v.Elem()
	if v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return fmt.Errorf("%w: scan into %T, want a pointer to a struct or to a map[string]any", schema.ErrInvalid, dst)
	}
	p, err := r.rows.plan(v.Type())
	if err != nil {
		return err
	}
	for i, f := range p.fields {
		if err := r.scanField(v, f, p.cols[i]); err != nil {
			return schema.InvalidRow(f.Name, r.i, nil, "%v", err)
		}
	}
	return nil
}

func (r *Rows) plan(t reflect.Type) (*scanPlan, error) {
	if p := r.scan.Load(); p != nil && p.typ == t {
		return p, nil
	}
	fields, err := schema.StructFields(t)
	if err != nil {
		return nil, err
	}
	p := &scanPlan{typ: t, fields: fields, cols: make([]*Column, len(fields))}
	for i, f := range fields {
		p.cols[i] = r.Column(f.Name)
	}
	r.scan.Store(p)
	return p, nil
}

func (r Row) scanField(v reflect.Value, f schema.StructField, c *Column) error {
	var raw []byte
	if c == nil {
		var ok bool
		if raw, ok = r.dynamic(f.Name); !ok {
			return nil
		}
	}
	for _, i := range f.Index { // FieldByIndex, but making embedded pointers on the way
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if !v.CanSet() {
					return errors.New("nil embedded pointer cannot be set")
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	switch {
	case c == nil && bytes.Equal(raw, []byte("null")):
		return setNull(v)
	case c == nil:
		return setJSON(v, raw)
	case c.IsNull(r.i):
		return setNull(v)
	}
	return c.set(v, r.i)
}

func (r Row) scanMap(m *map[string]any) error {
	if *m == nil {
		*m = make(map[string]any, len(r.rows.cols))
	}
	for _, c := range r.rows.cols {
		if c != r.rows.meta {
			(*m)[c.name] = clone(c.Value(r.i))
		}
	}
	meta := r.rows.meta
	if meta == nil || meta.IsNull(r.i) {
		return nil
	}
	v, err := decodeAny(meta.data.Value(r.i))
	object, ok := v.(map[string]any)
	if err != nil || !ok {
		return schema.InvalidRow(meta.name, r.i, meta.data.Value(r.i), "dynamic field holds no JSON object")
	}
	for key, value := range object {
		(*m)[key] = value
	}
	return nil
}

// clone copies the values that share memory. Empty ones stay apart from nil, which is null.
func clone(v any) any {
	switch v := v.(type) {
	case []byte:
		return slices.Clone(v)
	case []float32:
		return slices.Clone(v)
	case []int8:
		return slices.Clone(v)
	}
	return v
}

func setNull(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		v.SetZero()
		return nil
	}
	return fmt.Errorf("value is null, which %s cannot hold; use a pointer", v.Type())
}

// set copies the value of row i, which is not null, to v.
func (c *Column) set(v reflect.Value, i int) error {
	raw := c.data.Value(i)
	if c.typ == schema.TypeSparseFloatVector && schema.IsSparseType(v.Type()) {
		return setSparse(v, parseSparse(raw))
	}
	switch v.Kind() {
	case reflect.Pointer:
		to := reflect.New(v.Type().Elem())
		if err := c.set(to.Elem(), i); err != nil {
			return err
		}
		v.Set(to)
		return nil
	case reflect.Interface:
		value := reflect.ValueOf(clone(c.Value(i)))
		if !value.Type().AssignableTo(v.Type()) {
			return fmt.Errorf("%s does not convert to %s", c.typ, v.Type())
		}
		v.Set(value)
		return nil
	}
	isBytes := v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8
	switch c.typ {
	case schema.TypeJSON:
		if isBytes {
			v.SetBytes(bytes.Clone(raw))
			return nil
		}
		return setJSON(v, raw)
	case schema.TypeFloat16Vector, schema.TypeBFloat16Vector, schema.TypeBinaryVector:
		if isBytes {
			v.SetBytes(bytes.Clone(raw))
			return nil
		}
		if v.Kind() == reflect.Array && v.Type().Elem().Kind() == reflect.Uint8 {
			return setList(v, reflect.ValueOf(raw))
		}
	}
	value := reflect.ValueOf(goValue(c.typ, c.elem, raw))
	if value.IsValid() && value.Kind() == reflect.Slice {
		return setList(v, value)
	}
	return setScalar(v, value)
}

// setJSON unmarshals a JSON text. Whole numbers in maps and interfaces become int64, not encoding/json's float64, which would
// round the large ones.
func setJSON(v reflect.Value, raw []byte) error {
	_, isMap := v.Interface().(map[string]any)
	if isMap || v.Kind() == reflect.Interface && v.NumMethod() == 0 {
		x, err := decodeAny(raw)
		if err != nil {
			return err
		}
		if from := reflect.ValueOf(x); from.IsValid() && from.Type().AssignableTo(v.Type()) {
			v.Set(from)
			return nil
		}
	}
	return json.Unmarshal(raw, v.Addr().Interface())
}

// setList copies a slice to a slice, or to an array of its length.
func setList(v, from reflect.Value) error {
	switch v.Kind() {
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), from.Len(), from.Len()))
	case reflect.Array:
		if v.Len() != from.Len() {
			return fmt.Errorf("%d elements do not fit %s", from.Len(), v.Type())
		}
	default:
		return fmt.Errorf("%s does not convert to %s", from.Type(), v.Type())
	}
	if v.Type().Elem() == from.Type().Elem() {
		reflect.Copy(v, from)
		return nil
	}
	for i := range from.Len() {
		to := v.Index(i)
		if to.Kind() == reflect.Interface && from.Type().Elem().AssignableTo(to.Type()) {
			to.Set(from.Index(i))
			continue
		}
		if err := setScalar(to, from.Index(i)); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}

// setScalar converts between types of one kind where the value fits: integers of all widths, floats of both.
func setScalar(v, from reflect.Value) error {
	switch {
	case from.CanInt() && v.CanInt():
		if !v.OverflowInt(from.Int()) {
			v.SetInt(from.Int())
			return nil
		}
		return fmt.Errorf("%d does not fit %s", from.Int(), v.Type())
	case from.CanInt() && v.CanUint():
		if from.Int() >= 0 && !v.OverflowUint(uint64(from.Int())) {
			v.SetUint(uint64(from.Int()))
			return nil
		}
		return fmt.Errorf("%d does not fit %s", from.Int(), v.Type())
	case from.CanUint() && v.CanUint():
		v.SetUint(from.Uint()) // bytes of binary vectors
		return nil
	case from.CanFloat() && v.CanFloat():
		if !v.OverflowFloat(from.Float()) {
			v.SetFloat(from.Float())
			return nil
		}
		return fmt.Errorf("%g does not fit %s", from.Float(), v.Type())
	case from.Kind() == reflect.String && v.Kind() == reflect.String:
		v.SetString(from.String())
		return nil
	case from.Kind() == reflect.Bool && v.Kind() == reflect.Bool:
		v.SetBool(from.Bool())
		return nil
	case !from.IsValid():
		return errors.New("stored value is damaged")
	}
	return fmt.Errorf("%s does not convert to %s", from.Type(), v.Type())
}

// setSparse copies a sparse vector to a struct like Sparse, a map, or an interface that Sparse implements.
func setSparse(v reflect.Value, s Sparse) error {
	from := reflect.ValueOf(s)
	switch {
	case v.Kind() == reflect.Map:
		m := reflect.MakeMapWithSize(v.Type(), len(s.Indices))
		for i, index := range s.Indices {
			m.SetMapIndex(reflect.ValueOf(index).Convert(v.Type().Key()), reflect.ValueOf(s.Values[i]).Convert(v.Type().Elem()))
		}
		v.Set(m)
	case v.Kind() == reflect.Struct && from.CanConvert(v.Type()):
		v.Set(from.Convert(v.Type()))
	case from.Type().AssignableTo(v.Type()):
		v.Set(from)
	default:
		return fmt.Errorf("sparse vector does not convert to %s", v.Type())
	}
	return nil
}
