package graph

import (
	"context"
	"fmt"
)

// Check tells whether every vector can be found: each row with a vector must be
// reachable from where searches begin. Open has checked all numbers and sums.
// The error matches ErrCorrupt, or is that of ctx.
func (ix *Index) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil || ix.Flat() || ix.n == 0 {
		return err
	}
	if reached := ix.reachable(); reached != ix.n {
		return fmt.Errorf("%w: %d of %d vectors cannot be reached", ErrCorrupt, ix.n-reached, ix.n)
	}
	return ctx.Err()
}
