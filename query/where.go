package query

import (
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

// Select asks for the rows that a filter lets through. Make it with Where; it may be used again, but not changed while in use.
type Select struct {
	expr       string
	values     map[string]any
	output     []string
	partitions []string
	limit      int
	offset     int
	explain    *Receipt
	orders     []order
	all        bool
}

// order is a field to order by.
type order struct {
	field string
	desc  bool
}

// All begins a selection of every row, said in so many words: the only one by which DeleteWhere deletes everything.
func All() *Select { return &Select{all: true} }

// Where begins a selection by an expression of the filter language (docs/filter.md). values are what templates {name} in it stand for. An
// empty expression lets every row through.
func Where(expr string, values ...map[string]any) *Select {
	return &Select{expr: expr, values: merged(values)}
}

// merged makes one map of several; later ones win.
func merged(maps []map[string]any) map[string]any {
	if len(maps) == 1 {
		return maps[0]
	}
	var out map[string]any
	for _, m := range maps {
		for k, v := range m {
			if out == nil {
				out = map[string]any{}
			}
			out[k] = v
		}
	}
	return out
}

// Output names the fields that come with each row; "*" means all. The primary key always comes.
func (s *Select) Output(fields ...string) *Select {
	s.output = append(s.output, fields...)
	return s
}

// Limit is the most rows; if it is not called, all of them for an iteration, and MaxLimit for a query.
func (s *Select) Limit(n int) *Select {
	s.limit = n
	return s
}

// Offset skips rows, in the order of the primary keys.
func (s *Select) Offset(n int) *Select {
	s.offset = n
	return s
}

// OrderBy puts the rows of a query in the order of fields, smallest first, null last: the first field that differs decides, then the primary key. The
// fields are integers, floats, Bool or VarChar. A query holds limit + offset rows while it looks for the first ones.
func (s *Select) OrderBy(fields ...string) *Select {
	for _, f := range fields {
		s.orders = append(s.orders, order{f, false})
	}
	return s
}

// OrderByDesc is OrderBy with the greatest first, and null before all. The two may be mixed.
func (s *Select) OrderByDesc(fields ...string) *Select {
	for _, f := range fields {
		s.orders = append(s.orders, order{f, true})
	}
	return s
}

// Partitions limits a selection from a collection to some of its partitions.
func (s *Select) Partitions(names ...string) *Select {
	s.partitions = append(s.partitions, names...)
	return s
}

// PartitionNames are the partitions named; none means all.
func (s *Select) PartitionNames() []string { return s.partitions }

// SelectPlan is a selection checked against a schema.
type SelectPlan struct {
	Filter *filter.Expr
	Output []*schema.Field
	Limit  int // 0: no limit
	Offset int
	Orders []Order
	All    bool // every row is meant

	Explain *Receipt // nil: nobody asks
}

// Order is a field to order by.
type Order struct {
	Field *schema.Field
	Desc  bool
}

// Check resolves the selection against a finished schema. Errors wrap schema.ErrInvalid; those of the expression are a *filter.Error.
func (s *Select) Check(sch *schema.Schema) (*SelectPlan, error) {
	if s.limit < 0 {
		return nil, schema.Invalid("", s.limit, "limit must not be negative")
	}
	if s.offset < 0 {
		return nil, schema.Invalid("", s.offset, "offset must not be negative")
	}
	p := &SelectPlan{Limit: s.limit, Offset: s.offset, All: s.all, Explain: s.explain}
	for _, o := range s.orders {
		f, ok := sch.Field(o.field)
		if !ok {
			return nil, schema.Invalid(o.field, nil, "no such field to order by in collection %q", sch.Name)
		}
		if !f.Type.IsInt() && !f.Type.IsFloat() && f.Type != schema.TypeBool && f.Type != schema.TypeVarChar {
			return nil, schema.Invalid(o.field, f.Type, "rows are ordered by integers, floats, Bool or VarChar")
		}
		p.Orders = append(p.Orders, Order{f, o.desc})
	}
	var err error
	if p.Filter, err = filter.Parse(s.expr, sch, s.values); err != nil {
		return nil, err
	}
	p.Output, err = OutputFields(sch, s.output)
	return p, err
}
