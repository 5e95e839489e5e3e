package segment

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// TermCounts is what BM25 needs to know of a set of texts.
type TermCounts struct {
	Texts  int64   // those that are not null
	Length int64   // the sum of their lengths, in terms
	With   []int64 // for each term asked for, the texts that have it
}

// Add adds the counts of another set, asked for the same terms.
func (c *TermCounts) Add(o TermCounts) {
	c.Texts += o.Texts
	c.Length += o.Length
	for i, n := range o.With {
		c.With[i] += n
	}
}

// termPair is the size of a (term uint32, occurrences float32) pair.
const termPair = 8

// CountTerms counts the live rows of a view in a field that holds the terms of texts. terms ascend.
//
// A sealed segment is read through once, dead rows included, and keeps what it had of every term: 8 bytes each, counted as its memory. After that its
// dead rows alone are read.
func CountTerms(ctx context.Context, v View, f *schema.Field, terms []uint32) (TermCounts, error) {
	sum := TermCounts{With: make([]int64, len(terms))}
	sealed, ok := v.(*SealedView)
	if !ok {
		dead := v.Dead()
		err := v.Scan(ctx, f, 0, v.Rows(), func(first uint32, d column.Data) error {
			for i := range d.Rows {
				if !dead.Has(first + uint32(i)) {
					sum.count(d, i, terms, 1)
				}
			}
			return ctx.Err()
		})
		return sum, err
	}
	whole, err := sealed.s.allTerms(ctx, f)
	if err != nil {
		return sum, err
	}
	sum.Texts, sum.Length = whole.texts, whole.length
	for i, t := range terms {
		if at, ok := slices.BinarySearch(whole.terms, t); ok {
			sum.With[i] = int64(whole.with[at])
		}
	}
	return sum, sealed.lessDead(ctx, f, terms, &sum)
}

// lessDead takes the view's dead rows out of counts that have them.
func (v *SealedView) lessDead(ctx context.Context, f *schema.Field, terms []uint32, sum *TermCounts) error {
	if v.dead.Count() == 0 || v.s.cols[uint32(f.ID)] == nil {
		return nil
	}
	rows := make([]uint32, 0, min(v.dead.Count(), matchRows))
	b := column.NewBuilder(0, f.IsNullable)
	var err error
	read := func() {
		b.Reset()
		if err = v.Read(ctx, f, rows, b); err == nil {
			for i := range rows {
				sum.count(b.Data(), i, terms, -1)
			}
		}
		rows = rows[:0]
	}
	v.dead.Each(func(row uint32) {
		if err == nil && row < v.Rows() {
			if rows = append(rows, row); len(rows) == matchRows {
				read()
			}
		}
	})
	if err == nil && len(rows) > 0 {
		read()
	}
	return err
}

// count adds row i of d, sign times.
func (c *TermCounts) count(d column.Data, i int, terms []uint32, sign int64) {
	if d.IsNull(i) {
		return
	}
	c.Texts += sign
	next := 0
	for raw := d.Value(i); len(raw) >= termPair; raw = raw[termPair:] {
		term := binary.LittleEndian.Uint32(raw)
		c.Length += sign * int64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4:])))
		for next < len(terms) && terms[next] < term {
			next++
		}
		if next < len(terms) && terms[next] == term {
			c.With[next] += sign
		}
	}
}

// fieldTerms is what all rows of a sealed segment have of every term.
type fieldTerms struct {
	texts, length int64
	terms         []uint32 // ascending
	with          []uint32 // rows that have it
}

// keptTerms are the terms of a segment's fields, as far as they were asked for.
type keptTerms struct {
	mu     sync.Mutex // innermost
	fields map[int64]*fieldTerms
}

func (k *keptTerms) find(id int64) *fieldTerms {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fields[id]
}

func (k *keptTerms) keep(id int64, t *fieldTerms) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fields == nil {
		k.fields = map[int64]*fieldTerms{}
	}
	k.fields[id] = t
}

func (k *keptTerms) bytes() (n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.fields {
		n += int64(4 * (len(t.terms) + len(t.with)))
	}
	return n
}

// allTerms reads a field through, unless that was done before.
func (s *Sealed) allTerms(ctx context.Context, f *schema.Field) (*fieldTerms, error) {
	if t := s.terms.find(f.ID); t != nil {
		return t, nil
	}
	t := &fieldTerms{}
	c := s.cols[uint32(f.ID)]
	if c == nil {
		return t, nil // the field came later: all its rows are null
	}
	with := map[uint32]uint32{}
	err := s.walkChunks(ctx, c, 0, len(c.starts), func(_ int, d column.Data) error {
		for i := range d.Rows {
			if d.IsNull(i) {
				continue
			}
			t.texts++
			for raw := d.Value(i); len(raw) >= termPair; raw = raw[termPair:] {
				with[binary.LittleEndian.Uint32(raw)]++
				t.length += int64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4:])))
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	t.terms = make([]uint32, 0, len(with))
	for term := range with {
		t.terms = append(t.terms, term)
	}
	slices.Sort(t.terms)
	t.with = make([]uint32, len(t.terms))
	for i, term := range t.terms {
		t.with[i] = with[term]
	}
	s.terms.keep(f.ID, t)
	return t, nil
}
