package data_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/cmd/demo/data"
)

func TestLoad(t *testing.T) {
	w, err := data.Load()
	require.NoError(t, err)
	require.Equal(t, 100, w.Dim)
	require.Len(t, w.Text, 20_000)
	require.Len(t, w.Vectors, 20_000*100)

	require.Equal(t, []string{"the", "of", "to", "and", "in"}, w.Text[:5], "most frequent first")
	seen := map[string]bool{}
	for i, word := range w.Text {
		require.NotEmpty(t, word)
		require.False(t, seen[word], "%q stands there twice", word)
		seen[word] = true
		require.Greater(t, cosine(w.Vector(i), w.Vector(i)), 0.999, "%q has no direction", word)
	}
}

func TestKnownNeighbours(t *testing.T) {
	w, err := data.Load()
	require.NoError(t, err)
	for word, want := range map[string]string{
		"king": "queen", "france": "paris", "dog": "cat", "piano": "violin", "monday": "tuesday",
	} {
		require.Contains(t, nearest(w, word, 10), want, "nearest words to %q", word)
	}
}

// The licence page names the file that it speaks of.
func TestLicenceNamesTheFile(t *testing.T) {
	b, err := os.ReadFile("words.bin")
	require.NoError(t, err)
	sum := sha256.Sum256(b)
	page, err := os.ReadFile("LICENSE-DATA")
	require.NoError(t, err)
	require.Contains(t, string(page), hex.EncodeToString(sum[:]))
	require.LessOrEqual(t, len(b), 5_000_000)
}

func nearest(w *data.Words, word string, k int) []string {
	q := w.Vector(slices.Index(w.Text, word))
	order := make([]int, len(w.Text))
	score := make([]float64, len(w.Text))
	for i := range order {
		order[i], score[i] = i, cosine(q, w.Vector(i))
	}
	slices.SortFunc(order, func(a, b int) int {
		if score[a] != score[b] {
			if score[a] > score[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(w.Text[a], w.Text[b])
	})
	var words []string
	for _, i := range order[1 : k+1] {
		words = append(words, w.Text[i])
	}
	return words
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}
