package milvus

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// askedIndex is an index as a client asked for it. What the engine has of it may be of another kind, or nothing at all.
type askedIndex struct {
	Field  string            `json:"field"`
	Params map[string]string `json:"params"`
	ID     int64             `json:"id,omitempty"` // if the engine has none
}

// standIns are the kinds of Milvus for which AUTOINDEX stands in: the answers to searches are as good or better.
var standIns = []string{
	"", "IVF_FLAT", "IVF_SQ8", "IVF_PQ", "IVF_RABITQ", "BIN_IVF_FLAT", "HNSW_PQ", "HNSW_PRQ", "SCANN", "DISKANN", "GPU_CAGRA", "GPU_IVF_FLAT",
	"GPU_IVF_PQ", "GPU_BRUTE_FORCE",
}

// scalarKinds are the kinds for other fields. The engine has none: filters read the columns.
var scalarKinds = []string{"", "AUTOINDEX", "INVERTED", "BITMAP", "STL_SORT", "TRIE", "NGRAM"}

// engineParams are the parameters that the engine's kinds have.
var engineParams = map[schema.IndexKind][]string{
	schema.IndexHNSW:   {"M", "efConstruction"},
	schema.IndexHNSWSQ: {"M", "efConstruction", "sq_type", "refine", "refine_type"},
	schema.IndexSparse: {"inverted_index_algo"},
}

// CreateIndex defines an index of a field. Segments get it in the background; DescribeIndex tells how far it is.
//
// Commit point: the engine's, for an index of vectors; else the row of the state collection.
func (s *Server) CreateIndex(ctx context.Context, r *milvuspb.CreateIndexRequest) (*commonpb.Status, error) {
	return status(s.createIndex(ctx, r)), nil
}

func (s *Server) createIndex(ctx context.Context, r *milvuspb.CreateIndexRequest) error {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return err
	}
	f, ok := t.Schema().Field(strings.TrimSpace(r.GetFieldName()))
	if !ok {
		return fail(codeInvalid, "cannot create index on non-exist field: %s", clip(r.GetFieldName()))
	}
	name := strings.TrimSpace(r.GetIndexName())
	if name == "" {
		name = f.Name
	}
	if err := schema.ValidName("index", name); err != nil {
		return err
	}
	asked, err := parseIndexParams(r.GetExtraParams())
	if err != nil {
		return err
	}
	asked.Field = f.Name
	s.ddl.Lock()
	defer s.ddl.Unlock()
	x := s.state.extra(t.ID())
	if have, ok := x.Indexes[name]; ok && have.Field != f.Name {
		return fail(codeInvalid, "CreateIndex failed: at most one distinct index is allowed per field: index %q is of field %q", name, have.Field)
	}
	for other, have := range x.Indexes {
		if have.Field == f.Name && other != name {
			return fail(codeInvalid, "CreateIndex failed: at most one distinct index is allowed per field: field %q has index %q", f.Name, other)
		}
	}
	if f.Type.IsVector() {
		def, err := engineIndex(f, name, asked.Params)
		if err == nil {
			err = checkBM25(t.Schema(), f, r.GetExtraParams())
		}
		if err != nil {
			return err
		}
		if err := t.CreateIndex(ctx, def); err != nil {
			if errors.Is(err, engine.ErrExists) {
				return fail(codeInvalid, "CreateIndex failed: at most one distinct index is allowed per field: %s", err)
			}
			return err
		}
		if _, ok := x.Indexes[name]; ok {
			return nil // the same again
		}
	} else {
		kind := strings.ToUpper(asked.Params["index_type"])
		if !slices.Contains(scalarKinds, kind) {
			return fail(codeInvalid, "invalid parameter: index type %q does not fit field %q of type %s", kind, f.Name, f.Type)
		}
		if have, ok := x.Indexes[name]; ok {
			if !maps.Equal(have.Params, asked.Params) {
				return fail(codeInvalid, "CreateIndex failed: at most one distinct index is allowed per field: index %q has other parameters", name)
			}
			return nil
		}
		asked.ID = int64(s.clock.next())
	}
	return s.state.changeExtra(ctx, t.ID(), func(x *extra) error {
		if x.Indexes == nil {
			x.Indexes = map[string]askedIndex{}
		}
		x.Indexes[name] = asked
		return nil
	})
}

// checkBM25 refuses parameters of BM25 that are not those of the function that makes the field.
func checkBM25(s *schema.Schema, f *schema.Field, kvs []*commonpb.KeyValuePair) error {
	fn := s.MadeBy(f.Name)
	if fn == nil {
		return nil
	}
	k1, b := fn.Numbers()
	p, err := parseParams(kvs)
	if err != nil {
		return err
	}
	for key, have := range map[string]float64{"bm25_k1": k1, "bm25_b": b} {
		if x, ok, err := p.float(key); err != nil {
			return err
		} else if ok && x != have {
			return fail(codeUnsupported, "%s is %v for field %q: it is given to the function when the collection is made", key, have, f.Name)
		}
	}
	return nil
}

// parseIndexParams flattens the parameters of an index.
func parseIndexParams(kvs []*commonpb.KeyValuePair) (askedIndex, error) {
	p, err := parseParams(kvs)
	if err != nil {
		return askedIndex{}, err
	}
	a := askedIndex{Params: map[string]string{}}
	for key := range p.inner {
		if v, ok := p.text(key); ok {
			a.Params[key] = v
		}
	}
	for key, v := range p.pairs {
		if key != "params" {
			a.Params[key] = v
		}
	}
	if nlist, ok, err := p.int("nlist", 1, 65536); err != nil {
		return a, err
	} else if ok {
		a.Params["nlist"] = strconv.FormatInt(nlist, 10)
	}
	return a, nil
}

// engineIndex is the engine's index that serves what was asked for.
func engineIndex(f *schema.Field, name string, asked map[string]string) (schema.Index, error) {
	kind := strings.ToUpper(strings.TrimSpace(asked["index_type"]))
	if slices.Contains(standIns, kind) {
		if binary := strings.HasPrefix(kind, "BIN_"); kind != "" && binary != (f.Type == schema.TypeBinaryVector) || f.Type == schema.TypeSparseFloatVector && kind != "" {
			return schema.Index{}, fail(codeInvalid, "invalid parameter: index type %q does not fit field %q of type %s", kind, f.Name, f.Type)
		}
		kind = string(schema.IndexAuto)
	}
	if kind == "SPARSE_WAND" {
		kind = string(schema.IndexSparse)
	}
	def := schema.Index{Name: name, Field: f.Name, Kind: schema.IndexKind(kind), Metric: asked["metric_type"], Params: map[string]string{}}
	for _, key := range engineParams[def.Kind] {
		if v, ok := asked[key]; ok {
			def.Params[key] = v
		}
	}
	if algo := strings.ToUpper(def.Params["inverted_index_algo"]); strings.HasPrefix(algo, "BLOCK_MAX") || algo == "SINDI" {
		delete(def.Params, "inverted_index_algo") // the results are the same
	}
	return def, nil
}

// indexes describes the indexes of a collection, of a field or of a name if these are given.
func (s *Server) indexes(t target, field, name string) []*milvuspb.IndexDescription {
	var out []*milvuspb.IndexDescription
	wanted := func(f, n string) bool { return (field == "" || f == field) && (name == "" || n == name) }
	x := s.state.extra(t.ID())
	there := map[string]bool{}
	for _, i := range t.Indexes() {
		there[i.Name] = true
		if !wanted(i.Field, i.Name) {
			continue
		}
		d := &milvuspb.IndexDescription{
			IndexName: i.Name, IndexID: int64(i.ID), FieldName: i.Field, IndexedRows: i.IndexedRows, TotalRows: i.TotalRows,
			PendingIndexRows: i.PendingRows, State: commonpb.IndexState_Finished, IndexStateFailReason: i.Reason,
		}
		switch i.State {
		case engine.IndexInProgress:
			d.State = commonpb.IndexState_InProgress
		case engine.IndexFailed:
			d.State = commonpb.IndexState_Failed
		}
		params := maps.Clone(i.Params)
		if params == nil {
			params = map[string]string{}
		}
		params["index_type"], params["metric_type"] = string(i.Kind), i.Metric
		if asked, ok := x.Indexes[i.Name]; ok && asked.Field == i.Field {
			if k := asked.Params["index_type"]; k != "" && !strings.EqualFold(k, string(i.Kind)) {
				params["selkie.index_type"] = string(i.Kind) // what stands in
			}
			maps.Copy(params, asked.Params)
			params["metric_type"] = i.Metric
			if params["index_type"] == "" {
				params["index_type"] = string(i.Kind)
			}
		}
		d.Params = pairs(params)
		out = append(out, d)
	}
	for _, n := range slices.Sorted(maps.Keys(x.Indexes)) {
		asked := x.Indexes[n]
		if there[n] || asked.ID == 0 || !wanted(asked.Field, n) {
			continue
		}
		rows := t.NumEntities()
		out = append(out, &milvuspb.IndexDescription{
			IndexName: n, IndexID: asked.ID, FieldName: asked.Field, IndexedRows: rows, TotalRows: rows, State: commonpb.IndexState_Finished,
			Params: pairs(asked.Params),
		})
	}
	return out
}

// findIndexes is indexes of what a request names; none is an error.
func (s *Server) findIndexes(ctx context.Context, db, collection, field, name string) ([]*milvuspb.IndexDescription, error) {
	t, err := s.find(ctx, db, collection)
	if err != nil {
		return nil, err
	}
	field, name = strings.TrimSpace(field), strings.TrimSpace(name)
	out := s.indexes(t, field, name)
	if len(out) == 0 {
		return nil, fail(codeIndexNotFound, "index not found[collection=%s][index=%s][field=%s]", t.name, name, field)
	}
	return out, nil
}

// DescribeIndex describes the indexes of a collection, or those of a name or a field.
func (s *Server) DescribeIndex(ctx context.Context, r *milvuspb.DescribeIndexRequest) (*milvuspb.DescribeIndexResponse, error) {
	list, err := s.findIndexes(ctx, r.GetDbName(), r.GetCollectionName(), r.GetFieldName(), r.GetIndexName())
	return &milvuspb.DescribeIndexResponse{Status: status(err), IndexDescriptions: list}, nil
}

// GetIndexStatistics is DescribeIndex for those who look at the numbers.
func (s *Server) GetIndexStatistics(ctx context.Context, r *milvuspb.GetIndexStatisticsRequest) (*milvuspb.GetIndexStatisticsResponse, error) {
	list, err := s.findIndexes(ctx, r.GetDbName(), r.GetCollectionName(), "", r.GetIndexName())
	return &milvuspb.GetIndexStatisticsResponse{Status: status(err), IndexDescriptions: list}, nil
}

// GetIndexState tells how far an index is.
func (s *Server) GetIndexState(ctx context.Context, r *milvuspb.GetIndexStateRequest) (*milvuspb.GetIndexStateResponse, error) {
	list, err := s.findIndexes(ctx, r.GetDbName(), r.GetCollectionName(), r.GetFieldName(), r.GetIndexName())
	if err != nil {
		return &milvuspb.GetIndexStateResponse{Status: status(err)}, nil
	}
	return &milvuspb.GetIndexStateResponse{Status: succeeded(), State: list[0].GetState(), FailReason: list[0].GetIndexStateFailReason()}, nil
}

// GetIndexBuildProgress tells how many rows an index has.
func (s *Server) GetIndexBuildProgress(ctx context.Context, r *milvuspb.GetIndexBuildProgressRequest) (*milvuspb.GetIndexBuildProgressResponse, error) {
	list, err := s.findIndexes(ctx, r.GetDbName(), r.GetCollectionName(), r.GetFieldName(), r.GetIndexName())
	if err != nil {
		return &milvuspb.GetIndexBuildProgressResponse{Status: status(err)}, nil
	}
	return &milvuspb.GetIndexBuildProgressResponse{Status: succeeded(), IndexedRows: list[0].GetIndexedRows(), TotalRows: list[0].GetTotalRows()}, nil
}

// DropIndex removes an index. To drop one that is not there succeeds.
func (s *Server) DropIndex(ctx context.Context, r *milvuspb.DropIndexRequest) (*commonpb.Status, error) {
	return status(s.dropIndex(ctx, r)), nil
}

func (s *Server) dropIndex(ctx context.Context, r *milvuspb.DropIndexRequest) error {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return err
	}
	s.ddl.Lock()
	defer s.ddl.Unlock()
	for _, d := range s.indexes(t, strings.TrimSpace(r.GetFieldName()), strings.TrimSpace(r.GetIndexName())) {
		if err := t.DropIndex(ctx, d.GetIndexName()); err != nil && !errors.Is(err, engine.ErrNotFound) {
			return err
		}
		if _, ok := s.state.extra(t.ID()).Indexes[d.GetIndexName()]; !ok {
			continue
		}
		err := s.state.changeExtra(ctx, t.ID(), func(x *extra) error {
			delete(x.Indexes, d.GetIndexName())
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// AlterIndex changes parameters that mean nothing to the engine, such as mmap.enabled.
func (s *Server) AlterIndex(ctx context.Context, r *milvuspb.AlterIndexRequest) (*commonpb.Status, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return status(err), nil
	}
	name := strings.TrimSpace(r.GetIndexName())
	if len(s.indexes(t, "", name)) == 0 || name == "" {
		return status(fail(codeIndexNotFound, "index not found[collection=%s][index=%s]", t.name, name)), nil
	}
	set := fromPairs(r.GetExtraParams())
	for key := range set {
		if key != "mmap.enabled" && key != "indexoffsetcache.enabled" && key != "warmup" {
			return status(fail(codeInvalid, "%s is not a configable index property", clip(key))), nil
		}
	}
	return status(s.state.changeExtra(ctx, t.ID(), func(x *extra) error {
		a, ok := x.Indexes[name]
		if !ok {
			return fail(codeUnsupported, "index %q was not made by this protocol, it takes no properties", name)
		}
		a.Params = alter(a.Params, set, r.GetDeleteKeys())
		x.Indexes[name] = a
		return nil
	})), nil
}
