package segment

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// populate has the system hand out the memory of b now, in one call, where it would otherwise do so page by page, at the first write to each,
// for more than the writing itself costs. Memory that the process holds already is left as it is. Its failure means nothing.
func populate(b []byte) {
	const page = 4096 // the least there is; where pages are larger, the system refuses
	from := (uintptr(unsafe.Pointer(&b[0])) + page - 1) &^ (page - 1)
	to := (uintptr(unsafe.Pointer(&b[0])) + uintptr(len(b))) &^ (page - 1)
	if to > from {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_POPULATE_WRITE)
	}
}
