//go:build !linux

package machine

import "errors"

// ErrNoCap is returned where the memory of a process cannot be capped.
var ErrNoCap = errors.New("memory can be capped under Linux only")

// Cap limits the memory of a process.
func Cap(int, int64) (release func() error, err error) { return nil, ErrNoCap }

// Evict has the system forget what it keeps in memory of the files below dir.
func Evict(string) error { return ErrNoCap }
