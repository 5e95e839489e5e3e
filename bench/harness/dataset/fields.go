package dataset

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/selkiedb/selkie/vector"
)

// Span is the number of values that a field of a set takes: 0 to Span-1, each about as often as any other.
const Span = 1_000_000

// FieldsFile holds the fields of a set, two little-endian int64 a row: number and place.
const FieldsFile = "fields.i64"

// Fields are scalars beside a set's vectors, to filter by.
type Fields struct {
	Number []int64 // by chance: it has nothing to do with where a row lies
	Place  []int64 // near rows have near places: the order of the leaves of a tree that halves the rows again and again
}

// Fields makes the set's fields, or reads them if they were made before.
func (s *Set) Fields() (*Fields, error) {
	path := filepath.Join(s.Dir, FieldsFile)
	raw, err := os.ReadFile(path)
	if err != nil || len(raw) != 16*s.Rows {
		rows, err := s.All()
		if err != nil {
			return nil, err
		}
		f := makeFields(rows, s.Dim)
		raw = raw[:0]
		for i := range f.Number {
			raw = binary.LittleEndian.AppendUint64(raw, uint64(f.Number[i]))
			raw = binary.LittleEndian.AppendUint64(raw, uint64(f.Place[i]))
		}
		return f, os.WriteFile(path, raw, 0o644)
	}
	f := &Fields{}
	for ; len(raw) > 0; raw = raw[16:] {
		f.Number = append(f.Number, int64(binary.LittleEndian.Uint64(raw)))
		f.Place = append(f.Place, int64(binary.LittleEndian.Uint64(raw[8:])))
	}
	return f, nil
}

func makeFields(rows []float32, dim int) *Fields {
	n := len(rows) / dim
	f := &Fields{Number: make([]int64, n), Place: make([]int64, n)}
	rng := rand.New(rand.NewPCG(1, 0x6e756d626572))
	for i, p := range rng.Perm(n) {
		f.Number[i] = int64(p) * Span / int64(n)
	}
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	h := halving{rows: rows, dim: dim, rng: rng, along: make([]float32, n)}
	h.split(order)
	for i, row := range order {
		f.Place[row] = int64(i) * Span / int64(n)
	}
	return f
}

// halving sorts rows so that near ones come to lie together.
type halving struct {
	rows  []float32
	dim   int
	rng   *rand.Rand
	along []float32 // by row: how far it lies along the direction of the split
}

// leafRows is the size from which rows are not split any further.
const leafRows = 16

// split halves rows at the median along the line through two that lie far apart, and so on.
func (h *halving) split(order []int32) {
	if len(order) <= leafRows {
		return
	}
	far := func(from int32) int32 {
		best, most := from, float32(-1)
		for range 64 {
			row := order[h.rng.IntN(len(order))]
			d := float32(0)
			for j, x := range h.row(row) {
				y := x - h.row(from)[j]
				d += y * y
			}
			if d > most {
				best, most = row, d
			}
		}
		return best
	}
	a := far(order[h.rng.IntN(len(order))])
	b := far(a)
	direction := make([]float32, h.dim)
	for j, x := range h.row(a) {
		direction[j] = x - h.row(b)[j]
	}
	for _, row := range order {
		d := float32(0)
		for j, x := range h.row(row) {
			d += x * direction[j]
		}
		h.along[row] = d
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(cmp.Compare(h.along[a], h.along[b]), cmp.Compare(a, b)) })
	h.split(order[:len(order)/2])
	h.split(order[len(order)/2:])
}

func (h *halving) row(i int32) []float32 { return h.rows[int(i)*h.dim : (int(i)+1)*h.dim] }

// Relation says what a filter has to do with the neighbourhood of a query.
type Relation string

// The relations.
const (
	ByChance Relation = "none"    // matching rows are everywhere
	Near     Relation = "near"    // rows match that lie around the query
	Distant  Relation = "distant" // rows match that lie away from the query
)

// Filter lets rows through: those whose number, or place, is in [Lo, Hi), or is not.
type Filter struct {
	Field  string // number, place
	Lo, Hi int64
	Not    bool
}

// NewFilter makes the filter of a query for a share of the rows, in percent.
func (s *Set) NewFilter(f *Fields, query int, r Relation, percent float64) Filter {
	width := int64(math.Round(Span * percent / 100))
	if r == ByChance {
		return Filter{Field: "number", Lo: 0, Hi: width}
	}
	around := func(width int64) Filter {
		lo := f.Place[s.Truth[query*s.Depth]] - width/2
		lo = min(max(lo, 0), Span-width)
		return Filter{Field: "place", Lo: lo, Hi: lo + width}
	}
	if r == Near {
		return around(width)
	}
	x := around(Span - width)
	x.Not = true
	return x
}

// Has reports whether a row is let through.
func (x Filter) Has(f *Fields, row int32) bool {
	v := f.Number[row]
	if x.Field == "place" {
		v = f.Place[row]
	}
	return (v >= x.Lo && v < x.Hi) != x.Not
}

// String writes the filter so that Selkie, zvec and SQL understand it.
func (x Filter) String() string {
	switch {
	case x.Not && x.Lo == 0:
		return fmt.Sprintf("%s >= %d", x.Field, x.Hi)
	case x.Not && x.Hi == Span:
		return fmt.Sprintf("%s < %d", x.Field, x.Lo)
	case x.Not:
		return fmt.Sprintf("%s < %d or %s >= %d", x.Field, x.Lo, x.Field, x.Hi)
	case x.Lo == 0:
		return fmt.Sprintf("%s < %d", x.Field, x.Hi)
	case x.Hi == Span:
		return fmt.Sprintf("%s >= %d", x.Field, x.Lo)
	}
	return fmt.Sprintf("%s >= %d and %s < %d", x.Field, x.Lo, x.Field, x.Hi)
}

// FilteredTruth finds the k nearest rows of the queries from..to-1 among those that their filters let through, k numbers for each, -1 where
// fewer match.
func (s *Set) FilteredTruth(ctx context.Context, f *Fields, from, to, k int, filter func(query int) Filter) ([]int32, error) {
	rows, err := s.All()
	if err != nil {
		return nil, err
	}
	raw := bytesOf(rows)
	scores := make([]float32, s.Rows)
	out := make([]int32, 0, (to-from)*k)
	barred := make([]uint64, (s.Rows+63)/64)
	top := vector.NewTopK(s.Metric, k)
	var last Filter
	for i := from; i < to; i++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if x := filter(i); x != last {
			last = x
			clear(barred)
			for row := range s.Rows {
				if !x.Has(f, int32(row)) {
					barred[row/64] |= 1 << (row % 64)
				}
			}
		}
		q, err := vector.NewQuery(s.Metric, vector.Float32, s.Dim, bytesOf(s.Query(i)))
		if err != nil {
			return nil, err
		}
		q.Scan(raw, s.Rows, scores)
		top.Reset(s.Metric, k, nil)
		top.PushBlock(scores, 0, barred)
		hits := top.Sorted()
		for j := range k {
			if j < len(hits) {
				out = append(out, int32(hits[j].Row))
			} else {
				out = append(out, -1)
			}
		}
	}
	return out, nil
}
