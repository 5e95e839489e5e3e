//go:build race

package wal_test

// stride thins out byte-by-byte tests under the race detector, which makes them fifteen times slower.
const stride = 11
