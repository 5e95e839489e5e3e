package column

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unsafe"

	"github.com/selkiedb/selkie/schema"
)

// appender collects one field's values from rows. It converts; Build checks what remains to be checked.
type appender struct {
	field  *schema.Field
	out    *Builder
	absent int // rows without a value
	first  int // the first of them
	buf    []byte
}

func newAppender(f *schema.Field, rows int) *appender {
	a := &appender{field: f, out: NewBuilder(f.Width(), false)}
	a.out.Grow(rows, 0)
	return a
}

// skip notes that a row has no value; what becomes of it is known at the end.
func (a *appender) skip(row int) {
	if a.absent == 0 {
		a.first = row
	}
	a.absent++
	a.out.AppendValue(nil, false)
}

// column returns the values, nil when no row had any.
func (a *appender) column(rows int) (*Column, error) {
	if a.absent == rows {
		return nil, nil
	}
	if a.absent > 0 && !a.field.IsNullable && a.field.DefaultValue == nil {
		return nil, schema.InvalidRow(a.field.Name, a.first, nil, "value is missing, and the field is neither nullable nor has a default value")
	}
	return FromData(a.field, a.out.Data()), nil
}

func (a *appender) refuse(row int, v reflect.Value, reason string, args ...any) error {
	var shown any
	if v.IsValid() && v.CanInterface() {
		shown = v.Interface()
	}
	return schema.InvalidRow(a.field.Name, row, shown, reason, args...)
}

// add appends a row's value. Pointers and interfaces are followed; nil is null.
func (a *appender) add(row int, v reflect.Value) error {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		if v.IsNil() {
			v = reflect.Value{}
			break
		}
		if v.Kind() == reflect.Pointer && v.Type().Implements(reflect.TypeFor[schema.SparseVector]()) && a.field.Type == schema.TypeSparseFloatVector {
			break
		}
		v = v.Elem()
	}
	if v.IsValid() && (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.IsNil() {
		// A nil slice is null, as in encoding/json; where null cannot be, an array is empty rather than refused.
		if a.field.Type != schema.TypeArray || a.field.IsNullable {
			v = reflect.Value{}
		}
	}
	if !v.IsValid() {
		if !a.field.IsNullable && a.field.DefaultValue == nil {
			return a.refuse(row, v, "value is null, and the field is neither nullable nor has a default value")
		}
		a.out.AppendValue(nil, false)
		return nil
	}
	a.buf = a.buf[:0]
	var err error
	switch f := a.field; f.Type {
	case schema.TypeJSON:
		err = a.json(row, v)
	case schema.TypeArray:
		err = a.array(row, v)
	case schema.TypeSparseFloatVector:
		err = a.sparse(row, v)
	case schema.TypeFloatVector, schema.TypeFloat16Vector, schema.TypeBFloat16Vector, schema.TypeInt8Vector, schema.TypeBinaryVector:
		err = a.vector(row, v)
	default:
		err = a.scalar(row, f.Type, v)
	}
	if err != nil {
		return err
	}
	if uint64(len(a.out.d.Bytes))+uint64(len(a.buf)) > math.MaxUint32 {
		return tooLarge(row+1, a.out.Size()+int64(len(a.buf)), math.MaxUint32)
	}
	a.out.AppendValue(a.buf, true)
	return nil
}

// scalar appends a single value to buf, in the physical layout of t.
func (a *appender) scalar(row int, t schema.DataType, v reflect.Value) error {
	le := binary.LittleEndian
	switch {
	case t == schema.TypeBool && v.Kind() == reflect.Bool:
		a.buf = append(a.buf, bit(v.Bool()))
		return nil
	case t == schema.TypeVarChar && v.Kind() == reflect.String:
		a.buf = append(a.buf, v.String()...)
		return nil
	case t.IsInt():
		n, ok := integer(v)
		if !ok {
			break
		}
		if low, high := t.IntRange(); n < low || n > high {
			return a.refuse(row, v, "value is out of the range [%d, %d] of %s", low, high, t)
		}
		switch t {
		case schema.TypeInt8:
			a.buf = append(a.buf, byte(n))
		case schema.TypeInt16:
			a.buf = le.AppendUint16(a.buf, uint16(n))
		case schema.TypeInt32:
			a.buf = le.AppendUint32(a.buf, uint32(n))
		default:
			a.buf = le.AppendUint64(a.buf, uint64(n))
		}
		return nil
	case t.IsFloat():
		x, ok := float(v)
		if !ok {
			break
		}
		if t == schema.TypeDouble {
			a.buf = le.AppendUint64(a.buf, math.Float64bits(x))
			return nil
		}
		if isOverflow(x) {
			return a.refuse(row, v, "value is out of the range of Float (largest %g)", math.MaxFloat32)
		}
		a.buf = le.AppendUint32(a.buf, math.Float32bits(float32(x)))
		return nil
	}
	if t.IsInt() && v.Kind() == reflect.Uint64 {
		return a.refuse(row, v, "value is out of the range of %s", t)
	}
	return a.refuse(row, v, "Go type %s does not convert to %s", v.Type(), t)
}

// isOverflow tells whether a finite float becomes infinite with 32 bits.
func isOverflow(x float64) bool { return x-x == 0 && math.IsInf(float64(float32(x)), 0) }

// integer takes integers of all Go types, and json.Number, exactly. Floats are refused even when they are whole: decode
// JSON with UseNumber.
func integer(v reflect.Value) (int64, bool) {
	switch {
	case v.CanInt():
		return v.Int(), true
	case v.CanUint():
		return int64(v.Uint()), v.Uint() <= math.MaxInt64
	case v.Type() == reflect.TypeFor[json.Number]():
		n, err := strconv.ParseInt(v.String(), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// float takes numbers of all Go types, and json.Number.
func float(v reflect.Value) (float64, bool) {
	switch {
	case v.CanFloat():
		return v.Float(), true
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanUint():
		return float64(v.Uint()), true
	case v.Type() == reflect.TypeFor[json.Number]():
		x, err := strconv.ParseFloat(v.String(), 64)
		return x, err == nil
	}
	return 0, false
}

// json appends bytes as the JSON text they are, anything else but a string as encoding/json writes it.
func (a *appender) json(row int, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		a.buf = append(a.buf, v.Bytes()...)
		return nil
	case v.Kind() == reflect.String && v.Type() != reflect.TypeFor[json.Number]():
		return a.refuse(row, v, "a Go string may be a JSON text or a JSON string: give the text as json.RawMessage")
	}
	text, err := marshal(v.Interface())
	if err != nil {
		return a.refuse(row, v, "value has no JSON form: %v", err)
	}
	a.buf = append(a.buf, text...)
	return nil
}

func (a *appender) array(row int, v reflect.Value) error {
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		return a.refuse(row, v, "Go type %s does not convert to Array", v.Type())
	}
	a.buf = binary.LittleEndian.AppendUint32(a.buf, uint32(v.Len()))
	elem := a.field.ElementType
	for i := range v.Len() {
		e := v.Index(i)
		for e.Kind() == reflect.Interface || e.Kind() == reflect.Pointer {
			if e.IsNil() {
				return a.refuse(row, v, "element %d is null, an array has no nulls", i)
			}
			e = e.Elem()
		}
		at := len(a.buf)
		if elem == schema.TypeVarChar {
			a.buf = append(a.buf, 0, 0, 0, 0)
		}
		if err := a.scalar(row, elem, e); err != nil {
			fe := err.(*schema.FieldError)
			fe.Reason = "element " + strconv.Itoa(i) + " of the array: " + fe.Reason
			return fe
		}
		if elem == schema.TypeVarChar {
			binary.LittleEndian.PutUint32(a.buf[at:], uint32(len(a.buf)-at-4))
		}
	}
	return nil
}

// memory returns the elements of a slice, or of an array, as they lie in memory; ok is false if they are not of that kind.
func memory[T number](v reflect.Value, kind reflect.Kind) (m []T, ok bool) {
	if v.Type().Elem().Kind() != kind {
		return nil, false
	}
	if v.Kind() == reflect.Array {
		if !v.CanAddr() {
			c := reflect.New(v.Type()).Elem()
			c.Set(v)
			v = c
		}
		v = v.Slice(0, v.Len())
	}
	return unsafe.Slice((*T)(v.UnsafePointer()), v.Len()), true
}

func (a *appender) vector(row int, v reflect.Value) error {
	f := a.field
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		return a.refuse(row, v, "Go type %s does not convert to %s", v.Type(), f.Type)
	}
	half := f.Type == schema.TypeFloat16Vector || f.Type == schema.TypeBFloat16Vector
	if raw, ok := memory[byte](v, reflect.Uint8); ok && (half || f.Type == schema.TypeBinaryVector) {
		if len(raw) != f.Width() {
			return a.refuse(row, v, "vector has %d bytes, dim %d takes %d", len(raw), f.Dim, f.Width())
		}
		a.buf = append(a.buf, raw...)
		return nil
	}
	if v.Len() != f.Dim && f.Type != schema.TypeBinaryVector {
		return a.refuse(row, v, "vector has %d elements, dim is %d", v.Len(), f.Dim)
	}
	if x, ok := memory[float32](v, reflect.Float32); ok && f.Type == schema.TypeFloatVector {
		a.buf = append(a.buf, bytesOf(x)...)
		return nil
	}
	if x, ok := memory[int8](v, reflect.Int8); ok && f.Type == schema.TypeInt8Vector {
		a.buf = append(a.buf, bytesOf(x)...)
		return nil
	}
	return a.elements(row, v)
}

// elements converts a vector element by element: []float64, or []any out of a decoded JSON text.
func (a *appender) elements(row int, v reflect.Value) error {
	if a.field.Type == schema.TypeBinaryVector || v.Type().Elem().Kind() == reflect.Uint8 { // bytes are no numbers here
		return a.refuse(row, v, "Go type %s does not convert to %s", v.Type(), a.field.Type)
	}
	t := schema.TypeFloat
	if a.field.Type == schema.TypeInt8Vector {
		t = schema.TypeInt8
	}
	for i := range v.Len() {
		e := v.Index(i)
		for e.Kind() == reflect.Interface && !e.IsNil() {
			e = e.Elem()
		}
		if err := a.scalar(row, t, e); err != nil {
			fe := err.(*schema.FieldError)
			fe.Reason = "element " + strconv.Itoa(i) + " of the vector: " + fe.Reason
			return fe
		}
	}
	to := toFloat16
	switch a.field.Type {
	case schema.TypeBFloat16Vector:
		to = toBFloat16
	case schema.TypeFloat16Vector:
	default:
		return nil
	}
	le := binary.LittleEndian
	for i := range v.Len() {
		le.PutUint16(a.buf[2*i:], to(math.Float32frombits(le.Uint32(a.buf[4*i:]))))
	}
	a.buf = a.buf[:2*v.Len()]
	return nil
}

// sparse takes Sparse and its like, the SDK's interface, and maps from index to value, which need no order.
func (a *appender) sparse(row int, v reflect.Value) error {
	var s Sparse
	switch {
	case v.Type().ConvertibleTo(reflect.TypeFor[Sparse]()):
		s = v.Convert(reflect.TypeFor[Sparse]()).Interface().(Sparse)
	case v.Type().Implements(reflect.TypeFor[schema.SparseVector]()):
		list := v.Interface().(schema.SparseVector)
		for i := range list.Len() {
			index, value, ok := list.Get(i)
			if !ok {
				return a.refuse(row, v, "sparse vector has no pair %d of %d", i, list.Len())
			}
			s.Indices, s.Values = append(s.Indices, index), append(s.Values, value)
		}
	case schema.IsSparseType(v.Type()):
		for _, key := range v.MapKeys() {
			s.Indices = append(s.Indices, uint32(key.Uint()))
		}
		slices.Sort(s.Indices)
		for _, index := range s.Indices {
			key := reflect.ValueOf(index).Convert(v.Type().Key())
			s.Values = append(s.Values, float32(v.MapIndex(key).Float()))
		}
	default:
		return a.refuse(row, v, "Go type %s does not convert to SparseFloatVector", v.Type())
	}
	if len(s.Indices) != len(s.Values) {
		return a.refuse(row, v, "sparse vector has %d indices and %d values", len(s.Indices), len(s.Values))
	}
	a.buf = appendSparse(a.buf, s)
	return nil
}
