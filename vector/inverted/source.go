package inverted

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/selkiedb/selkie/vector"
)

// Source gives the sparse vectors of a segment in the order of their row
// offsets. A build reads all of it twice, one time after the other, and must
// find the same rows both times.
type Source interface {
	// Rows returns the number of rows, absent ones included. It does not change.
	Rows() int
	// Each calls visit with all rows, in order, in blocks: row first+i is
	// data[offs[i]:offs[i+1]], (uint32 index, float32 value) pairs in the sense
	// of vector.CheckSparse. valid, if not nil, has a byte for each row, 0 where
	// the row is absent (a null); it is then never found. An empty vector is not
	// absent. visit does not keep its arguments; an error of it ends Each, which
	// returns it.
	Each(ctx context.Context, visit func(first uint32, offs []uint32, data, valid []byte) error) error
}

// Vectors is a Source of rows that lie in memory, in one block of the layout
// that Source.Each gives.
type Vectors struct {
	Offs  []uint32
	Data  []byte
	Valid []byte // may be nil
}

// Rows returns the number of rows.
func (v Vectors) Rows() int { return max(0, len(v.Offs)-1) }

// Each visits all rows in blocks of 1024, so that a build can be cancelled.
func (v Vectors) Each(ctx context.Context, visit func(first uint32, offs []uint32, data, valid []byte) error) error {
	const step = 1024
	for lo := 0; lo < v.Rows(); lo += step {
		hi := min(lo+step, v.Rows())
		valid := v.Valid
		if valid != nil {
			valid = valid[lo:hi]
		}
		if err := visit(uint32(lo), v.Offs[lo:hi+1], v.Data, valid); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// ErrInvalid is wrapped by every error that blames what the caller gave.
var ErrInvalid = errors.New("invalid input of an inverted index")

// ErrMemory is wrapped by the error of a build that does not fit into its
// memory budget; the text says how much it needs.
var ErrMemory = errors.New("memory budget too small")

// Limits of one index.
const (
	maxRows     = math.MaxInt32
	maxPostings = math.MaxInt32
	maxTerms    = 1 << 30 // keeps the slots of a build below 2^32
)

// pairBytes is the size of one (uint32 index, float32 value) pair.
const pairBytes = 8

// readRows streams src through visit, row by row, an absent row as nil. It
// checks what Each is to keep to, the rows' own form included.
func readRows(ctx context.Context, src Source, visit func(row uint32, raw []byte, absent bool) error) error {
	n := src.Rows()
	next := 0
	err := src.Each(ctx, func(first uint32, offs []uint32, data, valid []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows := max(0, len(offs)-1)
		if int64(first) != int64(next) || rows > n-next {
			return fmt.Errorf("%w: a block of %d rows from row %d, want it to begin at %d of %d", ErrInvalid, rows, first, next, n)
		}
		if valid != nil && len(valid) < rows {
			return fmt.Errorf("%w: validity of %d rows, want %d", ErrInvalid, len(valid), rows)
		}
		for i := range rows {
			row := uint32(next + i)
			if valid != nil && valid[i] == 0 {
				if err := visit(row, nil, true); err != nil {
					return err
				}
				continue
			}
			lo, hi := offs[i], offs[i+1]
			if lo > hi || uint64(hi) > uint64(len(data)) {
				return fmt.Errorf("%w: row %d lies at %d to %d of %d bytes", ErrInvalid, row, lo, hi, len(data))
			}
			raw := data[lo:hi]
			if err := vector.CheckSparse(raw); err != nil {
				return fmt.Errorf("%w: row %d: %w", ErrInvalid, row, err)
			}
			if err := visit(row, raw, false); err != nil {
				return err
			}
		}
		next += rows
		return nil
	})
	if err != nil {
		return fmt.Errorf("read sparse vectors: %w", err)
	}
	if next != n {
		return fmt.Errorf("%w: a source of %d rows gave %d", ErrInvalid, n, next)
	}
	return nil
}
