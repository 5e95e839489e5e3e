package partition

import (
	"context"
	"math/bits"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// Matches are the live rows of a snapshot that a filter lets through.
type Matches struct {
	s     *Snapshot
	words [][]uint64 // by view; nil: all rows of the view that are alive
}

// Match evaluates a filter; nil lets every row through.
func (s *Snapshot) Match(ctx context.Context, e *filter.Expr) (*Matches, error) {
	m := &Matches{s: s, words: make([][]uint64, len(s.views))}
	for i, v := range s.views {
		words, err := segment.Match(ctx, v, e, nil)
		if err != nil {
			return nil, err
		}
		m.words[i] = words
		v.Dead().Each(func(row uint32) {
			if words != nil {
				words[row/64] &^= 1 << (row % 64)
			}
		})
	}
	return m, nil
}

// Count is the number of rows.
func (m *Matches) Count() (n int64) {
	for i, v := range m.s.views {
		if m.words[i] == nil {
			n += int64(v.Rows()) - int64(v.Dead().Count())
		} else {
			n += int64(segment.CountWords(m.words[i]))
		}
	}
	return n
}

// allows reports whether a live row of a view matches.
func (m *Matches) allows(view, row uint32) bool {
	w := m.words[view]
	return w == nil || w[row/64]>>(row%64)&1 != 0
}

// Keys reads the primary keys of all rows, up to a number of them; more reports that there are others. They are in no order.
func (m *Matches) Keys(ctx context.Context, key *schema.Field, most int) (keys column.Keys, more bool, err error) {
	b := column.NewBuilder(key.Width(), false)
	for i, v := range m.s.views {
		var rows []uint32
		m.each(i, func(row uint32) bool {
			rows = append(rows, row)
			return b.Rows()+len(rows) <= most
		})
		if b.Rows()+len(rows) > most {
			return column.Keys{}, true, nil
		}
		if len(rows) > 0 {
			if err := v.Read(ctx, key, rows, b); err != nil {
				return column.Keys{}, false, err
			}
		}
	}
	return column.KeysOf(key, b.Data()), false, nil
}

// each calls fn for the rows of a view, ascending, until it returns false.
func (m *Matches) each(view int, fn func(row uint32) bool) {
	v := m.s.views[view]
	dead := v.Dead()
	if m.words[view] == nil {
		for row := range v.Rows() {
			if !dead.Has(row) && !fn(row) {
				return
			}
		}
		return
	}
	for i, w := range m.words[view] {
		for ; w != 0; w &= w - 1 {
			if !fn(uint32(i*64 + bits.TrailingZeros64(w))) {
				return
			}
		}
	}
}
