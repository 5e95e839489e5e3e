package vector_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
)

func TestSelectBelow(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 70 {
		for _, limit := range []int32{math.MinInt32, -500, 0, 500, math.MaxInt32} {
			for shift := range uint(2) {
				dots, terms, rows := make([]int32, n), make([]int32, n), make([]uint32, n)
				for i := range n {
					dots[i], terms[i], rows[i] = r.Int32N(2001)-1000, r.Int32N(2001)-1000, r.Uint32()
				}
				if n > 3 {
					dots[3], terms[3] = math.MinInt32, math.MaxInt32 // wraps
				}
				for _, terms := range [][]int32{terms, nil} {
					keys := make([]uint64, n+vector.SelectSlack+3)
					m := vector.SelectBelow(dots, terms, shift, rows, limit, keys)
					var want []uint64
					for i := range n {
						d := -(dots[i] << shift)
						if terms != nil {
							d += terms[i]
						}
						if d < limit {
							want = append(want, vector.DistanceKey(d, rows[i]))
							require.Equal(t, d, vector.KeyDistance(vector.DistanceKey(d, rows[i])))
						}
					}
					require.Equal(t, want, append([]uint64(nil), keys[:m]...))
					require.Equal(t, make([]uint64, 3), keys[n+vector.SelectSlack:], "beyond the slack")
				}
			}
		}
	}
	require.Panics(t, func() { vector.SelectBelow(make([]int32, 4), nil, 0, make([]uint32, 4), 0, make([]uint64, 4)) })
}

func TestSelectWeighted(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	squares := make([]int32, 1000)
	for i := range squares {
		squares[i] = r.Int32N(1 << 29)
	}
	for n := range 70 {
		for _, limit := range []int32{math.MinInt32, 0, 1 << 27, math.MaxInt32} {
			for _, weight := range []float32{1, 0.37, 1e-5} {
				dots, rows := make([]int32, n), make([]uint32, n)
				for i := range n {
					dots[i], rows[i] = r.Int32N(1<<27)-1<<26, r.Uint32N(1000)
				}
				shift := uint(n % 2)
				keys := make([]uint64, n+vector.SelectSlack)
				m := vector.SelectWeighted(dots, squares, weight, shift, rows, limit, keys)
				var want []uint64
				for i := range n {
					if d := int32(float32(squares[rows[i]])*weight) - dots[i]<<shift; d < limit {
						want = append(want, vector.DistanceKey(d, rows[i]))
					}
				}
				require.Equal(t, want, append([]uint64(nil), keys[:m]...))
			}
		}
	}
	for n := 1; n < 40; n++ {
		rows := make([]uint32, n)
		for _, far := range []uint32{1000, 1 << 31, math.MaxUint32} {
			rows[n-1] = far
			require.Panics(t, func() {
				vector.SelectWeighted(make([]int32, n), squares, 1, 0, rows, 0, make([]uint64, n+vector.SelectSlack))
			})
		}
	}
}

func TestSelectScaled(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	factors := make([]float32, 5000)
	for i := range factors {
		factors[i] = float32(r.Float64())
	}
	for n := range 200 {
		dots, rows := make([]int32, n), make([]uint32, n)
		for i := range dots {
			dots[i] = r.Int32N(1<<20) - 1<<19
			rows[i] = r.Uint32N(uint32(len(factors)))
		}
		bias, scale := float32(r.Int32N(1<<16)), float32(1+r.Float64()*500)
		for _, limit := range []int32{math.MinInt32, -1 << 20, 0, 1 << 20, math.MaxInt32} {
			var want []uint64
			for i, dot := range dots {
				if d := -int32(float32(float32(dot)+bias) * scale * factors[rows[i]]); d < limit {
					want = append(want, vector.DistanceKey(d, rows[i]))
				}
			}
			keys := make([]uint64, n+vector.SelectSlack)
			m := vector.SelectScaled(dots, factors, bias, scale, rows, limit, keys)
			require.Equal(t, want, append([]uint64(nil), keys[:m]...))
		}
	}
	for _, n := range []int{1, 16, 17} {
		for bad := range n {
			rows := make([]uint32, n)
			rows[bad] = uint32(len(factors))
			require.Panics(t, func() {
				vector.SelectScaled(make([]int32, n), factors, 0, 1, rows, 0, make([]uint64, n+vector.SelectSlack))
			})
		}
	}
	require.Panics(t, func() { vector.SelectScaled(make([]int32, 3), factors, 0, 1, make([]uint32, 2), 0, make([]uint64, 20)) })
}

func TestVisit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 6))
	for n := range 100 {
		visited := make([]uint64, 1+r.IntN(6))
		marked := map[uint32]bool{}
		for range 5 {
			list := make([]uint32, n)
			for i := range list {
				list[i] = r.Uint32N(uint32(64 * len(visited)))
			}
			if n > 4 && r.IntN(2) == 0 {
				list[r.IntN(n)] = []uint32{uint32(64 * len(visited)), 1 << 31, math.MaxUint32}[r.IntN(3)]
			}
			var want []uint32
			for _, row := range list {
				if int(row/64) >= len(visited) {
					break
				}
				if !marked[row] {
					want = append(want, row)
				}
				marked[row] = true
			}
			out := make([]uint32, n+vector.VisitSlack+3)
			m := vector.Visit(list, visited, out)
			require.Equal(t, want, append([]uint32(nil), out[:m]...))
			require.Equal(t, make([]uint32, 3), out[n+vector.VisitSlack:], "beyond the slack")
			for row := range uint32(64 * len(visited)) {
				require.Equal(t, marked[row], visited[row/64]>>(row%64)&1 == 1)
			}
		}
	}
	require.Zero(t, vector.Visit(nil, []uint64{0}, nil))
	require.Zero(t, vector.Visit([]uint32{0}, nil, make([]uint32, 17)))
	require.Panics(t, func() { vector.Visit([]uint32{0}, []uint64{0}, make([]uint32, 16)) })
}

func TestCountBelow(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 7))
	for n := range 600 {
		keys := make([]uint64, n)
		for i := range keys {
			keys[i] = r.Uint64() >> r.UintN(60)
		}
		slices.Sort(keys)
		for range 20 {
			key := r.Uint64() >> r.UintN(64)
			if n > 0 && r.IntN(2) == 0 {
				key = keys[r.IntN(n)] + r.Uint64N(2)
			}
			want := 0
			for _, k := range keys {
				if k < key {
					want++
				}
			}
			require.Equal(t, want, vector.CountBelow(keys, key))
		}
	}
}

func TestDistanceKeyOrder(t *testing.T) {
	require.Less(t, vector.DistanceKey(-1, 9), vector.DistanceKey(0, 1))
	require.Less(t, vector.DistanceKey(5, 1), vector.DistanceKey(5, 2))
	require.Less(t, vector.DistanceKey(math.MinInt32, 0), vector.DistanceKey(math.MaxInt32, 0))
}

func TestPrefetchDoesNothingVisible(t *testing.T) {
	vector.Prefetch(nil)
	vector.Prefetch(make([]uint32, 5))
	vector.PrefetchRows(nil, 64, nil)
	vector.PrefetchRows(make([]byte, 256), 64, []uint32{0, 3})
	vector.PrefetchRows(make([]byte, 640), 320, []uint32{0, 1})
}

func TestInsertKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 7))
	for limit := 1; limit < 70; limit++ {
		for range 40 {
			pool := make([]uint64, limit+9)
			n, lowest := 0, 0
			want := []uint64{}
			for row := uint32(0); row < 90; {
				keys := make([]uint64, r.IntN(12))
				for i := range keys {
					// Close distances of both signs, so that rows decide, too.
					keys[i] = vector.DistanceKey(r.Int32N(5)-2, 90-row)
					row++
				}
				before := slices.Clone(pool[:n])
				n, lowest = vector.InsertKeys(pool, n, limit, keys)
				for _, key := range keys {
					want = append(want, key+key&math.MaxUint32)
				}
				slices.Sort(want)
				want = want[:min(len(want), limit)]
				require.Equal(t, want, pool[:n])
				require.Equal(t, make([]uint64, 9), pool[limit:], "beyond the limit")
				first := 0
				for first < len(before) && before[first] == pool[first] {
					first++
				}
				if first < n && len(keys) > 0 {
					require.Equal(t, first, lowest)
				} else {
					require.Equal(t, limit, lowest)
				}
			}
		}
	}
	for _, f := range []func(){
		func() { vector.InsertKeys(make([]uint64, 4), 0, 5, nil) },
		func() { vector.InsertKeys(make([]uint64, 4), 4, 3, nil) },
		func() { vector.InsertKeys(make([]uint64, 4), 0, 0, nil) },
		func() { vector.InsertKeys(make([]uint64, 4), -1, 4, nil) },
	} {
		require.Panics(t, f)
	}
}
