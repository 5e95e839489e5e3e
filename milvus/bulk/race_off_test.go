//go:build !race

package bulk_test

const raceOn = false
