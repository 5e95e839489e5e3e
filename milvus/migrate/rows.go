package migrate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"google.golang.org/protobuf/proto"
)

// key is a primary key.
type key struct {
	n int64
	s string
}

func (k key) compare(o key) int { return cmp.Or(cmp.Compare(k.n, o.n), cmp.Compare(k.s, o.s)) }

// table is a run of rows as a query answers them.
type table struct {
	fields []*schemapb.FieldData
	keys   []key
	at     [][]int // by field, then by row: where its value is, -1 for a null
}

func newTable(fields []*schemapb.FieldData, primary string) (*table, error) {
	t := &table{fields: fields}
	for _, f := range fields {
		if f.GetFieldName() != primary {
			continue
		}
		for _, n := range f.GetScalars().GetLongData().GetData() {
			t.keys = append(t.keys, key{n: n})
		}
		for _, s := range f.GetScalars().GetStringData().GetData() {
			t.keys = append(t.keys, key{s: s})
		}
	}
	for _, f := range fields {
		at, err := positions(f, len(t.keys))
		if err != nil {
			return nil, err
		}
		t.at = append(t.at, at)
	}
	return t, nil
}

// positions finds where the value of each row is: nulls have a value on the wire, or have none.
func positions(f *schemapb.FieldData, rows int) ([]int, error) {
	n, valid := length(f), f.GetValidData()
	if len(valid) != 0 && len(valid) != rows || len(valid) == 0 && n != rows {
		return nil, fmt.Errorf("field %q has %d values and %d marks of nulls for %d rows", f.GetFieldName(), n, len(valid), rows)
	}
	at, next := make([]int, rows), 0
	for i := range at {
		switch {
		case len(valid) > 0 && !valid[i]:
			at[i] = -1
		case n == rows:
			at[i] = i
		default:
			at[i] = next
			next++
		}
		if at[i] >= n {
			return nil, fmt.Errorf("field %q has %d values for %d rows", f.GetFieldName(), n, rows)
		}
	}
	return at, nil
}

// width is the number of elements of a vector on the wire.
func width(v *schemapb.VectorField) int {
	d := int(v.GetDim())
	switch v.GetData().(type) {
	case *schemapb.VectorField_BinaryVector:
		d /= 8
	case *schemapb.VectorField_Float16Vector, *schemapb.VectorField_Bfloat16Vector:
		d *= 2
	}
	return max(d, 1)
}

func length(f *schemapb.FieldData) int {
	if v := f.GetVectors(); v != nil {
		n := len(v.GetFloatVector().GetData()) + len(v.GetBinaryVector()) + len(v.GetFloat16Vector()) + len(v.GetBfloat16Vector()) + len(v.GetInt8Vector())
		return n/width(v) + len(v.GetSparseFloatVector().GetContents())
	}
	s := f.GetScalars()
	return len(s.GetBoolData().GetData()) + len(s.GetIntData().GetData()) + len(s.GetLongData().GetData()) + len(s.GetFloatData().GetData()) +
		len(s.GetDoubleData().GetData()) + len(s.GetStringData().GetData()) + len(s.GetJsonData().GetData()) + len(s.GetArrayData().GetData())
}

// pick takes some rows as a request to insert has them: nulls have no value.
func (t *table) pick(rows []int) []*schemapb.FieldData {
	out := make([]*schemapb.FieldData, len(t.fields))
	for i, f := range t.fields {
		out[i] = pickField(f, t.at[i], rows)
	}
	return out
}

func pickField(f *schemapb.FieldData, at, rows []int) *schemapb.FieldData {
	out := &schemapb.FieldData{Type: f.GetType(), FieldName: f.GetFieldName(), IsDynamic: f.GetIsDynamic()}
	values := make([]int, 0, len(rows))
	for _, r := range rows {
		if len(f.GetValidData()) > 0 {
			out.ValidData = append(out.ValidData, at[r] >= 0)
		}
		if at[r] >= 0 {
			values = append(values, at[r])
		}
	}
	if v := f.GetVectors(); v != nil {
		out.Field = &schemapb.FieldData_Vectors{Vectors: pickVectors(v, values)}
	} else {
		out.Field = &schemapb.FieldData_Scalars{Scalars: pickScalars(f.GetScalars(), values)}
	}
	return out
}

func some[T any](values []T, at []int, width int) []T {
	out := make([]T, 0, len(at)*width)
	for _, i := range at {
		out = append(out, values[i*width:(i+1)*width]...)
	}
	return out
}

func pickScalars(s *schemapb.ScalarField, at []int) *schemapb.ScalarField {
	switch x := s.GetData().(type) {
	case *schemapb.ScalarField_BoolData:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_BoolData{BoolData: &schemapb.BoolArray{Data: some(x.BoolData.GetData(), at, 1)}}}
	case *schemapb.ScalarField_IntData:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_IntData{IntData: &schemapb.IntArray{Data: some(x.IntData.GetData(), at, 1)}}}
	case *schemapb.ScalarField_LongData:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_LongData{LongData: &schemapb.LongArray{Data: some(x.LongData.GetData(), at, 1)}}}
	case *schemapb.ScalarField_FloatData:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_FloatData{FloatData: &schemapb.FloatArray{Data: some(x.FloatData.GetData(), at, 1)}}}
	case *schemapb.ScalarField_DoubleData:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_DoubleData{DoubleData: &schemapb.DoubleArray{Data: some(x.DoubleData.GetData(), at, 1)}}}
	case *schemapb.ScalarField_StringData:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_StringData{StringData: &schemapb.StringArray{Data: some(x.StringData.GetData(), at, 1)}}}
	case *schemapb.ScalarField_JsonData:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_JsonData{JsonData: &schemapb.JSONArray{Data: some(x.JsonData.GetData(), at, 1)}}}
	case *schemapb.ScalarField_ArrayData:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_ArrayData{ArrayData: &schemapb.ArrayArray{
			Data: some(x.ArrayData.GetData(), at, 1), ElementType: x.ArrayData.GetElementType(),
		}}}
	}
	return &schemapb.ScalarField{}
}

func pickVectors(v *schemapb.VectorField, at []int) *schemapb.VectorField {
	w, out := width(v), &schemapb.VectorField{Dim: v.GetDim()}
	switch x := v.GetData().(type) {
	case *schemapb.VectorField_FloatVector:
		out.Data = &schemapb.VectorField_FloatVector{FloatVector: &schemapb.FloatArray{Data: some(x.FloatVector.GetData(), at, w)}}
	case *schemapb.VectorField_BinaryVector:
		out.Data = &schemapb.VectorField_BinaryVector{BinaryVector: some(x.BinaryVector, at, w)}
	case *schemapb.VectorField_Float16Vector:
		out.Data = &schemapb.VectorField_Float16Vector{Float16Vector: some(x.Float16Vector, at, w)}
	case *schemapb.VectorField_Bfloat16Vector:
		out.Data = &schemapb.VectorField_Bfloat16Vector{Bfloat16Vector: some(x.Bfloat16Vector, at, w)}
	case *schemapb.VectorField_Int8Vector:
		out.Data = &schemapb.VectorField_Int8Vector{Int8Vector: some(x.Int8Vector, at, w)}
	case *schemapb.VectorField_SparseFloatVector:
		out.Data = &schemapb.VectorField_SparseFloatVector{SparseFloatVector: &schemapb.SparseFloatArray{
			Contents: some(x.SparseFloatVector.GetContents(), at, 1), Dim: x.SparseFloatVector.GetDim(),
		}}
	}
	return out
}

// same compares row i with row j of another table. JSON is compared by what it says.
func (t *table) same(i int, o *table, j int) bool {
	other := make(map[string]int, len(o.fields))
	for k, f := range o.fields {
		other[f.GetFieldName()] = k
	}
	for k, f := range t.fields {
		l, ok := other[f.GetFieldName()]
		if !ok {
			return false
		}
		a, b := pickField(f, t.at[k], []int{i}), pickField(o.fields[l], o.at[l], []int{j})
		if v := a.GetVectors().GetSparseFloatVector(); v != nil { // the largest index of the answer, not of the row
			v.Dim, a.GetVectors().Dim = 0, 0
			if w := b.GetVectors().GetSparseFloatVector(); w != nil {
				w.Dim, b.GetVectors().Dim = 0, 0
			}
		}
		if x, y := a.GetScalars().GetJsonData().GetData(), b.GetScalars().GetJsonData().GetData(); len(x) == 1 && len(y) == 1 {
			if !sameJSON(x[0], y[0]) {
				return false
			}
			continue
		}
		if !proto.Equal(a, b) {
			return false
		}
	}
	return true
}

func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	read := func(raw []byte) (v any, err error) {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		err = d.Decode(&v)
		return v, err
	}
	x, err1 := read(a)
	y, err2 := read(b)
	return err1 == nil && err2 == nil && reflect.DeepEqual(x, y)
}
