//go:build !race

package engine_test

const thinner = 1
