package milvus

import (
	"context"
	"encoding/binary"
	"math"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"google.golang.org/protobuf/proto"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// Search finds the entities nearest to each of some vectors.
func (s *Server) Search(ctx context.Context, r *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
	out, err := s.search(ctx, r)
	if err != nil {
		return &milvuspb.SearchResults{Status: status(err)}, nil
	}
	return out, nil
}

func (s *Server) search(ctx context.Context, r *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
	switch {
	case r.GetNamespace() != "":
		return nil, fail(codeUnsupported, "namespaces are not supported")
	case r.GetFunctionScore() != nil:
		return nil, fail(codeUnsupported, "function_score is not supported")
	case r.GetHighlighter() != nil:
		return nil, fail(codeUnsupported, "highlighters are not supported")
	case len(r.GetSubReqs()) > 0:
		return nil, fail(codeUnsupported, "sub_reqs are not supported: call HybridSearch")
	}
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	req, err := s.parseSearch(t, r, false)
	if err != nil {
		return nil, err
	}
	if req.params.bool("iterator") {
		return s.searchIterator(ctx, t, req)
	}
	lists, err := t.SearchMany(ctx, req.search)
	if err != nil {
		return nil, err
	}
	data, err := req.format(lists)
	if err != nil {
		return nil, err
	}
	return &milvuspb.SearchResults{Status: succeeded(), Results: data, CollectionName: t.name, SessionTs: s.clock.next()}, nil
}

// searchRequest is a search that was read, and what its answer needs.
type searchRequest struct {
	search *query.Search
	params params
	key    *schema.Field
	output output
	asked  []string // output fields as they were given
	ef     int      // 0: not given
	metric vector.Metric
	names  []string // of partitions; none: all
	limit  int
	nq     int
	round  int // decimals, -1: all
}

// parseSearch reads a search. One that is part of a hybrid search names no partitions and no output.
func (s *Server) parseSearch(t target, r *milvuspb.SearchRequest, part bool) (*searchRequest, error) {
	sch := t.Schema()
	p, err := parseParams(r.GetSearchParams())
	if err != nil {
		return nil, err
	}
	f, err := searchedField(sch, p)
	if err != nil {
		return nil, err
	}
	q := &searchRequest{params: p, key: sch.PrimaryKey(), round: -1}
	if q.search, q.nq, err = parsePlaceholders(f, r.GetPlaceholderGroup()); err != nil {
		return nil, err
	}
	if nq := r.GetNq(); nq != 0 && nq != int64(q.nq) {
		return nil, fail(codeInvalid, "nq [%d] is invalid: invalid parameter[expected=%d][actual=%d]", nq, q.nq, nq)
	}
	if !part {
		q.asked = r.GetOutputFields()
		if q.output, err = parseOutput(sch, q.asked); err != nil {
			return nil, err
		}
		if !p.bool("iterator") { // which reads them batch by batch
			q.search.Output(q.asked...)
		}
	}
	if r.GetDsl() != "" {
		values, err := parseTemplates(r.GetExprTemplateValues())
		if err != nil {
			return nil, err
		}
		q.search.Filter(r.GetDsl(), values)
	}
	if err := q.parseWindow(); err != nil {
		return nil, err
	}
	if err := q.parseKnobs(t, f); err != nil {
		return nil, err
	}
	if part {
		return q, nil
	}
	if q.names, err = s.searchedPartitions(t, r.GetPartitionNames()); err != nil {
		return nil, err
	}
	if !p.bool("iterator") { // which takes a snapshot of them
		q.search.Partitions(q.names...)
	}
	return q, nil
}

// searchedField is the vector field that a search means.
func searchedField(sch *schema.Schema, p params) (*schema.Field, error) {
	if name, ok := p.text("anns_field"); ok {
		f, ok := sch.Field(name)
		if !ok {
			return nil, fail(codeInvalid, "failed to create query plan: failed to get field schema by name: fieldName(%s) not found", clip(name))
		}
		if !f.Type.IsVector() {
			return nil, fail(codeInvalid, "failed to create query plan: field (%s) to search is not of vector data type", clip(name))
		}
		return f, nil
	}
	var only *schema.Field
	for _, f := range sch.Fields {
		if f.Type.IsVector() {
			if only != nil {
				return nil, fail(codeInvalid, "multiple anns_fields exist, please specify a anns_field in search_params")
			}
			only = f
		}
	}
	return only, nil
}

// parseWindow reads which of the hits are wanted.
func (q *searchRequest) parseWindow() error {
	limit, ok, err := q.params.int("topk", math.MinInt64, math.MaxInt64)
	if err != nil {
		return err
	}
	if !ok {
		if limit, ok, err = q.params.int("limit", math.MinInt64, math.MaxInt64); err != nil {
			return err
		}
	}
	if !ok {
		return fail(codeMissing, "topk is required in search_params")
	}
	if limit < 1 || limit > query.MaxLimit {
		return fail(codeInvalid, "topk [%d] is invalid, it should be in range [1, %d], but got %d", limit, query.MaxLimit, limit)
	}
	offset, _, err := q.params.int("offset", 0, query.MaxLimit)
	if err != nil {
		return err
	}
	if limit+offset > query.MaxLimit {
		return fail(codeInvalid, "topk+offset [%d] is invalid, it should be in range [1, %d], but got %d", limit+offset, query.MaxLimit, limit+offset)
	}
	q.limit = int(limit)
	q.search.Limit(int(limit)).Offset(int(offset))
	round, ok, err := q.params.int("round_decimal", -1, 6)
	if ok {
		q.round = int(round)
	}
	return err
}

// parseKnobs reads how the search is to be carried out. What has no meaning here is passed over, if it is in its range.
func (q *searchRequest) parseKnobs(t target, f *schema.Field) error {
	p := q.params
	for _, key := range []string{"radius", "range_filter", "group_by_field"} {
		if _, ok := p.text(key); ok {
			return fail(codeUnsupported, "%s is not supported", key)
		}
	}
	if err := q.parseMetric(t, f); err != nil {
		return err
	}
	ef, ok, err := p.int("ef", 1, math.MaxInt32)
	if err != nil {
		return err
	}
	if !ok {
		if ef, ok, err = p.int("search_list", 1, math.MaxInt32); err != nil {
			return err
		}
	}
	if ok {
		if int(ef) < q.limit {
			return fail(codeInvalid, "ef(%d) should be larger than k(%d)", ef, q.limit)
		}
		offset, _, _ := p.int("offset", 0, query.MaxLimit)
		q.ef = int(max(ef, int64(q.limit)+offset))
		q.search.Ef(q.ef)
	}
	if _, _, err := p.int("nprobe", 1, 65536); err != nil {
		return err
	}
	if x, ok, err := p.float("drop_ratio_search"); err != nil || ok && (x < 0 || x >= 1) {
		return fail(codeInvalid, "out of range in json: param [drop_ratio_search] (%v) should be in range [0.000000, 1.000000)", x)
	}
	if x, ok, err := p.float("refine_k"); err != nil {
		return err
	} else if ok {
		if x < 1 {
			return fail(codeInvalid, "out of range in json: param [refine_k] (%v) should be at least 1", x)
		}
		q.search.RefineK(x)
	}
	return nil
}

// parseMetric finds the metric: that of the field's index, if it has one. Another one is refused.
func (q *searchRequest) parseMetric(t target, f *schema.Field) error {
	q.metric = query.DefaultMetric(query.ElementOf(f.Type))
	indexed := false
	for _, x := range t.Indexes() {
		if x.Field != f.Name {
			continue
		}
		if m, err := vector.ParseMetric(x.Metric); err == nil {
			q.metric, indexed = m, true
		}
	}
	name, ok := q.params.text("metric_type")
	if !ok {
		return nil
	}
	m, err := vector.ParseMetric(name)
	if err != nil {
		return fail(codeInvalid, "metric type %s is not supported", clip(name))
	}
	if indexed && m != q.metric {
		return fail(codeInvalid, "metric type not match: invalid parameter[expected=%s][actual=%s]", q.metric, strings.ToUpper(name))
	}
	q.metric = m
	q.search.Metric(m)
	return nil
}

// searchedPartitions are the names that a search or query is limited to: those given, else, if some are not loaded, those that are.
func (s *Server) searchedPartitions(t target, names []string) ([]string, error) {
	x := s.state.extra(t.ID())
	if !x.loaded() {
		return nil, fail(codeNotLoaded, "collection not loaded[collection=%s]", t.name)
	}
	if len(names) == 0 && !x.Partial {
		return nil, nil
	}
	if len(names) > 0 {
		if err := t.checkNaming(); err != nil {
			return nil, err
		}
		out := make([]string, len(names))
		for i, name := range names {
			p, err := t.partition(name)
			if err != nil {
				return nil, err
			}
			if !x.loadedPartition(p.ID()) {
				return nil, fail(codePartitionNotLoaded, "partition not loaded[partition=%s]", p.Name())
			}
			out[i] = p.Name()
		}
		return out, nil
	}
	for _, p := range t.Partitions() {
		if x.loadedPartition(p.ID()) {
			names = append(names, p.Name())
		}
	}
	if len(names) == 0 {
		return nil, fail(codeNotLoaded, "collection not loaded[collection=%s]", t.name)
	}
	return names, nil
}

// parsePlaceholders reads the vectors of a search.
func parsePlaceholders(f *schema.Field, raw []byte) (*query.Search, int, error) {
	group := new(commonpb.PlaceholderGroup)
	if err := proto.Unmarshal(raw, group); err != nil {
		return nil, 0, fail(codeInvalid, "failed to unmarshal placeholder group: %s", err)
	}
	if len(group.GetPlaceholders()) != 1 {
		return nil, 0, fail(codeInvalid, "a search has one placeholder, this has %d", len(group.GetPlaceholders()))
	}
	p := group.GetPlaceholders()[0]
	n := len(p.GetValues())
	if n < 1 || n > query.MaxQueries {
		return nil, 0, fail(codeInvalid, "nq (number of search vector per search request) should be in range [1, %d], but got %d", query.MaxQueries, n)
	}
	if schema.DataType(p.GetType()) != f.Type {
		return nil, 0, fail(codeInvalid, "vector type must be the same, field %s - type %s, search info type %s", f.Name, f.Type, p.GetType())
	}
	if w := f.Width(); w > 0 {
		for _, v := range p.GetValues() {
			if len(v) != w {
				return nil, 0, fail(codeInvalid, "vector dimension mismatch, expected vector size(byte) %d, actual %d.", w, len(v))
			}
		}
	}
	switch f.Type {
	case schema.TypeFloatVector:
		vectors := make([][]float32, n)
		flat := make([]float32, n*f.Dim)
		for i, v := range p.GetValues() {
			vectors[i] = flat[i*f.Dim : (i+1)*f.Dim]
			for j := range vectors[i] {
				vectors[i][j] = math.Float32frombits(binary.LittleEndian.Uint32(v[4*j:]))
			}
		}
		return query.Nearest(f.Name, vectors...), n, nil
	case schema.TypeInt8Vector:
		vectors := make([][]int8, n)
		for i, v := range p.GetValues() {
			vectors[i] = signed(v)
		}
		return query.Nearest(f.Name, vectors...), n, nil
	case schema.TypeSparseFloatVector:
		vectors := make([]column.Sparse, n)
		for i, v := range p.GetValues() {
			var err error
			if vectors[i], err = parseSparse(v); err != nil {
				return nil, 0, err
			}
		}
		return query.Nearest(f.Name, vectors...), n, nil
	}
	return query.Nearest(f.Name, p.GetValues()...), n, nil
}

// format makes the answer of the lists of hits.
func (q *searchRequest) format(lists [][]engine.Hit) (*schemapb.SearchResultData, error) {
	d := &schemapb.SearchResultData{
		NumQueries: int64(len(lists)), TopK: int64(q.limit), Topks: make([]int64, len(lists)), PrimaryFieldName: q.key.Name, OutputFields: q.output.names,
	}
	total := 0
	for i, hits := range lists {
		d.Topks[i] = int64(len(hits))
		total += len(hits)
	}
	d.Scores = make([]float32, 0, total)
	ints, strs := []int64(nil), []string(nil)
	if q.key.Type == schema.TypeVarChar {
		strs = make([]string, 0, total)
	} else {
		ints = make([]int64, 0, total)
	}
	for _, hits := range lists {
		for _, h := range hits {
			d.Scores = append(d.Scores, roundTo(h.Score, q.round))
			if strs != nil {
				strs = append(strs, h.Key.Str)
			} else {
				ints = append(ints, h.Key.Int)
			}
		}
	}
	if strs != nil {
		d.Ids = &schemapb.IDs{IdField: &schemapb.IDs_StrId{StrId: &schemapb.StringArray{Data: strs}}}
	} else {
		d.Ids = &schemapb.IDs{IdField: &schemapb.IDs_IntId{IntId: &schemapb.LongArray{Data: ints}}}
	}
	o := q.output
	if !o.key { // the primary key, which comes first, is in the ids
		o.fields, d.OutputFields = o.fields[1:], o.names[1:]
	}
	if len(o.fields) == 0 {
		return d, nil
	}
	g := newGatherer(o.fields)
	for _, hits := range lists {
		for _, h := range hits {
			g.add(h.Row)
		}
	}
	var err error
	d.FieldsData, err = o.format(g.columns())
	return d, err
}

// roundTo rounds to some decimals, as Milvus does; -1 leaves a score as it is.
func roundTo(x float32, decimals int) float32 {
	if decimals < 0 {
		return x
	}
	p := math.Pow10(decimals)
	return float32(math.Floor(float64(x)*p+0.5) / p)
}
