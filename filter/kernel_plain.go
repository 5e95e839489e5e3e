//go:build !amd64 || purego

package filter

import "unsafe"

// wide says that there are kernels in assembly; here there are none.
var wide = false

func wideInts([]uint64, unsafe.Pointer, int, uintptr, int64, uint64) int    { return 0 }
func wideFloats([]uint64, unsafe.Pointer, int, uintptr, uint64, uint64) int { return 0 }
