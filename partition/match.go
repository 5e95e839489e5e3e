package partition

import (
	"context"
	"math/bits"
	"time"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// Matches are the live rows of a snapshot that a filter lets through.
type Matches struct {
	s    *Snapshot
	sets []*segment.RowSet // by view; nil: all rows. Dead rows may be in them
}

// Match evaluates a filter; nil lets every row through. explain, if it is not nil, gets how that was done.
func (s *Snapshot) Match(ctx context.Context, e *filter.Expr, explain *query.Receipt) (*Matches, error) {
	m := &Matches{s: s, sets: make([]*segment.RowSet, len(s.views))}
	if explain != nil {
		s.explainAll(explain)
	}
	if e == nil {
		return m, nil
	}
	if explain != nil {
		explain.Filter = e.String()
	}
	key := e.Key()
	for i, v := range s.views {
		begin := time.Now()
		set, by, err := segment.Match(ctx, v, e, key)
		if err != nil {
			return nil, err
		}
		m.sets[i] = set
		if explain != nil {
			explainMatch(&explain.Segments[i], set, by, time.Since(begin))
		}
	}
	return m, nil
}

// Count is the number of rows.
func (m *Matches) Count() (n int64) {
	for i, v := range m.s.views {
		set := m.sets[i]
		if set == nil {
			n += int64(v.Rows()) - int64(v.Dead().Count())
			continue
		}
		n += int64(set.Count)
		v.Dead().Each(func(row uint32) {
			if set.Has(row) {
				n--
			}
		})
	}
	return n
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
	if m.sets[view] == nil {
		for row := range v.Rows() {
			if !dead.Has(row) && !fn(row) {
				return
			}
		}
		return
	}
	for i, w := range m.sets[view].Words {
		for ; w != 0; w &= w - 1 {
			if row := uint32(i*64 + bits.TrailingZeros64(w)); !dead.Has(row) && !fn(row) {
				return
			}
		}
	}
}
