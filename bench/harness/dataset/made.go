package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/selkiedb/selkie/vector"
)

// made describes data that are made, for scale: clusters of unequal sizes around centres of a space whose axes differ in
// spread, each cluster stretched along axes of its own, and near-duplicates of 1 row in 20. Uniform noise, in which
// every row is about as far from every other, would hide what an index does badly.
type made struct {
	Rows, Dim, Queries int
	Metric             vector.Metric
	Seed               uint64
}

const (
	madeBlock      = 4096 // rows of one random stream: the data do not depend on how they are made
	duplicateShare = 0.05
	duplicateNoise = 1e-3
	queryStream    = math.MaxUint64 // the stream of the queries
)

// cluster is a centre and the axes its rows are spread along.
type cluster struct {
	centre []float32
	scales []float32
	mirror []float32 // Householder vector that turns the axes
}

func (m made) raw(name string) *raw {
	clusters, cumulative := m.clusters()
	queries := make([]float32, m.Queries*m.Dim)
	m.fill(queries, queryStream, clusters, cumulative, 0)
	return &raw{
		name: name, metric: m.Metric, dim: m.Dim, queries: queries,
		base: func(yield func([]float32) error) error {
			block := make([]float32, madeBlock*m.Dim)
			for lo := 0; lo < m.Rows; lo += madeBlock {
				rows := block[:min(madeBlock, m.Rows-lo)*m.Dim]
				m.fill(rows, uint64(lo/madeBlock), clusters, cumulative, duplicateShare)
				if err := yield(rows); err != nil {
					return err
				}
			}
			return nil
		},
		source: fmt.Sprintf("made by this harness: %d clusters, anisotropic, %g of near-duplicates, seed %d",
			len(clusters), duplicateShare, m.Seed),
		licence: "none needed",
	}
}

// clusters makes one for each 500 rows or so, at least 8; their sizes fall as 1/√i.
func (m made) clusters() (all []cluster, cumulative []float64) {
	rng := rand.New(rand.NewPCG(m.Seed, 0x636c7573746572))
	all = make([]cluster, min(max(m.Rows/500, 8), 4000))
	cumulative = make([]float64, len(all))
	total := 0.0
	for i := range all {
		c := cluster{make([]float32, m.Dim), make([]float32, m.Dim), make([]float32, m.Dim)}
		norm := 0.0
		for d := range m.Dim {
			spread := math.Pow(float64(d)+1, -0.35)
			c.centre[d] = float32(rng.NormFloat64() * spread)
			c.scales[d] = float32(spread * math.Exp(0.5*rng.NormFloat64()) * 0.8)
			x := rng.NormFloat64()
			c.mirror[d] = float32(x)
			norm += x * x
		}
		for d := range c.mirror {
			c.mirror[d] /= float32(math.Sqrt(norm))
		}
		all[i] = c
		total += 1 / math.Sqrt(float64(i+1))
		cumulative[i] = total
	}
	return all, cumulative
}

// fill makes the rows of one stream.
func (m made) fill(rows []float32, stream uint64, clusters []cluster, cumulative []float64, duplicates float64) {
	rng := rand.New(rand.NewPCG(m.Seed, stream))
	total := cumulative[len(cumulative)-1]
	for at := 0; at < len(rows); at += m.Dim {
		row := rows[at : at+m.Dim]
		if at > 0 && rng.Float64() < duplicates {
			copy(row, rows[rng.IntN(at/m.Dim)*m.Dim:])
			for d := range row {
				row[d] += float32(rng.NormFloat64() * duplicateNoise)
			}
			continue
		}
		c := &clusters[pick(cumulative, rng.Float64()*total)]
		dot := float32(0)
		for d := range row {
			row[d] = c.scales[d] * float32(rng.NormFloat64())
			dot += row[d] * c.mirror[d]
		}
		for d := range row {
			row[d] += c.centre[d] - 2*dot*c.mirror[d]
		}
	}
}

// pick returns the first index whose cumulative weight is above x.
func pick(cumulative []float64, x float64) int {
	lo, hi := 0, len(cumulative)-1
	for lo < hi {
		if mid := (lo + hi) / 2; cumulative[mid] > x {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}
