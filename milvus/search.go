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
	case r.GetHighlighter() != nil:
		return nil, fail(codeUnsupported, "highlighters are not supported")
	case len(r.GetSubReqs()) > 0:
		return nil, fail(codeUnsupported, "sub_reqs are not supported: call HybridSearch")
	}
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	v, err := parsePlaceholders(r)
	if err != nil {
		return nil, err
	}
	if len(r.GetFunctionScore().GetFunctions()) > 0 {
		return s.rescored(ctx, t, r, v)
	}
	req, err := s.parseSearch(t, r, v, false)
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
	names  []string // of partitions; none: all
	limit  int
	nq     int
	group  *schema.Field // nil: none
}

// parseSearch reads a search for some values of its placeholder. One that is part of a hybrid search names no partitions and no output.
func (s *Server) parseSearch(t target, r *milvuspb.SearchRequest, v *commonpb.PlaceholderValue, part bool) (*searchRequest, error) {
	sch := t.Schema()
	p, err := parseParams(r.GetSearchParams())
	if err != nil {
		return nil, err
	}
	f, err := searchedField(sch, p)
	if err != nil {
		return nil, err
	}
	q := &searchRequest{params: p, key: sch.PrimaryKey(), nq: len(v.GetValues())}
	if q.search, err = nearestTo(sch, f, v); err != nil {
		return nil, err
	}
	if !part {
		if q.output, err = parseOutput(sch, r.GetOutputFields()); err != nil {
			return nil, err
		}
		q.search.Output(r.GetOutputFields()...)
	}
	if r.GetDsl() != "" {
		values, err := parseTemplates(r.GetExprTemplateValues())
		if err != nil {
			return nil, err
		}
		q.search.Filter(r.GetDsl(), values)
	}
	if err := q.parseWindow(part); err != nil {
		return nil, err
	}
	if err := q.parseKnobs(t, f, part); err != nil {
		return nil, err
	}
	if part {
		return q, nil
	}
	if q.names, err = s.searchedPartitions(t, r.GetPartitionNames()); err != nil {
		return nil, err
	}
	q.search.Partitions(q.names...)
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

// window is which of the hits are wanted.
type window struct {
	limit, offset int
	decimals      int // of scores; -1: all
}

func (p params) window() (w window, err error) {
	limit, ok, err := p.int("topk", math.MinInt64, math.MaxInt64)
	if err != nil {
		return w, err
	}
	if !ok {
		if limit, ok, err = p.int("limit", math.MinInt64, math.MaxInt64); err != nil {
			return w, err
		}
	}
	if !ok {
		return w, fail(codeMissing, "topk is required in search_params")
	}
	if limit < 1 || limit > query.MaxLimit {
		return w, fail(codeInvalid, "topk [%d] is invalid, it should be in range [1, %d], but got %d", limit, query.MaxLimit, limit)
	}
	offset, _, err := p.int("offset", 0, query.MaxLimit)
	if err != nil {
		return w, err
	}
	if limit+offset > query.MaxLimit {
		return w, fail(codeInvalid, "topk+offset [%d] is invalid, it should be in range [1, %d], but got %d", limit+offset, query.MaxLimit, limit+offset)
	}
	decimals, ok, err := p.int("round_decimal", -1, query.MaxDecimals)
	if !ok {
		decimals = -1
	}
	return window{int(limit), int(offset), int(decimals)}, err
}

// parseWindow reads which of the hits are wanted. That of a part of a hybrid search begins with the best hit.
func (q *searchRequest) parseWindow(part bool) error {
	w, err := q.params.window()
	if err != nil {
		return err
	}
	q.limit = w.limit
	if part {
		q.search.Limit(w.limit + w.offset)
		return nil
	}
	if !q.params.bool("iterator") { // which goes on for as long as it is asked
		q.search.Limit(w.limit)
	}
	q.search.Offset(w.offset)
	if w.decimals >= 0 {
		q.search.RoundDecimal(w.decimals)
	}
	return nil
}

// parseKnobs reads how the search is to be carried out. What has no meaning here is passed over, if it is in its range.
func (q *searchRequest) parseKnobs(t target, f *schema.Field, part bool) error {
	p := q.params
	if err := q.parseRange(); err != nil {
		return err
	}
	if err := q.parseGroup(t.Schema(), part); err != nil {
		return err
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
		q.search.Ef(int(max(ef, int64(q.limit)+offset)))
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

// parseRange reads the scores that a search is limited to.
func (q *searchRequest) parseRange() error {
	if x, ok, err := q.params.float("radius"); err != nil {
		return err
	} else if ok {
		q.search.Radius(float32(x))
	}
	x, ok, err := q.params.float("range_filter")
	if ok {
		q.search.RangeFilter(float32(x))
	}
	return err
}

// parseGroup reads by what hits are grouped. Groups are always as full as they can be, which is what strict_group_size asks for.
func (q *searchRequest) parseGroup(s *schema.Schema, part bool) error {
	name, ok := q.params.text("group_by_field")
	if !ok {
		return nil
	}
	if part {
		return fail(codeUnsupported, "group_by_field is not supported in a hybrid search")
	}
	f, ok := s.Field(name)
	if !ok {
		return fail(codeInvalid, "groupBy field not found in schema: field not found[field=%s]", clip(name))
	}
	size, ok, err := q.params.int("group_size", 1, query.MaxGroupHits)
	if err != nil {
		return err
	}
	q.group = f
	q.search.GroupBy(name)
	if ok {
		q.search.GroupSize(int(size))
	}
	return nil
}

// parseMetric finds the metric: that of the field's index, if it has one. Another one is refused.
func (q *searchRequest) parseMetric(t target, f *schema.Field) error {
	metric, indexed := query.DefaultMetric(query.ElementOf(f.Type)), false
	for _, x := range t.Indexes() {
		if x.Field != f.Name {
			continue
		}
		if m, err := vector.ParseMetric(x.Metric); err == nil {
			metric, indexed = m, true
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
	if indexed && m != metric {
		return fail(codeInvalid, "metric type not match: invalid parameter[expected=%s][actual=%s]", metric, strings.ToUpper(name))
	}
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

// parsePlaceholders reads the vectors, or texts, of a search.
func parsePlaceholders(r *milvuspb.SearchRequest) (*commonpb.PlaceholderValue, error) {
	if r.GetIds() != nil {
		return nil, fail(codeUnsupported, "searches by primary keys are not supported")
	}
	group := new(commonpb.PlaceholderGroup)
	if err := proto.Unmarshal(r.GetPlaceholderGroup(), group); err != nil {
		return nil, fail(codeInvalid, "failed to unmarshal placeholder group: %s", err)
	}
	if len(group.GetPlaceholders()) != 1 {
		return nil, fail(codeInvalid, "a search has one placeholder, this has %d", len(group.GetPlaceholders()))
	}
	p := group.GetPlaceholders()[0]
	n := len(p.GetValues())
	if n < 1 || n > query.MaxQueries {
		return nil, fail(codeInvalid, "nq (number of search vector per search request) should be in range [1, %d], but got %d", query.MaxQueries, n)
	}
	if nq := r.GetNq(); nq != 0 && nq != int64(n) {
		return nil, fail(codeInvalid, "nq [%d] is invalid: invalid parameter[expected=%d][actual=%d]", nq, n, nq)
	}
	return p, nil
}

// nearestTo begins a search for the values of a placeholder.
func nearestTo(s *schema.Schema, f *schema.Field, p *commonpb.PlaceholderValue) (*query.Search, error) {
	if s.MadeBy(f.Name) != nil {
		if p.GetType() != commonpb.PlaceholderType_VarChar {
			return nil, fail(codeInvalid, "please provide varchar/text for BM25 Function based search, got %s", p.GetType())
		}
		texts := make([]string, len(p.GetValues()))
		for i, v := range p.GetValues() {
			texts[i] = string(v)
		}
		return query.Nearest(f.Name, texts...), nil
	}
	if schema.DataType(p.GetType()) != f.Type {
		return nil, fail(codeInvalid, "vector type must be the same, field %s - type %s, search info type %s", f.Name, f.Type, p.GetType())
	}
	if w := f.Width(); w > 0 {
		for _, v := range p.GetValues() {
			if len(v) != w {
				return nil, fail(codeInvalid, "vector dimension mismatch, expected vector size(byte) %d, actual %d.", w, len(v))
			}
		}
	}
	n := len(p.GetValues())
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
		return query.Nearest(f.Name, vectors...), nil
	case schema.TypeInt8Vector:
		vectors := make([][]int8, n)
		for i, v := range p.GetValues() {
			vectors[i] = signed(v)
		}
		return query.Nearest(f.Name, vectors...), nil
	case schema.TypeSparseFloatVector:
		vectors := make([]column.Sparse, n)
		for i, v := range p.GetValues() {
			var err error
			if vectors[i], err = parseSparse(v); err != nil {
				return nil, err
			}
		}
		return query.Nearest(f.Name, vectors...), nil
	}
	return query.Nearest(f.Name, p.GetValues()...), nil
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
			d.Scores = append(d.Scores, h.Score)
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
	if q.group != nil {
		g := newGatherer([]*schema.Field{q.group})
		for _, hits := range lists {
			for _, h := range hits {
				g.add(h.Row)
			}
		}
		d.GroupByFieldValue = formatColumn(q.group, g.columns()[0])
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
