//go:build !linux

package segment

import "unsafe"

func adviseHuge(unsafe.Pointer, int) {}
