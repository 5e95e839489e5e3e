package dataset

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoisy(t *testing.T) {
	n, ok, err := parseNoisy("glove100-3m")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, 3_000_000, n.Rows)
	for _, other := range []string{"glove100", "made-1m", "glove100-1g", "glove1001k"} {
		_, ok, err := parseNoisy(other)
		require.NoError(t, err, other)
		require.False(t, ok, other)
	}
	_, _, err = parseNoisy("glove100-1k")
	require.NoError(t, err)
	_, _, err = parseNoisy("glove100-99m")
	require.ErrorContains(t, err, "20 million")

	const words, dim = 1000, 20
	base := make([]float32, words*dim)
	for i := range words {
		base[i*dim+i%dim] = 1
	}
	all := func() (rows []float32) {
		require.NoError(t, noisy{Rows: 10_500, Seed: 1}.rows(base, dim, func(block []float32) error {
			rows = append(rows, block...)
			return nil
		}))
		return rows
	}
	rows := all()
	require.Len(t, rows, 10_500*dim)
	require.Equal(t, base, rows[:len(base)], "the words come first, as they are")
	require.True(t, slices.Equal(rows, all()), "the same again")
	// Copies are as far from their words as they are meant to be, and no two are alike.
	sum := 0.0
	for i := words; i < 10_500; i++ {
		for d := range dim {
			x := float64(rows[i*dim+d] - base[i%words*dim+d])
			sum += x * x
		}
	}
	require.InDelta(t, noise, math.Sqrt(sum/9500), .02)
	require.NotEqual(t, rows[words*dim:(words+1)*dim], rows[2*words*dim:(2*words+1)*dim])
}
