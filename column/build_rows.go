package column

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/selkiedb/selkie/schema"
)

// BuildRows is Build for rows: a []map[string]any, a []T or []*T where T is a struct (see schema.Tag for its tags), or a
// []any of such. Every row is checked, and all are refused together, with the field and the row named.
//
// Go values convert where nothing is lost: integers of all types within range, float64 to Float by rounding, []float64 and
// []any to vectors and arrays, bytes and whatever encoding/json can write to JSON. nil, a nil pointer, slice or map is null.
// With a dynamic field, keys that name no field go to "$meta"; without, they are refused.
//
// A struct's primary key that the engine generates is left out when it is zero, and refused otherwise: structs cannot do
// without the field. A map must not have the key at all.
func BuildRows(s *schema.Schema, rows any, o BuildOptions) (*Batch, error) {
	v := reflect.ValueOf(rows)
	if !v.IsValid() || v.Kind() != reflect.Slice {
		switch rows.(type) {
		case *Column, []*Column:
			return nil, schema.Invalid("", nil, "columns are given where rows are expected, see Build")
		}
		return nil, schema.Invalid("", nil, "rows must be a slice of structs or maps, not %T; put a single row into a slice of one", rows)
	}
	if cols, ok := rows.([]*Column); ok {
		return Build(s, cols, o)
	}
	r := rowReader{schema: s, options: o, fields: make([]*appender, len(s.Fields)), plans: map[reflect.Type]*rowPlan{}}
	for i, f := range s.Fields {
		r.fields[i] = newAppender(f, min(v.Len(), int(o.maxBytes()/int64(max(f.Width(), 4))))) // what Build can take
	}
	for row := range v.Len() {
		if err := r.read(row, v.Index(row)); err != nil {
			return nil, err
		}
	}
	var cols []*Column
	for _, a := range r.fields {
		c, err := a.column(v.Len())
		if err != nil {
			return nil, err
		}
		if o.Partial && c != nil && a.absent > 0 && !a.field.IsDynamic {
			return nil, schema.InvalidRow(a.field.Name, a.first, nil, "value is missing, and other rows have one: all rows of a partial update give the same fields")
		}
		if c != nil {
			cols = append(cols, c)
		}
	}
	if v.Len() > 0 && len(cols) == 0 {
		return nil, schema.Invalid("", nil, "rows name no field of collection %q", s.Name)
	}
	return Build(s, cols, o)
}

// rowReader turns rows into columns.
type rowReader struct {
	schema  *schema.Schema
	options BuildOptions
	fields  []*appender // by position of the field
	plans   map[reflect.Type]*rowPlan
	extra   []extraKey // of the row being read
}

// rowPlan says where the values of a struct type go. It is made once for each call.
type rowPlan struct {
	fields []planField
	extra  []planField // by name; these go to "$meta"
}

type planField struct {
	schema.StructField
	at int // position of the schema's field
}

// extraKey is a dynamic key of one row.
type extraKey struct {
	name  string
	value any
}

func (r *rowReader) read(row int, v reflect.Value) error {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return schema.InvalidRow("", row, nil, "row is nil")
		}
		v = v.Elem()
	}
	r.extra = r.extra[:0]
	switch {
	case v.Kind() == reflect.Struct:
		return r.readStruct(row, v)
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		if v.IsNil() {
			return schema.InvalidRow("", row, nil, "row is nil")
		}
		return r.readMap(row, v)
	}
	return schema.InvalidRow("", row, nil, "row is a %s, it must be a struct or a map with string keys", v.Type())
}

func (r *rowReader) readMap(row int, v reflect.Value) error {
	m, ok := v.Interface().(map[string]any)
	if !ok {
		m = make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			m[it.Key().String()] = it.Value().Interface()
		}
	}
	found := 0
	for i, f := range r.schema.Fields {
		value, ok := m[f.Name]
		if ok {
			found++
		}
		switch {
		case f.IsDynamic:
			if ok && value != nil {
				r.extra = append(r.extra, extraKey{schema.MetaName, value})
			}
		case !ok:
			r.fields[i].skip(row)
		case f.IsPrimaryKey && f.IsAutoID && r.options.Mode == Insert:
			return schema.InvalidRow(f.Name, row, value, "primary key is generated, an insert cannot give it")
		default:
			if err := r.fields[i].add(row, reflect.ValueOf(value)); err != nil {
				return err
			}
		}
	}
	if found < len(m) {
		keys := make([]string, 0, len(m)-found)
		for key := range m {
			if r.schema.Index(key) < 0 {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys) // so that the same row is always stored and refused alike
		for _, key := range keys {
			if !r.schema.Dynamic {
				return schema.InvalidRow(key, row, m[key], "collection %q has no such field, and no dynamic field to take it", r.schema.Name)
			}
			r.extra = append(r.extra, extraKey{key, m[key]})
		}
	}
	return r.addExtra(row)
}

func (r *rowReader) readStruct(row int, v reflect.Value) error {
	p, err := r.plan(v.Type())
	if err != nil {
		return err
	}
	next := 0
	for i, f := range r.schema.Fields {
		if next == len(p.fields) || p.fields[next].at != i {
			if !f.IsDynamic {
				r.fields[i].skip(row)
			}
			continue
		}
		value, err := v.FieldByIndexErr(p.fields[next].Index)
		next++
		switch {
		case err != nil: // within a nil embedded pointer
			if !f.IsDynamic {
				r.fields[i].skip(row)
			}
		case f.IsDynamic:
			if !isNil(value) {
				r.extra = append(r.extra, extraKey{schema.MetaName, value.Interface()})
			}
		case f.IsPrimaryKey && f.IsAutoID && r.options.Mode == Insert:
			if !value.IsZero() {
				return schema.InvalidRow(f.Name, row, value.Interface(), "primary key is generated, an insert cannot give it")
			}
			r.fields[i].skip(row)
		default:
			if err := r.fields[i].add(row, value); err != nil {
				return err
			}
		}
	}
	for _, x := range p.extra {
		if value, err := v.FieldByIndexErr(x.Index); err == nil {
			r.extra = append(r.extra, extraKey{x.Name, value.Interface()})
		}
	}
	return r.addExtra(row)
}

func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return v.IsNil()
	}
	return false
}

// plan matches a struct type with the schema.
func (r *rowReader) plan(t reflect.Type) (*rowPlan, error) {
	if p := r.plans[t]; p != nil {
		return p, nil
	}
	fields, err := schema.StructFields(t)
	if err != nil {
		return nil, err
	}
	p := &rowPlan{}
	for _, f := range fields {
		at := r.schema.Index(f.Name)
		switch {
		case at >= 0:
			p.fields = append(p.fields, planField{f, at})
		case r.schema.Dynamic:
			p.extra = append(p.extra, planField{f, at})
		default:
			return nil, schema.Invalid(f.Name, nil, "struct %s has a field that collection %q has not, and there is no dynamic field to take it", t, r.schema.Name)
		}
	}
	slices.SortFunc(p.fields, func(x, y planField) int { return x.at - y.at })
	slices.SortFunc(p.extra, func(x, y planField) int {
		if x.Name < y.Name {
			return -1
		}
		return 1
	})
	r.plans[t] = p
	return p, nil
}

// addExtra appends the row's dynamic keys to "$meta": the members of a "$meta" value first, then the others by name.
func (r *rowReader) addExtra(row int) error {
	at := r.schema.Index(schema.MetaName)
	if at < 0 {
		return nil
	}
	a := r.fields[at]
	if len(r.extra) == 0 {
		a.skip(row)
		return nil
	}
	object := []byte{'{'}
	given := map[string]bool{}
	for _, x := range r.extra {
		text, err := dynamicText(x.value)
		if err == nil && !utf8.ValidString(x.name) {
			err = errNotUTF8
		}
		if err != nil {
			return schema.InvalidRow(x.name, row, x.value, "dynamic value has no JSON form: %v", err)
		}
		if x.name == schema.MetaName {
			if text, err = objectText(row, x.value, text); err != nil {
				return err
			}
			for key := range members(text) {
				given[key] = true
			}
			object = append(object[:0], bytes.TrimRight(text[:len(text)-1], " \t\r\n")...)
			continue
		}
		if x.name == "" || given[x.name] {
			return schema.InvalidRow(x.name, row, x.value, "dynamic key is empty or given twice")
		}
		if object[len(object)-1] != '{' {
			object = append(object, ',')
		}
		object = append(appendString(object, []byte(x.name)), ':')
		object = append(object, text...)
	}
	object = append(object, '}')
	if uint64(len(a.out.d.Bytes))+uint64(len(object)) > math.MaxUint32 {
		return tooLarge(row+1, a.out.Size(), math.MaxUint32)
	}
	a.out.AppendValue(object, true)
	return nil
}

var (
	errNotUTF8 = errors.New("string is not valid UTF-8")
	errNotJSON = errors.New("bytes are no JSON text")
)

// dynamicText returns the JSON text of a dynamic value. encoding/json would quietly replace bad UTF-8.
func dynamicText(v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return nil, errNotUTF8
		}
	case []byte:
		if !json.Valid(v) || !utf8.Valid(v) { // bytes are JSON text here as they are in a JSON field, never base64
			return nil, errNotJSON
		}
		return bytes.TrimSpace(v), nil
	}
	return marshal(v)
}

// objectText checks the text of a "$meta" value.
func objectText(row int, v any, text []byte) ([]byte, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '{' || !json.Valid(text) {
		return nil, schema.InvalidRow(schema.MetaName, row, v, "dynamic field takes a JSON object")
	}
	return text, nil
}
