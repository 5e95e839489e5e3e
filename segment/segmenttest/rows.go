package segmenttest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// Scalars are fields of every scalar type, nullable.
func Scalars() []*schema.Field {
	return []*schema.Field{
		schema.Bool("flag").Nullable(), schema.Int8("i8").Nullable(), schema.Int16("i16").Nullable(), schema.Int32("i32").Nullable(),
		schema.Int64("i64").Nullable(), schema.Float("f").Nullable(), schema.Double("d").Nullable(),
		schema.VarChar("s", 300).Nullable(), schema.VarChar("must", 40), schema.JSON("doc").Nullable(),
		schema.Array("ints", schema.TypeInt32, 5).Nullable(), schema.Array("words", schema.TypeVarChar, 4).MaxElementLength(8).Nullable(),
	}
}

// Vectors are fields of every vector type; the last two are nullable.
func Vectors() []*schema.Field {
	return []*schema.Field{
		schema.FloatVector("v", 5), schema.Float16Vector("h", 3), schema.BFloat16Vector("b", 4), schema.Int8Vector("q", 7),
		schema.BinaryVector("bits", 24).Nullable(), schema.SparseFloatVector("sp").Nullable(),
	}
}

// Finish finishes a schema that must be valid.
func Finish(t testing.TB, s *schema.Schema) *schema.Schema {
	t.Helper()
	done, err := s.Finish()
	require.NoError(t, err)
	return done
}

// Batch makes a batch of random rows with the given primary keys. About one in five values of a nullable field is null, and about one
// in eight strings and lists is empty.
func Batch(t testing.TB, rng *rand.Rand, s *schema.Schema, keys column.Keys) *column.Batch {
	t.Helper()
	var cols []*column.Column
	for _, f := range s.Fields {
		if f.IsPrimaryKey {
			cols = append(cols, column.FromData(f, keys.Data()))
			continue
		}
		c := randomColumn(rng, f, keys.Len())
		if f.IsNullable {
			valid := make([]bool, keys.Len())
			for i := range valid {
				valid[i] = rng.IntN(5) > 0
			}
			c.WithValid(valid)
		}
		cols = append(cols, c)
	}
	b, err := column.Build(s, cols, column.BuildOptions{Mode: column.Upsert, MaxBytes: -1})
	require.NoError(t, err)
	return b
}

func fill[T any](n int, value func() T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = value()
	}
	return out
}

func randomColumn(rng *rand.Rand, f *schema.Field, n int) *column.Column {
	float := func() float32 { return float32(rng.IntN(2001)-1000) / 64 }
	text := func(limit int) string {
		if rng.IntN(8) == 0 {
			return ""
		}
		return fmt.Sprintf("%0*x", 1+rng.IntN(limit-1), rng.IntN(16))
	}
	switch f.Type {
	case schema.TypeBool:
		return column.Bool(f.Name, fill(n, func() bool { return rng.IntN(2) == 0 }))
	case schema.TypeInt8:
		return column.Int8(f.Name, fill(n, func() int8 { return int8(rng.Uint32()) }))
	case schema.TypeInt16:
		return column.Int16(f.Name, fill(n, func() int16 { return int16(rng.Uint32()) }))
	case schema.TypeInt32:
		return column.Int32(f.Name, fill(n, func() int32 { return int32(rng.Uint32()) }))
	case schema.TypeInt64:
		return column.Int64(f.Name, fill(n, func() int64 { return int64(rng.Uint64()) }))
	case schema.TypeFloat:
		return column.Float(f.Name, fill(n, float))
	case schema.TypeDouble:
		return column.Double(f.Name, fill(n, rng.NormFloat64))
	case schema.TypeVarChar:
		return column.VarChar(f.Name, fill(n, func() string { return text(f.MaxLength) }))
	case schema.TypeJSON:
		return column.JSON(f.Name, fill(n, func() []byte { return fmt.Appendf(nil, `{"n":%d,"s":%q}`, rng.IntN(100), text(9)) }))
	case schema.TypeArray:
		if f.ElementType == schema.TypeVarChar {
			return column.Array(f.Name, fill(n, func() []string {
				return fill(rng.IntN(f.MaxCapacity+1), func() string { return text(f.MaxLength) })
			}))
		}
		return column.Array(f.Name, fill(n, func() []int32 { return fill(rng.IntN(f.MaxCapacity+1), rng.Int32) }))
	case schema.TypeFloatVector:
		return column.FloatVectorFlat(f.Name, f.Dim, fill(n*f.Dim, float))
	case schema.TypeFloat16Vector:
		return column.Float16Vector(f.Name, f.Dim, fill(n, func() []float32 { return fill(f.Dim, float) }))
	case schema.TypeBFloat16Vector:
		return column.BFloat16Vector(f.Name, f.Dim, fill(n, func() []float32 { return fill(f.Dim, float) }))
	case schema.TypeInt8Vector:
		return column.Int8VectorFlat(f.Name, f.Dim, fill(n*f.Dim, func() int8 { return int8(rng.Uint32()) }))
	case schema.TypeBinaryVector:
		return column.BinaryVectorFlat(f.Name, f.Dim, fill(n*f.Dim/8, func() byte { return byte(rng.Uint32()) }))
	}
	return column.SparseFloatVector(f.Name, fill(n, func() column.Sparse {
		var v column.Sparse
		for at := uint32(rng.IntN(9)); rng.IntN(4) > 0; at += 1 + uint32(rng.IntN(100)) {
			v.Indices, v.Values = append(v.Indices, at), append(v.Values, float())
		}
		return v
	}))
}

// IntKeys are n distinct integers of both signs in random order.
func IntKeys(rng *rand.Rand, n int) column.Keys {
	keys := make([]int64, n)
	for i, p := range rng.Perm(n) {
		keys[i] = int64(p-n/3) * 7
	}
	return column.IntKeys(keys...)
}

// StringKeys are n distinct strings in random order; the empty one and one of 200 bytes are among them.
func StringKeys(rng *rand.Rand, n int) column.Keys {
	keys := make([]string, n)
	for i, p := range rng.Perm(n) {
		switch p {
		case 0:
		case 1:
			keys[i] = fmt.Sprintf("%0200d", 1)
		default:
			keys[i] = fmt.Sprintf("k%x", p)
		}
	}
	return column.StringKeys(keys...)
}
