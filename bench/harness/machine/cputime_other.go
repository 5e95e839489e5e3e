//go:build !unix

package machine

import "time"

// CPUTime is not known on this platform.
func CPUTime() time.Duration { return 0 }
