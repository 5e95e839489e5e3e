package segment

import (
	"context"
	"sync"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

var scorers = sync.Pool{New: func() any { return &denseSearcher{} }}

// Score writes the scores of single rows to out, at the price of a few loads from memory each once their chunks have been touched. ok is
// false, and nothing is done, unless the field is one of dense vectors that the segment holds, none of them null, and the query is for it.
func (v *SealedView) Score(ctx context.Context, f *schema.Field, q *vector.Query, rows []uint32, out []float32) (ok bool, err error) {
	c := v.s.cols[uint32(f.ID)]
	if c == nil || c.nulls > 0 || elementOf(c.typ) == vector.ElementInvalid || elementOf(c.typ) != q.Element() {
		return false, ctx.Err()
	}
	col, err := v.s.columnOf(f)
	if err != nil || col == nil {
		return false, err
	}
	s, _ := scorers.Get().(*denseSearcher)
	was := faultsPanic()
	defer func() {
		// After a fault the scratch space is left to the collector.
		if _, fault := catchFault(was, recover(), col.file); fault != nil {
			err = fault
		}
	}()
	s.col, s.ctx, s.query = col, ctx, q
	err = s.exact(rows, out)
	s.col, s.ctx, s.query = nil, nil, nil
	clear(s.rows)
	scorers.Put(s)
	return true, err
}
