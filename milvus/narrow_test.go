package milvus_test

import (
	"strconv"
	"testing"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"
)

// grouped is a collection with rows at (0), (1), … whose field group is id/3, as text and as a nullable number, null in every fourth row.
func grouped(t testing.TB, f *fixture, n int) {
	s := &schemapb.CollectionSchema{Name: "grouped", Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_Int64)), field("text", schemapb.DataType_VarChar, "max_length", "9"), field("n", schemapb.DataType_Int32),
		field("v", schemapb.DataType_FloatVector, "dim", "2"),
	}}
	s.Fields[2].Nullable = true
	f.create(t, s)
	ids, texts, numbers, valid, v := make([]int64, n), make([]string, n), []int32{}, make([]bool, n), make([]float32, 2*n)
	for i := range ids {
		ids[i], texts[i], v[2*i] = int64(i), strconv.Itoa(i/3), float32(i)
		if valid[i] = i%4 > 0; valid[i] {
			numbers = append(numbers, int32(i/3))
		}
	}
	fine[*milvuspb.MutationResult](t)(f.Insert(within(t), &milvuspb.InsertRequest{CollectionName: "grouped", NumRows: uint32(n), FieldsData: []*schemapb.FieldData{
		int64s("id", ids...), varChars("text", texts...), scalar("n", schemapb.DataType_Int32, intArray(numbers...), valid...), floatVectors("v", 2, v...),
	}}))
}

func TestGroups(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	grouped(t, f, 12)
	search := func(params ...string) *schemapb.SearchResultData {
		return fine[*milvuspb.SearchResults](t)(f.Search(ctx, nearest(t, "grouped", kv(append(params, "metric_type", "L2")...), floats(0, 0), floats(11, 0)))).GetResults()
	}
	// The limit counts groups; the group of each hit comes with it, in whose order the hits are.
	got := search("topk", "2", "group_by_field", "text")
	require.Equal(t, []int64{0, 3, 11, 8}, got.GetIds().GetIntId().GetData())
	require.Equal(t, []int64{2, 2}, got.GetTopks())
	require.Equal(t, []string{"0", "1", "3", "2"}, got.GetGroupByFieldValue().GetScalars().GetStringData().GetData())
	require.Equal(t, "text", got.GetGroupByFieldValue().GetFieldName())
	require.Empty(t, got.GetFieldsData())
	got = search("topk", "2", "offset", "1", "group_by_field", "text", "group_size", "2", "strict_group_size", "True")
	require.Equal(t, []int64{3, 4, 6, 7, 8, 7, 5, 4}, got.GetIds().GetIntId().GetData())
	require.Equal(t, []int64{4, 4}, got.GetTopks())
	// Null is a group, too.
	got = search("topk", "2", "group_by_field", "n")
	require.Equal(t, []int64{0, 1, 11, 8}, got.GetIds().GetIntId().GetData())
	require.Equal(t, []bool{false, true, true, false}, got.GetGroupByFieldValue().GetValidData())

	for text, params := range map[string][]string{
		"groupBy field not found in schema": {"topk", "1", "group_by_field", "nothing"},
		"group_size [0] is invalid":         {"topk", "1", "group_by_field", "n", "group_size", "0"},
		"integer, Bool or VarChar":          {"topk", "1", "group_by_field", "v"},
		"a range search does not group":     {"topk", "1", "group_by_field", "n", "radius", "4"},
		"group size must be in":             {"topk", "16384", "group_by_field", "n", "group_size", "11"},
		"an iterator does not group":        {"topk", "1", "group_by_field", "n", "iterator", "True", "search_iter_v2", "True", "search_iter_batch_size", "1"},
	} {
		a, err := f.Search(ctx, nearest(t, "grouped", kv(params...), floats(0, 0)))
		require.NoError(t, err)
		bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, text)
	}
}

// Distances from range_filter to below radius; similarities above radius to range_filter.
func TestRange(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	line(t, f, 10)
	for _, c := range []struct {
		metric, params string
		ids            []int64
	}{
		{"L2", `{"radius": 9}`, []int64{0, 1, 2}},
		{"L2", `{"radius": 9.5, "range_filter": 1}`, []int64{1, 2, 3}},
		{"IP", `{"radius": 6}`, []int64{9, 8, 7}},
		{"IP", `{"radius": 5, "range_filter": 8}`, []int64{8, 7, 6}},
		{"IP", `{"radius": 9}`, nil},
	} {
		vector := floats(0, 0)
		if c.metric == "IP" {
			vector = floats(1, 0)
		}
		got := fine[*milvuspb.SearchResults](t)(f.Search(ctx, nearest(t, "line", kv("anns_field", "v", "topk", "9", "metric_type", c.metric, "params", c.params), vector))).GetResults()
		require.Equal(t, c.ids, got.GetIds().GetIntId().GetData(), c.params)
	}
	for params, text := range map[string]string{
		`{"radius": 1, "range_filter": 1}`: "range_filter must be less than radius",
		`{"range_filter": 1}`:              "range_filter needs a radius",
		`{"radius": "x"}`:                  "radius [x] is invalid",
	} {
		a, err := f.Search(ctx, nearest(t, "line", kv("anns_field", "v", "topk", "9", "metric_type", "L2", "params", params), floats(0, 0)))
		require.NoError(t, err)
		bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, text)
	}
}

// function is a rerank function.
func function(field string, params ...string) *schemapb.FunctionSchema {
	fn := &schemapb.FunctionSchema{Name: "f", Type: schemapb.FunctionType_Rerank, Params: kv(params...)}
	if field != "" {
		fn.InputFieldNames = []string{field}
	}
	return fn
}

func TestFunctionScore(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	line(t, f, 10)
	boosted := func(expr, weight string) *schemapb.FunctionSchema {
		return function("", "reranker", "boost", "filter", expr, "weight", weight)
	}
	decay := func(kind, origin, scale string) *schemapb.FunctionSchema {
		return function("id", "reranker", "decay", "function", kind, "origin", origin, "scale", scale, "decay", "0.5")
	}
	for name, c := range map[string]struct {
		functions []*schemapb.FunctionSchema
		ids       []int64
		score     float64 // of the first
	}{
		"boost":  {[]*schemapb.FunctionSchema{boosted("id < 9", "0.5")}, []int64{9, 8, 7}, 9},
		"boosts": {[]*schemapb.FunctionSchema{boosted("id == 8", "2"), boosted("id == 7", "3")}, []int64{7, 8, 9}, 21},
		"decay":  {[]*schemapb.FunctionSchema{decay("linear", "7", "1")}, []int64{7, 8, 9}, .954833},
	} {
		r := nearest(t, "line", kv("anns_field", "v", "topk", "3", "metric_type", "IP"), floats(1, 0))
		r.FunctionScore = &schemapb.FunctionScore{Functions: c.functions}
		got := fine[*milvuspb.SearchResults](t)(f.Search(ctx, r)).GetResults()
		require.Equal(t, c.ids, got.GetIds().GetIntId().GetData(), name)
		require.InDelta(t, c.score, got.GetScores()[0], 1e-4, name)
	}
	one := nearest(t, "line", kv("anns_field", "v", "topk", "3", "metric_type", "L2"), floats(0, 0), floats(9, 0))
	two := nearest(t, "line", kv("anns_field", "w", "topk", "3", "metric_type", "L2"), floats(8, 0), floats(1, 0))
	hybrid := func(fn *schemapb.FunctionSchema) *milvuspb.HybridSearchRequest {
		return &milvuspb.HybridSearchRequest{
			CollectionName: "line", Requests: []*milvuspb.SearchRequest{one, two}, RankParams: kv("limit", "3"), FunctionScore: &schemapb.FunctionScore{Functions: []*schemapb.FunctionSchema{fn}},
		}
	}
	got := fine[*milvuspb.SearchResults](t)(f.HybridSearch(ctx, hybrid(function("", "reranker", "rrf", "k", "10")))).GetResults()
	require.Equal(t, []int64{2, 1, 0, 9, 8, 7}, got.GetIds().GetIntId().GetData(), "a list for each vector")
	require.Equal(t, []int64{3, 3}, got.GetTopks())
	require.InDelta(t, 1./13+1./11, got.GetScores()[0], 1e-6)
	got = fine[*milvuspb.SearchResults](t)(f.HybridSearch(ctx, hybrid(function("", "reranker", "weighted", "weights", "[0.5, 0]")))).GetResults()
	require.Equal(t, []int64{0, 1, 2}, got.GetIds().GetIntId().GetData()[:3])

	embedding := function("v", "reranker", "rrf")
	embedding.Type = schemapb.FunctionType_TextEmbedding
	for _, c := range []struct {
		fn   *schemapb.FunctionSchema
		code int32
		text string
	}{
		{function("", "reranker", "model"), 3000, `reranker "model" is not supported`},
		{function("", "reranker", "boost", "filter", "id > 0"), 1101, "weight"},
		{boosted("id >", "2"), 1100, "cannot parse expression"},
		{boosted("id > 0", "-1"), 1100, "weight"},
		{decay("other", "1", "1"), 1100, "gauss, exp or linear"},
		{decay("exp", "x", "1"), 1100, "origin"},
		{decay("exp", "1", "0"), 1100, "scale"},
		{function("", "reranker", "decay", "function", "exp"), 1100, "one input field"},
		{function("v", "reranker", "decay", "function", "exp", "origin", "1", "scale", "1"), 1100, "field of numbers"},
		{function("v", "reranker", "decay", "function", "exp", "origin", "1"), 1101, "scale"},
		{embedding, 1100, "a rerank function is expected"},
	} {
		a, err := f.HybridSearch(ctx, hybrid(c.fn))
		require.NoError(t, err)
		require.Equal(t, c.code, a.GetStatus().GetCode(), a.GetStatus().GetReason())
		require.Contains(t, a.GetStatus().GetReason(), c.text)
	}
}

func TestOrderedQuery(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	grouped(t, f, 8)
	ask := func(order string, more ...string) *milvuspb.QueryRequest {
		return &milvuspb.QueryRequest{CollectionName: "grouped", OutputFields: []string{"id"}, QueryParams: kv(append(more, "order_by_fields", order)...)}
	}
	for order, ids := range map[string][]int64{
		"text:desc, id:desc": {7, 6, 5, 4, 3},
		"n,id:desc":          {2, 1, 5, 3, 7}, // nulls last
		"id":                 {0, 1, 2, 3, 4},
	} {
		got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, ask(order, "limit", "5")))
		require.Equal(t, ids, got.GetFieldsData()[0].GetScalars().GetLongData().GetData(), order)
	}
	for text, r := range map[string]*milvuspb.QueryRequest{
		"an order is asc or desc":       ask("id:up", "limit", "5"),
		"no such field":                 ask("nothing", "limit", "5"),
		"ordered by":                    ask("v", "limit", "5"),
		"order_by_fields needs a limit": {CollectionName: "grouped", Expr: "id > 0", QueryParams: kv("order_by_fields", "id")},
		"and is not for iterators":      ask("id", "limit", "5", "iterator", "True"),
	} {
		a, err := f.Query(ctx, r)
		require.NoError(t, err)
		bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, text)
	}
}
