package inverted_test

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/inverted"
)

// collection is rows, and queries.
type collection struct {
	inverted.Vectors
	queries [][]byte
}

var ctx = context.Background()

func build(t require.TestingT, src inverted.Source) *inverted.Index {
	ix, err := inverted.Build(ctx, src, inverted.Options{})
	require.NoError(t, err)
	require.Equal(t, src.Rows(), ix.Rows())
	return ix
}

// truth returns what an exact scan finds: the search of partition, block by
// block.
func (c *collection) truth(t require.TestingT, q []byte, k int, o *inverted.SearchOptions) []vector.Hit {
	prepared, err := vector.NewQuery(vector.IP, vector.Sparse, 0, q)
	require.NoError(t, err)
	scores := make([]float32, c.Rows())
	prepared.ScanSparse(c.Offs, c.Data, scores)
	top := vector.NewTopK(vector.IP, k)
	for i, s := range scores {
		if c.Valid != nil && c.Valid[i] == 0 {
			continue
		}
		if o != nil && !may(o, i) {
			continue
		}
		top.Push(s, uint32(i))
	}
	return top.Sorted()
}

func may(o *inverted.SearchOptions, row int) bool {
	if w := row / 64; w < len(o.Dead) && o.Dead[w]>>(row%64)&1 != 0 {
		return false
	}
	return o.Allowed == nil || row/64 < len(o.Allowed) && o.Allowed[row/64]>>(row%64)&1 != 0
}

// requireHits compares to the bit: 0 and -0 are two scores.
func requireHits(t require.TestingT, want, got []vector.Hit) {
	require.Equal(t, want, got)
	for i := range want {
		require.Equal(t, math.Float32bits(want[i].Score), math.Float32bits(got[i].Score), "row %d", want[i].Row)
	}
}

type entry struct {
	index uint32
	value float32
}

func appendSparse(dst []byte, entries []entry) []byte {
	slices.SortFunc(entries, func(a, b entry) int { return int(a.index) - int(b.index) })
	for _, p := range entries {
		dst = binary.LittleEndian.AppendUint32(dst, p.index)
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(p.value))
	}
	return dst
}

// words are the indices that text uses; they are ranked by frequency.
const words = 30_000

// zipf draws numbers below n: i with a probability proportional to
// (i+shift)^-power.
type zipf struct {
	sums  []float64
	guide []int // by 1/len of the whole sum: where to begin
}

func newZipf(n int, shift, power float64) *zipf {
	z := &zipf{sums: make([]float64, n), guide: make([]int, n)}
	sum := 0.0
	for i := range z.sums {
		sum += math.Pow(float64(i)+shift, -power)
		z.sums[i] = sum
	}
	at := 0
	for i := range z.guide {
		for z.sums[at] < sum*float64(i)/float64(n) {
			at++
		}
		z.guide[i] = at
	}
	return z
}

func (z *zipf) draw(r *rand.Rand) int {
	u := r.Float64()
	at := z.guide[int(u*float64(len(z.guide)))]
	for u *= z.sums[len(z.sums)-1]; z.sums[at] < u; {
		at++
	}
	return at
}

// text makes rows and queries that resemble those of a learned sparse encoder
// (SPLADE): about 120 values a row and 35 a query. Half of a row's words come
// from those of its subject, one of 300, and have greater values; rare words
// have greater ones, too. A row and a query share about 2 words.
func text(seed uint64, rows, queries int) *collection {
	const subjects, subjectWords = 300, 1500
	r := rand.New(rand.NewPCG(seed, 30))
	all, own := newZipf(words, 15, 1), newZipf(subjectWords, 5, .9)
	subject := make([][subjectWords]int, subjects)
	for i := range subject {
		for j := range subject[i] {
			subject[i][j] = 20 + int(math.Pow(r.Float64(), 2)*(words-20))
		}
	}
	rarity := make([]float64, words)
	for w := range rarity {
		rarity[w] = math.Log(1+float64(w)/20) / math.Log(1+words/20)
	}
	seen, entries := make([]int, words), []entry(nil)
	number := 0
	draw := func(size int) []entry {
		number++
		about := &subject[r.IntN(subjects)]
		size = max(4, int(float64(size)*math.Exp(r.NormFloat64()*.3-.045)))
		entries = entries[:0]
		for len(entries) < size {
			w, boost := all.draw(r), 1.0
			if len(entries)%2 == 0 {
				w, boost = about[own.draw(r)], 1.6
			}
			if seen[w] != number {
				seen[w] = number
				value := min(3.5, boost*(.05+rarity[w]*r.ExpFloat64()*.55))
				entries = append(entries, entry{uint32(w), float32(value)})
			}
		}
		return entries
	}
	c := &collection{Vectors: inverted.Vectors{Offs: []uint32{0}}}
	for range rows {
		c.Data = appendSparse(c.Data, draw(120))
		c.Offs = append(c.Offs, uint32(len(c.Data)))
	}
	for range queries {
		c.queries = append(c.queries, appendSparse(nil, draw(35)))
	}
	return c
}
