//go:build !race && linux

package guard

import (
	"encoding/binary"
	"math"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// instructions checks how many a call runs, where the processor counts them for us. Kernels differ from class to class, code from Go to
// Go: each combination has a limit of its own, and one that nobody wrote down is told of and no failure.
func instructions(t *testing.T, name string, fn func()) {
	t.Helper()
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_HARDWARE, Config: unix.PERF_COUNT_HW_INSTRUCTIONS, Bits: unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv}
	attr.Size = uint32(unsafe.Sizeof(attr))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		t.Logf("%s: not counted: this machine has no counter for it: %v", name, err)
		return
	}
	defer unix.Close(fd)
	read := func() uint64 {
		var b [8]byte
		_, err := unix.Read(fd, b[:])
		require.NoError(t, err)
		return binary.LittleEndian.Uint64(b[:])
	}
	fn()
	least := math.Inf(1)
	for range 5 {
		const calls = 100
		before := read()
		for range calls {
			fn()
		}
		least = min(least, float64(read()-before)/calls)
	}
	name += "/" + kernels() + "/" + goVersion()
	if _, known := costs.limits[name]; !known && !*update {
		t.Logf("%s = %g: nobody wrote that down", name, least)
		return
	}
	costs.check(t, name, least, fewer, 5)
}

func kernels() string {
	switch {
	case runtime.GOARCH != "amd64":
		return runtime.GOARCH
	case cpu.X86.HasAVX512VNNI:
		return "avx512"
	case cpu.X86.HasAVX2:
		return "avx2"
	}
	return "go"
}

// goVersion is Go's, without the last number.
func goVersion() string {
	parts := strings.SplitN(runtime.Version(), ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
