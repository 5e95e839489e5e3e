package schema

import (
	"encoding/binary"
	"math"
	"reflect"
	"unicode/utf8"
)

// normalDefault returns the default value as the exact Go type of the field, or says why it cannot be one.
func (f *Field) normalDefault() (any, error) {
	v := reflect.ValueOf(f.DefaultValue)
	refuse := func(format string, args ...any) (any, error) {
		return nil, Invalid(f.Name, f.DefaultValue, "default value "+format, args...)
	}
	switch t := f.Type; {
	case t == TypeBool:
		if v.Kind() != reflect.Bool {
			return refuse("is a %T, Bool takes bool", f.DefaultValue)
		}
		return v.Bool(), nil
	case t.IsInt():
		var n int64
		switch {
		case v.CanInt():
			n = v.Int()
		case v.CanUint() && v.Uint() <= math.MaxInt64:
			n = int64(v.Uint())
		default:
			return refuse("is a %T, %s takes integers in range", f.DefaultValue, t)
		}
		low, high := t.IntRange()
		if n < low || n > high {
			return refuse("is out of the range [%d, %d] of %s", low, high, t)
		}
		switch t {
		case TypeInt8:
			return int8(n), nil
		case TypeInt16:
			return int16(n), nil
		case TypeInt32:
			return int32(n), nil
		}
		return n, nil
	case t.IsFloat():
		var x float64
		switch {
		case v.CanFloat():
			x = v.Float()
		case v.CanInt():
			x = float64(v.Int())
		case v.CanUint():
			x = float64(v.Uint())
		default:
			return refuse("is a %T, %s takes numbers", f.DefaultValue, t)
		}
		if t == TypeFloat {
			x = float64(float32(x))
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return refuse("is not a finite %s", t)
		}
		if t == TypeFloat {
			return float32(x), nil
		}
		return x, nil
	case t == TypeVarChar:
		if v.Kind() != reflect.String {
			return refuse("is a %T, VarChar takes string", f.DefaultValue)
		}
		s := v.String()
		if len(s) > f.MaxLength {
			return refuse("has %d bytes, max_length is %d", len(s), f.MaxLength)
		}
		if !utf8.ValidString(s) {
			return refuse("is not valid UTF-8")
		}
		return s, nil
	}
	return refuse("is not possible with type %s", f.Type)
}

// DefaultBytes returns the default value in the physical layout of the field's type, nil when there is none.
// An empty string comes back as an empty slice that is not nil.
func (f *Field) DefaultBytes() ([]byte, error) {
	if f.DefaultValue == nil {
		return nil, nil
	}
	v, err := f.normalDefault()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 8)
	switch v := v.(type) {
	case bool:
		if v {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	case int8:
		return append(b, byte(v)), nil
	case int16:
		return binary.LittleEndian.AppendUint16(b, uint16(v)), nil
	case int32:
		return binary.LittleEndian.AppendUint32(b, uint32(v)), nil
	case int64:
		return binary.LittleEndian.AppendUint64(b, uint64(v)), nil
	case float32:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(v)), nil
	case float64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v)), nil
	case string:
		return append(b, v...), nil
	}
	return nil, Invalid(f.Name, v, "default value is not possible with type %s", f.Type)
}

// defaultFromBytes is the inverse of DefaultBytes; ok is false when b cannot be a value of the field's type.
func (f *Field) defaultFromBytes(b []byte) (v any, ok bool) {
	if f.Type == TypeVarChar {
		return string(b), true
	}
	if w := f.Type.Width(); w == 0 || len(b) != w {
		return nil, false
	}
	switch f.Type {
	case TypeBool:
		return b[0] == 1, b[0] <= 1
	case TypeInt8:
		return int8(b[0]), true
	case TypeInt16:
		return int16(binary.LittleEndian.Uint16(b)), true
	case TypeInt32:
		return int32(binary.LittleEndian.Uint32(b)), true
	case TypeInt64:
		return int64(binary.LittleEndian.Uint64(b)), true
	case TypeFloat:
		return math.Float32frombits(binary.LittleEndian.Uint32(b)), true
	case TypeDouble:
		return math.Float64frombits(binary.LittleEndian.Uint64(b)), true
	}
	return nil, false
}

// IntRange returns the smallest and the largest value of an integer type, zeros for every other type.
func (t DataType) IntRange() (low, high int64) {
	switch t {
	case TypeInt8:
		return math.MinInt8, math.MaxInt8
	case TypeInt16:
		return math.MinInt16, math.MaxInt16
	case TypeInt32:
		return math.MinInt32, math.MaxInt32
	case TypeInt64:
		return math.MinInt64, math.MaxInt64
	}
	return 0, 0
}
