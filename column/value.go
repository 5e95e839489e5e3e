package column

import (
	"encoding/binary"
	"math"

	"github.com/selkiedb/selkie/schema"
)

// views returns the values of a fixed-width column of type t, nil for a column of another type.
func views[T number](c *Column, t schema.DataType) []T {
	if c.typ != t {
		return nil
	}
	return viewOf[T](c.data.Fixed)
}

// Bools returns a copy of the values, false at nulls.
func (c *Column) Bools() []bool {
	if c.typ != schema.TypeBool {
		return nil
	}
	out := make([]bool, c.data.Rows)
	for i, b := range c.data.Fixed {
		out[i] = b != 0
	}
	return out
}

// Int8s returns the values, 0 at nulls. Like the other numeric views it shares the column's memory where alignment allows.
func (c *Column) Int8s() []int8 { return views[int8](c, schema.TypeInt8) }

// Int16s returns the values, 0 at nulls.
func (c *Column) Int16s() []int16 { return views[int16](c, schema.TypeInt16) }

// Int32s returns the values, 0 at nulls.
func (c *Column) Int32s() []int32 { return views[int32](c, schema.TypeInt32) }

// Int64s returns the values, 0 at nulls.
func (c *Column) Int64s() []int64 { return views[int64](c, schema.TypeInt64) }

// Floats returns the values, 0 at nulls.
func (c *Column) Floats() []float32 { return views[float32](c, schema.TypeFloat) }

// Doubles returns the values, 0 at nulls.
func (c *Column) Doubles() []float64 { return views[float64](c, schema.TypeDouble) }

// Strings returns copies of the strings, "" at nulls, in one allocation for all their bytes.
func (c *Column) Strings() []string {
	if c.typ != schema.TypeVarChar {
		return nil
	}
	out := make([]string, c.data.Rows)
	if c.data.Rows == 0 {
		return out
	}
	first := c.data.Offs[0]
	all := string(c.data.Bytes[first:c.data.Offs[c.data.Rows]])
	for i := range out {
		out[i] = all[c.data.Offs[i]-first : c.data.Offs[i+1]-first]
	}
	return out
}

// JSONs returns the JSON texts, nil at nulls. They share the column's memory.
func (c *Column) JSONs() [][]byte {
	if c.typ != schema.TypeJSON {
		return nil
	}
	out := make([][]byte, c.data.Rows)
	for i := range out {
		if !c.data.IsNull(i) {
			out[i] = c.data.Value(i)
		}
	}
	return out
}

// FloatVectors returns the elements of all vectors, one vector after the other (rows × Dim), zeros at nulls. A FloatVector
// column's memory is shared; the elements of Float16Vector and BFloat16Vector columns are converted.
func (c *Column) FloatVectors() []float32 {
	switch c.typ {
	case schema.TypeFloatVector:
		return viewOf[float32](c.data.Fixed)
	case schema.TypeFloat16Vector:
		return widened(c.data.Fixed, fromFloat16)
	case schema.TypeBFloat16Vector:
		return widened(c.data.Fixed, fromBFloat16)
	}
	return nil
}

func widened(raw []byte, from func(uint16) float32) []float32 {
	out := make([]float32, len(raw)/2)
	for i := range out {
		out[i] = from(binary.LittleEndian.Uint16(raw[2*i:]))
	}
	return out
}

// Value returns row i as a Go value, nil for a null:
//
//	Bool bool, Int8 int8, Int16 int16, Int32 int32, Int64 int64, Float float32, Double float64
//	VarChar string, JSON []byte, Array []T with T as above
//	FloatVector, Float16Vector, BFloat16Vector []float32, Int8Vector []int8, BinaryVector []byte
//	SparseFloatVector Sparse
//
// JSON and the vectors but for the 16-bit ones share the column's memory; treat them as read-only.
// REQUIRES: 0 <= i < c.Len().
func (c *Column) Value(i int) any {
	if c.data.IsNull(i) {
		return nil
	}
	return goValue(c.typ, c.elem, c.data.Value(i))
}

// goValue turns one stored value into a Go value.
func goValue(t, elem schema.DataType, raw []byte) any {
	switch t {
	case schema.TypeBool:
		return raw[0] != 0
	case schema.TypeInt8:
		return int8(raw[0])
	case schema.TypeInt16:
		return int16(binary.LittleEndian.Uint16(raw))
	case schema.TypeInt32:
		return int32(binary.LittleEndian.Uint32(raw))
	case schema.TypeInt64:
		return int64(binary.LittleEndian.Uint64(raw))
	case schema.TypeFloat:
		return math.Float32frombits(binary.LittleEndian.Uint32(raw))
	case schema.TypeDouble:
		return math.Float64frombits(binary.LittleEndian.Uint64(raw))
	case schema.TypeVarChar:
		return string(raw)
	case schema.TypeJSON, schema.TypeBinaryVector:
		return raw
	case schema.TypeFloatVector:
		return viewOf[float32](raw)
	case schema.TypeFloat16Vector:
		return widened(raw, fromFloat16)
	case schema.TypeBFloat16Vector:
		return widened(raw, fromBFloat16)
	case schema.TypeInt8Vector:
		return viewOf[int8](raw)
	case schema.TypeSparseFloatVector:
		return parseSparse(raw)
	case schema.TypeArray:
		return parseArray(elem, raw)
	}
	return nil
}

func parseSparse(raw []byte) Sparse {
	n := len(raw) / 8
	v := Sparse{Indices: make([]uint32, n), Values: make([]float32, n)}
	for i := range n {
		v.Indices[i] = binary.LittleEndian.Uint32(raw[8*i:])
		v.Values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[8*i+4:]))
	}
	return v
}

// parseArray copies an array out of the physical layout. Bytes that are no array of elem give nil.
func parseArray(elem schema.DataType, raw []byte) any {
	if len(raw) < 4 {
		return nil
	}
	length := binary.LittleEndian.Uint32(raw)
	raw = raw[4:]
	if uint64(length) > uint64(len(raw)) { // every element takes a byte at least
		return nil
	}
	n := int(length)
	switch elem {
	case schema.TypeBool:
		if n != len(raw) {
			return nil
		}
		out := make([]bool, n)
		for i, b := range raw {
			out[i] = b != 0
		}
		return out
	case schema.TypeInt8:
		return elements[int8](raw, n)
	case schema.TypeInt16:
		return elements[int16](raw, n)
	case schema.TypeInt32:
		return elements[int32](raw, n)
	case schema.TypeInt64:
		return elements[int64](raw, n)
	case schema.TypeFloat:
		return elements[float32](raw, n)
	case schema.TypeDouble:
		return elements[float64](raw, n)
	case schema.TypeVarChar:
		if n > len(raw)/4 {
			return nil
		}
		out := make([]string, n)
		for i := range out {
			s, rest, ok := nextString(raw)
			if !ok {
				return nil
			}
			out[i], raw = string(s), rest
		}
		return out
	}
	return nil
}

func elements[T number](raw []byte, n int) any {
	out := make([]T, len(raw)/sizeOf[T]())
	if n != len(out) || len(raw)%sizeOf[T]() != 0 {
		return nil
	}
	copy(bytesOf(out), raw)
	return out
}

// nextString splits a length-prefixed string off an array of VarChar.
func nextString(raw []byte) (s, rest []byte, ok bool) {
	if len(raw) < 4 {
		return nil, nil, false
	}
	n := binary.LittleEndian.Uint32(raw)
	if uint64(n) > uint64(len(raw)-4) {
		return nil, nil, false
	}
	return raw[4 : 4+n], raw[4+n:], true
}
