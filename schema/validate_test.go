package schema_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/schema"
)

// good returns the smallest schema that passes.
func good() *schema.Schema {
	return schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2))
}

func TestValidateRefuses(t *testing.T) {
	with := func(f ...*schema.Field) *schema.Schema { return good().With(f...) }
	many := func(n int, make func(string) *schema.Field) *schema.Schema {
		s := good()
		for i := range n {
			s.With(make(fmt.Sprintf("f%d", i)))
		}
		return s
	}
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		name   string
		schema *schema.Schema
		field  string // of the FieldError
		text   string // part of the error text
	}{
		{"no name", schema.New(""), "", "collection name is empty"},
		{"long name", schema.New(long), "", "collection name has 256 bytes, at most 255"},
		{"bad name", schema.New("1x"), "", "must begin with an ASCII letter"},
		{"description", good().Describe("\xff"), "", "description is not valid UTF-8"},
		{"long description", good().Describe(strings.Repeat("x", 65536)), "", "description has 65536 bytes, at most 65535"},
		{"shards", good().WithShards(17), "", "value 17: number of shards must be 0 to 16"},
		{"negative shards", good().WithShards(-1), "", "number of shards"},
		{"partitions", good().With(schema.Int64("k").PartitionKey()).WithPartitions(1025), "", "number of partitions must be 0 to 1024"},
		{"partitions without key", good().WithPartitions(4), "", "only for a schema with a partition key"},
		{"no key", schema.New("c").With(schema.FloatVector("v", 2)), "", "exactly one primary key, this has 0"},
		{"two keys", with(schema.VarChar("k", 9).PrimaryKey()), "", "exactly one primary key, this has 2"},
		{"no vector", schema.New("c").With(schema.Int64("id").PrimaryKey()), "", "at least one vector field"},
		{"vectors", many(10, func(n string) *schema.Field { return schema.FloatVector(n, 2) }), "", "value 11: a collection has at most 10 vector fields"},
		{"fields", many(63, schema.Bool), "", "value 65: a collection has at most 64 fields"},
		{"nil field", with(nil), "", "field 2 of 3 is nil"},
		{"same name", with(schema.Bool("v")), "v", "two fields have this name"},
		{"keyword", with(schema.Bool("Like")), "", `"Like": field name is a word of the filter language`},
		{"meta", with(schema.JSON("$meta")), "", "must begin with"},
		{"unknown type", with(&schema.Field{Name: "x", Type: 20}), "x", "value DataType(20): unknown type"},
		{"key type", schema.New("c").With(schema.Int32("id").PrimaryKey(), schema.FloatVector("v", 2)), "id", "value Int32: the primary key must be Int64 or VarChar"},
		{"key nullable", schema.New("c").With(schema.Int64("id").PrimaryKey().Nullable(), schema.FloatVector("v", 2)), "id", "cannot be nullable"},
		{"key default", schema.New("c").With(schema.Int64("id").PrimaryKey().Default(1), schema.FloatVector("v", 2)), "id", "has no default"},
		{"key partition", schema.New("c").With(schema.Int64("id").PrimaryKey().PartitionKey(), schema.FloatVector("v", 2)), "id", "cannot be the partition key"},
		{"auto id", with(schema.Int64("x").AutoID()), "x", "auto id is only for the primary key"},
		{"partition key type", with(schema.Int8("x").PartitionKey()), "x", "partition key must be Int64 or VarChar"},
		{"partition key nullable", with(schema.Int64("x").PartitionKey().Nullable()), "x", "partition key cannot be nullable"},
		{"two partition keys", with(schema.Int64("x").PartitionKey(), schema.Int64("y").PartitionKey()), "", "at most one partition key"},
		{"dim", with(schema.FloatVector("x", 1)), "x", "value 1: dim of FloatVector must be 2 to 32768"},
		{"large dim", with(schema.Int8Vector("x", 32769)), "x", "value 32769: dim of Int8Vector must be 2 to 32768"},
		{"half dim", with(schema.Float16Vector("x", 0)), "x", "dim of Float16Vector"},
		{"brain dim", with(schema.BFloat16Vector("x", -1)), "x", "dim of BFloat16Vector"},
		{"binary dim", with(schema.BinaryVector("x", 12)), "x", "value 12: dim of BinaryVector must be a multiple of 8 from 8 to 262144"},
		{"large binary dim", with(schema.BinaryVector("x", 262152)), "x", "value 262152"},
		{"sparse dim", with(&schema.Field{Name: "x", Type: schema.TypeSparseFloatVector, Dim: 3}), "x", "type SparseFloatVector has no dim"},
		{"no length", with(schema.VarChar("x", 0)), "x", "value 0: max_length must be 1 to 65535"},
		{"large length", with(schema.VarChar("x", 65536)), "x", "max_length must be 1 to 65535"},
		{"length of int", with(schema.Int8("x").MaxElementLength(3)), "x", "type Int8 has no max_length"},
		{"element", with(schema.Array("x", schema.TypeJSON, 3)), "x", "value JSON: element type"},
		{"capacity", with(schema.Array("x", schema.TypeInt8, 4097)), "x", "value 4097: max_capacity must be 1 to 4096"},
		{"no capacity", with(schema.Array("x", schema.TypeInt8, 0)), "x", "max_capacity must be 1 to 4096"},
		{"element length", with(schema.Array("x", schema.TypeVarChar, 3)), "x", "max_length must be 1 to 65535"},
		{"element of scalar", with(&schema.Field{Name: "x", Type: schema.TypeInt8, ElementType: schema.TypeInt8}), "x", "has no element type"},
		{"capacity of scalar", with(&schema.Field{Name: "x", Type: schema.TypeInt8, MaxCapacity: 1}), "x", "has no max_capacity"},
		{"default range", with(schema.Int8("x").Default(128)), "x", "value 128: default value is out of the range [-128, 127] of Int8"},
		{"default kind", with(schema.Int8("x").Default("1")), "x", "default value is a string, Int8 takes integers"},
		{"default uint", with(schema.Int64("x").Default(uint64(math.MaxUint64))), "x", "takes integers in range"},
		{"default bool", with(schema.Bool("x").Default(1)), "x", "Bool takes bool"},
		{"default NaN", with(schema.Float("x").Default(math.NaN())), "x", "not a finite Float"},
		{"default overflow", with(schema.Float("x").Default(1e39)), "x", "not a finite Float"},
		{"default float", with(schema.Double("x").Default("1")), "x", "Double takes numbers"},
		{"default length", with(schema.VarChar("x", 2).Default("abc")), "x", "default value has 3 bytes, max_length is 2"},
		{"default utf8", with(schema.VarChar("x", 2).Default("\xff")), "x", "default value is not valid UTF-8"},
		{"default string", with(schema.VarChar("x", 2).Default(2)), "x", "VarChar takes string"},
		{"default JSON", with(schema.JSON("x").Default("{}")), "x", "default value is not possible with type JSON"},
		{"default array", with(schema.Array("x", schema.TypeBool, 2).Default([]bool{})), "x", "not possible with type Array"},
		{"default vector", with(schema.FloatVector("x", 2).Default([]float32{1, 2})), "x", "not possible with type FloatVector"},
		{"dynamic alone", with(&schema.Field{Name: "$meta", Type: schema.TypeJSON, IsNullable: true, IsDynamic: true}), "$meta", "needs Dynamic"},
		{"dynamic odd", with(&schema.Field{Name: "x", Type: schema.TypeJSON, IsDynamic: true}).EnableDynamicField(), "x", "must be what EnableDynamicField makes"},
		{"analyzer of int", with(schema.Int8("x").Analyze("english")), "x", "an analyzer is for VarChar, not for Int8"},
		{"unknown analyzer", with(schema.VarChar("x", 9).Analyze("klingon")), "x", "no analyzer \"klingon\"; there are standard, english, whitespace"},
		{"nil function", good().WithFunction(nil), "", "function 0 of 1 is nil"},
		{"kind of function", good().WithFunction(&schema.Function{Kind: "MINHASH"}), "", "unknown kind of function; there is BM25"},
		{"function without input", good().WithFunction(schema.BM25("x", "v")), "x", "must be a VarChar field with an analyzer"},
		{"function of unanalysed text", with(schema.VarChar("x", 9)).WithFunction(schema.BM25("x", "v")), "x", "must be a VarChar field with an analyzer"},
		{"function to dense vector", with(schema.VarChar("x", 9).Analyze("standard")).WithFunction(schema.BM25("x", "v")), "v", "must be a SparseFloatVector field"},
		{"two functions", with(schema.VarChar("x", 9).Analyze("standard"), schema.SparseFloatVector("w")).WithFunction(schema.BM25("x", "w"), schema.BM25("x", "w")), "w", "two functions make this field"},
		{"k1", with(schema.VarChar("x", 9).Analyze("standard"), schema.SparseFloatVector("w")).WithFunction(schema.BM25("x", "w").Parameters(4, 1)), "w", "k1 4 must be in (0, 3] and b 1 in [0, 1]"},
		{"time to live", good().ExpireAfter(0), "", "time to live must be whole milliseconds from 1ms"},
		{"odd time to live", good().ExpireAfter(time.Millisecond + 1), "", "time to live must be whole milliseconds from 1ms"},
		{"no time of expiry", good().ExpireAt("x"), "x", "the time of expiry must be an Int64 field"},
		{"time of expiry", with(schema.Double("x")).ExpireAt("x"), "x", "the time of expiry must be an Int64 field"},
		{"low id", with(&schema.Field{Name: "x", Type: schema.TypeBool, ID: 1}), "x", "field id must be at least 100"},
		{"same id", with(&schema.Field{Name: "x", Type: schema.TypeBool, ID: 100}, &schema.Field{Name: "y", Type: schema.TypeBool, ID: 100}), "y", "used once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.schema.Validate()
			require.ErrorIs(t, err, schema.ErrInvalid)
			require.NotErrorIs(t, err, schema.ErrTooLarge)
			var fe *schema.FieldError
			require.ErrorAs(t, err, &fe)
			require.Equal(t, c.field, fe.Field)
			require.Equal(t, schema.NoRow, fe.Row)
			require.ErrorContains(t, err, c.text)
			_, err = c.schema.Finish()
			require.ErrorIs(t, err, schema.ErrInvalid)
		})
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "_", "A9_", strings.Repeat("x", 255), "likes", "order"} {
		require.NoError(t, schema.ValidName("field", name), name)
		require.NoError(t, schema.ValidPartitionName(name), name)
	}
	require.NoError(t, schema.ValidName("collection", "in"), "only fields are named in filters")
	for _, name := range []string{"", "9", " a", "a ", "a-b", "a$", "ü", "a.b", "AND", "not", "json_contains", "st_within", strings.Repeat("x", 256)} {
		require.ErrorIs(t, schema.ValidName("field", name), schema.ErrInvalid, name)
	}
	for _, name := range []string{"2024-01-01", "_default_0", "9", "in"} {
		require.NoError(t, schema.ValidPartitionName(name), name)
	}
	for _, name := range []string{"", "-a", "a b", "a/b", "..", "ä", strings.Repeat("x", 256)} {
		require.ErrorIs(t, schema.ValidPartitionName(name), schema.ErrInvalid, name)
	}
}

func TestFieldErrorText(t *testing.T) {
	require.EqualError(t, schema.Invalid("", nil, "bad"), "bad")
	require.EqualError(t, schema.InvalidRow("f", 3, "v", "bad"), `field "f", row 3, value "v": bad`)
	require.EqualError(t, schema.InvalidRow("", 3, nil, "bad"), `row 3: bad`)
	require.EqualError(t, schema.Invalid("", []byte{0xff, 1}, "bad"), `value ff 01: bad`)
	long := schema.Invalid("f", strings.Repeat("é", 100), "bad").Error()
	require.Equal(t, `field "f", value "`+strings.Repeat("é", 30)+`"…: bad`, long)
	require.Less(t, len(schema.Invalid("f", make([]int, 1000), "bad").Error()), 100)
	require.Less(t, len(schema.Invalid("f", make([]byte, 1000), "bad").Error()), 400)

	e := schema.Invalid("", nil, "big")
	e.Err = schema.ErrTooLarge
	require.True(t, errors.Is(e, schema.ErrInvalid) && errors.Is(e, schema.ErrTooLarge))
}
