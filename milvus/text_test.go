package milvus_test

import (
	"testing"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// articles is a schema whose field words is made of body, by BM25.
func articles(analyzer string) *schemapb.CollectionSchema {
	s := &schemapb.CollectionSchema{Name: "articles", Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_Int64)),
		field("body", schemapb.DataType_VarChar, "max_length", "200", "enable_analyzer", "true", "enable_match", "true", "analyzer_params", analyzer),
		field("words", schemapb.DataType_SparseFloatVector),
	}, Functions: []*schemapb.FunctionSchema{{
		Name: "bm25", Type: schemapb.FunctionType_BM25, InputFieldNames: []string{"body"}, OutputFieldNames: []string{"words"},
	}}}
	return s
}

// texts is a search for words.
func texts(t testing.TB, params []*commonpb.KeyValuePair, words ...string) *milvuspb.SearchRequest {
	p := &commonpb.PlaceholderValue{Tag: "$0", Type: commonpb.PlaceholderType_VarChar}
	for _, w := range words {
		p.Values = append(p.Values, []byte(w))
	}
	r := nearest(t, "articles", params)
	r.Nq, r.OutputFields = int64(len(words)), []string{"body"}
	r.SearchInput = &milvuspb.SearchRequest_PlaceholderGroup{PlaceholderGroup: marshal(t, &commonpb.PlaceholderGroup{Placeholders: []*commonpb.PlaceholderValue{p}})}
	return r
}

func TestFullText(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	f.create(t, articles(`{"type": "english"}`))
	f.create(t, articles(`{"type": "english"}`)) // the same again
	done(t)(f.CreateIndex(ctx, &milvuspb.CreateIndexRequest{
		CollectionName: "articles", FieldName: "words",
		ExtraParams: kv("index_type", "SPARSE_INVERTED_INDEX", "metric_type", "BM25", "params", `{"bm25_k1": 1.2, "bm25_b": 0.75, "inverted_index_algo": "DAAT_MAXSCORE"}`),
	}))
	fine[*milvuspb.MutationResult](t)(f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "articles", NumRows: 3, FieldsData: []*schemapb.FieldData{
		int64s("id", 1, 2, 3), varChars("body", "A lion and a fox", "Two foxes met one lion; the lion roared", "Nothing of that kind"),
	}}))
	for range 2 {
		got := fine[*milvuspb.SearchResults](t)(f.Search(ctx, texts(t, kv("anns_field", "words", "topk", "5", "metric_type", "BM25"), "lions", "foxes roaring"))).GetResults()
		require.Equal(t, []int64{2, 2}, got.GetTopks())
		require.Equal(t, []int64{1, 2, 2, 1}, got.GetIds().GetIntId().GetData(), "the shorter one, then the one with both")
		require.Greater(t, got.GetScores()[2], got.GetScores()[3])
		require.Equal(t, "Two foxes met one lion; the lion roared", got.GetFieldsData()[0].GetScalars().GetStringData().GetData()[1])
		q := fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "articles", Expr: `text_match(body, "fox roared", minimum_should_match=2) and phrase_match(body, "the lion roared")`, OutputFields: []string{"*"}}))
		require.Equal(t, []int64{2}, q.GetFieldsData()[0].GetScalars().GetLongData().GetData())
		require.Equal(t, []string{"id", "body"}, q.GetOutputFields(), "what a function makes is not read")
		fine[*milvuspb.FlushResponse](t)(f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"articles"}}))
	}
	d := fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "articles"}))
	fn := d.GetSchema().GetFunctions()[0]
	require.Equal(t, "bm25", fn.GetName())
	require.Equal(t, schemapb.FunctionType_BM25, fn.GetType())
	require.Equal(t, []int64{d.GetSchema().GetFields()[1].GetFieldID()}, fn.GetInputFieldIds())
	require.Equal(t, []string{"words"}, fn.GetOutputFieldNames())
	require.True(t, d.GetSchema().GetFields()[2].GetIsFunctionOutput())
	require.Equal(t, `{"type": "english"}`, asMap(d.GetSchema().GetFields()[1].GetTypeParams())["analyzer_params"])

	r := texts(t, kv("topk", "5"), "lion")
	r.OutputFields = []string{"words"}
	a, err := f.Search(ctx, r)
	require.NoError(t, err)
	bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, "made by a function")
	a, err = f.Search(ctx, nearest(t, "articles", kv("topk", "5"), floats(1, 2)))
	require.NoError(t, err)
	bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, "please provide varchar/text for BM25 Function based search")
	w, err := f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "articles", NumRows: 1, FieldsData: []*schemapb.FieldData{
		int64s("id", 4), varChars("body", "x"), vectors("words", schemapb.DataType_SparseFloatVector, &schemapb.VectorField{Data: &schemapb.VectorField_SparseFloatVector{
			SparseFloatVector: &schemapb.SparseFloatArray{Contents: [][]byte{{}}},
		}}),
	}})
	require.NoError(t, err)
	bad(t, w.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, "words")
	s, err := f.CreateIndex(ctx, &milvuspb.CreateIndexRequest{CollectionName: "articles", FieldName: "words", ExtraParams: kv("index_type", "SPARSE_INVERTED_INDEX", "metric_type", "BM25", "bm25_k1", "1.5")})
	require.NoError(t, err)
	bad(t, s, 3000, commonpb.ErrorCode_UnexpectedError, "given to the function")
}

// What is not exactly one of the engine's analyzers or functions is refused: it would find other texts.
func TestFunctionsAndAnalyzersThatAreNotThere(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	change := func(do func(s *schemapb.CollectionSchema)) *schemapb.CollectionSchema {
		s := proto.Clone(articles("{}")).(*schemapb.CollectionSchema)
		do(s)
		return s
	}
	for _, c := range []struct {
		s    *schemapb.CollectionSchema
		code int32
		text string
	}{
		{articles(`{"type": "chinese"}`), 3000, "are not supported"},
		{articles(`{"tokenizer": "standard"}`), 3000, "are not supported"},
		{articles(`{"type": "standard", "stop_words": ["of"]}`), 3000, "are not supported"},
		{articles(`{`), 3000, "are not supported"},
		{change(func(s *schemapb.CollectionSchema) { s.Functions[0].Type = schemapb.FunctionType_TextEmbedding }), 3000, "TextEmbedding"},
		{change(func(s *schemapb.CollectionSchema) { s.Functions[0].InputFieldNames = nil }), 1100, "one input field"},
		{change(func(s *schemapb.CollectionSchema) { s.Functions[0].Params = kv("bm25_k1", "4") }), 1100, "bm25_k1"},
		{change(func(s *schemapb.CollectionSchema) { s.Functions[0].InputFieldNames[0] = "id" }), 1100, "VarChar"},
		{change(func(s *schemapb.CollectionSchema) { s.Fields[2].IsFunctionOutput, s.Functions = true, nil }), 1100, "none makes it"},
		{change(func(s *schemapb.CollectionSchema) { s.Fields[1].TypeParams = s.Fields[1].TypeParams[:1] }), 1100, "analyzer"},
	} {
		s, err := f.CreateCollection(ctx, &milvuspb.CreateCollectionRequest{CollectionName: "articles", Schema: marshal(t, c.s)})
		require.NoError(t, err)
		require.Equal(t, c.code, s.GetCode(), s.GetReason())
		require.Contains(t, s.GetReason(), c.text)
	}
}

func TestRunAnalyzer(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	f.create(t, articles(`{"tokenizer": "whitespace"}`))
	run := func(r *milvuspb.RunAnalyzerRequest) []string {
		r.Placeholder = [][]byte{[]byte("The Lions roared")}
		var out []string
		for _, tok := range fine[*milvuspb.RunAnalyzerResponse](t)(f.RunAnalyzer(ctx, r)).GetResults()[0].GetTokens() {
			out = append(out, tok.GetToken())
		}
		return out
	}
	require.Equal(t, []string{"the", "lions", "roared"}, run(&milvuspb.RunAnalyzerRequest{}))
	require.Equal(t, []string{"lion", "roar"}, run(&milvuspb.RunAnalyzerRequest{AnalyzerParams: `{"type": "english"}`}))
	require.Equal(t, []string{"The", "Lions", "roared"}, run(&milvuspb.RunAnalyzerRequest{CollectionName: "articles", FieldName: "body"}))
	for text, r := range map[string]*milvuspb.RunAnalyzerRequest{
		"with_detail":     {WithDetail: true},
		"has no analyzer": {CollectionName: "articles", FieldName: "id"},
		"not supported":   {AnalyzerParams: `{"type": "thai"}`},
	} {
		a, err := f.RunAnalyzer(ctx, r)
		require.NoError(t, err)
		require.NotZero(t, a.GetStatus().GetCode())
		require.Contains(t, a.GetStatus().GetReason(), text)
	}
}
