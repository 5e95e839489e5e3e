package milvus

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/vector"
)

// maxSubSearches bounds the searches of a hybrid one, as Milvus does.
const maxSubSearches = 1024

// HybridSearch carries out several searches as of one instant and ranks what they found together.
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
	case r.GetFunctionScore() != nil:
		return nil, fail(codeUnsupported, "function_score is not supported: give rank_params")
	case n < 1 || n > maxSubSearches:
		return nil, fail(codeInvalid, "a hybrid search has 1 to %d requests, this has %d", maxSubSearches, n)
	}
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return nil, err
	}
	rank, err := parseRank(r)
	if err != nil {
		return nil, err
	}
	names, err := s.searchedPartitions(t, r.GetPartitionNames())
	if err != nil {
		return nil, err
	}
	snap, err := t.Snapshot(ctx, names...)
	if err != nil {
		return nil, err
	}
	defer snap.Release()
	nq := 0
	lists := make([][][]engine.Hit, len(r.GetRequests())) // by request, then by query vector
	for i, sub := range r.GetRequests() {
		q, err := s.parseSearch(t, sub, true)
		if err != nil {
			return nil, err
		}
		if i > 0 && q.nq != nq {
			return nil, fail(codeInvalid, "all requests of a hybrid search have as many vectors: request 0 has %d, request %d has %d", nq, i, q.nq)
		}
		nq = q.nq
		rank.metrics[i] = q.metric
		if lists[i], err = snap.SearchMany(ctx, q.search); err != nil {
			return nil, err
		}
	}
	out := &searchRequest{key: t.Schema().PrimaryKey(), limit: rank.limit, round: rank.round}
	if out.output, err = parseOutput(t.Schema(), r.GetOutputFields()); err != nil {
		return nil, err
	}
	fused := make([][]engine.Hit, nq)
	for i := range fused {
		of := make([][]engine.Hit, len(lists))
		for j := range lists {
			of[j] = lists[j][i]
		}
		fused[i] = rank.fuse(of)
		if err := fetch(ctx, snap, fused[i], r.GetOutputFields()); err != nil {
			return nil, err
		}
	}
	data, err := out.format(fused)
	if err != nil {
		return nil, err
	}
	return &milvuspb.SearchResults{Status: succeeded(), Results: data, CollectionName: t.name, SessionTs: s.clock.next()}, nil
}

// fetch reads the output fields of hits.
func fetch(ctx context.Context, snap *engine.Snapshot, hits []engine.Hit, names []string) error {
	if len(hits) == 0 {
		return nil
	}
	var keys column.Keys
	if hits[0].Key.IsStr {
		strs := make([]string, len(hits))
		for i, h := range hits {
			strs[i] = h.Key.Str
		}
		keys = column.StringKeys(strs...)
	} else {
		ints := make([]int64, len(hits))
		for i, h := range hits {
			ints[i] = h.Key.Int
		}
		keys = column.IntKeys(ints...)
	}
	rows, err := snap.Get(ctx, keys, names...)
	if err != nil {
		return err
	}
	at := make(map[column.Key]int, rows.Len()) // of a key that is there more than once, one row
	k := rows.Columns()[0]
	for i := range rows.Len() {
		if keys.Str {
			at[column.Key{Str: rows.At(i).String(k.Name()), IsStr: true}] = i
		} else {
			at[column.Key{Int: rows.At(i).Int64(k.Name())}] = i
		}
	}
	for i := range hits {
		hits[i].Row = rows.At(at[hits[i].Key])
	}
	return nil
}

// ranking says how the lists of a hybrid search become one.
type ranking struct {
	weights       []float64 // nil: by rank alone
	k             float64   // of the ranking by rank
	normal        bool      // scores become comparable first
	metrics       []vector.Metric
	limit, offset int
	round         int
}

func parseRank(r *milvuspb.HybridSearchRequest) (*ranking, error) {
	p, err := parseParams(r.GetRankParams())
	if err != nil {
		return nil, err
	}
	n := len(r.GetRequests())
	out := &ranking{k: 60, metrics: make([]vector.Metric, n)}
	for _, key := range []string{"group_by_field"} {
		if _, ok := p.text(key); ok {
			return nil, fail(codeUnsupported, "%s is not supported", key)
		}
	}
	window := &searchRequest{params: p, round: -1, search: query.Nearest[[]float32]("")}
	if err := window.parseWindow(); err != nil {
		return nil, err
	}
	offset, _, err := p.int("offset", 0, query.MaxLimit)
	if err != nil {
		return nil, err
	}
	out.limit, out.offset, out.round = window.limit, int(offset), window.round
	strategy, _ := p.text("strategy")
	switch strings.ToLower(strategy) {
	case "", "rrf":
		k, ok, err := p.float("k")
		if err != nil {
			return nil, err
		}
		if ok {
			out.k = k
		}
		if !(out.k > 0 && out.k < 16384) {
			return nil, fail(codeInvalid, "The rank params k should be in range (0, 16384), is %v", out.k)
		}
	case "weighted":
		text, _ := p.text("weights")
		if err := json.Unmarshal([]byte(text), &out.weights); err != nil {
			return nil, fail(codeInvalid, "The weights param should be a list of numbers, is %s", clip(text))
		}
		if len(out.weights) != n {
			return nil, fail(codeInvalid, "the length of weights param mismatch with ann search requests: invalid parameter[expected=%d][actual=%d]", n, len(out.weights))
		}
		for _, w := range out.weights {
			if !(w >= 0 && w <= 1) {
				return nil, fail(codeInvalid, "rank param weight should be in range [0, 1], is %v", w)
			}
		}
		_, asked := p.text("norm_score")
		out.normal = !asked || p.bool("norm_score")
	default:
		return nil, fail(codeInvalid, "unsupported rank type %s", clip(strategy))
	}
	return out, nil
}

// fuse ranks the hits of several lists: by score, then by primary key.
func (r *ranking) fuse(lists [][]engine.Hit) []engine.Hit {
	scores := map[column.Key]float64{}
	descending := r.weights == nil || r.normal
	mixed := false
	for _, m := range r.metrics {
		descending = descending || m.Descending()
		mixed = mixed || m.Descending() != r.metrics[0].Descending()
	}
	for i, hits := range lists {
		seen := map[column.Key]bool{}
		for rank, h := range hits {
			if seen[h.Key] {
				continue
			}
			seen[h.Key] = true
			if r.weights == nil {
				scores[h.Key] += 1 / (r.k + float64(rank+1))
			} else {
				scores[h.Key] += r.weights[i] * comparable(r.metrics[i], float64(h.Score), r.normal, mixed)
			}
		}
	}
	out := make([]engine.Hit, 0, len(scores))
	for k, s := range scores {
		out = append(out, engine.Hit{Key: k, Score: float32(s)})
	}
	slices.SortFunc(out, func(a, b engine.Hit) int {
		switch {
		case a.Score == b.Score:
			return a.Key.Compare(b.Key)
		case (a.Score > b.Score) == descending:
			return -1
		}
		return 1
	})
	out = out[min(r.offset, len(out)):]
	return out[:min(r.limit, len(out))]
}

// comparable brings scores of several metrics to one scale, as Milvus does.
func comparable(m vector.Metric, s float64, normal, mixed bool) float64 {
	switch {
	case normal && m == vector.Cosine:
		return (1 + s) / 2
	case normal && m == vector.IP:
		return .5 + math.Atan(s)/math.Pi
	case normal, mixed && !m.Descending():
		return 1 - 2*math.Atan(s)/math.Pi
	}
	return s
}
