//go:build !linux

package inverted

func adviseHuge([]byte) {}
