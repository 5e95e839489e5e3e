package column

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/selkiedb/selkie/schema"
)

func (c *Column) fault(row int, value any, format string, args ...any) {
	c.faults = append(c.faults, fault{row, value, fmt.Sprintf(format, args...)})
}

func fixed[T number | ~bool](name string, t schema.DataType, values []T) *Column {
	return &Column{name: name, typ: t, data: Data{Width: t.Width(), Rows: len(values), Fixed: bytesOf(values)}}
}

// Bool makes a column that shares values' memory.
func Bool(name string, values []bool) *Column { return fixed(name, schema.TypeBool, values) }

// Int8 makes a column that shares values' memory.
func Int8(name string, values []int8) *Column { return fixed(name, schema.TypeInt8, values) }

// Int16 makes a column that shares values' memory.
func Int16(name string, values []int16) *Column { return fixed(name, schema.TypeInt16, values) }

// Int32 makes a column that shares values' memory.
func Int32(name string, values []int32) *Column { return fixed(name, schema.TypeInt32, values) }

// Int64 makes a column that shares values' memory.
func Int64(name string, values []int64) *Column { return fixed(name, schema.TypeInt64, values) }

// Float makes a column that shares values' memory.
func Float(name string, values []float32) *Column { return fixed(name, schema.TypeFloat, values) }

// Double makes a column that shares values' memory.
func Double(name string, values []float64) *Column { return fixed(name, schema.TypeDouble, values) }

// VarChar makes a column of copies of the strings.
func VarChar(name string, values []string) *Column {
	return variable(name, schema.TypeVarChar, values)
}

// JSON makes a column of copies of the JSON texts.
func JSON(name string, values [][]byte) *Column {
	return variable(name, schema.TypeJSON, values)
}

func variable[T ~string | ~[]byte](name string, t schema.DataType, values []T) *Column {
	c := &Column{name: name, typ: t, data: Data{Rows: len(values)}}
	var size uint64
	for _, v := range values {
		size += uint64(len(v))
	}
	if !c.offsets(size) {
		return c
	}
	c.data.Bytes = make([]byte, 0, size)
	for i, v := range values {
		c.data.Bytes = append(c.data.Bytes, v...)
		c.data.Offs[i+1] = uint32(len(c.data.Bytes))
	}
	return c
}

// offsets allocates the offsets of a column with size bytes of values; more than they can count is remembered as a fault.
func (c *Column) offsets(size uint64) bool {
	c.data.Offs = make([]uint32, c.data.Rows+1)
	if size > math.MaxUint32 || size > math.MaxInt {
		c.fault(schema.NoRow, nil, "values take %d bytes, a column holds at most %d", size, uint32(math.MaxUint32))
		return false
	}
	return true
}

// Element is what an array can hold.
type Element interface {
	bool | int8 | int16 | int32 | int64 | float32 | float64 | string
}

// Array makes a column of copies of the arrays. The type of T is the element type: Bool, Int8 to Int64, Float, Double or
// VarChar.
func Array[T Element](name string, values [][]T) *Column {
	var zero T
	c := &Column{name: name, typ: schema.TypeArray, elem: elementType(zero), data: Data{Rows: len(values)}}
	var size uint64
	for _, v := range values {
		size += 4
		if s, ok := any(v).([]string); ok {
			for _, e := range s {
				size += 4 + uint64(len(e))
			}
			continue
		}
		size += uint64(len(v)) * uint64(c.elem.Width())
	}
	if !c.offsets(size) {
		return c
	}
	c.data.Bytes = make([]byte, 0, size)
	for i, v := range values {
		c.data.Bytes = appendArray(c.data.Bytes, v)
		c.data.Offs[i+1] = uint32(len(c.data.Bytes))
	}
	return c
}

func elementType(v any) schema.DataType {
	switch v.(type) {
	case bool:
		return schema.TypeBool
	case int8:
		return schema.TypeInt8
	case int16:
		return schema.TypeInt16
	case int32:
		return schema.TypeInt32
	case int64:
		return schema.TypeInt64
	case float32:
		return schema.TypeFloat
	case float64:
		return schema.TypeDouble
	case string:
		return schema.TypeVarChar
	}
	return schema.TypeNone
}

// appendArray appends an array in the physical layout.
func appendArray[T Element](dst []byte, v []T) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v)))
	switch v := any(v).(type) {
	case []bool:
		return append(dst, bytesOf(v)...)
	case []int8:
		return append(dst, bytesOf(v)...)
	case []int16:
		return append(dst, bytesOf(v)...)
	case []int32:
		return append(dst, bytesOf(v)...)
	case []int64:
		return append(dst, bytesOf(v)...)
	case []float32:
		return append(dst, bytesOf(v)...)
	case []float64:
		return append(dst, bytesOf(v)...)
	case []string:
		for _, s := range v {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
			dst = append(dst, s...)
		}
	}
	return dst
}
