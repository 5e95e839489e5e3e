package graph_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector/graph"
)

func TestKeysAreSorted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 400 {
		for _, spread := range []uint64{1, 3, 1 << 40} {
			keys := make([]uint64, n)
			for i := range keys {
				keys[i] = r.Uint64N(spread)
			}
			if n%5 == 0 {
				slices.Sort(keys) // the easy order is a hard one for some
			}
			want := slices.Clone(keys)
			slices.Sort(want)
			for _, sorted := range []func([]uint64){graph.SortKeys, graph.HeapSort} {
				got := slices.Clone(keys)
				sorted(got)
				require.Equal(t, want, got)
			}
			if n > 1 {
				k := 1 + r.IntN(n-1)
				got := slices.Clone(keys)
				graph.Smallest(got, k)
				slices.Sort(got[:k])
				require.Equal(t, want[:k], got[:k])
				slices.Sort(got)
				require.Equal(t, want, got)
			}
		}
	}
}

func TestKeysAreMerged(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	set := func() []uint64 {
		keys := make([]uint64, r.IntN(50))
		for i := range keys {
			keys[i] = r.Uint64N(80)
		}
		slices.Sort(keys)
		return slices.Compact(keys)
	}
	for range 500 {
		a, b := set(), set()
		want := append(slices.Clone(a), b...)
		slices.Sort(want)
		want = slices.Compact(want)
		out := make([]uint64, r.IntN(110))
		n := graph.MergeKeys(a, b, out)
		require.Equal(t, min(len(want), len(out)), n)
		require.Equal(t, want[:n], append([]uint64{}, out[:n]...))
	}
}
