package inverted_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/inverted"
)

func ExampleIndex_Search() {
	pair := func(index uint32, value float32) []byte {
		return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, index), math.Float32bits(value))
	}
	rows := inverted.Vectors{Offs: []uint32{0}}
	for _, v := range [][]byte{pair(7, 1), append(pair(7, 2), pair(9, 1)...), pair(9, 4)} {
		rows.Data = append(rows.Data, v...)
		rows.Offs = append(rows.Offs, uint32(len(rows.Data)))
	}
	ix, err := inverted.Build(ctx, rows, inverted.Options{})
	if err != nil {
		panic(err)
	}
	hits, _, err := ix.Search(nil, pair(7, 0.5), 3, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(hits)
	// Output:
	// [{1 1} {0 0.5} {2 0}]
}

// kinds are ways of drawing a value.
var kinds = map[string]func(r *rand.Rand) float32{
	"positive": func(r *rand.Rand) float32 { return float32(r.ExpFloat64()) },
	"signed":   func(r *rand.Rand) float32 { return float32(r.NormFloat64()) },
	"negative": func(r *rand.Rand) float32 { return -float32(r.ExpFloat64()) },
	"tied":     func(r *rand.Rand) float32 { return float32(r.IntN(4)) },
	"zero":     func(r *rand.Rand) float32 { return []float32{0, 1, -1, float32(math.Copysign(0, -1))}[r.IntN(4)] },
	"extreme": func(r *rand.Rand) float32 {
		e := []float32{math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, 0x1p-126, 0x1p-75, -0x1p-75, 0x1.8p-75, 1, -1}
		return e[r.IntN(len(e))]
	},
	"wide": func(r *rand.Rand) float32 { return float32(min(math.MaxFloat32, math.Exp(r.NormFloat64()*20))) },
}

var kindNames = []string{"positive", "signed", "negative", "tied", "zero", "extreme", "wide"}

// sparse draws a vector of up to size values with indices below terms, the
// lower ones more often.
func sparse(r *rand.Rand, dst []byte, size, terms int, value func(*rand.Rand) float32) []byte {
	seen := map[uint32]bool{}
	var entries []entry
	for range size {
		index := uint32(math.Pow(r.Float64(), 2) * float64(terms))
		if !seen[index] {
			seen[index] = true
			entries = append(entries, entry{index * 1000, value(r)})
		}
	}
	return appendSparse(dst, entries)
}

// random draws rows of up to size values, some empty, some absent.
func random(r *rand.Rand, rows, size, terms int, value func(*rand.Rand) float32, absent bool) *collection {
	c := &collection{Vectors: inverted.Vectors{Offs: []uint32{0}}}
	for range rows {
		there := byte(1)
		switch {
		case absent && r.IntN(5) == 0:
			there = 0
		case r.IntN(8) > 0:
			c.Data = sparse(r, c.Data, r.IntN(size+1), terms, value)
		}
		c.Offs = append(c.Offs, uint32(len(c.Data)))
		if absent {
			c.Valid = append(c.Valid, there)
		}
	}
	return c
}

// bitset draws bits for n rows and a few more or fewer.
func bitset(r *rand.Rand, n int, share float64) []uint64 {
	b := make([]uint64, max(0, (n+63)/64+r.IntN(3)-1))
	for i := range b {
		for j := range 64 {
			if r.Float64() < share {
				b[i] |= 1 << j
			}
		}
	}
	return b
}

// TestSearchIsExact compares with the scan of all rows, over everything that
// can be said in a search.
func TestSearchIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		rows := rapid.OneOf(rapid.IntRange(0, 400), rapid.SampledFrom([]int{16_383, 16_384, 16_385, 40_000})).Draw(t, "rows")
		size := rapid.IntRange(1, 8).Draw(t, "size")
		if rows < 1000 {
			size *= 5
		}
		terms := rapid.SampledFrom([]int{1, 3, 20, 1000}).Draw(t, "terms")
		value := kinds[rapid.SampledFrom(kindNames).Draw(t, "values")]
		c := random(r, rows, size, terms, value, rapid.Bool().Draw(t, "absent"))
		ix := build(t, c)
		asked := kinds[rapid.SampledFrom(kindNames).Draw(t, "query values")]
		for range 4 {
			q := sparse(r, nil, rapid.SampledFrom([]int{0, 1, 3, 10, 40}).Draw(t, "query size"), terms+2, asked)
			k := rapid.SampledFrom([]int{1, 2, 10, 100, 1000, 50_000}).Draw(t, "k")
			var o inverted.SearchOptions
			shares := []float64{0, .001, .02, .5, .98, 1}
			if rapid.Bool().Draw(t, "dead") {
				o.Dead = bitset(r, rows, rapid.SampledFrom(shares).Draw(t, "share of dead"))
			}
			if rapid.Bool().Draw(t, "allowed") {
				o.Allowed = bitset(r, rows, rapid.SampledFrom(shares).Draw(t, "share of allowed"))
			}
			got, _, err := ix.Search([]vector.Hit{}, q, k, &o)
			require.NoError(t, err)
			requireHits(t, c.truth(t, q, k, &o), got)
		}
	})
}

// TestTextIsPruned: on rows as encoders make them most postings are not read,
// and the hits are those of the scan.
func TestTextIsPruned(t *testing.T) {
	rows, queries := 40_000, 12
	if testing.Short() {
		rows, queries = 17_000, 2
	}
	c := text(3, rows, queries)
	ix := build(t, c)
	read, all := 0, 0
	for _, q := range c.queries {
		for _, k := range []int{1, 10, 300} {
			hits, stats, err := ix.Search(nil, q, k, nil)
			require.NoError(t, err)
			requireHits(t, c.truth(t, q, k, nil), hits)
			require.Less(t, stats.Exact, rows/4)
			if k == 10 {
				read += stats.Postings
			}
		}
		_, stats, err := ix.Search(nil, q, rows, nil)
		require.NoError(t, err)
		all += stats.Postings
	}
	t.Logf("%d of %d postings read", read, all)
	if !testing.Short() { // where the first window, of which all are read, is most of the rows
		require.Less(t, read, all*3/4)
	}
}

// TestRareTermsSkip: once k rows score 0, windows without a term of the query
// are not looked at.
func TestRareTermsSkip(t *testing.T) {
	c := random(rand.New(rand.NewPCG(9, 9)), 100_000, 2, 5, kinds["signed"], true)
	ix := build(t, c)
	for _, index := range []uint32{77, 3000} {
		q := appendSparse(nil, []entry{{index, 1}})
		hits, stats, err := ix.Search(nil, q, 10, nil)
		require.NoError(t, err)
		requireHits(t, c.truth(t, q, 10, nil), hits)
		if index == 77 { // no row has it
			require.Equal(t, 100_000/16384, stats.Skipped)
		}
	}
}

// TestManyTerms: a query of more terms than bounds allow is answered without.
func TestManyTerms(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	c := random(r, 20_000, 20, 8000, kinds["positive"], false)
	ix := build(t, c)
	for _, n := range []int{4000, 4096, 4097, 7000} {
		var entries []entry
		for i := range n {
			entries = append(entries, entry{uint32(i) * 1000, float32(r.ExpFloat64())})
		}
		q := appendSparse(nil, entries)
		hits, _, err := ix.Search(nil, q, 10, nil)
		require.NoError(t, err)
		requireHits(t, c.truth(t, q, 10, nil), hits)
	}
}

// TestNearTies: scores that differ by less than a bound can tell.
func TestNearTies(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	near := func(r *rand.Rand) float32 { return math.Float32frombits(math.Float32bits(1) + r.Uint32N(3)) }
	c := random(r, 50_000, 3, 3, near, false)
	ix := build(t, c)
	for range 20 {
		q := sparse(r, nil, 3, 3, near)
		for _, k := range []int{1, 7, 5000} {
			hits, _, err := ix.Search(nil, q, k, nil)
			require.NoError(t, err)
			requireHits(t, c.truth(t, q, k, nil), hits)
		}
	}
}

func TestSearchRefuses(t *testing.T) {
	ix := build(t, random(rand.New(rand.NewPCG(6, 6)), 10, 3, 3, kinds["signed"], false))
	dst := []vector.Hit{{Row: 9}}
	nan := appendSparse(nil, []entry{{1, float32(math.NaN())}})
	twice := append(appendSparse(nil, []entry{{1, 1}}), appendSparse(nil, []entry{{1, 1}})...)
	for name, q := range map[string][]byte{"odd length": make([]byte, 7), "not finite": nan, "not ascending": twice} {
		got, _, err := ix.Search(dst, q, 3, nil)
		require.ErrorIs(t, err, inverted.ErrInvalid, name)
		require.Equal(t, dst, got)
	}
	for _, k := range []int{0, -1} {
		_, _, err := ix.Search(nil, nil, k, nil)
		require.ErrorIs(t, err, inverted.ErrInvalid)
	}
	long := make([]byte, 8*(1<<22+1))
	for i := range len(long) / 8 {
		binary.LittleEndian.PutUint32(long[8*i:], uint32(i))
	}
	_, _, err := ix.Search(nil, long, 1, nil)
	require.ErrorIs(t, err, inverted.ErrInvalid)
	got, _, err := ix.Search(dst, nil, 2, nil)
	require.NoError(t, err)
	require.Equal(t, []vector.Hit{{Row: 9}, {Row: 0}, {Row: 1}}, got)
}

func TestSearchAllocatesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("under the race detector, which the short run is for, pools drop what they are given")
	}
	c := text(7, 2000, 3)
	ix := build(t, c)
	dst := make([]vector.Hit, 0, 20)
	for _, o := range []*inverted.SearchOptions{nil, {Dead: []uint64{7}}, {Allowed: []uint64{1 << 40}}} {
		allocs := testing.AllocsPerRun(200, func() {
			for _, q := range c.queries {
				if _, _, err := ix.Search(dst, q, 10, o); err != nil {
					t.Fatal(err)
				}
			}
		})
		require.Less(t, allocs, 1.0)
	}
}

func TestConcurrentSearches(t *testing.T) {
	c := text(8, 3000, 12)
	ix := build(t, c)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range c.queries {
				q := c.queries[(i+g)%len(c.queries)]
				hits, _, err := ix.Search(nil, q, 5+g, nil)
				if err != nil {
					t.Error(err)
					return
				}
				requireHits(t, c.truth(t, q, 5+g, nil), hits)
			}
		})
	}
	wg.Wait()
}
