package graph

import (
	"context"
	"errors"
	"fmt"

	"github.com/selkiedb/selkie/vector"
)

// Source gives the vectors of a segment, decoded to float32, in the order of
// their row offsets. A build reads it from the first row to the last, in
// blocks, and a sample of its rows before that; never from two goroutines at
// once.
type Source interface {
	// Rows returns the number of rows. It does not change.
	Rows() int
	// Dim returns the number of elements of every row.
	Dim() int
	// Read writes rows lo to hi-1 into dst, which has (hi-lo)×Dim elements. The
	// elements must be finite.
	Read(lo, hi int, dst []float32) error
}

// Vectors is a Source of rows that lie in memory, row after row.
type Vectors struct {
	Elements  []float32
	Dimension int
}

// Rows returns the number of whole rows.
func (v Vectors) Rows() int { return len(v.Elements) / v.Dimension }

// Dim returns the number of elements of a row.
func (v Vectors) Dim() int { return v.Dimension }

// Read copies rows lo to hi-1.
func (v Vectors) Read(lo, hi int, dst []float32) error {
	copy(dst, v.Elements[lo*v.Dimension:hi*v.Dimension])
	return nil
}

// ErrInvalid is wrapped by every error that blames what the caller gave.
var ErrInvalid = errors.New("invalid graph input")

// ErrMemory is wrapped by the error of a build that does not fit into its
// memory budget; the text says how much it needs.
var ErrMemory = errors.New("memory budget too small")

// maxRows keeps a bit free beside each row in the search's packed keys.
const maxRows = 1<<31 - 1

// checkSource refuses what no index can be built of.
func checkSource(src Source, m vector.Metric) error {
	if m != vector.L2 && m != vector.IP && m != vector.Cosine {
		return fmt.Errorf("%w: metric %v, want L2, IP or COSINE", ErrInvalid, m)
	}
	if d := src.Dim(); d < 1 || d > vector.MaxDim {
		return fmt.Errorf("%w: dimension %d, want 1 to %d", ErrInvalid, d, vector.MaxDim)
	}
	if n := src.Rows(); n < 0 || n > maxRows {
		return fmt.Errorf("%w: %d rows, want at most %d", ErrInvalid, n, maxRows)
	}
	return nil
}

// readBlocks streams all rows of src through visit, in order, in blocks of
// about 256 KiB.
func readBlocks(ctx context.Context, src Source, visit func(lo, hi int, rows []float32)) error {
	n, d := src.Rows(), src.Dim()
	step := min(blockRows(d), n)
	buf := make([]float32, step*d)
	for lo := 0; lo < n; lo += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		hi := min(lo+step, n)
		rows := buf[:(hi-lo)*d]
		if err := src.Read(lo, hi, rows); err != nil {
			return fmt.Errorf("read rows %d to %d: %w", lo, hi-1, err)
		}
		visit(lo, hi, rows)
	}
	return nil
}

func blockRows(dim int) int { return max(1, (64<<10)/dim) }
