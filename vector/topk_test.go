package vector_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
)

func ExampleTopK() {
	// Rows' primary keys: equal scores go to the smaller key.
	keys := []int64{70, 60, 50, 40}
	top := vector.NewTopK(vector.L2, 2)
	top.Reset(vector.L2, 2, func(a, b uint32) bool { return keys[a] < keys[b] })

	dead := []uint64{1 << 0} // row 0 is deleted
	top.PushBlock([]float32{0.1, 0.5, 0.5, 0.25}, 0, dead)
	for _, hit := range top.Sorted() {
		fmt.Println(keys[hit.Row], hit.Score)
	}
	// Output:
	// 40 0.25
	// 50 0.5
}

// bestOf sorts everything: what a TopK must agree with.
func bestOf(m vector.Metric, hits []vector.Hit, k int, before func(a, b uint32) bool) []vector.Hit {
	all := slices.Clone(hits)
	slices.SortFunc(all, func(a, b vector.Hit) int {
		switch {
		case m.Better(a.Score, b.Score):
			return -1
		case m.Better(b.Score, a.Score):
			return 1
		case before != nil && before(a.Row, b.Row):
			return -1
		case before != nil && before(b.Row, a.Row):
			return 1
		}
		return cmp.Compare(a.Row, b.Row)
	})
	return all[:min(k, len(all))]
}

func TestTopKAgainstSort(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	top := vector.NewTopK(vector.L2, 0)
	for round := range 500 {
		n, k, distinct := r.IntN(300), r.IntN(40), 1+r.IntN(20)
		m := []vector.Metric{vector.L2, vector.IP, vector.Cosine, vector.Hamming}[round%4]
		keys := r.Perm(n + 100)
		var before func(a, b uint32) bool
		if round%3 != 0 {
			before = func(a, b uint32) bool { return keys[a] < keys[b] }
		}
		first := uint32(r.IntN(100))
		scores := make([]float32, n)
		dead := make([]uint64, r.IntN(8))
		for i := range dead {
			dead[i] = r.Uint64() & r.Uint64()
		}
		var live []vector.Hit
		var rows []uint32
		for i := range scores {
			scores[i] = float32(r.IntN(distinct)) - 5
			row := first + uint32(i)
			if r.IntN(20) == 0 {
				scores[i] = float32(math.NaN())
			} else if w := int(row / 64); w >= len(dead) || dead[w]>>(row%64)&1 == 0 {
				live = append(live, vector.Hit{Row: row, Score: scores[i]})
			}
			rows = append(rows, row)
		}
		want := bestOf(m, live, k, before)

		top.Reset(m, k, before)
		cut := 0
		if n > 0 {
			cut = r.IntN(n)
		}
		top.PushBlock(scores[:cut], first, dead)
		require.LessOrEqual(t, top.Len(), k)
		top.Sorted() // must leave it usable
		top.PushBlock(scores[cut:], first+uint32(cut), dead)
		require.ElementsMatch(t, want, top.Sorted())
		require.Equal(t, append([]vector.Hit{}, want...), top.Sorted())
		if score, ok := top.Threshold(); ok {
			require.Len(t, want, k)
			require.Equal(t, want[k-1].Score, score)
		}

		// The same rows one by one, in any order, and as a list.
		top.Reset(m, k, before)
		for _, i := range r.Perm(len(live)) {
			top.Push(live[i].Score, live[i].Row)
		}
		require.Equal(t, append([]vector.Hit{}, want...), top.Sorted())
		if len(dead) == 0 {
			top.Reset(m, k, before)
			top.PushList(scores, rows)
			require.Equal(t, append([]vector.Hit{}, want...), top.Sorted())
		}

		// A bound keeps what equals it or is better.
		if len(live) > 0 {
			bound := live[r.IntN(len(live))].Score
			within := slices.DeleteFunc(slices.Clone(live), func(h vector.Hit) bool { return m.Better(bound, h.Score) })
			top.Reset(m, k, before)
			top.Bound(bound)
			top.PushBlock(scores, first, dead)
			require.Equal(t, append([]vector.Hit{}, bestOf(m, within, k, before)...), top.Sorted())
		}
	}
}

func TestTopKAllEqual(t *testing.T) {
	const n, k = 1_000_000, 10
	scores := make([]float32, n)
	calls := 0
	top := vector.NewTopK(vector.IP, k)
	top.Reset(vector.IP, k, func(a, b uint32) bool { calls++; return a > b }) // worst case: each row enters
	top.PushBlock(scores, 0, nil)
	for i, hit := range top.Sorted() {
		require.Equal(t, uint32(n-1-i), hit.Row)
	}
	require.Less(t, calls, 12*n)
}

func TestTopKAllocs(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	scores := make([]float32, 1000)
	for i := range scores {
		scores[i] = r.Float32()
	}
	top := vector.NewTopK(vector.L2, 100)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		top.Reset(vector.L2, 100, nil)
		top.PushBlock(scores, 0, nil)
		top.Push(0.5, 5000)
	}))
}

func BenchmarkTopK(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 6))
	scores := make([]float32, 100_000)
	for i := range scores {
		scores[i] = r.Float32()
	}
	for _, k := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("k=%d", k), func(b *testing.B) {
			top := vector.NewTopK(vector.L2, k)
			for b.Loop() {
				top.Reset(vector.L2, k, nil)
				top.PushBlock(scores, 0, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(scores)), "ns/row")
		})
	}
}
