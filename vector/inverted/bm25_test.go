package inverted_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/inverted"
)

// Random texts over several windows: hits and scores are those of a scan, to the bit, whichever rows may be found.
func TestSearchBM25(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const rows, vocabulary = 40_000, 300
	c := &collection{}
	c.Offs = []uint32{0}
	total := 0.0
	for row := range rows {
		counts := map[uint32]uint32{}
		if row%9 > 0 { // texts without a term
			for range rng.IntN(12) {
				counts[uint32(rng.IntN(1+rng.IntN(vocabulary)))]++
			}
		}
		for term := range uint32(vocabulary) {
			if n := counts[term]; n > 0 {
				c.Data = binary.LittleEndian.AppendUint32(c.Data, term)
				c.Data = binary.LittleEndian.AppendUint32(c.Data, math.Float32bits(float32(n)))
				total += float64(n)
			}
		}
		c.Offs = append(c.Offs, uint32(len(c.Data)))
		c.Valid = append(c.Valid, byte(min(1, row%31)))
	}
	ix := build(t, &c.Vectors)
	before := ix.Bytes()
	for round := range 60 {
		var q []byte
		for term, n := uint32(rng.IntN(20)), rng.IntN(8); n > 0; n-- {
			q = binary.LittleEndian.AppendUint32(q, term)
			q = binary.LittleEndian.AppendUint32(q, math.Float32bits(0.1+rng.Float32()*4))
			term += 1 + uint32(rng.IntN(90))
		}
		p := vector.BM25Params{K1: 0.5 + rng.Float64(), B: rng.Float64(), Average: total / rows}
		o := &inverted.SearchOptions{}
		if round%2 == 0 {
			o.Dead = make([]uint64, rows/64)
			for i := range o.Dead {
				o.Dead[i] = rng.Uint64() & rng.Uint64()
			}
		}
		if round%3 == 0 {
			o.Allowed = make([]uint64, 1+rng.IntN(rows/64))
			for i := range o.Allowed {
				o.Allowed[i] = rng.Uint64()
			}
		}
		prepared, err := vector.NewBM25Query(q, p)
		require.NoError(t, err)
		scores := make([]float32, rows)
		prepared.ScanSparse(c.Offs, c.Data, scores)
		k := 1 + rng.IntN(200)
		top := vector.NewTopK(vector.BM25, k)
		for i, s := range scores {
			if c.Valid[i] != 0 && may(o, i) {
				top.Push(s, uint32(i))
			}
		}
		got, stats, err := ix.SearchBM25(nil, q, p, k, o)
		require.NoError(t, err)
		requireHits(t, top.Sorted(), append([]vector.Hit{}, got...))
		require.LessOrEqual(t, len(got), stats.Exact)
	}
	require.Equal(t, before+4*rows, ix.Bytes())
	_, _, err := ix.SearchBM25(nil, nil, vector.BM25Params{K1: 1}, 0, nil)
	require.ErrorIs(t, err, inverted.ErrInvalid)
}
