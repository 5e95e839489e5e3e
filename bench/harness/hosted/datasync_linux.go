package hosted

import (
	"os"
	"syscall"
)

// dataSync syncs a file's bytes and its length.
func dataSync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
