package milvus

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// parseColumns makes the engine's columns of a request's. Flat values are shared, not copied. What the values may be is the engine's to
// check.
func parseColumns(s *schema.Schema, fields []*schemapb.FieldData, rows uint32) ([]*column.Column, error) {
	if rows == 0 {
		return nil, fail(codeInvalid, "num_rows should be greater than 0")
	}
	if rows > math.MaxInt32 {
		return nil, fail(codeTooLarge, "num_rows %d is too large", rows)
	}
	cols := make([]*column.Column, 0, len(fields))
	for _, fd := range fields {
		if fd == nil {
			return nil, fail(codeInvalid, "a column is missing")
		}
		in := columnIn{fd: fd, name: fd.GetFieldName(), rows: int(rows), valid: fd.GetValidData()}
		if fd.GetIsDynamic() || in.name == "" && fd.GetType() == schemapb.DataType_JSON {
			in.name = schema.MetaName
		}
		f, known := s.Field(in.name)
		t := schema.DataType(fd.GetType())
		if fd.GetType() == schemapb.DataType_String {
			t = schema.TypeVarChar
		}
		if known && t != f.Type {
			return nil, fail(codeInvalid, "the data type of field %s doesn't match: invalid parameter[expected=%s][actual=%s]", in.name, f.Type, fd.GetType())
		}
		if known {
			in.elem = f.ElementType
		}
		if len(in.valid) == 0 {
			in.valid = nil
		} else if len(in.valid) != in.rows {
			return nil, fail(codeInvalid, "the length of valid_data of field(%s) is wrong: invalid parameter[expected=%d][actual=%d]", in.name, rows, len(in.valid))
		}
		col, err := in.column(t)
		if err != nil {
			return nil, err
		}
		if in.valid != nil {
			col.WithValid(in.valid)
		}
		cols = append(cols, col)
	}
	return cols, nil
}

// columnIn is one column on its way in.
type columnIn struct {
	fd    *schemapb.FieldData
	name  string
	rows  int
	valid []bool          // nil: no nulls
	elem  schema.DataType // of arrays
}

func (in *columnIn) column(t schema.DataType) (*column.Column, error) {
	if t.IsVector() {
		return in.vectors(t)
	}
	v := in.fd.GetScalars()
	switch t {
	case schema.TypeBool:
		return scalars(in, v.GetBoolData().GetData(), column.Bool)
	case schema.TypeInt8:
		return integers(in, v.GetIntData().GetData(), math.MinInt8, math.MaxInt8, column.Int8)
	case schema.TypeInt16:
		return integers(in, v.GetIntData().GetData(), math.MinInt16, math.MaxInt16, column.Int16)
	case schema.TypeInt32:
		return scalars(in, v.GetIntData().GetData(), column.Int32)
	case schema.TypeInt64:
		return scalars(in, v.GetLongData().GetData(), column.Int64)
	case schema.TypeFloat:
		return scalars(in, v.GetFloatData().GetData(), column.Float)
	case schema.TypeDouble:
		return scalars(in, v.GetDoubleData().GetData(), column.Double)
	case schema.TypeVarChar:
		return scalars(in, v.GetStringData().GetData(), column.VarChar)
	case schema.TypeJSON:
		return scalars(in, v.GetJsonData().GetData(), column.JSON)
	case schema.TypeArray:
		return in.arrays(v.GetArrayData())
	}
	return nil, fail(codeUnsupported, "field %q: data type %s is not supported", in.name, in.fd.GetType())
}

// maxExpanded bounds what a column takes that has nulls: a few bytes on the wire may stand for many.
const maxExpanded = 256 << 20

// expand gives each row its width values: on the wire nulls have none, though some clients send zeros for them.
func expand[T any](in *columnIn, values []T, width int) ([]T, error) {
	if len(values) == in.rows*width {
		return values, nil
	}
	valid := 0
	for _, ok := range in.valid {
		if ok {
			valid++
		}
	}
	if in.valid == nil || len(values) != valid*width {
		return nil, fail(codeInvalid, "the num_rows (%d) of field (%s) is not equal to passed num_rows (%d): invalid parameter[expected=%d][actual=%d]",
			len(values)/width, in.name, in.rows, in.rows, len(values)/width)
	}
	var zero T
	if n := int64(in.rows) * int64(width) * int64(unsafe.Sizeof(zero)); n > maxExpanded {
		return nil, fail(codeTooLarge, "field %q: %d rows take %d bytes with their nulls, at most %d are allowed", in.name, in.rows, n, maxExpanded)
	}
	out := make([]T, in.rows*width)
	for i, ok := range in.valid {
		if ok {
			copy(out[i*width:], values[:width])
			values = values[width:]
		}
	}
	return out, nil
}

func scalars[T any](in *columnIn, values []T, make func(string, []T) *column.Column) (*column.Column, error) {
	values, err := expand(in, values, 1)
	if err != nil {
		return nil, err
	}
	return make(in.name, values), nil
}

// integers narrows what the wire has in 32 bits.
func integers[T int8 | int16](in *columnIn, values []int32, low, high int32, to func(string, []T) *column.Column) (*column.Column, error) {
	narrow := make([]T, len(values))
	for i, v := range values {
		if v < low || v > high {
			return nil, fail(codeInvalid, "field %q: the %dth element (%d) out of range: [%d, %d]", in.name, i, v, low, high)
		}
		narrow[i] = T(v)
	}
	return scalars(in, narrow, to)
}

func (in *columnIn) vectors(t schema.DataType) (*column.Column, error) {
	v := in.fd.GetVectors()
	if t == schema.TypeSparseFloatVector {
		return in.sparse(v.GetSparseFloatVector().GetContents())
	}
	dim := v.GetDim()
	if dim <= 0 || dim > schema.MaxBinaryDim || t == schema.TypeBinaryVector && dim%8 != 0 {
		return nil, fail(codeInvalid, "field %q: invalid dimension: %d. should be in range %d ~ %d", in.name, dim, schema.MinDim, schema.MaxDim)
	}
	d := int(dim)
	switch t {
	case schema.TypeFloatVector:
		return flat(in, v.GetFloatVector().GetData(), d, d, column.FloatVectorFlat)
	case schema.TypeFloat16Vector:
		return flat(in, v.GetFloat16Vector(), d, 2*d, column.Float16VectorRaw)
	case schema.TypeBFloat16Vector:
		return flat(in, v.GetBfloat16Vector(), d, 2*d, column.BFloat16VectorRaw)
	case schema.TypeBinaryVector:
		return flat(in, v.GetBinaryVector(), d, d/8, column.BinaryVectorFlat)
	case schema.TypeInt8Vector:
		return flat(in, signed(v.GetInt8Vector()), d, d, column.Int8VectorFlat)
	}
	return nil, fail(codeUnsupported, "field %q: data type %s is not supported", in.name, in.fd.GetType())
}

func flat[T any](in *columnIn, values []T, dim, width int, make func(string, int, []T) *column.Column) (*column.Column, error) {
	values, err := expand(in, values, width)
	if err != nil {
		return nil, err
	}
	return make(in.name, dim, values), nil
}

func signed(raw []byte) []int8 {
	out := make([]int8, len(raw))
	for i, b := range raw {
		out[i] = int8(b)
	}
	return out
}

func (in *columnIn) sparse(contents [][]byte) (*column.Column, error) {
	contents, err := expand(in, contents, 1)
	if err != nil {
		return nil, err
	}
	out := make([]column.Sparse, len(contents))
	for i, raw := range contents {
		if out[i], err = parseSparse(raw); err != nil {
			return nil, fail(codeInvalid, "field %q, row %d: %s", in.name, i, err)
		}
	}
	return column.SparseFloatVector(in.name, out), nil
}

// parseSparse reads pairs of a 32-bit index and a 32-bit float.
func parseSparse(raw []byte) (column.Sparse, error) {
	if len(raw)%8 != 0 {
		return column.Sparse{}, fail(codeInvalid, "invalid data length in sparse float vector: %d bytes are no pairs of 8", len(raw))
	}
	s := column.Sparse{Indices: make([]uint32, len(raw)/8), Values: make([]float32, len(raw)/8)}
	for i := range s.Indices {
		s.Indices[i] = binary.LittleEndian.Uint32(raw[8*i:])
		s.Values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[8*i+4:]))
	}
	return s, nil
}

func (in *columnIn) arrays(a *schemapb.ArrayArray) (*column.Column, error) {
	elem := in.elem
	if elem == schema.TypeNone {
		elem = schema.DataType(a.GetElementType())
	}
	switch elem {
	case schema.TypeBool:
		return arrays(in, a, func(f *schemapb.ScalarField) ([]bool, int) { return f.GetBoolData().GetData(), -1 })
	case schema.TypeInt8:
		return arrays(in, a, func(f *schemapb.ScalarField) ([]int8, int) { return narrow[int8](f.GetIntData().GetData()) })
	case schema.TypeInt16:
		return arrays(in, a, func(f *schemapb.ScalarField) ([]int16, int) { return narrow[int16](f.GetIntData().GetData()) })
	case schema.TypeInt32:
		return arrays(in, a, func(f *schemapb.ScalarField) ([]int32, int) { return f.GetIntData().GetData(), -1 })
	case schema.TypeInt64:
		return arrays(in, a, func(f *schemapb.ScalarField) ([]int64, int) { return f.GetLongData().GetData(), -1 })
	case schema.TypeFloat:
		return arrays(in, a, func(f *schemapb.ScalarField) ([]float32, int) { return f.GetFloatData().GetData(), -1 })
	case schema.TypeDouble:
		return arrays(in, a, func(f *schemapb.ScalarField) ([]float64, int) { return f.GetDoubleData().GetData(), -1 })
	case schema.TypeVarChar:
		return arrays(in, a, func(f *schemapb.ScalarField) ([]string, int) { return f.GetStringData().GetData(), -1 })
	}
	return nil, fail(codeInvalid, "field %q: arrays of %s are not supported", in.name, schemapb.DataType(elem))
}

// narrow returns the position of the first element that does not fit, or -1.
func narrow[T int8 | int16](values []int32) ([]T, int) {
	out := make([]T, len(values))
	for i, v := range values {
		if out[i] = T(v); int32(out[i]) != v {
			return nil, i
		}
	}
	return out, -1
}

func arrays[T column.Element](in *columnIn, a *schemapb.ArrayArray, get func(*schemapb.ScalarField) (values []T, bad int)) (*column.Column, error) {
	data, err := expand(in, a.GetData(), 1)
	if err != nil {
		return nil, err
	}
	out := make([][]T, len(data))
	for i, f := range data {
		values, bad := get(f)
		if bad >= 0 {
			return nil, fail(codeInvalid, "field %q, row %d: the %dth element (%d) out of range", in.name, i, bad, f.GetIntData().GetData()[bad])
		}
		if n := scalarLen(f); n != len(values) {
			return nil, fail(codeInvalid, "insert data of array field %q, row %d, is illegal, array type mismatch", in.name, i)
		}
		out[i] = values
	}
	return column.Array(in.name, out), nil
}

// scalarLen is the number of values, of whichever type they are.
func scalarLen(f *schemapb.ScalarField) int {
	return len(f.GetBoolData().GetData()) + len(f.GetIntData().GetData()) + len(f.GetLongData().GetData()) + len(f.GetFloatData().GetData()) +
		len(f.GetDoubleData().GetData()) + len(f.GetStringData().GetData()) + len(f.GetBytesData().GetData()) + len(f.GetJsonData().GetData())
}
