package milvus

import (
	"context"
	"errors"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/query"
)

// Insert adds entities, all of them or none. The answer comes when they are durable and visible.
func (s *Server) Insert(ctx context.Context, r *milvuspb.InsertRequest) (*milvuspb.MutationResult, error) {
	if r.GetNamespace() != "" {
		return s.refused(fail(codeUnsupported, "namespaces are not supported")), nil
	}
	res, rows, err := s.write(ctx, r, func(t target, p *engine.Partition, cols []*column.Column) (engine.WriteResult, error) {
		if p != nil {
			return p.Insert(ctx, cols...)
		}
		return t.Insert(ctx, cols...)
	})
	if err != nil {
		return s.refused(err), nil
	}
	out := s.written(res, rows)
	out.InsertCnt = int64(rows)
	return out, nil
}

// Upsert adds entities and removes those with the same primary keys, wherever they are in the collection, in one step. Keys are those
// given, also where an insert generates them. A partial update leaves the fields that are not given as they are.
func (s *Server) Upsert(ctx context.Context, r *milvuspb.UpsertRequest) (*milvuspb.MutationResult, error) {
	if r.GetNamespace() != "" {
		return s.refused(fail(codeUnsupported, "namespaces are not supported")), nil
	}
	for _, op := range r.GetFieldOps() {
		if op.GetOp() != schemapb.FieldPartialUpdateOp_REPLACE {
			return s.refused(fail(codeUnsupported, "field %q: operation %s of a partial update is not supported", clip(op.GetFieldName()), op.GetOp())), nil
		}
	}
	res, rows, err := s.write(ctx, r, func(t target, p *engine.Partition, cols []*column.Column) (engine.WriteResult, error) {
		switch {
		case p != nil && r.GetPartialUpdate():
			return p.UpsertPartial(ctx, cols...)
		case p != nil:
			return p.Upsert(ctx, cols...)
		case r.GetPartialUpdate():
			return t.UpsertPartial(ctx, cols...)
		}
		return t.Upsert(ctx, cols...)
	})
	if err != nil {
		return s.refused(err), nil
	}
	out := s.written(res, rows)
	out.UpsertCnt = int64(rows)
	return out, nil
}

// writeRequest is what requests to insert and to upsert have in common.
type writeRequest interface {
	GetDbName() string
	GetCollectionName() string
	GetPartitionName() string
	GetFieldsData() []*schemapb.FieldData
	GetNumRows() uint32
	GetSchemaTimestamp() uint64
}

func (s *Server) write(ctx context.Context, r writeRequest, do func(target, *engine.Partition, []*column.Column) (engine.WriteResult, error)) (engine.WriteResult, int, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return engine.WriteResult{}, 0, err
	}
	if err := checkSchemaTimestamp(t, r.GetSchemaTimestamp()); err != nil {
		return engine.WriteResult{}, 0, err
	}
	p, err := t.named(r.GetPartitionName())
	if err != nil {
		return engine.WriteResult{}, 0, err
	}
	cols, err := parseColumns(t.Schema(), r.GetFieldsData(), r.GetNumRows())
	if err != nil {
		return engine.WriteResult{}, 0, err
	}
	res, err := do(t, p, cols)
	return res, int(r.GetNumRows()), err
}

// named is the partition that a request names, nil for none.
func (t target) named(name string) (*engine.Partition, error) {
	if strings.TrimSpace(name) == "" {
		return nil, nil
	}
	if err := t.checkNaming(); err != nil {
		return nil, err
	}
	return t.partition(name)
}

// checkNaming refuses names of partitions where a partition key says which one is meant.
func (t target) checkNaming() error {
	if t.Schema().PartitionKey() != nil {
		return fail(codeInvalid, "not support manually specifying the partition names if partition key mode is used")
	}
	return nil
}

// written is the answer to a write that was made. Its timestamp is later than the write.
func (s *Server) written(res engine.WriteResult, rows int) *milvuspb.MutationResult {
	return &milvuspb.MutationResult{
		Status: succeeded(), IDs: formatKeys(res.Keys), SuccIndex: indexes(rows), Acknowledged: true, Timestamp: s.clock.next(),
	}
}

// refused is the answer to a write that was not made.
func (s *Server) refused(err error) *milvuspb.MutationResult {
	return &milvuspb.MutationResult{Status: status(err), IDs: &schemapb.IDs{}, Timestamp: s.clock.next()}
}

// Delete removes the entities that an expression means, all of them or none. DeleteCnt counts those that were there.
func (s *Server) Delete(ctx context.Context, r *milvuspb.DeleteRequest) (*milvuspb.MutationResult, error) {
	n, err := s.delete(ctx, r)
	if err != nil {
		return s.refused(err), nil
	}
	return &milvuspb.MutationResult{
		Status: succeeded(), IDs: &schemapb.IDs{}, DeleteCnt: int64(n), Acknowledged: true, Timestamp: s.clock.next(),
	}, nil
}

func (s *Server) delete(ctx context.Context, r *milvuspb.DeleteRequest) (int, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return 0, err
	}
	p, err := t.named(r.GetPartitionName())
	if err != nil {
		return 0, err
	}
	values, err := parseTemplates(r.GetExprTemplateValues())
	if err != nil {
		return 0, err
	}
	expr, err := filter.Parse(r.GetExpr(), t.Schema(), values)
	if e, ok := errors.AsType[*filter.Error](err); ok {
		return 0, fail(codeInvalid, "failed to create delete plan: cannot parse expression: %s, error: %s", clip(e.Expr), e.Error())
	}
	if err != nil {
		return 0, err
	}
	if expr.AlwaysTrue() {
		return 0, fail(codeInvalid, "delete plan can't be empty or always true : %s", clip(r.GetExpr()))
	}
	var res engine.WriteResult
	keys, _ := expr.Keys()
	switch {
	case expr.OnlyKeys() && p != nil:
		res, err = p.Delete(ctx, keys)
	case expr.OnlyKeys():
		res, err = t.Collection.Delete(ctx, keys)
	case p != nil:
		res, err = p.DeleteWhere(ctx, query.Where(r.GetExpr(), values))
	default:
		res, err = t.DeleteWhere(ctx, query.Where(r.GetExpr(), values))
	}
	return res.Deleted, err
}

// parseTemplates makes the values of an expression's templates.
func parseTemplates(m map[string]*schemapb.TemplateValue) (map[string]any, error) {
	if len(m) == 0 {
		return nil, nil
	}
	out := make(map[string]any, len(m))
	for name, v := range m {
		switch x := v.GetVal().(type) {
		case *schemapb.TemplateValue_BoolVal:
			out[name] = x.BoolVal
		case *schemapb.TemplateValue_Int64Val:
			out[name] = x.Int64Val
		case *schemapb.TemplateValue_FloatVal:
			out[name] = x.FloatVal
		case *schemapb.TemplateValue_StringVal:
			out[name] = x.StringVal
		case *schemapb.TemplateValue_ArrayVal:
			out[name] = parseTemplateArray(x.ArrayVal, 0)
		default:
			return nil, fail(codeInvalid, "template value %q has no value", name)
		}
		if out[name] == nil {
			return nil, fail(codeInvalid, "template value %q is of a kind that is not supported", name)
		}
	}
	return out, nil
}

func parseTemplateArray(a *schemapb.TemplateArrayValue, depth int) any {
	switch x := a.GetData().(type) {
	case nil:
		return []any{}
	case *schemapb.TemplateArrayValue_BoolData:
		return x.BoolData.GetData()
	case *schemapb.TemplateArrayValue_LongData:
		return x.LongData.GetData()
	case *schemapb.TemplateArrayValue_DoubleData:
		return x.DoubleData.GetData()
	case *schemapb.TemplateArrayValue_StringData:
		return x.StringData.GetData()
	case *schemapb.TemplateArrayValue_ArrayData:
		if depth >= filter.MaxDepth {
			return nil
		}
		out := []any{}
		for _, e := range x.ArrayData.GetData() {
			v := parseTemplateArray(e, depth+1)
			if v == nil {
				return nil
			}
			out = append(out, v)
		}
		return out
	}
	return nil
}
