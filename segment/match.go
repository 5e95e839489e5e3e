package segment

import (
	"bytes"
	"context"
	"errors"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

// matchRows is the most rows that Match looks at together: a multiple of 64.
const matchRows = 16384

// RowSet is the rows of a segment that a filter lets through, dead ones among them. It must not be changed.
type RowSet struct {
	Words []uint64 // bit r%64 of word r/64 stands for row r
	Count int
}

// Has reports whether a row is in the set; nil holds every row.
func (s *RowSet) Has(row uint32) bool { return s == nil || s.Words[row/64]>>(row%64)&1 != 0 }

// Matching says how Match went about it.
type Matching struct {
	Way      string   // "keys", "kept", "index", "index and values", "values", "none", "all"
	Indexes  []string // scalar indexes that were asked, by their fields
	Compared int64    // rows whose values were looked at
}

// Match finds the rows of a view that a filter lets through; nil means all of them. key is e.String(): a sealed segment keeps the sets of the last
// few filters by it.
//
// Where the primary keys that can match are known, only their rows are looked at; elsewhere blocks that no row of can match are left
// out by the bounds of their chunks.
func Match(ctx context.Context, v View, e *filter.Expr, key string) (*RowSet, Matching, error) {
	if e == nil || e.AlwaysTrue() {
		return nil, Matching{Way: "all"}, ctx.Err()
	}
	n := v.Rows()
	sealed, ok := v.(*SealedView)
	kept := ok && !strings.Contains(key, "random_sample")
	if kept {
		if set := sealed.s.matches.find(key); set != nil {
			return set, Matching{Way: "kept"}, ctx.Err()
		}
	}
	set := &RowSet{Words: make([]uint64, (n+63)/64)}
	if e.AlwaysFalse() {
		return set, Matching{Way: "none"}, ctx.Err()
	}
	if keys, ok := e.Keys(); ok && uint32(keys.Len()) < n {
		looked, err := matchKeys(ctx, v, e, keys, set.Words)
		set.Count = countWords(set.Words)
		return set, Matching{Way: "keys", Compared: looked}, err
	}
	by, err := matchBlocks(ctx, v, e, set.Words)
	if err != nil {
		return nil, by, err
	}
	set.Count = countWords(set.Words)
	if kept {
		sealed.s.matches.keep(key, set)
	}
	return set, by, nil
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

// matchKeys sets the bits of those rows of the keys that match, and returns the number of rows it looked at.
func matchKeys(ctx context.Context, v View, e *filter.Expr, keys column.Keys, words []uint64) (looked int64, err error) {
	var rows []uint32
	if err := v.Find(ctx, keys, func(_ int, row uint32) { rows = append(rows, row) }); err != nil {
		return 0, err
	}
	slices.Sort(rows)
	rows = slices.Compact(rows)
	found := make([]uint64, (len(rows)+63)/64)
	err = e.Eval(&filter.Block{Rows: len(rows), Base: uint64(v.ID()) << 32, Column: func(f *schema.Field) (column.Data, error) {
		b := column.NewBuilder(f.Width(), f.IsNullable)
		err := v.Read(ctx, f, rows, b)
		return b.Data(), err
	}}, found)
	for i, row := range rows {
		if found[i/64]>>(i%64)&1 != 0 {
			words[row/64] |= 1 << (row % 64)
		}
	}
	return int64(len(rows)), err
}

// matchBlocks evaluates a filter over all rows, block by block.
func matchBlocks(ctx context.Context, v View, e *filter.Expr, words []uint64) (by Matching, err error) {
	m := &matcher{ctx: ctx, v: v, blocks: newBlockReader(v)}
	m.sealed, _ = v.(*SealedView)
	defer func() { err = errors.Join(err, m.blocks.close()) }()
	by.Way = "values"
	if m.sealed != nil {
		m.asked = m.sealed.s.ask(e)
		by.Indexes = m.asked.indexes
		switch {
		case m.asked.all:
			by.Way = "index"
			return by, m.eval(e, 0, v.Rows(), words)
		case m.asked.answers != nil:
			by.Way = "index and values"
		}
	}
	fields := e.Fields()
	for lo, n := uint32(0), v.Rows(); lo < n; {
		hi := m.blocks.end(fields, lo, min(lo+matchRows, n))
		if err := m.block(e, lo, hi, words[lo/64:(hi+63)/64]); err != nil {
			return Matching{}, err
		}
		lo = hi
	}
	by.Compared = m.compared
	return by, nil
}

// matcher evaluates a filter block by block.
type matcher struct {
	ctx      context.Context
	v        View
	sealed   *SealedView // nil for a growing segment
	blocks   *blockReader
	asked    asked
	compared int64
}

func (m *matcher) block(e *filter.Expr, lo, hi uint32, words []uint64) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if m.sealed != nil {
		stats := func(f *schema.Field) (filter.Stats, bool) { return m.sealed.stats(f, lo, hi) }
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
	m.compared += int64(hi - lo)
	return m.eval(e, lo, hi, words)
}

func (m *matcher) eval(e *filter.Expr, lo, hi uint32, words []uint64) error {
	return e.Eval(&filter.Block{
		Rows: int(hi - lo), Base: uint64(m.v.ID())<<32 | uint64(lo), Answers: m.asked.answers, First: int(lo),
		Column: func(f *schema.Field) (column.Data, error) { return m.blocks.read(m.ctx, f, lo, hi) },
	}, words)
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
