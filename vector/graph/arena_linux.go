package graph

import "golang.org/x/sys/unix"

// adviseHuge asks for huge pages behind b. A refusal costs speed only.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// mapMemory returns n zero bytes, at the beginning of a page, that are not the
// collector's; nil if the system has none.
func mapMemory(n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	return b
}

// unmapMemory returns what mapMemory gave.
func unmapMemory(b []byte) { _ = unix.Munmap(b) }
