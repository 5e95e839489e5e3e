package index

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

var (
	// ErrType is returned for a field of a type that cannot be indexed.
	ErrType = errors.New("no index of this type")
	// ErrMemory is returned for a build that would take more memory than it may.
	ErrMemory = errors.New("the index needs more memory than its build may take")
	// ErrTooLarge is returned for a field whose values are too many, or too long together, for the file.
	ErrTooLarge = errors.New("too much to index")
)

// Source gives a build the values of a field.
type Source interface {
	Field() *schema.Field
	Rows() int
	// Path is the place in a JSON field that is indexed, and which values there; nil and 0 of other fields.
	Path() (*filter.Path, filter.Cast)
	// Each visits the values of all rows, in order. The data is valid during the call only.
	Each(ctx context.Context, visit func(first uint32, d column.Data) error) error
}

// Supports reports whether a field can be indexed.
func Supports(f *schema.Field) bool {
	t := f.Type
	if t == schema.TypeArray {
		t = f.ElementType
	}
	switch t {
	case schema.TypeBool, schema.TypeInt8, schema.TypeInt16, schema.TypeInt32, schema.TypeInt64, schema.TypeFloat, schema.TypeDouble, schema.TypeVarChar:
		return true
	}
	return false
}

// entry is a value in a row: its key, or where its text begins.
type entry struct {
	key uint64
	row uint32
	len uint32 // of a text
}

const maxEntries = 1 << 30

// builder collects the entries of a field.
type builder struct {
	ix      *Index
	elem    schema.DataType
	entries []entry
	text    []byte
	budget  int64
}

// Build makes the index of a field. budget bounds the bytes of memory that it takes on the way; 0 is no bound. The error is ctx's, the source's,
// ErrType, ErrMemory or ErrTooLarge.
func Build(ctx context.Context, src Source, budget int64) (*Index, error) {
	f := src.Field()
	path, cast := src.Path()
	if path == nil && !Supports(f) || path != nil && path.Field() != f {
		return nil, fmt.Errorf("%w: %q of type %v", ErrType, f.Name, f.Type)
	}
	b := &builder{ix: &Index{rows: src.Rows()}, elem: f.Type, budget: budget}
	if path != nil {
		return b.json(ctx, src, path, cast)
	}
	if b.ix.multi = f.Type == schema.TypeArray; b.ix.multi {
		b.elem = f.ElementType
	}
	b.ix.texts = b.elem == schema.TypeVarChar
	b.ix.present = make([]uint64, b.ix.words())
	err := src.Each(ctx, func(first uint32, d column.Data) error {
		for i := range d.Rows {
			if d.IsNull(i) {
				continue
			}
			row := first + uint32(i)
			b.ix.present[row/64] |= 1 << (row % 64)
			if b.ix.multi {
				filter.EachItem(b.elem, d.Value(i), func(raw []byte) { b.add(row, raw) })
			} else {
				b.add(row, d.Value(i))
			}
		}
		return b.check()
	})
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.sort()
	return b.finish(), ctx.Err()
}

// json builds the index of a place in a JSON field.
func (b *builder) json(ctx context.Context, src Source, path *filter.Path, cast filter.Cast) (*Index, error) {
	b.ix.multi, b.ix.texts = cast&filter.CastArray != 0, cast&^filter.CastArray == filter.CastVarChar
	b.ix.present = make([]uint64, b.ix.words())
	err := src.Each(ctx, func(first uint32, d column.Data) error {
		for i := range d.Rows {
			if row := first + uint32(i); path.Field().IsDynamic || !d.IsNull(i) {
				b.ix.present[row/64] |= 1 << (row % 64)
			}
		}
		exact, err := path.EachKey(d, cast, func(row int, key uint64, text []byte) {
			e := entry{key: key, row: first + uint32(row)}
			if b.ix.texts {
				e.key, e.len = uint64(len(b.text)), uint32(len(text))
				b.text = append(b.text, text...)
			}
			b.entries = append(b.entries, e)
		})
		b.ix.lossy = b.ix.lossy || !exact
		if err != nil {
			return err
		}
		return b.check()
	})
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.sort()
	return b.finish(), ctx.Err()
}

func (b *builder) add(row uint32, raw []byte) {
	if !b.ix.texts {
		b.entries = append(b.entries, entry{key: filter.Key(b.elem, raw), row: row})
		return
	}
	b.entries = append(b.entries, entry{uint64(len(b.text)), row, uint32(len(raw))})
	b.text = append(b.text, raw...)
}

func (b *builder) check() error {
	if len(b.entries) > maxEntries || len(b.text) > math.MaxInt32 {
		return fmt.Errorf("%w: %d values of %d bytes", ErrTooLarge, len(b.entries), len(b.text))
	}
	// What is collected, and about as much again for what is made of it.
	if need := int64(cap(b.entries))*32 + 2*int64(cap(b.text)) + int64(8*(stepCount+1)*b.ix.words()); b.budget > 0 && need > b.budget {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrMemory, need, b.budget)
	}
	return nil
}

func (b *builder) textOf(e entry) []byte { return b.text[e.key : e.key+uint64(e.len)] }

// sort orders the entries by value, then by row.
func (b *builder) sort() {
	if b.ix.texts {
		slices.SortFunc(b.entries, func(x, y entry) int {
			if c := bytes.Compare(b.textOf(x), b.textOf(y)); c != 0 {
				return c
			}
			return cmp.Compare(x.row, y.row)
		})
		return
	}
	slices.SortFunc(b.entries, func(x, y entry) int {
		if x.key != y.key {
			return cmp.Compare(x.key, y.key)
		}
		return cmp.Compare(x.row, y.row)
	})
}

// finish makes the index of the sorted entries.
func (b *builder) finish() *Index {
	ix := b.ix
	same := func(x, y entry) bool {
		if ix.texts {
			return bytes.Equal(b.textOf(x), b.textOf(y))
		}
		return x.key == y.key
	}
	values := 0
	for i, e := range b.entries {
		if i == 0 || !same(e, b.entries[i-1]) {
			values++
		}
	}
	ix.postings = make([]uint32, 0, len(b.entries))
	ix.starts = make([]uint32, 0, values+1)
	if ix.texts {
		ix.offs = make([]uint32, 0, values+1)
	} else {
		ix.keys = make([]uint64, 0, values)
	}
	for i, e := range b.entries {
		if i == 0 || !same(e, b.entries[i-1]) {
			ix.starts = append(ix.starts, uint32(len(ix.postings)))
			if ix.texts {
				ix.offs = append(ix.offs, uint32(len(ix.bytes)))
				ix.bytes = append(ix.bytes, b.textOf(e)...)
			} else {
				ix.keys = append(ix.keys, e.key)
			}
		} else if e.row == b.entries[i-1].row {
			continue // an array holds it twice
		}
		ix.postings = append(ix.postings, e.row)
	}
	ix.starts = append(ix.starts, uint32(len(ix.postings)))
	if ix.texts {
		ix.offs = append(ix.offs, uint32(len(ix.bytes)))
	}
	ix.makeSteps()
	ix.count()
	return ix
}

func (ix *Index) makeSteps() {
	if ix.multi || ix.rows == 0 {
		return
	}
	n := ix.words()
	ix.steps = make([]uint64, stepCount*n)
	for i := range stepCount {
		step := ix.steps[i*n : (i+1)*n]
		if i > 0 {
			copy(step, ix.steps[(i-1)*n:])
		}
		set(step, ix.postings[ix.at(i):ix.at(i+1)])
	}
}
