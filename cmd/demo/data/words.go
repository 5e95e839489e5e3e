package data

import (
	_ "embed"
	"fmt"
)

//go:embed words.bin
var file []byte

// Words are words with a vector each.
type Words struct {
	Text    []string  // most frequent first, no two alike
	Vectors []float32 // len(Text) × Dim, row after row, not normalised
	Dim     int
}

// Load decodes the embedded words. The caller owns the result.
func Load() (*Words, error) {
	w, err := decode(file)
	if err != nil {
		return nil, fmt.Errorf("words.bin: %w", err)
	}
	return w, nil
}

// Vector returns the vector of word i. It is part of w.Vectors, not a copy.
func (w *Words) Vector(i int) []float32 {
	return w.Vectors[i*w.Dim : (i+1)*w.Dim : (i+1)*w.Dim]
}
