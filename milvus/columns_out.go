package milvus

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"

	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// output is what a reader wants with each row: fields, and of the dynamic field, if it is among them, all keys or some.
type output struct {
	fields []*schema.Field
	keys   []string // of the dynamic field; nil: all
	names  []string // as the answer lists them
	key    bool     // the primary key was asked for, too
}

// parseOutput resolves names of fields. The primary key is always among the fields, though an answer to a search leaves it to the ids.
func parseOutput(s *schema.Schema, names []string) (output, error) {
	fields, err := query.OutputFields(s, names)
	if err != nil {
		return output{}, err
	}
	o := output{fields: fields}
	whole := false
	for _, f := range fields {
		if !f.IsDynamic {
			o.names = append(o.names, f.Name)
		}
	}
	for _, n := range names {
		switch f, ok := s.Field(n); {
		case n == "*":
			whole, o.key = whole || s.Dynamic, true
		case ok && f.IsDynamic:
			whole = true
		case ok && f.IsPrimaryKey:
			o.key = true
		case !ok && !slices.Contains(o.keys, n):
			o.keys = append(o.keys, n)
		}
	}
	if whole {
		o.keys = nil
		o.names = append(o.names, schema.MetaName)
	}
	o.names = append(o.names, o.keys...)
	return o, nil
}

// gatherer puts rows together that were picked one by one, column by column.
type gatherer struct {
	fields   []*schema.Field
	builders []*column.Builder
	bytes    int64
}

func newGatherer(fields []*schema.Field) *gatherer {
	g := &gatherer{fields: fields}
	for _, f := range fields {
		g.builders = append(g.builders, column.NewBuilder(f.Width(), f.IsNullable))
	}
	return g
}

func (g *gatherer) add(r column.Row) {
	rows, at := r.Source()
	for i, f := range g.fields {
		d := rows.Column(f.Name).Data()
		if d.Width > 0 {
			g.bytes += int64(d.Width)
		} else {
			g.bytes += int64(d.Offs[at+1] - d.Offs[at])
		}
		g.builders[i].AppendRow(d, at)
	}
}

func (g *gatherer) columns() []*column.Column {
	cols := make([]*column.Column, len(g.fields))
	for i, f := range g.fields {
		cols[i] = column.FromData(f, g.builders[i].Data())
	}
	return cols
}

// format makes the columns of an answer. cols has one for each of the fields, in their order.
func (o output) format(cols []*column.Column) ([]*schemapb.FieldData, error) {
	out := make([]*schemapb.FieldData, len(cols))
	for i, c := range cols {
		if o.fields[i].IsDynamic && o.keys != nil {
			var err error
			if c, err = pickKeys(c, o.keys); err != nil {
				return nil, err
			}
		}
		out[i] = formatColumn(o.fields[i], c)
	}
	return out, nil
}

// pickKeys leaves only some keys in the objects of the dynamic field.
func pickKeys(c *column.Column, keys []string) (*column.Column, error) {
	values := c.JSONs()
	out := make([][]byte, len(values))
	for i, v := range values {
		out[i] = []byte("{}")
		if len(v) == 0 {
			continue
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(v, &all); err != nil {
			return nil, err
		}
		some := make(map[string]json.RawMessage, len(keys))
		for _, k := range keys {
			if x, ok := all[k]; ok {
				some[k] = x
			}
		}
		var err error
		if out[i], err = json.Marshal(some); err != nil {
			return nil, err
		}
	}
	return column.JSON(schema.MetaName, out), nil
}

// formatColumn puts a column on the wire. Scalars have a value for each row, vectors only for those that are not null.
func formatColumn(f *schema.Field, c *column.Column) *schemapb.FieldData {
	fd := &schemapb.FieldData{Type: schemapb.DataType(f.Type), FieldName: f.Name, FieldId: f.ID, IsDynamic: f.IsDynamic}
	if f.IsNullable {
		fd.ValidData = make([]bool, c.Len())
		for i := range fd.ValidData {
			fd.ValidData[i] = !c.IsNull(i)
		}
	}
	if f.Type.IsVector() {
		fd.Field = &schemapb.FieldData_Vectors{Vectors: formatVectors(f, c)}
	} else {
		fd.Field = &schemapb.FieldData_Scalars{Scalars: formatScalars(f, c)}
	}
	return fd
}

func formatScalars(f *schema.Field, c *column.Column) *schemapb.ScalarField {
	switch f.Type {
	case schema.TypeBool:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_BoolData{BoolData: &schemapb.BoolArray{Data: c.Bools()}}}
	case schema.TypeInt8:
		return ints(c.Int8s())
	case schema.TypeInt16:
		return ints(c.Int16s())
	case schema.TypeInt32:
		return ints(c.Int32s())
	case schema.TypeInt64:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_LongData{LongData: &schemapb.LongArray{Data: c.Int64s()}}}
	case schema.TypeFloat:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_FloatData{FloatData: &schemapb.FloatArray{Data: c.Floats()}}}
	case schema.TypeDouble:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_DoubleData{DoubleData: &schemapb.DoubleArray{Data: c.Doubles()}}}
	case schema.TypeVarChar:
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_StringData{StringData: &schemapb.StringArray{Data: c.Strings()}}}
	case schema.TypeJSON:
		values := c.JSONs()
		if f.IsDynamic { // a row without dynamic keys may have nothing at all
			values = slices.Clone(values)
			for i, v := range values {
				if len(v) == 0 {
					values[i] = []byte("{}")
				}
			}
		}
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_JsonData{JsonData: &schemapb.JSONArray{Data: values}}}
	case schema.TypeArray:
		a := &schemapb.ArrayArray{Data: make([]*schemapb.ScalarField, c.Len()), ElementType: schemapb.DataType(f.ElementType)}
		for i := range a.Data {
			a.Data[i] = formatArray(f.ElementType, c.Value(i))
		}
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_ArrayData{ArrayData: a}}
	}
	return &schemapb.ScalarField{}
}

func ints[T int8 | int16 | int32](values []T) *schemapb.ScalarField {
	wide := make([]int32, len(values))
	for i, v := range values {
		wide[i] = int32(v)
	}
	return &schemapb.ScalarField{Data: &schemapb.ScalarField_IntData{IntData: &schemapb.IntArray{Data: wide}}}
}

// formatArray puts one array on the wire, an empty one for a null.
func formatArray(elem schema.DataType, v any) *schemapb.ScalarField {
	switch elem {
	case schema.TypeBool:
		x, _ := v.([]bool)
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_BoolData{BoolData: &schemapb.BoolArray{Data: x}}}
	case schema.TypeInt8:
		x, _ := v.([]int8)
		return ints(x)
	case schema.TypeInt16:
		x, _ := v.([]int16)
		return ints(x)
	case schema.TypeInt32:
		x, _ := v.([]int32)
		return ints(x)
	case schema.TypeInt64:
		x, _ := v.([]int64)
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_LongData{LongData: &schemapb.LongArray{Data: x}}}
	case schema.TypeFloat:
		x, _ := v.([]float32)
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_FloatData{FloatData: &schemapb.FloatArray{Data: x}}}
	case schema.TypeDouble:
		x, _ := v.([]float64)
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_DoubleData{DoubleData: &schemapb.DoubleArray{Data: x}}}
	case schema.TypeVarChar:
		x, _ := v.([]string)
		return &schemapb.ScalarField{Data: &schemapb.ScalarField_StringData{StringData: &schemapb.StringArray{Data: x}}}
	}
	return &schemapb.ScalarField{}
}

func formatVectors(f *schema.Field, c *column.Column) *schemapb.VectorField {
	d := c.Data()
	if d.Valid != nil {
		rows := make([]uint32, 0, d.Rows)
		for i := range d.Rows {
			if !d.IsNull(i) {
				rows = append(rows, uint32(i))
			}
		}
		if len(rows) < d.Rows {
			d = d.Pick(rows)
		}
	}
	v := &schemapb.VectorField{Dim: int64(f.Dim)}
	switch f.Type {
	case schema.TypeFloatVector:
		v.Data = &schemapb.VectorField_FloatVector{FloatVector: &schemapb.FloatArray{Data: column.FromData(f, d).FloatVectors()}}
	case schema.TypeFloat16Vector:
		v.Data = &schemapb.VectorField_Float16Vector{Float16Vector: d.Fixed}
	case schema.TypeBFloat16Vector:
		v.Data = &schemapb.VectorField_Bfloat16Vector{Bfloat16Vector: d.Fixed}
	case schema.TypeBinaryVector:
		v.Data = &schemapb.VectorField_BinaryVector{BinaryVector: d.Fixed}
	case schema.TypeInt8Vector:
		v.Data = &schemapb.VectorField_Int8Vector{Int8Vector: d.Fixed}
	case schema.TypeSparseFloatVector:
		s := &schemapb.SparseFloatArray{Contents: make([][]byte, d.Rows)}
		for i := range s.Contents {
			s.Contents[i] = d.Value(i)
			if n := len(s.Contents[i]); n >= 8 {
				s.Dim = max(s.Dim, int64(binary.LittleEndian.Uint32(s.Contents[i][n-8:]))+1)
			}
		}
		v.Dim = s.Dim
		v.Data = &schemapb.VectorField_SparseFloatVector{SparseFloatVector: s}
	}
	return v
}

// formatKeys puts primary keys on the wire.
func formatKeys(k column.Keys) *schemapb.IDs {
	if k.Str {
		values := make([]string, k.Len())
		for i := range values {
			values[i] = k.At(i).Str
		}
		return &schemapb.IDs{IdField: &schemapb.IDs_StrId{StrId: &schemapb.StringArray{Data: values}}}
	}
	return &schemapb.IDs{IdField: &schemapb.IDs_IntId{IntId: &schemapb.LongArray{Data: k.Ints}}}
}

// indexes are the numbers from 0 to n-1.
func indexes(n int) []uint32 {
	out := make([]uint32, min(n, math.MaxInt32))
	for i := range out {
		out[i] = uint32(i)
	}
	return out
}
