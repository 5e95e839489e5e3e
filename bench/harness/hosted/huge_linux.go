package hosted

import "golang.org/x/sys/unix"

// hugeBytes returns n bytes of zeros on huge pages, where the system has them. They are never given back.
func hugeBytes(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // a refusal costs speed only
	}
	return b, err
}
