package segment

import (
	"errors"
	"fmt"
)

// ErrCorrupt is what every CorruptionError is.
var ErrCorrupt = errors.New("corrupt")

// ErrVersion is returned for a segment that is intact, and of a format version that this code does not know.
var ErrVersion = errors.New("unknown format version")

// CorruptionError reports bytes of a segment that are not what was written.
type CorruptionError struct {
	Path   string // the file
	Offset int64  // where in the file the damaged piece begins; -1 when the file as a whole is meant
	Kind   string // what is wrong: "missing", "size", "checksum", "identity", "format"; of index files also "magic", "length", "value"
	Err    error
}

// Error names the file, the offset and what is wrong.
func (e *CorruptionError) Error() string {
	where := e.Path
	if e.Offset >= 0 {
		where = fmt.Sprintf("%s at offset %d", e.Path, e.Offset)
	}
	return fmt.Sprintf("corrupt segment file %s: %s: %v", where, e.Kind, e.Err)
}

// Unwrap gives the cause.
func (e *CorruptionError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptionError) Is(target error) bool { return target == ErrCorrupt }
