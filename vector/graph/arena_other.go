//go:build !linux

package graph

func adviseHuge([]byte) {}
