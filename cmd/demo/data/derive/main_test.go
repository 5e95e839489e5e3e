package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const model = `{"precision": 8, "dimensions": 2,
	"words": ["the", ",", "g8", "well-known", "it's", "-", "sea-", "land"],
	"vectors": {
		"land": [7, 8, 9.5, 7], "the": [1, 2, 9.5, 0], ",": [0, 0, 0, 1],
		"it's": [5, 6, 9.5, 4], "well-known": [3, 4, 9.5, 3]},
	"unkVector": [0, 0, 0, -1]}`

func TestReadTakesTheFirstPlainWords(t *testing.T) {
	w, err := read(strings.NewReader(model), 3)
	require.NoError(t, err)
	require.Equal(t, []string{"the", "well-known", "it's"}, w.Text)
	require.Equal(t, []float32{1, 2, 3, 4, 5, 6}, w.Vectors)
	require.Equal(t, 2, w.Dim)
}

func TestReadRefuses(t *testing.T) {
	for name, source := range map[string]string{
		"no object":       `[]`,
		"too few words":   strings.Replace(model, `"land"]`, `"g9"]`, 1),
		"missing vector":  strings.Replace(model, `"the": [`, `"a": [`, 1),
		"short vector":    strings.Replace(model, `"the": [1, 2, 9.5, 0]`, `"the": [1]`, 1),
		"no vectors":      `{"words": ["the"], "dimensions": 2}`,
		"no dimensions":   strings.Replace(model, `"dimensions": 2,`, ``, 1),
		"ends in a value": model[:len(model)/2],
	} {
		_, err := read(strings.NewReader(source), 4)
		require.Error(t, err, name)
	}
}
