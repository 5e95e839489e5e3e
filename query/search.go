package query

import (
	"fmt"
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// Limits of a search, those of Milvus.
const (
	MaxLimit    = 16384 // Limit + Offset
	MaxQueries  = 16384 // query vectors in one search
	DefaultTopK = 10
)

// Vector is what a query vector may be given as: []float32 for FloatVector, Float16Vector and BFloat16Vector fields, []int8 for
// Int8Vector, []byte for BinaryVector (and for the 16-bit kinds in their own encoding), column.Sparse for SparseFloatVector. A field that a
// function makes of a text takes a string: words to search for.
type Vector interface {
	[]float32 | []int8 | []byte | column.Sparse | string
}

// Search asks for the rows nearest to one or more vectors. Make it with Nearest; it may be used again, but not changed while in use.
type Search struct {
	field      string
	vectors    []any
	limit      int
	offset     int
	metric     vector.Metric
	output     []string
	partitions []string
	ef         int
	refineK    float64
	exact      bool
	parallel   int
	expr       string
	values     map[string]any
	explain    *Receipt

	first [1]any // room for vectors

	unlimited bool // Limit was not called
	bounds    rangeBounds
	group     grouping
	decimals  int // RoundDecimal's argument + 1; 0: none
}

// Nearest begins a search of a vector field. With several vectors the result has one list of hits for each.
func Nearest[V Vector](field string, vectors ...V) *Search {
	s := &Search{field: field, limit: DefaultTopK, unlimited: true}
	s.vectors = s.first[:0]
	for _, v := range vectors {
		s.vectors = append(s.vectors, v)
	}
	return s
}

// Limit is the most hits for each vector, 1 to 16,384; 10 if it is not called. Limit and Offset together are at most 16,384.
func (s *Search) Limit(n int) *Search {
	s.limit, s.unlimited = n, false
	return s
}

// Offset skips the best hits of each vector.
func (s *Search) Offset(n int) *Search {
	s.offset = n
	return s
}

// Metric says how nearness is measured. If it is not called: as the field's index does; without an index COSINE for dense vectors, HAMMING
// for binary ones, IP for sparse ones. A metric other than the index's makes the search compare all vectors.
func (s *Search) Metric(m vector.Metric) *Search {
	s.metric = m
	return s
}

// Ef is the number of candidates that a search of an index keeps, as if all entities were in one segment: at least Limit + Offset. The
// greater, the slower and the better. If it is not called, the engine chooses it for a recall of .95 and more.
func (s *Search) Ef(n int) *Search {
	s.ef = n
	return s
}

// RefineK has n times as many candidates as hits scored with their full vectors: at least 1. If it is not called, the engine chooses.
func (s *Search) RefineK(n float64) *Search {
	s.refineK = n
	return s
}

// Filter finds only rows that an expression of the filter language lets through (docs/filter.md). values are what templates {name} in it
// stand for.
func (s *Search) Filter(expr string, values ...map[string]any) *Search {
	s.expr, s.values = expr, merged(values)
	return s
}

// Exact makes the search compare all vectors, whatever indexes there are.
func (s *Search) Exact() *Search {
	s.exact = true
	return s
}

// Parallel lets the search use up to n goroutines, for segments side by side. If it is not called it uses its caller's alone.
func (s *Search) Parallel(n int) *Search {
	s.parallel = n
	return s
}

// Output names the fields that come with each hit; "*" means all. The primary key always comes.
func (s *Search) Output(fields ...string) *Search {
	s.output = append(s.output, fields...)
	return s
}

// Partitions limits a search of a collection to some of its partitions.
func (s *Search) Partitions(names ...string) *Search {
	s.partitions = append(s.partitions, names...)
	return s
}

// PartitionNames are the partitions named; none means all.
func (s *Search) PartitionNames() []string { return s.partitions }

// Plan is a search checked against a schema.
type Plan struct {
	Field   *schema.Field
	Metric  vector.Metric
	Queries []*vector.Query
	Limit   int
	Offset  int
	Output  []*schema.Field

	Ef       int     // 0: the engine chooses
	RefineK  float64 // 0: the engine chooses
	Exact    bool
	Parallel int          // at least 1
	Filter   *filter.Expr // nil: every row
	Explain  *Receipt     // nil: nobody asks

	Text *schema.Function // of a search of texts: what made the field. Queries then hold the counts of terms

	Unlimited bool // Limit was not called; an iterator then goes on to the end
	Range     *Range
	Group     *Grouping // nil: none
	Decimals  int       // digits after the point that scores are rounded to; -1: all
}

// maxEf and maxParallel bound what a request may ask for.
const (
	maxEf       = 1<<31 - 1
	maxParallel = 1024
)

// Check resolves the search against a finished schema. metrics are those of the fields' indexes, by field. Errors wrap schema.ErrInvalid and name the field, the value and the bound.
func (s *Search) Check(sch *schema.Schema, metrics map[string]vector.Metric) (*Plan, error) {
	f, ok := sch.Field(s.field)
	if !ok {
		return nil, schema.Invalid(s.field, nil, "no such field in collection %q", sch.Name)
	}
	if !f.Type.IsVector() {
		return nil, schema.Invalid(s.field, f.Type, "not a vector field")
	}
	if s.limit < 1 || s.limit > MaxLimit {
		return nil, schema.Invalid(s.field, s.limit, "limit must be in [1, %d]", MaxLimit)
	}
	if s.offset < 0 || s.offset > MaxLimit-s.limit {
		return nil, schema.Invalid(s.field, s.offset, "offset must not be negative, and offset + limit at most %d", MaxLimit)
	}
	if len(s.vectors) < 1 || len(s.vectors) > MaxQueries {
		return nil, schema.Invalid(s.field, len(s.vectors), "number of query vectors must be in [1, %d]", MaxQueries)
	}
	if s.ef != 0 && (s.ef < s.limit+s.offset || s.ef > maxEf) {
		return nil, schema.Invalid(s.field, s.ef, "ef must be in [%d, %d]: at least limit + offset", s.limit+s.offset, maxEf)
	}
	if s.refineK != 0 && !(s.refineK >= 1 && s.refineK <= MaxLimit) {
		return nil, schema.Invalid(s.field, s.refineK, "refine_k must be in [1, %d]", MaxLimit)
	}
	if s.parallel < 0 || s.parallel > maxParallel {
		return nil, schema.Invalid(s.field, s.parallel, "goroutines of a search must be in [1, %d]", maxParallel)
	}
	p := &Plan{
		Field: f, Metric: s.metric, Limit: s.limit, Offset: s.offset,
		Ef: s.ef, RefineK: s.refineK, Exact: s.exact, Parallel: max(s.parallel, 1), Explain: s.explain, Unlimited: s.unlimited,
	}
	elem := ElementOf(f.Type)
	if p.Metric == 0 {
		p.Metric = metrics[f.Name]
	}
	made := sch.MadeBy(f.Name)
	switch {
	case p.Metric == 0 && made != nil:
		p.Metric = vector.BM25
	case p.Metric == 0:
		p.Metric = DefaultMetric(elem)
	}
	if !elem.Supports(p.Metric) || (p.Metric == vector.BM25) != (made != nil) {
		return nil, schema.Invalid(s.field, p.Metric, "metric does not fit vectors of type %v", f.Type)
	}
	if made != nil {
		p.Text = made
	}
	if err := s.checkExtras(sch, p); err != nil {
		return nil, err
	}
	for i, v := range s.vectors {
		raw, err := []byte(nil), error(nil)
		if made != nil {
			raw, err = encodeText(sch, made, v)
		} else {
			raw, err = encode(f, v)
		}
		if err != nil {
			return nil, schema.InvalidRow(s.field, i, nil, "query vector: %v", err)
		}
		q, err := vector.NewQuery(p.Metric, elem, f.Dim, raw)
		if err != nil {
			return nil, schema.InvalidRow(s.field, i, nil, "query vector: %v", err)
		}
		p.Queries = append(p.Queries, q)
	}
	var err error
	if s.expr != "" {
		if p.Filter, err = filter.Parse(s.expr, sch, s.values); err != nil {
			return nil, err
		}
	}
	output := s.output
	if p.Group != nil {
		output = append(slices.Clip(output), p.Group.Field.Name)
	}
	p.Output, err = OutputFields(sch, output)
	return p, err
}

// ElementOf is the element type of a vector field.
func ElementOf(t schema.DataType) vector.Element {
	switch t {
	case schema.TypeFloat16Vector:
		return vector.Float16
	case schema.TypeBFloat16Vector:
		return vector.BFloat16
	case schema.TypeInt8Vector:
		return vector.Int8
	case schema.TypeBinaryVector:
		return vector.Binary
	case schema.TypeSparseFloatVector:
		return vector.Sparse
	}
	return vector.Float32
}

// DefaultMetric is the metric of a search that names none.
func DefaultMetric(e vector.Element) vector.Metric {
	switch e {
	case vector.Binary:
		return vector.Hamming
	case vector.Sparse:
		return vector.IP
	}
	return vector.Cosine
}

// encode gives a query vector in the layout of the field's rows.
func encode(f *schema.Field, v any) ([]byte, error) {
	var c *column.Column
	n, want := 0, f.Dim
	switch v := v.(type) {
	case []float32:
		n = len(v)
		switch f.Type {
		case schema.TypeFloatVector:
			c = column.FloatVectorFlat(f.Name, f.Dim, v)
		case schema.TypeFloat16Vector:
			c = column.Float16Vector(f.Name, f.Dim, [][]float32{v})
		case schema.TypeBFloat16Vector:
			c = column.BFloat16Vector(f.Name, f.Dim, [][]float32{v})
		}
	case []int8:
		n = len(v)
		if f.Type == schema.TypeInt8Vector {
			c = column.Int8VectorFlat(f.Name, f.Dim, v)
		}
	case []byte:
		n = len(v)
		switch f.Type {
		case schema.TypeBinaryVector:
			n *= 8
			c = column.BinaryVectorFlat(f.Name, f.Dim, v)
		case schema.TypeFloat16Vector, schema.TypeBFloat16Vector:
			if n != 2*f.Dim {
				return nil, fmt.Errorf("%d bytes, %d expected", n, 2*f.Dim)
			}
			return v, nil
		}
	case column.Sparse:
		if f.Type == schema.TypeSparseFloatVector {
			if len(v.Indices) != len(v.Values) {
				return nil, fmt.Errorf("%d indices and %d values", len(v.Indices), len(v.Values))
			}
			return v.Serialize(), nil
		}
	}
	if c == nil {
		return nil, fmt.Errorf("a %T does not fit a field of type %v", v, f.Type)
	}
	if n != want {
		return nil, fmt.Errorf("%d dimensions, the field has %d", n, want)
	}
	return c.Data().Value(0), nil
}

// OutputFields resolves names of fields to return. "*" means all that were given, a name that is no field of a schema with a dynamic field means
// that field. The primary key is always among them, and comes first.
func OutputFields(s *schema.Schema, names []string) ([]*schema.Field, error) {
	key := s.PrimaryKey()
	if len(names) == 0 && s.Fields[0] == key {
		return s.Fields[:1:1], nil
	}
	out := []*schema.Field{key}
	add := func(f *schema.Field) {
		for _, have := range out {
			if have.ID == f.ID {
				return
			}
		}
		out = append(out, f)
	}
	for _, n := range names {
		if n == "*" {
			for _, f := range s.Fields {
				if s.MadeBy(f.Name) == nil && !f.IsInsertTime {
					add(f)
				}
			}
			continue
		}
		f, ok := s.Field(n)
		if !ok && s.Dynamic {
			f, ok = s.Field(schema.MetaName) // a key of the dynamic field: column.Row finds it there
		}
		if !ok {
			return nil, schema.Invalid(n, nil, "no such output field in collection %q", s.Name)
		}
		if s.MadeBy(n) != nil {
			return nil, schema.Invalid(n, nil, "the field is made by a function, to be searched: it cannot be read")
		}
		add(f)
	}
	return out, nil
}

// Field is the vector field to be searched.
func (s *Search) Field() string { return s.field }

// Vectors is the number of query vectors.
func (s *Search) Vectors() int { return len(s.vectors) }
