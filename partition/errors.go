package partition

import (
	"errors"
	"fmt"
	"strings"

	"github.com/selkiedb/selkie/column"
)

var (
	// ErrDuplicateKey is what every DuplicateKeyError is.
	ErrDuplicateKey = errors.New("duplicate primary key")
	// ErrVersion is returned for a log record that is intact, and of a version that this code does not know.
	ErrVersion = errors.New("unknown format version")
	// ErrDropped is returned by a write or a read of a partition that was dropped meanwhile.
	ErrDropped = errors.New("partition was dropped")
	// ErrSchema is returned for a write that was checked against another version of the schema.
	ErrSchema = errors.New("schema changed meanwhile")
	// ErrChanged is returned for a write whose keys are held by other rows than those that it was made of.
	ErrChanged = errors.New("rows changed meanwhile")
)

// maxNamedKeys is how many keys a DuplicateKeyError names.
const maxNamedKeys = 10

// DuplicateKeyError names the keys for which an insert was refused. Nothing was inserted.
type DuplicateKeyError struct {
	Keys  []column.Key // at most the first ten
	Rows  []int        // their rows in the batch
	Total int
	Twice bool // the batch itself holds the key twice; else the partition holds it already
}

// Error names the keys and their rows.
func (e *DuplicateKeyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: ", ErrDuplicateKey)
	for i, k := range e.Keys {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (row %d)", k, e.Rows[i])
	}
	if more := e.Total - len(e.Keys); more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	if e.Twice {
		b.WriteString(": twice in one call")
	} else {
		b.WriteString(": held already")
	}
	return b.String()
}

// Is makes errors.Is(err, ErrDuplicateKey) true.
func (e *DuplicateKeyError) Is(target error) bool { return target == ErrDuplicateKey }
