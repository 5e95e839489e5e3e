package schema_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/schema"
)

func TestFinish(t *testing.T) {
	draft := good().With(schema.Int8("x").Default(5)).EnableDynamicField()
	s, err := draft.Finish()
	require.NoError(t, err)
	require.Equal(t, []int64{100, 101, 102, 103}, ids(s))
	require.Equal(t, int64(104), s.NextFieldID)
	require.Equal(t, 1, s.Version)
	require.Equal(t, 1, s.Shards)
	require.Equal(t, int8(5), s.Fields[2].DefaultValue)
	require.Equal(t, schema.MetaName, s.Fields[3].Name)
	require.Len(t, draft.Fields, 3, "the draft stays as it is")
	require.Zero(t, draft.Fields[0].ID)
	require.True(t, draft.Equal(s))
	require.True(t, s.Equal(draft))

	again, err := s.Finish()
	require.NoError(t, err)
	require.Equal(t, s, again)

	// A field added later gets the next id, even when others were dropped in between.
	changed := s.Clone()
	changed.Fields = append(changed.Fields[:2:2], changed.Fields[3], schema.Bool("new").Nullable())
	changed.NextFieldID = 110
	changed.Version++
	changed, err = changed.Finish()
	require.NoError(t, err)
	require.Equal(t, []int64{100, 101, 103, 110}, ids(changed))
	require.Equal(t, 2, changed.Version)
	require.False(t, changed.Equal(s))
}

func ids(s *schema.Schema) (ids []int64) {
	for _, f := range s.Fields {
		ids = append(ids, f.ID)
	}
	return ids
}

func TestLookup(t *testing.T) {
	s := everyType(t)
	require.Equal(t, "id", s.PrimaryKey().Name)
	require.Equal(t, 0, s.PrimaryKeyIndex())
	require.Equal(t, "tenant", s.PartitionKey().Name)
	f, ok := s.Field("v")
	require.True(t, ok)
	byID, ok := s.FieldByID(f.ID)
	require.True(t, ok)
	require.Same(t, f, byID)
	require.Equal(t, -1, s.Index("nothing"))
	_, ok = s.FieldByID(1)
	require.False(t, ok)
	require.Nil(t, schema.New("x").PrimaryKey())
}

func TestEqual(t *testing.T) {
	base := func() *schema.Schema {
		return good().With(schema.Int64("k").PartitionKey(), schema.Int8("x").Default(5))
	}
	require.True(t, base().Equal(base().WithShards(1).WithPartitions(16)), "defaults said or not")
	require.True(t, base().Equal(good().With(schema.Int64("k").PartitionKey(), schema.Int8("x").Default(int64(5)))))
	for name, o := range map[string]*schema.Schema{
		"name":        func() *schema.Schema { s := base(); s.Name = "other"; return s }(),
		"description": base().Describe("x"),
		"dynamic":     base().EnableDynamicField(),
		"shards":      base().WithShards(2),
		"partitions":  base().WithPartitions(17),
		"duplicates":  base().WithDuplicateKeys(),
		"more fields": base().With(schema.Bool("y")),
		"default":     good().With(schema.Int64("k").PartitionKey(), schema.Int8("x").Default(6)),
		"no default":  good().With(schema.Int64("k").PartitionKey(), schema.Int8("x")),
		"dim":         schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 3), schema.Int64("k").PartitionKey(), schema.Int8("x").Default(5)),
		"order":       good().With(schema.Int8("x").Default(5), schema.Int64("k").PartitionKey()),
	} {
		require.False(t, base().Equal(o), name)
		require.False(t, o.Equal(base()), name)
	}
	require.False(t, base().Equal(nil))
}

func TestWidth(t *testing.T) {
	want := map[string]int{
		"id": 0, "tenant": 8, "flag": 1, "i8": 1, "i16": 2, "i32": 4, "f": 4, "d": 8, "title": 0, "doc": 0, "tags": 0, "scores": 0,
		"v": 16, "h": 12, "b": 4, "i": 3, "bits": 2, "sparse": 0, "$meta": 0,
	}
	for _, f := range everyType(t).Fields {
		require.Equal(t, want[f.Name], f.Width(), f.Name)
	}
}

func TestTypeNames(t *testing.T) {
	for _, f := range everyType(t).Fields {
		require.NotContains(t, f.Type.String(), "(", f.Name)
	}
	require.Equal(t, "BFloat16Vector", schema.TypeBFloat16Vector.String())
	require.Equal(t, "DataType(20)", schema.DataType(20).String())
	require.True(t, schema.TypeSparseFloatVector.IsVector())
	require.False(t, schema.TypeJSON.IsVector())
}

// sdkSparse has the methods of the SDK's entity.SparseEmbedding that count.
type sdkSparse interface {
	Dim() int
	Len() int
	Get(i int) (uint32, float32, bool)
	Serialize() []byte
}

type base struct {
	Created int64 `milvus:"name:created"`
}

func TestStructSchema(t *testing.T) {
	type book struct {
		ID     int64  `milvus:"name:id;primary_key;auto_id"`
		Title  string `milvus:"max_length:100;name:title"`
		Tenant string `milvus:"NAME:tenant; MAX_LENGTH:10; PARTITION_KEY"`
		*base
		Price  *float64   `milvus:"name:price"`
		Tags   []string   `milvus:"name:tags;max_capacity:3;max_length:9"`
		V      []float32  `milvus:"name:v;dim:8"`
		A      [4]float32 `milvus:"name:a"`
		Bits   []byte     `milvus:"name:bits;dim:16"`
		Half   []byte     `milvus:"name:half;dim:6;vector_type:fp16"`
		Brain  [8]byte    `milvus:"name:brain;vector_type:bf16"`
		Small  []int8     `milvus:"name:small;dim:4"`
		Sparse sdkSparse  `milvus:"name:sparse"`
		Terms  map[uint32]float32
		Doc    json.RawMessage `milvus:"name:doc;nullable"`
		Extra  map[string]any  `milvus:"name:$meta"`
		Skip   chan int        `milvus:"-"`
		hidden int
	}
	s, err := schema.StructSchema("", &book{hidden: 1})
	require.NoError(t, err)
	want := schema.New("book").With(
		schema.Int64("id").PrimaryKey().AutoID(),
		schema.VarChar("title", 100),
		schema.VarChar("tenant", 10).PartitionKey(),
		schema.Double("price").Nullable(),
		schema.Array("tags", schema.TypeVarChar, 3).MaxElementLength(9),
		schema.FloatVector("v", 8),
		schema.FloatVector("a", 4),
		schema.BinaryVector("bits", 16),
		schema.Float16Vector("half", 6),
		schema.BFloat16Vector("brain", 4),
		schema.Int8Vector("small", 4),
		schema.SparseFloatVector("sparse"),
		schema.SparseFloatVector("Terms"),
		schema.JSON("doc").Nullable(),
	).EnableDynamicField()
	require.Equal(t, want, s, "the pointer to an unexported embedded struct cannot be set, so it is left out")
	_, err = s.Finish()
	require.NoError(t, err)

	s, err = schema.StructSchema("c", []struct {
		base
		ID int64     `milvus:"primary_key"`
		V  []float32 `milvus:"dim:2"`
	}{})
	require.NoError(t, err)
	require.Equal(t, schema.New("c").With(schema.Int64("created"), schema.Int64("ID").PrimaryKey(), schema.FloatVector("V", 2)), s)
}

type Twice struct{ Twice2 }

type Twice2 struct{ *Twice }

func TestStructSchemaRefuses(t *testing.T) {
	for _, c := range []struct {
		v    any
		text string
	}{
		{nil, "not of <nil>"},
		{map[string]any{}, "not of map[string]interface {}"},
		{struct{ N int }{}, `field "N": Go type int stands for no field type`},
		{struct{ V []float32 }{}, "needs dim (a vector) or max_capacity (an array)"},
		{struct{ V []byte }{}, "needs dim in its tag"},
		{struct {
			V []float64 `milvus:"dim:3"`
		}{}, "Go type []float64 is no vector"},
		{struct {
			V [3]float32 `milvus:"dim:4"`
		}{}, "has dim 3, the tag says 4"},
		{struct {
			V []float32 `milvus:"dim:x"`
		}{}, `field "V", value "dim:x": tag setting dim takes a whole number`},
		{struct {
			V []float32 `milvus:"dims:3"`
		}{}, `value "dims:3": unknown tag setting`},
		{struct {
			V int64 `milvus:"primary_key:no"`
		}{}, "takes no value"},
		{struct {
			V []byte `milvus:"dim:2;vector_type:fp8"`
		}{}, "takes fp16 or bf16"},
		{struct {
			A int64 `milvus:"name:x"`
			B int64 `milvus:"name:x"`
		}{}, `field "x": struct struct`},
		{Twice{}, "embeds itself"},
	} {
		_, err := schema.StructSchema("c", c.v)
		require.ErrorIs(t, err, schema.ErrInvalid)
		require.ErrorContains(t, err, c.text)
	}
}

func TestTagEscape(t *testing.T) {
	tag, err := schema.ParseTag(`name:a\;b:c;;dim: 3 `)
	require.NoError(t, err)
	require.Equal(t, schema.Tag{Name: "a;b:c", Dim: 3}, tag)
	tag, err = schema.ParseTag("-")
	require.NoError(t, err)
	require.True(t, tag.Skip)
}
