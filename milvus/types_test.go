package milvus_test

import (
	"testing"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

func scalar(name string, t schemapb.DataType, s *schemapb.ScalarField, valid ...bool) *schemapb.FieldData {
	return &schemapb.FieldData{Type: t, FieldName: name, ValidData: valid, Field: &schemapb.FieldData_Scalars{Scalars: s}}
}

func vectors(name string, t schemapb.DataType, v *schemapb.VectorField) *schemapb.FieldData {
	return &schemapb.FieldData{Type: t, FieldName: name, Field: &schemapb.FieldData_Vectors{Vectors: v}}
}

func intArray(v ...int32) *schemapb.ScalarField {
	return &schemapb.ScalarField{Data: &schemapb.ScalarField_IntData{IntData: &schemapb.IntArray{Data: v}}}
}

func stringArray(v ...string) *schemapb.ScalarField {
	return &schemapb.ScalarField{Data: &schemapb.ScalarField_StringData{StringData: &schemapb.StringArray{Data: v}}}
}

func arrayOf(t schemapb.DataType, rows ...*schemapb.ScalarField) *schemapb.ScalarField {
	return &schemapb.ScalarField{Data: &schemapb.ScalarField_ArrayData{ArrayData: &schemapb.ArrayArray{Data: rows, ElementType: t}}}
}

// everyType is a collection with a field of each type, and two rows for it.
func everyType() (*schemapb.CollectionSchema, []*schemapb.FieldData) {
	s := &schemapb.CollectionSchema{Name: "all", Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_Int64)),
		field("bool", schemapb.DataType_Bool), field("int8", schemapb.DataType_Int8), field("int16", schemapb.DataType_Int16),
		field("int32", schemapb.DataType_Int32), field("float", schemapb.DataType_Float), field("double", schemapb.DataType_Double),
		field("text", schemapb.DataType_VarChar, "max_length", "9"), field("json", schemapb.DataType_JSON),
		field("ints", schemapb.DataType_Array, "max_capacity", "4"), field("texts", schemapb.DataType_Array, "max_capacity", "4", "max_length", "3"),
		field("fv", schemapb.DataType_FloatVector, "dim", "2"), field("bv", schemapb.DataType_BinaryVector, "dim", "16"),
		field("hv", schemapb.DataType_Float16Vector, "dim", "2"), field("bfv", schemapb.DataType_BFloat16Vector, "dim", "2"),
		field("iv", schemapb.DataType_Int8Vector, "dim", "2"), field("sv", schemapb.DataType_SparseFloatVector),
	}}
	s.Fields[9].ElementType, s.Fields[10].ElementType = schemapb.DataType_Int8, schemapb.DataType_VarChar
	pair := []byte{1, 0, 0, 0, 0, 0, 128, 63, 9, 0, 0, 0, 0, 0, 0, 64}
	return s, []*schemapb.FieldData{
		int64s("id", 1, 2),
		scalar("bool", schemapb.DataType_Bool, &schemapb.ScalarField{Data: &schemapb.ScalarField_BoolData{BoolData: &schemapb.BoolArray{Data: []bool{true, false}}}}),
		scalar("int8", schemapb.DataType_Int8, intArray(-128, 127)),
		scalar("int16", schemapb.DataType_Int16, intArray(-32768, 32767)),
		scalar("int32", schemapb.DataType_Int32, intArray(-1, 7)),
		scalar("float", schemapb.DataType_Float, &schemapb.ScalarField{Data: &schemapb.ScalarField_FloatData{FloatData: &schemapb.FloatArray{Data: []float32{1.5, -2}}}}),
		scalar("double", schemapb.DataType_Double, &schemapb.ScalarField{Data: &schemapb.ScalarField_DoubleData{DoubleData: &schemapb.DoubleArray{Data: []float64{.1, 1e300}}}}),
		varChars("text", "", "ü"), jsons("json", `{"a":[1]}`, `7`),
		scalar("ints", schemapb.DataType_Array, arrayOf(schemapb.DataType_Int8, intArray(1, -2), intArray())),
		scalar("texts", schemapb.DataType_Array, arrayOf(schemapb.DataType_VarChar, stringArray("a", ""), stringArray())),
		floatVectors("fv", 2, 1, 2, 3, 4),
		vectors("bv", schemapb.DataType_BinaryVector, &schemapb.VectorField{Dim: 16, Data: &schemapb.VectorField_BinaryVector{BinaryVector: []byte{1, 2, 3, 4}}}),
		vectors("hv", schemapb.DataType_Float16Vector, &schemapb.VectorField{Dim: 2, Data: &schemapb.VectorField_Float16Vector{Float16Vector: []byte{0, 60, 0, 64, 0, 66, 0, 68}}}),
		vectors("bfv", schemapb.DataType_BFloat16Vector, &schemapb.VectorField{Dim: 2, Data: &schemapb.VectorField_Bfloat16Vector{Bfloat16Vector: []byte{128, 63, 0, 64, 64, 64, 128, 64}}}),
		vectors("iv", schemapb.DataType_Int8Vector, &schemapb.VectorField{Dim: 2, Data: &schemapb.VectorField_Int8Vector{Int8Vector: []byte{1, 255, 128, 127}}}),
		vectors("sv", schemapb.DataType_SparseFloatVector, &schemapb.VectorField{Dim: 10, Data: &schemapb.VectorField_SparseFloatVector{SparseFloatVector: &schemapb.SparseFloatArray{Dim: 10, Contents: [][]byte{pair, {}}}}}),
	}
}

// Every type comes back as it went in, growing and sealed.
func TestEveryType(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	s, data := everyType()
	f.create(t, s)
	fine[*milvuspb.MutationResult](t)(f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "all", NumRows: 2, FieldsData: data}))
	for range 2 {
		got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "all", Expr: "id > 0", OutputFields: []string{"*"}})).GetFieldsData()
		require.Len(t, got, len(data))
		for i, d := range data {
			want := proto.Clone(d).(*schemapb.FieldData)
			want.FieldId = got[i].GetFieldId()
			require.Equal(t, want.String(), got[i].String(), d.GetFieldName())
		}
		fine[*milvuspb.FlushResponse](t)(f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"all"}}))
	}
	for i, values := range map[int][]int32{2: {0, 128}, 3: {-32769, 0}} {
		wrong := append([]*schemapb.FieldData(nil), data...)
		wrong[i] = scalar(data[i].GetFieldName(), data[i].GetType(), intArray(values...))
		a, err := f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "all", NumRows: 2, FieldsData: wrong})
		require.NoError(t, err)
		bad(t, a.GetStatus(), 1100, 5, "out of range")
	}
}

// On the way in nulls have no value, on the way out scalars have a zero and vectors nothing.
func TestNullsAreCompact(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	s := &schemapb.CollectionSchema{Name: "n", Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_Int64)), field("x", schemapb.DataType_Int32), field("d", schemapb.DataType_Int64),
		field("v", schemapb.DataType_FloatVector, "dim", "2"), field("w", schemapb.DataType_FloatVector, "dim", "2"),
	}}
	for _, i := range []int{1, 2, 4} {
		s.Fields[i].Nullable = true
	}
	s.Fields[2].DefaultValue = &schemapb.ValueField{Data: &schemapb.ValueField_LongData{LongData: 5}}
	f.create(t, s)
	d, w := int64s("d", 8), floatVectors("w", 2, 7, 8)
	d.ValidData, w.ValidData = []bool{false, false, true}, []bool{false, true, false}
	r := &milvuspb.InsertRequest{CollectionName: "n", NumRows: 3, FieldsData: []*schemapb.FieldData{
		int64s("id", 1, 2, 3), scalar("x", schemapb.DataType_Int32, intArray(4, 6), true, false, true), d, floatVectors("v", 2, 1, 1, 2, 2, 3, 3), w,
	}}
	fine[*milvuspb.MutationResult](t)(f.Insert(ctx, r))
	got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "n", Expr: "id > 0", OutputFields: []string{"x", "d", "w"}})).GetFieldsData()
	require.Equal(t, []int32{4, 0, 6}, got[1].GetScalars().GetIntData().GetData())
	require.Equal(t, []bool{true, false, true}, got[1].GetValidData())
	require.Equal(t, []int64{5, 5, 8}, got[2].GetScalars().GetLongData().GetData())
	require.Equal(t, []bool{false, true, false}, got[3].GetValidData())
	require.Equal(t, []float32{7, 8}, got[3].GetVectors().GetFloatVector().GetData())
	hits := fine[*milvuspb.SearchResults](t)(f.Search(ctx, nearest(t, "n", kv("topk", "9", "anns_field", "w", "metric_type", "L2"), floats(7, 8)))).GetResults()
	require.Equal(t, []int64{2}, hits.GetIds().GetIntId().GetData())

	r.FieldsData[1].ValidData = []bool{true, false}
	a, err := f.Insert(ctx, r)
	require.NoError(t, err)
	bad(t, a.GetStatus(), 1100, 5, "the length of valid_data of field(x) is wrong")
	// A few bytes must not stand for gigabytes.
	many := make([]bool, 1<<20)
	a, err = f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "n", NumRows: 1 << 20, FieldsData: []*schemapb.FieldData{
		{Type: schemapb.DataType_FloatVector, FieldName: "w", ValidData: many, Field: &schemapb.FieldData_Vectors{Vectors: &schemapb.VectorField{Dim: 4096}}},
	}})
	require.NoError(t, err)
	bad(t, a.GetStatus(), 1102, 5, "with their nulls")
}

// Generated keys come back with the answer; a partition key hides the partitions.
func TestAutoIDAndPartitionKey(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	s := &schemapb.CollectionSchema{Name: "k", Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_VarChar, "max_length", "20")), field("tenant", schemapb.DataType_Int64), field("v", schemapb.DataType_FloatVector, "dim", "2"),
	}}
	s.Fields[0].AutoID, s.Fields[1].IsPartitionKey = true, true
	f.create(t, s, func(r *milvuspb.CreateCollectionRequest) { r.NumPartitions = 4 })
	res := fine[*milvuspb.MutationResult](t)(f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "k", NumRows: 2, FieldsData: []*schemapb.FieldData{
		int64s("tenant", 1, 2), floatVectors("v", 2, 1, 1, 2, 2),
	}}))
	ids := res.GetIDs().GetStrId().GetData()
	require.Len(t, ids, 2)
	require.Regexp(t, `^[1-9][0-9]+$`, ids[0])
	require.NotEqual(t, ids[0], ids[1])
	a, err := f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "k", PartitionName: "p", NumRows: 1, FieldsData: []*schemapb.FieldData{int64s("tenant", 1), floatVectors("v", 2, 1, 1)}})
	require.NoError(t, err)
	bad(t, a.GetStatus(), 1100, 5, "not support manually specifying the partition names if partition key mode is used")
	d := fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "k"}))
	require.EqualValues(t, 4, d.GetNumPartitions())
}
