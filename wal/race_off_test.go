//go:build !race

package wal_test

// stride is 1 where every byte is tried.
const stride = 1
