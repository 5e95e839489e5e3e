package segment

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// ID names a segment. Identifiers start at 1. That of a sealed segment is never used again; that of a
// growing one may come back after a crash, for the segment that its rows are replayed into.
type ID uint64

// String gives the identifier as it stands in directory names: at least six digits.
func (id ID) String() string { return fmt.Sprintf("%06d", uint64(id)) }

// State is where a segment stands in its life: growing → sealing → sealed → dropped.
type State uint8

// The states of a segment.
const (
	StateGrowing State = iota + 1
	StateSealing
	StateSealed
	StateDropped
)

// String gives the state's name in lower case.
func (s State) String() string {
	switch s {
	case StateGrowing:
		return "growing"
	case StateSealing:
		return "sealing"
	case StateSealed:
		return "sealed"
	case StateDropped:
		return "dropped"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MaxRows is the largest number of rows a segment may hold: row offsets are uint32 and the top bit stays free.
const MaxRows = 1 << 31

// ErrFull is returned when a segment cannot take the rows of a batch because it would pass MaxRows.
var ErrFull = errors.New("segment is full")

// View is one segment at one LSN: what a reader of that moment may see of it. Row offsets lie in [0, Rows).
//
// A View stays true while writers go on: rows and tombstones with a larger LSN are not in it. It is safe for concurrent use,
// and lives as long as the snapshot that gave it.
type View interface {
	// ID names the segment.
	ID() ID
	// Rows is the number of physical rows, dead ones included.
	Rows() uint32
	// Dead returns the rows that are not to be seen.
	Dead() *Dead
	// Scan calls fn for consecutive runs of a field's values that cover the rows [from, to), in ascending order: first is the
	// offset of the run's first row. The data is only valid during the call. A field that the segment does not hold
	// (it was added to the schema later) reads as its default value or null.
	Scan(ctx context.Context, f *schema.Field, from, to uint32, fn func(first uint32, d column.Data) error) error
	// Read appends the values of the listed rows, in the order of the list, to dst.
	Read(ctx context.Context, f *schema.Field, rows []uint32, dst *column.Builder) error
	// Find calls fn for each live row that holds one of the keys: i is the key's place in the list. A key with several rows
	// (only where duplicates are allowed) is called for several times.
	Find(ctx context.Context, keys column.Keys, fn func(i int, row uint32)) error
	// KeyOrder returns the segment's row offsets in the order of the primary key, or nil if they lie in that order already.
	// Dead rows may be among them.
	KeyOrder(ctx context.Context) ([]uint32, error)
}

// Dead is a set of row offsets that a reader must not see, as a dense bitset in pages so that a view shares what did not
// change. The zero value and nil are empty.
type Dead struct {
	pages []*deadPage
	count uint32
	dense atomic.Pointer[[]uint64] // what denseWords has made
}

const (
	deadPageShift = 15 // rows a page: 32,768, 4 KiB of bits
	deadPageRows  = 1 << deadPageShift
)

type deadPage [deadPageRows / 64]uint64

// Count is the number of rows in the set.
func (d *Dead) Count() uint32 {
	if d == nil {
		return 0
	}
	return d.count
}

// Has reports whether the row is in the set.
func (d *Dead) Has(row uint32) bool {
	if d == nil {
		return false
	}
	p := int(row >> deadPageShift)
	if p >= len(d.pages) || d.pages[p] == nil {
		return false
	}
	return d.pages[p][row%deadPageRows/64]&(1<<(row%64)) != 0
}

// Words writes the bits of the rows [first, first+n) to dst, bit i of the bitset for row first+i, and returns the words, or
// nil if none of the rows is in the set. dst is reused if it is large enough.
func (d *Dead) Words(dst []uint64, first, n uint32) []uint64 {
	if d == nil || d.count == 0 || n == 0 || !d.anyPage(first, first+n-1) {
		return nil
	}
	words := int(n+63) / 64
	if cap(dst) < words {
		dst = make([]uint64, words)
	}
	dst = dst[:words]
	var any uint64
	for i := range dst {
		row := first + uint32(i)*64
		w := d.word(row)
		if left := n - uint32(i)*64; left < 64 {
			w &= 1<<left - 1
		}
		dst[i] = w
		any |= w
	}
	if any == 0 {
		return nil
	}
	return dst
}

// denseWords returns the bits of all rows, bit r%64 of word r/64 for row r, as far as there are any; nil for an empty set. They are made once
// and shared: the caller must not change them.
func (d *Dead) denseWords() []uint64 {
	switch {
	case d == nil || d.count == 0:
		return nil
	case len(d.pages) == 1:
		return d.pages[0][:]
	}
	if words := d.dense.Load(); words != nil {
		return *words
	}
	words := make([]uint64, 0, len(d.pages)*deadPageRows/64)
	for _, p := range d.pages {
		if p == nil {
			p = &deadPage{}
		}
		words = append(words, p[:]...)
	}
	d.dense.Store(&words)
	return words
}

// word returns the 64 bits that begin at row, which need not be a multiple of 64.
func (d *Dead) word(row uint32) uint64 {
	lo := d.aligned(row / 64)
	if s := row % 64; s != 0 {
		return lo>>s | d.aligned(row/64+1)<<(64-s)
	}
	return lo
}

func (d *Dead) aligned(word uint32) uint64 {
	p := int(word >> (deadPageShift - 6))
	if p >= len(d.pages) || d.pages[p] == nil {
		return 0
	}
	return d.pages[p][word%(deadPageRows/64)]
}

func (d *Dead) anyPage(first, last uint32) bool {
	for p := int(first >> deadPageShift); p <= int(last>>deadPageShift) && p < len(d.pages); p++ {
		if d.pages[p] != nil {
			return true
		}
	}
	return false
}

// Each calls fn for every row of the set, in ascending order.
func (d *Dead) Each(fn func(row uint32)) {
	if d == nil {
		return
	}
	for p, page := range d.pages {
		if page == nil {
			continue
		}
		for w, word := range page {
			for ; word != 0; word &= word - 1 {
				fn(uint32(p)<<deadPageShift + uint32(w)*64 + uint32(bits.TrailingZeros64(word)))
			}
		}
	}
}

// With returns a set that holds the rows too. It copies only the pages that change.
func (d *Dead) With(rows []uint32) *Dead {
	next := &Dead{}
	if d != nil {
		next.pages = append(next.pages, d.pages...)
		next.count = d.count
	}
	fresh := make(map[int]bool, 1)
	for _, row := range rows {
		p := int(row >> deadPageShift)
		for p >= len(next.pages) {
			next.pages = append(next.pages, nil)
		}
		if !fresh[p] {
			page := new(deadPage)
			if old := next.pages[p]; old != nil {
				*page = *old
			}
			next.pages[p], fresh[p] = page, true
		}
		word, bit := &next.pages[p][row%deadPageRows/64], uint64(1)<<(row%64)
		if *word&bit == 0 {
			*word |= bit
			next.count++
		}
	}
	return next
}
