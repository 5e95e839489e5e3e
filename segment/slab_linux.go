package segment

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// adviseHuge asks for large pages for n bytes at p. It is a hint, and its failure means nothing. It reaches out to the bounds of the pages:
// what lies beside is memory of this process too, most often the slab before or after.
func adviseHuge(p unsafe.Pointer, n int) {
	from := uintptr(p) &^ (hugePage - 1)
	to := (uintptr(p) + uintptr(n) + hugePage - 1) &^ (hugePage - 1)
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_HUGEPAGE)
}
