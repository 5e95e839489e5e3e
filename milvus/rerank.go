package milvus

import (
	"maps"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/selkiedb/selkie/query"
)

// parseFunctionScore reads the functions by which the hits of n searches are ordered anew: one of rrf, weighted and decay, or any number of boosts.
func parseFunctionScore(fs *schemapb.FunctionScore, n int) (func(*query.Hybrid), error) {
	for key, v := range fromPairs(fs.GetParams()) {
		if key == "boost_mode" || key == "function_mode" {
			if !strings.EqualFold(v, "multiply") {
				return nil, fail(codeUnsupported, "%s %s is not supported: scores are multiplied", key, clip(v))
			}
		}
	}
	var all []func(*query.Hybrid)
	for _, fn := range fs.GetFunctions() {
		if fn.GetType() != schemapb.FunctionType_Rerank {
			return nil, fail(codeInvalid, "function %q is of type %s, a rerank function is expected", clip(fn.GetName()), fn.GetType())
		}
		p := params{pairs: fromPairs(fn.GetParams())}
		kind, _ := p.text("reranker")
		kind = strings.ToLower(kind)
		if kind != "boost" && len(fs.GetFunctions()) > 1 {
			return nil, fail(codeInvalid, "only boosts go together, reranker %s does not", clip(kind))
		}
		var f func(*query.Hybrid)
		var err error
		switch kind {
		case "rrf", "weighted":
			p.pairs = maps.Clone(p.pairs)
			p.pairs["strategy"] = kind
			f, err = parseRank(p, n)
		case "decay":
			f, err = parseDecay(fn, p)
		case "boost":
			f, err = parseBoost(p)
		default:
			err = fail(codeUnsupported, "reranker %q is not supported: there are rrf, weighted, decay and boost", clip(kind))
		}
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return func(h *query.Hybrid) {
		for _, f := range all {
			f(h)
		}
	}, nil
}

// parseDecay reads a decay by the value of a field.
func parseDecay(fn *schemapb.FunctionSchema, p params) (func(*query.Hybrid), error) {
	if len(fn.GetInputFieldNames()) != 1 {
		return nil, fail(codeInvalid, "decay function %q should have one input field, has %d", clip(fn.GetName()), len(fn.GetInputFieldNames()))
	}
	shape, _ := p.text("function")
	kind, ok := map[string]query.DecayKind{"gauss": query.DecayGauss, "exp": query.DecayExp, "linear": query.DecayLinear}[strings.ToLower(shape)]
	if !ok {
		return nil, fail(codeInvalid, "decay function should be gauss, exp or linear, is %q", clip(shape))
	}
	var x [4]float64
	var given [4]bool
	for i, key := range []string{"origin", "scale", "offset", "decay"} {
		var err error
		if x[i], given[i], err = p.float(key); err != nil {
			return nil, err
		}
		if i < 2 && !given[i] {
			return nil, fail(codeMissing, "decay function needs the param %s", key)
		}
	}
	d := query.NewDecay(kind, fn.GetInputFieldNames()[0], x[0], x[1]).Offset(x[2])
	if given[3] {
		d.To(x[3])
	}
	return func(h *query.Hybrid) { h.Decay(d) }, nil
}

// parseBoost reads a weight of the hits that a filter lets through.
func parseBoost(p params) (func(*query.Hybrid), error) {
	if _, ok := p.text("random_score"); ok {
		return nil, fail(codeUnsupported, "random_score is not supported")
	}
	expr, _ := p.text("filter")
	weight, ok, err := p.float("weight")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fail(codeMissing, "boost function needs the param weight")
	}
	return func(h *query.Hybrid) { h.Boost(weight, expr) }, nil
}
