//go:build !linux

package graph

func adviseHuge([]byte) {}

func mapMemory(int) []byte { return nil }

func unmapMemory([]byte) {}
