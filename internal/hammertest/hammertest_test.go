package hammertest_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/internal/hammertest"
)

// Inputs differ from their seeds in every way, and what was taken for good is spoiled further.
func TestInputs(t *testing.T) {
	seed := []byte("0123456789abcdef")
	var shorter, longer, same, deep int
	hammertest.Run(t, hammertest.Decoder{Seeds: [][]byte{seed}, PerInput: 1 << 10, Try: func(b []byte) bool {
		switch {
		case len(b) < len(seed):
			shorter++
		case len(b) > len(seed):
			longer++
		case bytes.Equal(b, seed):
			same++
		}
		if len(b) > 3*len(seed) { // it takes several inputs to come so far
			deep++
		}
		return true
	}})
	require.Positive(t, shorter)
	require.Positive(t, longer)
	require.Positive(t, deep)
	require.Less(t, same, 2000)
}
