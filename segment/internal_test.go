package segment

// This file is of the package itself: bounds and key filters are not exported, because so far nothing outside reads them, but what they
// promise is on disk.

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

func hashesOf(keys column.Keys) (h []uint64) {
	for i := range keys.Len() {
		h = append(h, keys.Hash(i))
	}
	return h
}

func TestKeyFilter(t *testing.T) {
	for _, n := range []int{1, 2, 15, 16, 17, 1000, 100_000} {
		ints, absent := make([]int64, n), make([]int64, 200_000)
		strs := make([]string, n)
		for i := range ints {
			ints[i] = int64(i)*3 - 1000 // dense keys, the hardest for a weak hash
			strs[i] = string(column.Key{Int: ints[i]}.Append(nil))
		}
		for i := range absent {
			absent[i] = int64(i)*3 - 999
		}
		for _, keys := range []column.Keys{column.IntKeys(ints...), column.StringKeys(strs...)} {
			f := newKeyFilter(n)
			for i := range n {
				f.add(keys.Hash(i))
			}
			g, err := decodeKeyFilter(f.encode(nil))
			require.NoError(t, err)
			require.Equal(t, f, g)
			require.LessOrEqual(t, f.bytes(), int64(n)*2+filterBlockBytes, "16 bits a key")
			require.Len(t, g.among(hashesOf(keys), nil), n, "a key that was added is denied")
		}
		f := newKeyFilter(n)
		for i := range ints {
			f.add(column.IntKeys(ints...).Hash(i))
		}
		seen := f.among(hashesOf(column.IntKeys(absent...)), nil)
		require.Less(t, float64(len(seen))/float64(len(absent)), 0.005, "%d keys", n)
	}
	for _, bad := range [][]byte{nil, make([]byte, 31), make([]byte, 33)} {
		_, err := decodeKeyFilter(bad)
		require.Error(t, err)
	}
}

// ordered compares two raw values the way their type does.
func ordered(t schema.DataType, a, b []byte) int {
	le := binary.LittleEndian
	switch t {
	case schema.TypeBool:
		return cmp.Compare(a[0], b[0])
	case schema.TypeInt8:
		return cmp.Compare(int8(a[0]), int8(b[0]))
	case schema.TypeInt16:
		return cmp.Compare(int16(le.Uint16(a)), int16(le.Uint16(b)))
	case schema.TypeInt32:
		return cmp.Compare(int32(le.Uint32(a)), int32(le.Uint32(b)))
	case schema.TypeInt64:
		return cmp.Compare(int64(le.Uint64(a)), int64(le.Uint64(b)))
	case schema.TypeFloat:
		return cmp.Compare(math.Float32frombits(le.Uint32(a)), math.Float32frombits(le.Uint32(b)))
	case schema.TypeDouble:
		return cmp.Compare(math.Float64frombits(le.Uint64(a)), math.Float64frombits(le.Uint64(b)))
	}
	return strings.Compare(string(a), string(b))
}

// rawValue draws a value in the physical layout, often an extreme one.
func rawValue(typ schema.DataType) *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		switch {
		case typ == schema.TypeBool:
			return []byte{byte(rapid.IntRange(0, 1).Draw(t, "bool"))}
		case typ == schema.TypeVarChar:
			head := strings.Repeat(rapid.SampledFrom([]string{"", "a", "\U0010ffff", "x"}).Draw(t, "fill"), rapid.SampledFrom([]int{0, 15, 16, 63, 64, 65}).Draw(t, "n"))
			return []byte(head + rapid.String().Draw(t, "tail"))
		case typ == schema.TypeFloat:
			v := rapid.OneOf(rapid.Float32(), rapid.SampledFrom([]float32{0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32})).Draw(t, "float")
			return binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))
		case typ == schema.TypeDouble:
			v := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.MaxFloat64, -math.MaxFloat64})).Draw(t, "double")
			return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v))
		}
		low, high := typ.IntRange()
		v := rapid.OneOf(rapid.Int64Range(low, high), rapid.SampledFrom([]int64{low, high, 0, -1, 1})).Draw(t, "int")
		return binary.LittleEndian.AppendUint64(nil, uint64(v))[:typ.Width()]
	})
}

var orderedTypes = []schema.DataType{
	schema.TypeBool, schema.TypeInt8, schema.TypeInt16, schema.TypeInt32, schema.TypeInt64, schema.TypeFloat, schema.TypeDouble, schema.TypeVarChar,
}

func TestOrderedEncoding(t *testing.T) {
	for _, typ := range orderedTypes {
		t.Run(typ.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				a, b := rawValue(typ).Draw(t, "a"), rawValue(typ).Draw(t, "b")
				require.Equal(t, ordered(typ, a, b), bytes.Compare(appendOrdered(nil, typ, a), appendOrdered(nil, typ, b)))
			})
		})
	}
}

// A chunk's bounds hold all its values, and are reached by one but for cut strings.
func TestBounds(t *testing.T) {
	for _, typ := range orderedTypes {
		for _, key := range []bool{false, true} {
			f := &schema.Field{Name: "f", Type: typ, MaxLength: 1000, IsPrimaryKey: key, IsNullable: !key}
			t.Run(typ.String(), func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					b := column.NewBuilder(f.Width(), false)
					values, nulls := 0, 0
					for range rapid.IntRange(1, 12).Draw(t, "rows") {
						if !key && rapid.IntRange(0, 3).Draw(t, "null") == 0 {
							b.AppendValue(make([]byte, f.Width()), false)
							nulls++
							continue
						}
						b.AppendValue(rawValue(typ).Draw(t, "value"), true)
						values++
					}
					d := b.Data()
					got, n := boundsOf(f, d)
					require.Equal(t, nulls, n)
					if values == 0 {
						require.Empty(t, got.Min)
						require.Empty(t, got.Max)
						return
					}
					low, high := false, false
					for i := range d.Rows {
						if d.IsNull(i) {
							continue
						}
						enc := appendOrdered(nil, typ, d.Value(i))
						require.LessOrEqual(t, bytes.Compare(got.Min, enc), 0, "%x", enc)
						if len(got.Max) > 0 {
							require.GreaterOrEqual(t, bytes.Compare(got.Max, enc), 0, "%x", enc)
						}
						low, high = low || bytes.Equal(got.Min, enc), high || bytes.Equal(got.Max, enc)
					}
					if typ != schema.TypeVarChar || key {
						require.True(t, low && high, "the bounds are values of the chunk")
					} else {
						require.LessOrEqual(t, max(len(got.Min), len(got.Max)), boundBytes)
					}
				})
			})
		}
	}
}

func TestCutHigh(t *testing.T) {
	long := func(fill byte) []byte { return bytes.Repeat([]byte{fill}, 100) }
	require.Equal(t, append(long('a')[:63], 'b'), cutHigh(long('a')))
	require.Equal(t, long('a')[:64], cutHigh(long('a')[:64]), "short enough")
	require.Nil(t, cutHigh(long(0xff)), "nothing so short is above it")
	require.Equal(t, []byte("b"), cutHigh(append([]byte("a"), long(0xff)...)))
}

// The bounds and counts in the meta of a built segment are those of its values.
func TestMetaTellsTheTruth(t *testing.T) {
	ctx := context.Background()
	s, err := schema.New("c").With(schema.VarChar("id", 100).PrimaryKey(), schema.Double("d").Nullable(), schema.FloatVector("v", 4000)).Finish()
	require.NoError(t, err)
	const rows = 300
	ids, ds, valid := make([]string, rows), make([]float64, rows), make([]bool, rows)
	for i := range ids {
		ids[i], ds[i], valid[i] = strings.Repeat("k", 70)+string(rune('a'+i%20))+string(rune('a'+i/20)), float64(i*i%97), i%4 != 0
	}
	b, err := column.Build(s, []*column.Column{
		column.VarChar("id", ids), column.Double("d", ds).WithValid(valid), column.FloatVectorFlat("v", 4000, make([]float32, rows*4000)),
	}, column.BuildOptions{})
	require.NoError(t, err)
	g := NewGrowing(5, s, time.Unix(9, 0))
	require.NoError(t, g.Append(b, 33, time.Unix(10, 0)))
	order, err := Order(ctx, s, []View{g.At(33)})
	require.NoError(t, err)
	fs := vfs.NewMem()
	require.NoError(t, fs.MkdirAll("seg", 0o755))
	man, err := Build(ctx, BuildSpec{FS: fs, Dir: "seg", ID: 5, Partition: 8, Shard: 1, Schema: s, MinLSN: 33, MaxLSN: 33, Now: time.Unix(11, 0)}, []View{g.At(33)}, order)
	require.NoError(t, err)
	c := NewCache(1 << 20)
	defer c.Close()
	seg, err := Open(fs, "seg", man, s, c, nil, 0)
	require.NoError(t, err)
	defer seg.Unref()

	m := seg.Meta()
	require.Equal(t, [7]uint64{5, 8, 1, 33, 33, rows, 1}, [7]uint64{uint64(m.ID), m.Partition, uint64(m.Shard), m.MinLSN, m.MaxLSN, uint64(m.Rows), uint64(m.SchemaVersion)})
	require.Equal(t, time.Unix(11, 0), m.Created)
	require.True(t, m.split, "4.8 MB of vectors get a table of their own")
	require.Len(t, man.Files, 2)
	require.Len(t, seg.cols, 3)
	id, d, v := seg.cols[100], seg.cols[101], seg.cols[102]
	require.Equal(t, strings.Repeat("k", 70)+"aa", string(id.bounds[0].Min), "the bounds of a primary key are whole")
	require.Equal(t, strings.Repeat("k", 70)+"to", string(id.bounds[len(id.bounds)-1].Max))
	require.Equal(t, column.Key{Str: strings.Repeat("k", 70) + "to", IsStr: true}, seg.GreatestKey())
	require.EqualValues(t, rows/4, d.nulls)
	require.Zero(t, id.nulls)
	require.Empty(t, v.bounds)
	require.Equal(t, []uint32{0, 16, 32}, v.starts[:3], "chunks of vectors are at most 256 KiB")
	require.Len(t, v.starts, (rows+15)/16)
}
