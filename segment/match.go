package segment

import (
	"bytes"
	"context"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

// matchRows is the number of rows that Match looks at together: a multiple of 64.
const matchRows = 8192

// RowSet is the rows of a segment that a filter lets through, dead ones among them. It must not be changed.
type RowSet struct {
	Words []uint64 // bit r%64 of word r/64 stands for row r
	Count int
}

// Has reports whether a row is in the set; nil holds every row.
func (s *RowSet) Has(row uint32) bool { return s == nil || s.Words[row/64]>>(row%64)&1 != 0 }

// Match finds the rows of a view that a filter lets through; nil means all of them. key is e.String(): a sealed segment keeps the sets of the last
// few filters by it.
//
// Where the primary keys that can match are known, only their rows are looked at; elsewhere blocks that no row of can match are left
// out by the bounds of their chunks.
func Match(ctx context.Context, v View, e *filter.Expr, key string) (*RowSet, error) {
	if e == nil || e.AlwaysTrue() {
		return nil, ctx.Err()
	}
	n := v.Rows()
	set := &RowSet{Words: make([]uint64, (n+63)/64)}
	if e.AlwaysFalse() {
		return set, ctx.Err()
	}
	if keys, ok := e.Keys(); ok && uint32(keys.Len()) < n {
		err := matchKeys(ctx, v, e, keys, set.Words)
		set.Count = countWords(set.Words)
		return set, err
	}
	sealed, ok := v.(*SealedView)
	kept := ok && !strings.Contains(key, "random_sample")
	if kept {
		if set := sealed.s.matches.find(key); set != nil {
			return set, ctx.Err()
		}
	}
	m := &matcher{ctx: ctx, v: v, builders: map[int64]*column.Builder{}}
	for lo := uint32(0); lo < n; lo += matchRows {
		hi := min(lo+matchRows, n)
		if err := m.block(e, lo, hi, set.Words[lo/64:(hi+63)/64]); err != nil {
			return nil, err
		}
	}
	set.Count = countWords(set.Words)
	if kept {
		sealed.s.matches.keep(key, set)
	}
	return set, nil
}

func countWords(words []uint64) (n int) {
	for _, w := range words {
		n += bits.OnesCount64(w)
	}
	return n
}

// keptSets is the number of row sets that a sealed segment keeps: a bit a row each.
const keptSets = 8

// keptMatches are the row sets of the last filters, the newest first.
type keptMatches struct {
	mu   sync.Mutex // innermost
	keys []string
	sets []*RowSet
}

func (k *keptMatches) find(key string) *RowSet {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.Index(k.keys, key)
	if i < 0 {
		return nil
	}
	set := k.sets[i]
	k.first(i, key, set)
	return set
}

func (k *keptMatches) keep(key string, set *RowSet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.Index(k.keys, key)
	if i < 0 {
		if i = len(k.keys); i == keptSets {
			i--
		} else {
			k.keys, k.sets = append(k.keys, ""), append(k.sets, nil)
		}
	}
	k.first(i, key, set)
}

// first moves what is before place i back by one and puts the set in front. REQUIRES: mu is held.
func (k *keptMatches) first(i int, key string, set *RowSet) {
	copy(k.keys[1:], k.keys[:i])
	copy(k.sets[1:], k.sets[:i])
	k.keys[0], k.sets[0] = key, set
}

func (k *keptMatches) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.sets = nil, nil
}

func (k *keptMatches) bytes() (n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.sets {
		n += int64(8 * len(s.Words))
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
