//go:build !linux

package machine

// CanPin reports whether this platform can bind a process to a core.
const CanPin = false

// Pinned calls start: the platform has no way to bind a process to a core.
func Pinned(_ int, start func() error) error { return start() }
