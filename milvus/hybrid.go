package milvus

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
)

// HybridSearch carries out several searches as of one instant and ranks what they found together. Each has as many vectors as the others; the first
// vectors of all make one list of hits, the second ones another, as of an instant of its own.
func (s *Server) HybridSearch(ctx context.Context, r *milvuspb.HybridSearchRequest) (*milvuspb.SearchResults, error) {
	out, err := s.hybrid(ctx, r)
	if err != nil {
		return &milvuspb.SearchResults{Status: status(err)}, nil
	}
	return out, nil
}

func (s *Server) hybrid(ctx context.Context, r *milvuspb.HybridSearchRequest) (*milvuspb.SearchResults, error) {
	switch n := len(r.GetRequests()); {
	case r.GetNamespace() != "":
		return nil, fail(codeUnsupported, "namespaces are not supported")
	case n < 1 || n > query.MaxSearches:
		return nil, fail(codeInvalid, "a hybrid search has 1 to %d requests, this has %d", query.MaxSearches, n)
	}
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	p, err := parseParams(r.GetRankParams())
	if err != nil {
		return nil, err
	}
	w, err := p.window()
	if err != nil {
		return nil, err
	}
	if _, ok := p.text("group_by_field"); ok {
		return nil, fail(codeUnsupported, "group_by_field is not supported in a hybrid search")
	}
	h := &hybridRequest{t: t, w: w, requests: r.GetRequests(), output: r.GetOutputFields()}
	if h.names, err = s.searchedPartitions(t, r.GetPartitionNames()); err != nil {
		return nil, err
	}
	if h.rank, err = parseRank(p, len(r.GetRequests())); err != nil {
		return nil, err
	}
	if len(r.GetFunctionScore().GetFunctions()) > 0 {
		if h.rank, err = parseFunctionScore(r.GetFunctionScore(), len(r.GetRequests())); err != nil {
			return nil, err
		}
	}
	for i, sub := range r.GetRequests() {
		v, err := parsePlaceholders(sub)
		if err != nil {
			return nil, err
		}
		if i > 0 && len(v.GetValues()) != len(h.values[0].GetValues()) {
			return nil, fail(codeInvalid, "all requests of a hybrid search have as many vectors: request 0 has %d, request %d has %d", len(h.values[0].GetValues()), i, len(v.GetValues()))
		}
		h.values = append(h.values, v)
	}
	return s.answerHybrid(ctx, h)
}

// rescored is a search whose scores are changed: a hybrid one of itself alone.
func (s *Server) rescored(ctx context.Context, t target, r *milvuspb.SearchRequest, v *commonpb.PlaceholderValue) (*milvuspb.SearchResults, error) {
	p, err := parseParams(r.GetSearchParams())
	if err != nil {
		return nil, err
	}
	if p.bool("iterator") {
		return nil, fail(codeUnsupported, "function_score is not supported in an iterator")
	}
	w, err := p.window()
	if err != nil {
		return nil, err
	}
	h := &hybridRequest{t: t, w: w, requests: []*milvuspb.SearchRequest{r}, output: r.GetOutputFields(), values: []*commonpb.PlaceholderValue{v}}
	if h.names, err = s.searchedPartitions(t, r.GetPartitionNames()); err != nil {
		return nil, err
	}
	if h.rank, err = parseFunctionScore(r.GetFunctionScore(), 1); err != nil {
		return nil, err
	}
	return s.answerHybrid(ctx, h)
}

// hybridRequest is a hybrid search that was read, but for its searches.
type hybridRequest struct {
	t        target
	w        window
	requests []*milvuspb.SearchRequest
	values   []*commonpb.PlaceholderValue // of each request
	names    []string                     // of partitions
	output   []string
	rank     func(*query.Hybrid)
}

func (s *Server) answerHybrid(ctx context.Context, h *hybridRequest) (*milvuspb.SearchResults, error) {
	out := &searchRequest{key: h.t.Schema().PrimaryKey(), limit: h.w.limit}
	var err error
	if out.output, err = parseOutput(h.t.Schema(), h.output); err != nil {
		return nil, err
	}
	lists := make([][]engine.Hit, len(h.values[0].GetValues()))
	for i := range lists {
		parts := make([]*query.Search, len(h.requests))
		for j, sub := range h.requests {
			one := &commonpb.PlaceholderValue{Type: h.values[j].GetType(), Values: h.values[j].GetValues()[i : i+1]}
			q, err := s.parseSearch(h.t, sub, one, true)
			if err != nil {
				return nil, err
			}
			parts[j] = q.search
		}
		req := query.NewHybrid(parts...).Limit(h.w.limit).Offset(h.w.offset).Output(h.output...).Partitions(h.names...)
		if h.w.decimals >= 0 {
			req.RoundDecimal(h.w.decimals)
		}
		h.rank(req)
		if lists[i], err = h.t.HybridSearch(ctx, req); err != nil {
			return nil, err
		}
	}
	data, err := out.format(lists)
	if err != nil {
		return nil, err
	}
	return &milvuspb.SearchResults{Status: succeeded(), Results: data, CollectionName: h.t.name, SessionTs: s.clock.next()}, nil
}

// parseRank reads how the lists of n searches become one.
func parseRank(p params, n int) (func(*query.Hybrid), error) {
	strategy, _ := p.text("strategy")
	switch strings.ToLower(strategy) {
	case "", "rrf":
		k, ok, err := p.float("k")
		if err != nil {
			return nil, err
		}
		if !ok {
			k = query.DefaultRRF
		}
		if !(k > 0 && k < query.MaxLimit) {
			return nil, fail(codeInvalid, "The rank params k should be in range (0, %d), is %v", query.MaxLimit, k)
		}
		return func(h *query.Hybrid) { h.RRF(k) }, nil
	case "weighted":
		var weights []float64
		text, _ := p.text("weights")
		if err := json.Unmarshal([]byte(text), &weights); err != nil {
			return nil, fail(codeInvalid, "The weights param should be a list of numbers, is %s", clip(text))
		}
		if len(weights) != n {
			return nil, fail(codeInvalid, "the length of weights param mismatch with ann search requests: invalid parameter[expected=%d][actual=%d]", n, len(weights))
		}
		for _, w := range weights {
			if !(w >= 0 && w <= 1) {
				return nil, fail(codeInvalid, "rank param weight should be in range [0, 1], is %v", w)
			}
		}
		if _, asked := p.text("norm_score"); asked && !p.bool("norm_score") {
			return func(h *query.Hybrid) { h.WeightedRaw(weights...) }, nil
		}
		return func(h *query.Hybrid) { h.Weighted(weights...) }, nil
	}
	return nil, fail(codeInvalid, "unsupported rank type %s", clip(strategy))
}
