//go:build (!amd64 && !arm64) || purego

package vector

// classes returns the classes this processor can run: plain Go only.
func classes() []*class { return []*class{goClass()} }
