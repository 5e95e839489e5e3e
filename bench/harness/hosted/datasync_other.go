//go:build !linux

package hosted

import "os"

// dataSync syncs a file.
func dataSync(f *os.File) error { return f.Sync() }
