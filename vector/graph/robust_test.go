package graph_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector/graph"
)

// shapes make rows that lie so that a graph may come apart, or the search in it
// go astray. Each returns the next row.
var shapes = []struct {
	name string
	rows func(r *rand.Rand, dim int) func() []float32
}{
	{"clusters", func(r *rand.Rand, dim int) func() []float32 {
		centers := make([][]float32, 40)
		for i := range centers {
			centers[i] = gauss(r, dim, 1, nil)
		}
		return func() []float32 { return gauss(r, dim, .1, centers[r.IntN(len(centers))]) }
	}},
	{"clusters far apart", func(r *rand.Rand, dim int) func() []float32 {
		centers := make([][]float32, 6)
		for i := range centers {
			centers[i] = gauss(r, dim, 30, nil)
		}
		return func() []float32 { return gauss(r, dim, 1, centers[r.IntN(len(centers))]) }
	}},
	{"near duplicates", func(r *rand.Rand, dim int) func() []float32 {
		originals := make([][]float32, 50)
		for i := range originals {
			originals[i] = gauss(r, dim, 1, nil)
		}
		return func() []float32 { return gauss(r, dim, 1e-3, originals[r.IntN(len(originals))]) }
	}},
	{"duplicates", func(r *rand.Rand, dim int) func() []float32 {
		originals := make([][]float32, 30)
		for i := range originals {
			originals[i] = gauss(r, dim, 1, nil)
		}
		return func() []float32 { return originals[r.IntN(len(originals))] }
	}},
	{"ties", func(r *rand.Rand, dim int) func() []float32 {
		return func() []float32 {
			v := make([]float32, dim)
			for range 3 {
				v[r.IntN(dim)] = 1
			}
			return v
		}
	}},
	{"a fifth zero vectors", func(r *rand.Rand, dim int) func() []float32 {
		return func() []float32 {
			if r.IntN(5) == 0 {
				return make([]float32, dim)
			}
			return gauss(r, dim, 1, nil)
		}
	}},
	{"all equal", func(r *rand.Rand, dim int) func() []float32 {
		v := gauss(r, dim, 1, nil)
		return func() []float32 { return v }
	}},
	{"a line", func(r *rand.Rand, dim int) func() []float32 {
		direction := gauss(r, dim, 1, nil)
		return func() []float32 {
			v, x := make([]float32, dim), r.Float32()
			for j := range v {
				v[j] = x * direction[j]
			}
			return v
		}
	}},
}

// gauss draws a vector around the center, or 0, with that deviation.
func gauss(r *rand.Rand, dim int, deviation float64, center []float32) []float32 {
	v := make([]float32, dim)
	for j := range v {
		v[j] = float32(r.NormFloat64() * deviation)
		if center != nil {
			v[j] += center[j]
		}
	}
	return v
}

// TestRobustness: whatever the rows are like, all of them can be reached, which
// build checks, and a search with defaults finds the nearest.
func TestRobustness(t *testing.T) {
	const queries = 15
	for _, s := range shapes {
		for _, d := range []struct{ dim, n int }{
			{1, 2000}, {2, 1000}, {3, 1000}, {7, 1000}, {100, 2000}, {784, 500}, {1536, 300}, {4096, 120}, {32768, 20},
		} {
			for _, m := range metrics {
				for _, n := range []int{1, 2, size(d.n, d.n/10)} {
					if testing.Short() && d.dim > 100 || d.dim == 32768 && n < 3 && m != metrics[0] {
						continue
					}
					t.Run(fmt.Sprintf("%s/%d×%d/%v", s.name, n, d.dim, m), func(t *testing.T) {
						t.Parallel()
						r := rand.New(rand.NewPCG(uint64(n), uint64(d.dim)))
						next := s.rows(r, d.dim)
						var rows, held []float32
						for range n {
							rows = append(rows, next()...)
						}
						for range queries {
							held = append(held, next()...)
						}
						c := newCollection(m, d.dim, rows, held)
						ix := build(t, c, graph.Options{FlatBytes: -1})
						recall, stats := c.recall(t, ix, 10, graph.SearchOptions{}, nil)
						require.GreaterOrEqual(t, recall, .95, "%+v", stats)
						require.Equal(t, n <= 2, ix.Flat())
					})
				}
			}
		}
	}
}
