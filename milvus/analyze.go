package milvus

import (
	"context"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"

	"github.com/selkiedb/selkie/text"
)

// RunAnalyzer gives the terms of texts, by parameters or by the field of a collection.
func (s *Server) RunAnalyzer(ctx context.Context, r *milvuspb.RunAnalyzerRequest) (*milvuspb.RunAnalyzerResponse, error) {
	a, err := s.analyzer(ctx, r)
	if err != nil {
		return &milvuspb.RunAnalyzerResponse{Status: status(err)}, nil
	}
	out := &milvuspb.RunAnalyzerResponse{Status: succeeded()}
	for _, raw := range r.GetPlaceholder() {
		one := new(milvuspb.AnalyzerResult)
		a.Each(raw, func(_ int, term []byte) {
			one.Tokens = append(one.Tokens, &milvuspb.AnalyzerToken{Token: string(term)})
		})
		out.Results = append(out.Results, one)
	}
	return out, nil
}

func (s *Server) analyzer(ctx context.Context, r *milvuspb.RunAnalyzerRequest) (*text.Analyzer, error) {
	if r.GetWithDetail() || r.GetWithHash() || len(r.GetAnalyzerNames()) > 0 {
		return nil, fail(codeUnsupported, "with_detail, with_hash and analyzer_names are not supported")
	}
	if r.GetFieldName() == "" {
		name, err := analyzerOf(r.GetAnalyzerParams())
		if err != nil {
			return nil, err
		}
		return text.ByName(name)
	}
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	f, ok := t.Schema().Field(r.GetFieldName())
	if !ok || f.Analyzer == "" {
		return nil, fail(codeInvalid, "field %q has no analyzer", clip(r.GetFieldName()))
	}
	return text.ByName(f.Analyzer)
}
