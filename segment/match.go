package segment

import (
	"bytes"
	"context"
	"math/bits"
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

// matchRows is the number of rows that Match looks at together: a multiple of 64.
const matchRows = 8192

// Match finds the rows of a view that a filter lets through, dead ones among them: bit r%64 of word r/64 stands for row r. words is dst, if
// that is large enough. nil words mean that all rows match.
//
// Where the primary keys that can match are known, only their rows are looked at; elsewhere blocks that no row of can match are left
// out by the bounds of their chunks.
func Match(ctx context.Context, v View, e *filter.Expr, dst []uint64) (words []uint64, err error) {
	if e == nil || e.AlwaysTrue() {
		return nil, ctx.Err()
	}
	n := v.Rows()
	words = slices.Grow(dst[:0], int(n+63)/64)[:(n+63)/64]
	clear(words)
	if e.AlwaysFalse() {
		return words, ctx.Err()
	}
	if keys, ok := e.Keys(); ok && uint32(keys.Len()) < n {
		return words, matchKeys(ctx, v, e, keys, words)
	}
	m := &matcher{ctx: ctx, v: v, builders: map[int64]*column.Builder{}}
	for lo := uint32(0); lo < n; lo += matchRows {
		hi := min(lo+matchRows, n)
		if err := m.block(e, lo, hi, words[lo/64:(hi+63)/64]); err != nil {
			return nil, err
		}
	}
	return words, nil
}

// CountWords returns the number of bits set.
func CountWords(words []uint64) (n int) {
	for _, w := range words {
		n += bits.OnesCount64(w)
	}
	return n
}

// matchKeys sets the bits of those rows of the keys that match.
func matchKeys(ctx context.Context, v View, e *filter.Expr, keys column.Keys, words []uint64) error {
	var rows []uint32
	if err := v.Find(ctx, keys, func(_ int, row uint32) { rows = append(rows, row) }); err != nil {
		return err
	}
	slices.Sort(rows)
	rows = slices.Compact(rows)
	found := make([]uint64, (len(rows)+63)/64)
	err := e.Eval(&filter.Block{Rows: len(rows), Base: uint64(v.ID()) << 32, Column: func(f *schema.Field) (column.Data, error) {
		b := column.NewBuilder(f.Width(), f.IsNullable)
		err := v.Read(ctx, f, rows, b)
		return b.Data(), err
	}}, found)
	for i, row := range rows {
		if found[i/64]>>(i%64)&1 != 0 {
			words[row/64] |= 1 << (row % 64)
		}
	}
	return err
}

// matcher evaluates a filter block by block.
type matcher struct {
	ctx      context.Context
	v        View
	builders map[int64]*column.Builder // by field; reused
}

func (m *matcher) block(e *filter.Expr, lo, hi uint32, words []uint64) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if s, ok := m.v.(*SealedView); ok {
		stats := func(f *schema.Field) (filter.Stats, bool) { return s.stats(f, lo, hi) }
		if !e.CanMatch(stats) {
			return nil
		}
		if e.MustMatch(stats) {
			for i := range hi - lo {
				words[i/64] |= 1 << (i % 64)
			}
			return nil
		}
	}
	return e.Eval(&filter.Block{
		Rows: int(hi - lo), Base: uint64(m.v.ID())<<32 | uint64(lo),
		Column: func(f *schema.Field) (column.Data, error) { return m.read(f, lo, hi) },
	}, words)
}

// read copies a field's values for a block.
func (m *matcher) read(f *schema.Field, lo, hi uint32) (column.Data, error) {
	b := m.builders[f.ID]
	if b == nil {
		b = column.NewBuilder(f.Width(), f.IsNullable)
		m.builders[f.ID] = b
	}
	b.Reset()
	err := m.v.Scan(m.ctx, f, lo, hi, func(_ uint32, d column.Data) error {
		b.AppendData(d, 0, d.Rows)
		return nil
	})
	return b.Data(), err
}

// stats is what the meta says of a field's values in rows [lo, hi).
func (v *SealedView) stats(f *schema.Field, lo, hi uint32) (filter.Stats, bool) {
	c := v.s.cols[uint32(f.ID)]
	if c == nil || len(c.bounds) == 0 {
		return filter.Stats{}, false
	}
	st := filter.Stats{Rows: int(hi-lo) + 1}
	if c.nulls > 0 {
		st.Nulls = 1 // that there are some is all that is known
	}
	for chunk := c.chunkOf(lo); chunk <= c.chunkOf(hi-1); chunk++ {
		b := c.bounds[chunk]
		if len(b.Min) == 0 && len(b.Max) == 0 && c.typ != schema.TypeVarChar {
			continue // all null
		}
		if c.typ == schema.TypeVarChar && len(b.Max) == 0 {
			return filter.Stats{}, false // unbounded
		}
		if st.Max == nil || bytes.Compare(b.Min, st.Min) < 0 {
			st.Min = b.Min
		}
		if st.Max == nil || bytes.Compare(b.Max, st.Max) > 0 {
			st.Max = b.Max
		}
	}
	return st, true
}
