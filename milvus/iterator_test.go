package milvus_test

import (
	"strconv"
	"testing"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"
)

// line is a collection with n rows at (0,0), (1,0), …
func line(t testing.TB, f *fixture, n int) {
	f.create(t, &schemapb.CollectionSchema{Name: "line", Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_Int64)), field("v", schemapb.DataType_FloatVector, "dim", "2"), field("w", schemapb.DataType_FloatVector, "dim", "2"),
	}})
	ids, v, w := make([]int64, n), make([]float32, 2*n), make([]float32, 2*n)
	for i := range ids {
		ids[i], v[2*i], w[2*i] = int64(i), float32(i), float32(n-i)
	}
	fine[*milvuspb.MutationResult](t)(f.Insert(within(t), &milvuspb.InsertRequest{CollectionName: "line", NumRows: uint32(n), FieldsData: []*schemapb.FieldData{
		int64s("id", ids...), floatVectors("v", 2, v...), floatVectors("w", 2, w...),
	}}))
}

// A query iterator sees what its first call saw, whatever is written, flushed and dropped meanwhile.
func TestQueryIterator(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	line(t, f, 10)
	d := fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "line"}))
	var seen []int64
	var session uint64
	for last := int64(-1); ; {
		r := &milvuspb.QueryRequest{
			CollectionName: "line", Expr: "id > " + strconv.FormatInt(last, 10), GuaranteeTimestamp: session, OutputFields: []string{"id"},
			QueryParams: kv("iterator", "True", "reduce_stop_for_best", "True", "limit", "4", "collection_id", strconv.FormatInt(d.GetCollectionID(), 10)),
		}
		got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, r))
		if session == 0 {
			session = got.GetSessionTs()
			require.NotZero(t, session)
			fine[*milvuspb.MutationResult](t)(f.Delete(ctx, &milvuspb.DeleteRequest{CollectionName: "line", Expr: "id > 4"}))
			fine[*milvuspb.MutationResult](t)(f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "line", NumRows: 1, FieldsData: []*schemapb.FieldData{
				int64s("id", 7), floatVectors("v", 2, 1, 1), floatVectors("w", 2, 1, 1),
			}}))
			fine[*milvuspb.FlushResponse](t)(f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"line"}}))
		}
		require.Equal(t, session, got.GetSessionTs())
		ids := got.GetFieldsData()[0].GetScalars().GetLongData().GetData()
		if len(ids) == 0 {
			break
		}
		seen = append(seen, ids...)
		last = ids[len(ids)-1]
	}
	require.Equal(t, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, seen)
	r, err := f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "line", Expr: "id > 0", QueryParams: kv("iterator", "True", "collection_id", "12345")})
	require.NoError(t, err)
	bad(t, r.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, "collection_id")
}

// A search iterator gives every hit once, best first.
func TestSearchIterator(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	line(t, f, 10)
	params := kv("anns_field", "v", "topk", "3", "metric_type", "L2", "iterator", "True", "search_iter_v2", "True", "search_iter_batch_size", "3")
	var seen []int64
	token := ""
	for {
		more := params
		if token != "" {
			more = append(more[:len(more):len(more)], kv("search_iter_id", token, "search_iter_last_bound", "0")...)
		}
		r := nearest(t, "line", more, floats(0, 0))
		r.OutputFields = []string{"v"}
		got := fine[*milvuspb.SearchResults](t)(f.Search(ctx, r)).GetResults()
		require.NotEmpty(t, got.GetSearchIteratorV2Results().GetToken())
		if token == "" {
			token = got.GetSearchIteratorV2Results().GetToken()
			fine[*milvuspb.MutationResult](t)(f.Delete(ctx, &milvuspb.DeleteRequest{CollectionName: "line", Expr: "id >= 0"}))
		}
		require.Equal(t, token, got.GetSearchIteratorV2Results().GetToken())
		ids := got.GetIds().GetIntId().GetData()
		if len(ids) == 0 {
			break
		}
		for i, id := range ids {
			require.Equal(t, float32(id), got.GetFieldsData()[0].GetVectors().GetFloatVector().GetData()[2*i])
		}
		seen = append(seen, ids...)
	}
	require.Equal(t, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, seen)
	for text, more := range map[string][]*commonpb.KeyValuePair{
		"offset":     kv("offset", "1"),
		"not known":  kv("search_iter_id", "nothing"),
		"batch_size": kv("search_iter_batch_size", "0"),
	} {
		r, err := f.Search(ctx, nearest(t, "line", append(params[:len(params):len(params)], more...), floats(0, 0)))
		require.NoError(t, err)
		bad(t, r.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, text)
	}
}

func TestHybridSearch(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	line(t, f, 10)
	one := nearest(t, "line", kv("anns_field", "v", "topk", "3", "metric_type", "L2"), floats(0, 0)) // 0, 1, 2
	two := nearest(t, "line", kv("anns_field", "w", "topk", "3", "metric_type", "L2"), floats(8, 0)) // 2, then 1 and 3
	ask := func(rank ...string) *milvuspb.HybridSearchRequest {
		return &milvuspb.HybridSearchRequest{
			CollectionName: "line", Requests: []*milvuspb.SearchRequest{one, two}, RankParams: kv(append(rank, "limit", "3")...), OutputFields: []string{"v"},
		}
	}
	got := fine[*milvuspb.SearchResults](t)(f.HybridSearch(ctx, ask("strategy", "rrf", "params", `{"k": 60}`))).GetResults()
	require.Equal(t, []int64{2, 1, 0}, got.GetIds().GetIntId().GetData())
	require.InDeltaSlice(t, []float64{1./63 + 1./61, 2. / 62, 1. / 61}, []float64{float64(got.GetScores()[0]), float64(got.GetScores()[1]), float64(got.GetScores()[2])}, 1e-6)
	require.Equal(t, []float32{2, 0, 1, 0, 0, 0}, got.GetFieldsData()[0].GetVectors().GetFloatVector().GetData())
	require.Equal(t, []int64{3}, got.GetTopks())

	got = fine[*milvuspb.SearchResults](t)(f.HybridSearch(ctx, ask("strategy", "weighted", "params", `{"weights": [1.0, 0.0], "norm_score": true}`))).GetResults()
	require.Equal(t, []int64{0, 1, 2}, got.GetIds().GetIntId().GetData())
	require.InDelta(t, 1, got.GetScores()[0], 1e-6)
	require.InDelta(t, .5, got.GetScores()[1], 1e-6)

	for text, r := range map[string]*milvuspb.HybridSearchRequest{
		"weights param mismatch": ask("strategy", "weighted", "params", `{"weights": [1.0]}`),
		"range [0, 1]":           ask("strategy", "weighted", "params", `{"weights": [1.0, 2]}`),
		"unsupported rank type":  ask("strategy", "other"),
		"k should be in range":   ask("strategy", "rrf", "params", `{"k": 0}`),
		"1 to 1024 requests":     {CollectionName: "line", RankParams: kv("limit", "1")},
	} {
		a, err := f.HybridSearch(ctx, r)
		require.NoError(t, err)
		bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, text)
	}
}
