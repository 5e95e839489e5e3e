package partition

import (
	"context"
	"math/bits"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/vector"
)

// gatherShare: rows that match are scored one by one where fewer than one in so many do; else all rows are, which is quicker a row.
const gatherShare = 4

// gatherRows is the number of rows scored by one call.
const gatherRows = 1024

// gather scores the rows of the set alone. ok is false where the segment cannot give single rows of the field.
func (s *scan) gather(ctx context.Context, view *segment.SealedView, f *schema.Field, queries []*vector.Query, set *segment.RowSet) (scored int, ok bool, err error) {
	dead := view.Dead()
	if len(s.scores) < gatherRows {
		s.scores = make([]float32, gatherRows)
	}
	rows := s.rows[:0]
	flush := func() error {
		for q, query := range queries {
			if ok, err = view.Score(ctx, f, query, rows, s.scores[:len(rows)]); !ok || err != nil {
				return err
			}
			leaveOutside(s.scores[:len(rows)], s.within)
			s.top[q].PushList(s.scores[:len(rows)], rows)
		}
		scored += len(rows)
		rows = rows[:0]
		return nil
	}
	for i, word := range set.Words {
		for ; word != 0; word &= word - 1 {
			if row := uint32(i*64 + bits.TrailingZeros64(word)); !dead.Has(row) {
				rows = append(rows, row)
			}
		}
		if len(rows) > gatherRows-64 {
			if err := flush(); !ok || err != nil {
				return scored, ok, err
			}
		}
	}
	err = flush()
	s.rows = rows
	return scored, ok, err
}
