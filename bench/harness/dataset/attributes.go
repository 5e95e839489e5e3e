package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Attributes are two numbers of each row to filter by, both its place in an order of all rows, 0 to Rows-1: a range of either selects
// a share of the rows to the row.
type Attributes struct {
	Even  []int64 // at random: it says nothing of the vector
	Along []int64 // along the axis on which rows differ most

	axis   []float64
	sorted []float64 // where the rows lie on the axis
}

// Kinds of filters, by what they have to do with a query.
const (
	Uncorrelated   = "uncorrelated"   // rows at random
	Correlated     = "correlated"     // rows like the query
	Anticorrelated = "anticorrelated" // rows unlike the query
)

// FilterKinds lists them.
var FilterKinds = []string{Uncorrelated, Correlated, Anticorrelated}

// Attributes makes them; they are the same each time.
func (s *Set) Attributes() (*Attributes, error) {
	rows, err := s.All()
	if err != nil {
		return nil, err
	}
	a := &Attributes{Even: make([]int64, s.Rows), Along: make([]int64, s.Rows)}
	for i, p := range rand.New(rand.NewPCG(3, 0x66696c746572)).Perm(s.Rows) {
		a.Even[i] = int64(p)
	}
	a.axis = mainAxis(rows, s.Dim)
	at := make([]float64, s.Rows)
	order := make([]int, s.Rows)
	for i := range at {
		at[i], order[i] = a.place(rows[i*s.Dim:(i+1)*s.Dim]), i
	}
	slices.SortStableFunc(order, func(x, y int) int {
		switch {
		case at[x] < at[y]:
			return -1
		case at[x] > at[y]:
			return 1
		}
		return 0
	})
	a.sorted = make([]float64, s.Rows)
	for rank, i := range order {
		a.Along[i], a.sorted[rank] = int64(rank), at[i]
	}
	return a, nil
}

// place is where a vector lies on the axis.
func (a *Attributes) place(v []float32) float64 {
	sum := 0.0
	for d, x := range v {
		sum += float64(x) * a.axis[d]
	}
	return sum
}

// Range is a range of an attribute's values, of which the filter is made.
type Range struct {
	Field  string // "even" or "along"
	Lo, Hi int64  // Hi is not part of it
}

// String is the filter's expression.
func (r Range) String() string {
	if r.Lo == 0 {
		return fmt.Sprintf("%s < %d", r.Field, r.Hi)
	}
	return fmt.Sprintf("%s >= %d and %s < %d", r.Field, r.Lo, r.Field, r.Hi)
}

// Filter is one of a kind for a query, that lets a share of the rows through: 0 to 1, at least one row.
func (a *Attributes) Filter(kind string, share float64, q []float32) (Range, error) {
	n := int64(len(a.Even))
	m := min(max(int64(math.Round(share*float64(n))), 1), n)
	rank, _ := slices.BinarySearch(a.sorted, a.place(q))
	switch kind {
	case Uncorrelated:
		return Range{"even", 0, m}, nil
	case Correlated:
		lo := min(max(int64(rank)-m/2, 0), n-m)
		return Range{"along", lo, lo + m}, nil
	case Anticorrelated:
		if int64(rank) < n/2 {
			return Range{"along", n - m, n}, nil
		}
		return Range{"along", 0, m}, nil
	}
	return Range{}, fmt.Errorf("no kind of filter %q", kind)
}

// Holds reports whether a row's attributes lie in the range.
func (a *Attributes) Holds(r Range, row int) bool {
	values := a.Even
	if r.Field == "along" {
		values = a.Along
	}
	return values[row] >= r.Lo && values[row] < r.Hi
}

// mainAxis is the direction in which rows differ most, by power iteration over some of them.
func mainAxis(rows []float32, dim int) []float64 {
	const most, rounds = 20_000, 30
	n := len(rows) / dim
	step := max(n/most, 1)
	mean := make([]float64, dim)
	count := 0
	for i := 0; i < n; i += step {
		for d, x := range rows[i*dim : (i+1)*dim] {
			mean[d] += float64(x)
		}
		count++
	}
	for d := range mean {
		mean[d] /= float64(count)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	axis := make([]float64, dim)
	for d := range axis {
		axis[d] = rng.NormFloat64()
	}
	for range rounds {
		next := make([]float64, dim)
		for i := 0; i < n; i += step {
			row, dot := rows[i*dim:(i+1)*dim], 0.0
			for d, x := range row {
				dot += (float64(x) - mean[d]) * axis[d]
			}
			for d, x := range row {
				next[d] += dot * (float64(x) - mean[d])
			}
		}
		norm := 0.0
		for _, x := range next {
			norm += x * x
		}
		if norm == 0 { // all rows are alike
			return axis
		}
		for d := range next {
			axis[d] = next[d] / math.Sqrt(norm)
		}
	}
	return axis
}
