//go:build race

package engine_test

// thinner is by how much the exhaustive tests look at less when the race detector makes everything slower.
const thinner = 6
