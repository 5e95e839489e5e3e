package machine

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

// CanPin reports whether this platform can bind a process to a core.
const CanPin = true

// Pinned calls start on a thread that is bound to one core: a process that start starts inherits that, with all its
// threads. A negative core binds nothing.
func Pinned(core int, start func() error) error {
	if core < 0 {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	only.Set(core)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return err
	}
	err := start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}
