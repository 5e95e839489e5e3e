package segment

import (
	"fmt"
	"io/fs"
	"runtime"
	"runtime/debug"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fileMap is a file as the system's memory. Reading it may fail as reading a file may, but as a fault: see catchFault.
type fileMap struct {
	path string
	data []byte
}

// openMap maps a file; nil if it cannot be mapped.
func openMap(fs vfs.FS, path string) *fileMap {
	f, err := fs.Open(path, vfs.RandomReadsOption)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	return mapFile(f, path, info.Size())
}

// close gives the memory back. REQUIRES: nothing refers to it any more, not even what is never followed: the collector would stumble over
// a pointer into memory that has become another's.
func (m *fileMap) close() error {
	if m == nil || m.data == nil {
		return nil
	}
	err := m.unmap()
	m.data = nil
	return err
}

// holds reports whether an address lies within the file.
func (m *fileMap) holds(addr uintptr) bool {
	return m != nil && addr-m.base() < uintptr(len(m.data))
}

// base is where the file begins.
func (m *fileMap) base() uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(m.data))) }

// faultsPanic makes faults of this goroutine panics that can be caught, and returns what it was before. REQUIRES: catchFault is deferred.
func faultsPanic() bool { return debug.SetPanicOnFault(true) }

// catchFault ends what faultsPanic began. If a page of one of the files could not be read, because the file was cut or its disk failed, it
// returns that as an error, and the file. It is to be called with recover's result.
func catchFault(was bool, recovered any, maps ...*fileMap) (*fileMap, error) {
	debug.SetPanicOnFault(was)
	if recovered == nil {
		return nil, nil
	}
	fault, isFault := recovered.(interface {
		runtime.Error
		Addr() uintptr
	})
	if isFault {
		for _, m := range maps {
			if m.holds(fault.Addr()) {
				return m, &fs.PathError{Op: "read mapped", Path: m.path, Err: fmt.Errorf("%w", fault)}
			}
		}
	}
	panic(recovered) // INVARIANT: only mapped files fault; whatever else this is, it was a panic already
}
