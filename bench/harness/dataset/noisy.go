package dataset

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
)

// noisy describes GloVe's words and copies of them with noise: real data as far as it goes, for scale. Each copy is a
// word's vector of length 1 with a normal deviate added to each element, of a deviation that differs from element to
// element.
type noisy struct {
	Rows int
	Seed uint64
}

// noise is the expected length of what is added to a vector of length 1: a copy's cosine to its word is about 0.82, that
// of a word to its nearest one 0.7.
const noise = 0.7

var noisyName = regexp.MustCompile(`^glove100-(\d+)([km])$`)

// parseNoisy reads a name as in glove100-1m. ok is false for another's.
func parseNoisy(name string) (n noisy, ok bool, err error) {
	m := noisyName.FindStringSubmatch(name)
	if m == nil {
		return noisy{}, false, nil
	}
	rows, err := strconv.Atoi(m[1])
	if err != nil {
		return noisy{}, false, err
	}
	n = noisy{Rows: rows * map[string]int{"k": 1000, "m": 1_000_000}[m[2]], Seed: 1}
	if n.Rows < 1000 || n.Rows > 20_000_000 {
		return noisy{}, false, fmt.Errorf("%d rows: 1,000 to 20 million can be made", n.Rows)
	}
	return n, true, nil
}

// raw takes the words from the cache, or makes them there.
func (n noisy) raw(ctx context.Context, c Cache, name string, o *Options) (*raw, error) {
	words, err := c.Prepare(ctx, "glove100", *o)
	if err != nil {
		return nil, err
	}
	defer words.Close()
	base, err := words.All()
	if err != nil {
		return nil, err
	}
	queries := make([]float32, 0, words.Meta.Queries*words.Dim)
	for i := range words.Meta.Queries {
		queries = append(queries, words.Query(i)...)
	}
	return &raw{
		name: name, metric: words.Metric, dim: words.Dim, queries: queries,
		base: func(yield func([]float32) error) error { return n.rows(base, words.Dim, yield) },
		source: fmt.Sprintf("the words of glove100, and copies of them in turn with anisotropic noise of length %g, seed %d",
			noise, n.Seed),
		licence: words.Licence,
	}, nil
}

// rows yields the words and then their copies, as many as are wanted, in blocks.
func (n noisy) rows(base []float32, dim int, yield func([]float32) error) error {
	words := len(base) / dim
	rng := rand.New(rand.NewPCG(n.Seed, 0x6e6f697379))
	deviation, sum := make([]float64, dim), 0.0
	for d := range deviation {
		deviation[d] = math.Exp(0.5 * rng.NormFloat64())
		sum += deviation[d] * deviation[d]
	}
	for d := range deviation {
		deviation[d] *= noise / math.Sqrt(sum)
	}
	block := make([]float32, madeBlock*dim)
	for lo := 0; lo < n.Rows; lo += madeBlock {
		rows := block[:min(madeBlock, n.Rows-lo)*dim]
		for i := range len(rows) / dim {
			row, at := rows[i*dim:(i+1)*dim], lo+i
			copy(row, base[at%words*dim:])
			for d := 0; at >= words && d < dim; d++ {
				row[d] += float32(rng.NormFloat64() * deviation[d])
			}
		}
		if err := yield(rows); err != nil {
			return err
		}
	}
	return nil
}
