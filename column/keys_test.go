package column_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// These values are on disk: they decide which shard and hidden partition a row lives in.
func TestHashIsFixed(t *testing.T) {
	ints := column.IntKeys(0, 1, 2, -1, 42, math.MaxInt64, math.MinInt64)
	for i, want := range []uint64{
		0xe220a8397b1dcdaf, 0x910a2dec89025cc1, 0x975835de1c9756ce, 0xe4d971771b652c20, 0xbdd732262feb6e95, 0x2a67d7552e039ea7, 0x481ec0a212a9f3db,
	} {
		require.Equal(t, want, ints.Hash(i), "%s: %#x", ints.At(i), ints.Hash(i))
	}
	strs := column.StringKeys("", "a", "42", "selkie", "The quick brown fox jumps over the lazy dog")
	for i, want := range []uint64{
		0xef46db3751d8e999, 0xd24ec4f1a98c6e5b, 0x6de6f5d076d742b9, 0xd60e90dd695877ed, 0x0b242d361fda71bc,
	} {
		require.Equal(t, want, strs.Hash(i), "%s: %#x", strs.At(i), strs.Hash(i))
	}
}

func anyKeys(t *rapid.T) column.Keys {
	if rapid.Bool().Draw(t, "strings") {
		return column.StringKeys(rapid.SliceOfN(rapid.StringN(0, 3, 12), 0, 40).Draw(t, "keys")...)
	}
	return column.IntKeys(rapid.SliceOfN(rapid.OneOf(rapid.Int64(), rapid.Int64Range(-9, 9)), 0, 40).Draw(t, "keys")...)
}

func TestKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := anyKeys(t)
		seen := map[column.Key]int{}
		wantI, wantJ, want := 0, 0, false
		for j := range k.Len() {
			key := k.At(j)
			if i, ok := seen[key]; ok && !want {
				wantI, wantJ, want = i, j, true
			} else if !ok {
				seen[key] = j
			}
			for i := range j {
				other := k.At(i)
				c := key.Compare(other)
				require.Equal(t, c, bytes.Compare(key.Append(nil), other.Append(nil)))
				require.Equal(t, -c, other.Compare(key))
				require.Equal(t, c == 0, key == other)
				require.Equal(t, c == 0, k.Hash(i) == k.Hash(j))
			}
		}
		i, j, dup := k.FirstDuplicate()
		require.Equal(t, want, dup)
		if dup {
			require.Equal(t, wantJ, j)
			require.Equal(t, k.At(wantI), k.At(i))
			require.Less(t, i, j)
		}
		order := k.Sorted()
		sorted := k.Pick(order)
		for i := 1; i < sorted.Len(); i++ {
			c := sorted.At(i - 1).Compare(sorted.At(i))
			require.True(t, c < 0 || c == 0 && order[i-1] < order[i])
		}
		_, _, dup = sorted.FirstDuplicate()
		require.Equal(t, want, dup)

		enc := k.AppendEncode(nil)
		require.Zero(t, len(enc)%8)
		for shift := range 8 { // wherever the buffer lies in memory
			buf := append(make([]byte, shift, shift+len(enc)+4), enc...)
			got, rest, err := column.DecodeKeys(append(buf, "rest"...)[shift:])
			require.NoError(t, err)
			require.Equal(t, "rest", string(rest))
			require.Equal(t, k.Len(), got.Len())
			require.Equal(t, k.Str, got.Str)
			for i := range k.Len() {
				require.Equal(t, k.At(i), got.At(i))
			}
		}
		if n := k.Len(); n > 0 {
			lo := rapid.IntRange(0, n-1).Draw(t, "lo")
			part := k.Slice(lo, n)
			require.Equal(t, k.At(lo), part.At(0))
			require.Equal(t, part.AppendEncode(nil), k.Pick(sequence(lo, n)).AppendEncode(nil))
		}
		f := schema.Field{Type: schema.TypeInt64}
		if k.Str {
			f.Type = schema.TypeVarChar
		}
		require.Equal(t, k.AppendEncode(nil), column.KeysOf(&f, k.Data()).AppendEncode(nil))
	})
}

func sequence(lo, hi int) (rows []uint32) {
	for i := lo; i < hi; i++ {
		rows = append(rows, uint32(i))
	}
	return rows
}

func TestKeyOrderAndText(t *testing.T) {
	keys := []column.Key{{IsStr: true, Str: "b"}, {Int: 3}, {IsStr: true}, {Int: -4}}
	slices.SortFunc(keys, column.Key.Compare)
	require.Equal(t, []column.Key{{Int: -4}, {Int: 3}, {IsStr: true}, {IsStr: true, Str: "b"}}, keys)
	require.Equal(t, "-4", keys[0].String())
	require.Equal(t, `"b"`, keys[3].String())
	require.Equal(t, cmp.Compare(1, 2), keys[0].Compare(keys[1]))
	require.Zero(t, column.Keys{Str: true}.Len())
	require.NotPanics(t, func() { column.Keys{Str: true}.AppendEncode(nil) })
}

func FuzzDecodeKeys(f *testing.F) {
	f.Add(column.IntKeys(1, 2, 3).AppendEncode(nil))
	f.Add(column.StringKeys("a", "", "bcd").AppendEncode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, rest, err := column.DecodeKeys(b)
		if err != nil {
			require.ErrorIs(t, err, schema.ErrCorrupt)
			return
		}
		for i := range k.Len() {
			k.At(i)
			k.Hash(i)
		}
		k.FirstDuplicate()
		again, _, err := column.DecodeKeys(k.AppendEncode(nil))
		require.NoError(t, err)
		require.Equal(t, k.Len(), again.Len())
		require.LessOrEqual(t, len(rest), len(b))
	})
}

func BenchmarkFirstDuplicate(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1000, 100_000} {
		ascending, mixed := make([]int64, n), make([]int64, n)
		for i := range mixed {
			ascending[i], mixed[i] = int64(i), rng.Int64()
		}
		for name, ids := range map[string][]int64{"ascending": ascending, "mixed": mixed} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					column.IntKeys(ids...).FirstDuplicate()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/key")
			})
		}
	}
}
