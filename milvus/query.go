package milvus

import (
	"context"
	"iter"
	"math"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/query"
)

// countStar is the output field that asks for the number of entities.
const countStar = "count(*)"

// Query returns the entities that an expression means, in the order of their primary keys, or their number.
func (s *Server) Query(ctx context.Context, r *milvuspb.QueryRequest) (*milvuspb.QueryResults, error) {
	out, err := s.query(ctx, r)
	if err != nil {
		return &milvuspb.QueryResults{Status: status(err)}, nil
	}
	return out, nil
}

func (s *Server) query(ctx context.Context, r *milvuspb.QueryRequest) (*milvuspb.QueryResults, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	p, err := parseParams(r.GetQueryParams())
	if err != nil {
		return nil, err
	}
	if _, ok := p.text("group_by_fields"); ok {
		return nil, fail(codeUnsupported, "group_by_fields is not supported")
	}
	values, err := parseTemplates(r.GetExprTemplateValues())
	if err != nil {
		return nil, err
	}
	sel := query.Where(r.GetExpr(), values)
	names, err := s.searchedPartitions(t, r.GetPartitionNames())
	if err != nil {
		return nil, err
	}
	limit, limited, err := p.int("limit", math.MinInt64, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	reader, session := selector(t.Collection), s.clock.next()
	if p.bool("iterator") {
		if err := checkIterated(t, p); err != nil {
			return nil, err
		}
		v, err := s.queryView(ctx, t, r.GetGuaranteeTimestamp(), names)
		if err != nil {
			return nil, err
		}
		reader, session = v.snap, v.session
	} else {
		sel.Partitions(names...)
	}
	if isCount(r.GetOutputFields()) {
		if limited {
			return nil, fail(codeInvalid, "count entities with pagination is not allowed")
		}
		n, err := reader.CountWhere(ctx, sel)
		if err != nil {
			return nil, err
		}
		return s.counted(t, n), nil
	}
	if limited {
		offset, _, err := p.int("offset", 0, math.MaxInt64)
		if err != nil {
			return nil, err
		}
		if limit < 1 || limit > query.MaxLimit || offset > query.MaxLimit-limit {
			return nil, fail(codeInvalid, "invalid max query result window, (offset+limit) should be in range [1, %d], but got %d", query.MaxLimit, limit+offset)
		}
		sel.Limit(int(limit)).Offset(int(offset))
	} else if strings.TrimSpace(r.GetExpr()) == "" && !p.bool("iterator") {
		return nil, fail(codeInvalid, "empty expression should be used with limit")
	}
	out, err := parseOutput(t.Schema(), r.GetOutputFields())
	if err != nil {
		return nil, err
	}
	sel.Output(r.GetOutputFields()...)
	rows := reader.Iterate(ctx, sel)
	if order, ok := p.text("order_by_fields"); ok {
		if !limited || p.bool("iterator") {
			return nil, fail(codeInvalid, "order_by_fields needs a limit, and is not for iterators")
		}
		if rows, err = ordered(ctx, reader, sel, order); err != nil {
			return nil, err
		}
	}
	g := newGatherer(out.fields)
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		g.add(row)
		if g.bytes > int64(s.opts.MaxSendBytes) {
			return nil, fail(codeTooLarge, "query result takes more than %d bytes: limit it, or use an iterator", s.opts.MaxSendBytes)
		}
	}
	fields, err := out.format(g.columns())
	if err != nil {
		return nil, err
	}
	return &milvuspb.QueryResults{
		Status: succeeded(), FieldsData: fields, CollectionName: t.name, OutputFields: out.names,
		PrimaryFieldName: t.Schema().PrimaryKey().Name, SessionTs: session,
	}, nil
}

// ordered reads the rows in the order of "field:asc,other:desc"; asc is understood.
func ordered(ctx context.Context, reader selector, sel *query.Select, order string) (iter.Seq2[column.Row, error], error) {
	for _, part := range strings.Split(order, ",") {
		name, way, _ := strings.Cut(strings.TrimSpace(part), ":")
		switch strings.ToLower(strings.TrimSpace(way)) {
		case "", "asc":
			sel.OrderBy(strings.TrimSpace(name))
		case "desc":
			sel.OrderByDesc(strings.TrimSpace(name))
		default:
			return nil, fail(codeInvalid, "order_by_fields %q: an order is asc or desc", clip(part))
		}
	}
	rows, err := reader.Query(ctx, sel)
	if err != nil {
		return nil, err
	}
	return func(yield func(column.Row, error) bool) {
		for _, row := range rows.All() {
			if !yield(row, nil) {
				return
			}
		}
	}, nil
}

// selector is what queries read: a collection, or a snapshot of one.
type selector interface {
	Iterate(ctx context.Context, req *query.Select) iter.Seq2[column.Row, error]
	Query(ctx context.Context, req *query.Select) (*column.Rows, error)
	CountWhere(ctx context.Context, req *query.Select) (int64, error)
}

func isCount(fields []string) bool {
	return len(fields) == 1 && strings.EqualFold(strings.TrimSpace(fields[0]), countStar)
}

func (s *Server) counted(t target, n int64) *milvuspb.QueryResults {
	return &milvuspb.QueryResults{
		Status: succeeded(), CollectionName: t.name, OutputFields: []string{countStar}, SessionTs: s.clock.next(),
		PrimaryFieldName: t.Schema().PrimaryKey().Name,
		FieldsData: []*schemapb.FieldData{{
			Type: schemapb.DataType_Int64, FieldName: countStar, Field: &schemapb.FieldData_Scalars{Scalars: &schemapb.ScalarField{
				Data: &schemapb.ScalarField_LongData{LongData: &schemapb.LongArray{Data: []int64{n}}},
			}},
		}},
	}
}
