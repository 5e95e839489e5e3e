package milvus_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/milvus"
)

func kv(pairs ...string) []*commonpb.KeyValuePair {
	var out []*commonpb.KeyValuePair
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, &commonpb.KeyValuePair{Key: pairs[i], Value: pairs[i+1]})
	}
	return out
}

func floats(v ...float32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// nearest is a search for vectors of floats.
func nearest(t testing.TB, collection string, params []*commonpb.KeyValuePair, vectors ...[]byte) *milvuspb.SearchRequest {
	return &milvuspb.SearchRequest{
		CollectionName: collection, SearchParams: params, Nq: int64(len(vectors)), DslType: commonpb.DslType_BoolExprV1,
		SearchInput: &milvuspb.SearchRequest_PlaceholderGroup{PlaceholderGroup: marshal(t, &commonpb.PlaceholderGroup{
			Placeholders: []*commonpb.PlaceholderValue{{Tag: "$0", Type: commonpb.PlaceholderType_FloatVector, Values: vectors}},
		})},
	}
}

// books is a collection with three rows at (0,0), (1,0), (2,0).
func books(t testing.TB, f *fixture) {
	f.create(t, &schemapb.CollectionSchema{Name: "books", EnableDynamicField: true, Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_Int64)), field("title", schemapb.DataType_VarChar, "max_length", "64"),
		field("v", schemapb.DataType_FloatVector, "dim", "2"),
	}})
	res := fine[*milvuspb.MutationResult](t)(f.Insert(within(t), &milvuspb.InsertRequest{CollectionName: "books", NumRows: 3, FieldsData: []*schemapb.FieldData{
		int64s("id", 1, 2, 3), varChars("title", "one", "two", "three"), floatVectors("v", 2, 0, 0, 1, 0, 2, 0),
		{
			Type: schemapb.DataType_JSON, IsDynamic: true, Field: jsons("", `{"year":1,"tag":"a"}`, `{"year":2}`, `{"year":3,"tag":"c"}`).GetField(),
		},
	}}))
	require.EqualValues(t, 3, res.GetInsertCnt())
}

func TestSearch(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	r := nearest(t, "books", kv("anns_field", "v", "topk", "2", "metric_type", "L2", "params", `{"ef": 64, "nprobe": 8}`, "round_decimal", "2"), floats(0.1, 0), floats(2, 0))
	r.OutputFields = []string{"title", "year"}
	got := fine[*milvuspb.SearchResults](t)(f.Search(ctx, r)).GetResults()
	require.EqualValues(t, 2, got.GetNumQueries())
	require.Equal(t, []int64{2, 2}, got.GetTopks())
	require.Equal(t, []int64{1, 2, 3, 2}, got.GetIds().GetIntId().GetData())
	require.Equal(t, []float32{.01, .81, 0, 1}, got.GetScores())
	require.Equal(t, []string{"title", "year"}, got.GetOutputFields())
	require.Equal(t, "id", got.GetPrimaryFieldName())
	require.Len(t, got.GetFieldsData(), 2)
	require.Equal(t, []string{"one", "two", "three", "two"}, got.GetFieldsData()[0].GetScalars().GetStringData().GetData())
	meta := got.GetFieldsData()[1]
	require.True(t, meta.GetIsDynamic())
	require.Equal(t, "$meta", meta.GetFieldName())
	require.Equal(t, `{"year":1}`, string(meta.GetScalars().GetJsonData().GetData()[0]))

	// A filter with a template; the only vector field need not be named; no hit keeps the columns.
	r = nearest(t, "books", kv("topk", "5"), floats(0, 0))
	r.Dsl, r.OutputFields = "year > {y}", []string{"*"}
	r.ExprTemplateValues = map[string]*schemapb.TemplateValue{"y": {Val: &schemapb.TemplateValue_Int64Val{Int64Val: 2}}}
	got = fine[*milvuspb.SearchResults](t)(f.Search(ctx, r)).GetResults()
	require.Equal(t, []int64{3}, got.GetIds().GetIntId().GetData())
	require.Len(t, got.GetFieldsData(), 4)
	r.Dsl, r.ExprTemplateValues = "year > 9", nil
	got = fine[*milvuspb.SearchResults](t)(f.Search(ctx, r)).GetResults()
	require.Equal(t, []int64{0}, got.GetTopks())
	require.Len(t, got.GetFieldsData(), 4)

	for _, c := range []struct {
		params []*commonpb.KeyValuePair
		dsl    string
		vector []byte
		part   string
		code   int32
		text   string
	}{
		{params: kv("topk", "0"), code: 1100, text: "topk [0] is invalid, it should be in range [1, 16384], but got 0"},
		{params: kv("topk", "16385"), code: 1100, text: "topk [16385] is invalid"},
		{params: kv("topk", "16384", "offset", "1"), code: 1100, text: "[1, 16384], but got 16385"},
		{params: kv("topk", "x"), code: 1100, text: "whole number"},
		{params: nil, code: 1101, text: "topk is required"},
		{params: kv("topk", "1", "round_decimal", "7"), code: 1100, text: "round_decimal"},
		{params: kv("topk", "1", "anns_field", "nothing"), code: 1100, text: "fieldName(nothing) not found"},
		{params: kv("topk", "1", "anns_field", "title"), code: 1100, text: "not of vector data type"},
		{params: kv("topk", "1", "params", "{"), code: 1100, text: "no JSON object"},
		{params: kv("topk", "1", "params", `{"nprobe": 0}`), code: 1100, text: "out of range in json: param [nprobe]"},
		{params: kv("topk", "9", "params", `{"ef": 8}`), code: 1100, text: "ef(8) should be larger than k(9)"},
		{params: kv("topk", "1", "metric_type", "NO"), code: 1100, text: "metric type NO"},
		{params: kv("topk", "1"), vector: floats(1, 2, 3), code: 1100, text: "vector dimension mismatch, expected vector size(byte) 8, actual 12"},
		{params: kv("topk", "1"), vector: floats(1, float32(math.NaN())), code: 1100, text: "finite"},
		{params: kv("topk", "1"), dsl: "title >", code: 1100, text: "failed to create query plan: cannot parse expression: title >"},
		{params: kv("topk", "1"), part: "nothing", code: 200, text: "partition not found[partition=nothing]"},
	} {
		v := c.vector
		if v == nil {
			v = floats(0, 0)
		}
		r := nearest(t, "books", c.params, v)
		r.Dsl = c.dsl
		if c.part != "" {
			r.PartitionNames = []string{c.part}
		}
		a, err := f.Search(ctx, r)
		require.NoError(t, err)
		require.Equal(t, c.code, a.GetStatus().GetCode(), "%v: %s", c, a.GetStatus().GetReason())
		require.NotZero(t, a.GetStatus().GetErrorCode())
		require.Contains(t, a.GetStatus().GetReason(), c.text)
	}
}

func TestQueryAndCount(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", Expr: "id in [3, 1, 9]", OutputFields: []string{"title", "v"}}))
	require.Equal(t, "id", got.GetPrimaryFieldName())
	require.Equal(t, []string{"id", "title", "v"}, got.GetOutputFields())
	require.Equal(t, []int64{1, 3}, got.GetFieldsData()[0].GetScalars().GetLongData().GetData())
	require.Equal(t, []float32{0, 0, 2, 0}, got.GetFieldsData()[2].GetVectors().GetFloatVector().GetData())

	// No row: the columns are there all the same, with their types.
	got = fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", Expr: "id == 9", OutputFields: []string{"title", "v"}}))
	require.Len(t, got.GetFieldsData(), 3)
	require.Equal(t, schemapb.DataType_FloatVector, got.GetFieldsData()[2].GetType())
	require.NotNil(t, got.GetFieldsData()[1].GetScalars().GetStringData())
	require.EqualValues(t, 2, got.GetFieldsData()[2].GetVectors().GetDim())

	got = fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", QueryParams: kv("limit", "1", "offset", "1")}))
	require.Equal(t, []int64{2}, got.GetFieldsData()[0].GetScalars().GetLongData().GetData())
	got = fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", OutputFields: []string{"Count(*)"}}))
	require.Equal(t, "count(*)", got.GetFieldsData()[0].GetFieldName())
	require.Equal(t, []int64{3}, got.GetFieldsData()[0].GetScalars().GetLongData().GetData())

	for _, c := range []struct {
		r    *milvuspb.QueryRequest
		text string
	}{
		{&milvuspb.QueryRequest{}, "empty expression should be used with limit"},
		{&milvuspb.QueryRequest{OutputFields: []string{"count(*)"}, QueryParams: kv("limit", "3")}, "count entities with pagination is not allowed"},
		{&milvuspb.QueryRequest{QueryParams: kv("limit", "16385")}, "invalid max query result window, (offset+limit) should be in range [1, 16384], but got 16385"},
	} {
		c.r.CollectionName = "books"
		a, err := f.Query(ctx, c.r)
		require.NoError(t, err)
		bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, c.text)
	}
}

// An answer that would pass the limit of a message is refused with a text, not cut.
func TestQueryTooLarge(t *testing.T) {
	f := open(t, &milvus.Options{MaxSendBytes: 4 << 10})
	f.create(t, &schemapb.CollectionSchema{Name: "big", Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_Int64)), field("v", schemapb.DataType_FloatVector, "dim", "1024"),
	}})
	fine[*milvuspb.MutationResult](t)(f.Insert(within(t), &milvuspb.InsertRequest{CollectionName: "big", NumRows: 2, FieldsData: []*schemapb.FieldData{
		int64s("id", 1, 2), floatVectors("v", 1024, make([]float32, 2048)...),
	}}))
	a, err := f.Query(within(t), &milvuspb.QueryRequest{CollectionName: "big", Expr: "id > 0", OutputFields: []string{"v"}})
	require.NoError(t, err)
	bad(t, a.GetStatus(), 1102, commonpb.ErrorCode_IllegalArgument, "4096 bytes")
}

func TestDeleteAndUpsert(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	up := fine[*milvuspb.MutationResult](t)(f.Upsert(ctx, &milvuspb.UpsertRequest{CollectionName: "books", NumRows: 2, FieldsData: []*schemapb.FieldData{
		int64s("id", 3, 4), varChars("title", "drei", "vier"), floatVectors("v", 2, 3, 0, 4, 0),
	}}))
	require.EqualValues(t, 2, up.GetUpsertCnt())
	require.Equal(t, []int64{3, 4}, up.GetIDs().GetIntId().GetData())
	del := fine[*milvuspb.MutationResult](t)(f.Delete(ctx, &milvuspb.DeleteRequest{CollectionName: "books", Expr: "id in [1, 99]"}))
	require.EqualValues(t, 1, del.GetDeleteCnt())
	require.Greater(t, del.GetTimestamp(), up.GetTimestamp())
	del = fine[*milvuspb.MutationResult](t)(f.Delete(ctx, &milvuspb.DeleteRequest{CollectionName: "books", PartitionName: "_default", Expr: "title == 'two'"}))
	require.EqualValues(t, 1, del.GetDeleteCnt())
	got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", QueryParams: kv("limit", "9"), OutputFields: []string{"title"}}))
	require.Equal(t, []string{"drei", "vier"}, got.GetFieldsData()[1].GetScalars().GetStringData().GetData())
	for expr, text := range map[string]string{
		"":        "delete plan can't be empty or always true",
		"1 == 1":  "delete plan can't be empty or always true",
		"title =": "failed to create delete plan: cannot parse expression: title =",
	} {
		a, err := f.Delete(ctx, &milvuspb.DeleteRequest{CollectionName: "books", Expr: expr})
		require.NoError(t, err)
		bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, text)
	}
	fine[*milvuspb.FlushResponse](t)(f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"books"}}))
	require.EqualValues(t, 2, f.rows(t, "books"))
}

// A client whose schema is older than the server's is told so by the code that makes it read the schema anew.
func TestSchemaTimestamp(t *testing.T) {
	f := open(t, nil)
	books(t, f)
	a, err := f.Insert(within(t), &milvuspb.InsertRequest{CollectionName: "books", SchemaTimestamp: 7, NumRows: 1, FieldsData: []*schemapb.FieldData{int64s("id", 1)}})
	require.NoError(t, err)
	bad(t, a.GetStatus(), 65535, commonpb.ErrorCode_SchemaMismatch, "schema mismatch")
}

func TestIndex(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	none, err := f.DescribeIndex(ctx, &milvuspb.DescribeIndexRequest{CollectionName: "books"})
	require.NoError(t, err)
	bad(t, none.GetStatus(), 700, commonpb.ErrorCode_IndexNotExist, "index not found")

	done(t)(f.CreateIndex(ctx, &milvuspb.CreateIndexRequest{
		CollectionName: "books", FieldName: "v", ExtraParams: kv("index_type", "IVF_FLAT", "metric_type", "L2", "params", `{"nlist": 128}`),
	}))
	done(t)(f.CreateIndex(ctx, &milvuspb.CreateIndexRequest{CollectionName: "books", FieldName: "title", IndexName: "words", ExtraParams: kv("index_type", "INVERTED")}))
	fine[*milvuspb.FlushResponse](t)(f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"books"}}))
	c, err := f.eng.Collection("books")
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	got := fine[*milvuspb.DescribeIndexResponse](t)(f.DescribeIndex(ctx, &milvuspb.DescribeIndexRequest{CollectionName: "books"})).GetIndexDescriptions()
	require.Len(t, got, 2)
	require.Equal(t, []string{"v", "words"}, []string{got[0].GetIndexName(), got[1].GetIndexName()})
	for _, d := range got {
		require.Equal(t, commonpb.IndexState_Finished, d.GetState())
		require.EqualValues(t, 3, d.GetTotalRows())
		require.EqualValues(t, 3, d.GetIndexedRows())
		require.Zero(t, d.GetPendingIndexRows())
	}
	require.Equal(t, map[string]string{"index_type": "IVF_FLAT", "metric_type": "L2", "nlist": "128", "selkie.index_type": "AUTOINDEX"}, asMap(got[0].GetParams()))

	// The metric of a search is that of the index.
	a, err := f.Search(ctx, nearest(t, "books", kv("topk", "1", "metric_type", "COSINE"), floats(1, 1)))
	require.NoError(t, err)
	bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, "metric type not match: invalid parameter[expected=L2][actual=COSINE]")

	// The same again succeeds, another one does not.
	done(t)(f.CreateIndex(ctx, &milvuspb.CreateIndexRequest{
		CollectionName: "books", FieldName: "v", ExtraParams: kv("index_type", "IVF_FLAT", "metric_type", "L2", "params", `{"nlist": 128}`),
	}))
	s, err := f.CreateIndex(ctx, &milvuspb.CreateIndexRequest{CollectionName: "books", FieldName: "v", ExtraParams: kv("index_type", "HNSW", "metric_type", "IP")})
	require.NoError(t, err)
	bad(t, s, 1100, commonpb.ErrorCode_IllegalArgument, "at most one distinct index is allowed per field")
	s, err = f.CreateIndex(ctx, &milvuspb.CreateIndexRequest{CollectionName: "books", FieldName: "v", IndexName: "other", ExtraParams: kv("index_type", "AUTOINDEX")})
	require.NoError(t, err)
	bad(t, s, 1100, commonpb.ErrorCode_IllegalArgument, "at most one distinct index is allowed per field")

	done(t)(f.AlterIndex(ctx, &milvuspb.AlterIndexRequest{CollectionName: "books", IndexName: "v", ExtraParams: kv("mmap.enabled", "true")}))
	got = fine[*milvuspb.DescribeIndexResponse](t)(f.DescribeIndex(ctx, &milvuspb.DescribeIndexRequest{CollectionName: "books", FieldName: "v"})).GetIndexDescriptions()
	require.Equal(t, "true", asMap(got[0].GetParams())["mmap.enabled"])
	for _, name := range []string{"v", "words", "nothing"} {
		done(t)(f.DropIndex(ctx, &milvuspb.DropIndexRequest{CollectionName: "books", IndexName: name}))
	}
	require.Empty(t, c.Indexes())
	none, err = f.DescribeIndex(ctx, &milvuspb.DescribeIndexRequest{CollectionName: "books"})
	require.NoError(t, err)
	bad(t, none.GetStatus(), 700, commonpb.ErrorCode_IndexNotExist)
}

func asMap(kvs []*commonpb.KeyValuePair) map[string]string {
	m := map[string]string{}
	for _, kv := range kvs {
		m[kv.GetKey()] = kv.GetValue()
	}
	return m
}

func TestLoadAndRelease(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	state := func(partitions ...string) commonpb.LoadState {
		return fine[*milvuspb.GetLoadStateResponse](t)(f.GetLoadState(ctx, &milvuspb.GetLoadStateRequest{CollectionName: "books", PartitionNames: partitions})).GetState()
	}
	require.Equal(t, commonpb.LoadState_LoadStateLoaded, state())
	progress := fine[*milvuspb.GetLoadingProgressResponse](t)(f.GetLoadingProgress(ctx, &milvuspb.GetLoadingProgressRequest{CollectionName: "books"}))
	require.EqualValues(t, 100, progress.GetProgress())
	require.EqualValues(t, 100, progress.GetRefreshProgress())

	done(t)(f.ReleaseCollection(ctx, &milvuspb.ReleaseCollectionRequest{CollectionName: "books"}))
	require.Equal(t, commonpb.LoadState_LoadStateNotLoad, state())
	a, err := f.Search(ctx, nearest(t, "books", kv("topk", "1"), floats(1, 1)))
	require.NoError(t, err)
	bad(t, a.GetStatus(), 101, commonpb.ErrorCode_UnexpectedError, "collection not loaded[collection=books]")
	q, err := f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", OutputFields: []string{"count(*)"}})
	require.NoError(t, err)
	bad(t, q.GetStatus(), 101, commonpb.ErrorCode_UnexpectedError)

	// It stays so when the server is started anew.
	f = serve(t, f.eng, nil)
	require.Equal(t, commonpb.LoadState_LoadStateNotLoad, state())

	done(t)(f.CreatePartition(ctx, &milvuspb.CreatePartitionRequest{CollectionName: "books", PartitionName: "p"}))
	done(t)(f.LoadPartitions(ctx, &milvuspb.LoadPartitionsRequest{CollectionName: "books", PartitionNames: []string{"p"}}))
	require.Equal(t, commonpb.LoadState_LoadStateLoaded, state("p"))
	require.Equal(t, commonpb.LoadState_LoadStateNotLoad, state("_default"))
	got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", OutputFields: []string{"count(*)"}}))
	require.Equal(t, []int64{0}, got.GetFieldsData()[0].GetScalars().GetLongData().GetData())
	q, err = f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", PartitionNames: []string{"_default"}, OutputFields: []string{"count(*)"}})
	require.NoError(t, err)
	bad(t, q.GetStatus(), 201, commonpb.ErrorCode_UnexpectedError)
	done(t)(f.LoadCollection(ctx, &milvuspb.LoadCollectionRequest{CollectionName: "books"}))
	done(t)(f.ReleasePartitions(ctx, &milvuspb.ReleasePartitionsRequest{CollectionName: "books", PartitionNames: []string{"p"}}))
	require.Equal(t, commonpb.LoadState_LoadStateNotLoad, state("p"))
	got = fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", OutputFields: []string{"count(*)"}}))
	require.Equal(t, []int64{3}, got.GetFieldsData()[0].GetScalars().GetLongData().GetData())
	require.Equal(t, commonpb.LoadState_LoadStateNotExist, fine[*milvuspb.GetLoadStateResponse](t)(f.GetLoadState(ctx, &milvuspb.GetLoadStateRequest{CollectionName: "no"})).GetState())
}

func TestSegmentInfos(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	persistent := func() []*milvuspb.PersistentSegmentInfo {
		return fine[*milvuspb.GetPersistentSegmentInfoResponse](t)(f.GetPersistentSegmentInfo(ctx, &milvuspb.GetPersistentSegmentInfoRequest{CollectionName: "books"})).GetInfos()
	}
	searched := func() []*milvuspb.QuerySegmentInfo {
		return fine[*milvuspb.GetQuerySegmentInfoResponse](t)(f.GetQuerySegmentInfo(ctx, &milvuspb.GetQuerySegmentInfoRequest{CollectionName: "books"})).GetInfos()
	}
	require.Empty(t, persistent())
	require.Len(t, searched(), 1)
	require.Equal(t, commonpb.SegmentState_Growing, searched()[0].GetState())
	require.EqualValues(t, 3, searched()[0].GetNumRows())
	growing := searched()[0].GetSegmentID()
	fine[*milvuspb.FlushResponse](t)(f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"books"}}))
	require.Equal(t, commonpb.SegmentState_Flushed, persistent()[0].GetState())
	require.Equal(t, growing, persistent()[0].GetSegmentID())
	require.Equal(t, commonpb.SegmentState_Sealed, searched()[0].GetState())
}

// What is not answered is not there.
func TestUnknownCallsAreUnimplemented(t *testing.T) {
	f := open(t, nil)
	_, err := f.CreateCredential(within(t), &milvuspb.CreateCredentialRequest{})
	require.ErrorContains(t, err, "Unimplemented")
	_, err = f.Import(within(t), &milvuspb.ImportRequest{})
	require.ErrorContains(t, err, "Unimplemented")
}

// Wire messages that are cut or wrong are refused; nothing is lost.
func TestBadBytes(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	s, err := f.CreateCollection(ctx, &milvuspb.CreateCollectionRequest{CollectionName: "c", Schema: []byte{0xff, 1, 2}})
	require.NoError(t, err)
	bad(t, s, 1100, commonpb.ErrorCode_IllegalArgument, "cannot be read")
	r := nearest(t, "books", kv("topk", "1"), floats(1, 1))
	group := r.GetPlaceholderGroup()
	for i := range group {
		r.SearchInput = &milvuspb.SearchRequest_PlaceholderGroup{PlaceholderGroup: group[:i]}
		a, err := f.Search(ctx, r)
		require.NoError(t, err)
		require.NotZero(t, a.GetStatus().GetCode())
	}
	for _, c := range []struct {
		fields []*schemapb.FieldData
		rows   uint32
		text   string
	}{
		{nil, 0, "num_rows should be greater than 0"},
		{[]*schemapb.FieldData{int64s("id", 1, 2)}, 1, "the num_rows (2) of field (id) is not equal to passed num_rows (1)"},
		{[]*schemapb.FieldData{int64s("id", 1), int64s("id", 1)}, 1, "twice"},
		{[]*schemapb.FieldData{int64s("id", 1), varChars("title", "x"), floatVectors("v", 3, 1, 2, 3)}, 1, "dim"},
		{[]*schemapb.FieldData{int64s("id", 1), varChars("title", "x"), floatVectors("v", 2, 1, float32(math.Inf(1)))}, 1, "finite"},
		{[]*schemapb.FieldData{int64s("id", 1), varChars("title", strings.Repeat("x", 65)), floatVectors("v", 2, 1, 2)}, 1, "max_length is 64"},
		{[]*schemapb.FieldData{int64s("id", 1), int64s("title", 1), floatVectors("v", 2, 1, 2)}, 1, "the data type of field title doesn't match"},
		{[]*schemapb.FieldData{int64s("id", 1)}, 1, "title"},
	} {
		a, err := f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "books", FieldsData: c.fields, NumRows: c.rows})
		require.NoError(t, err)
		bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, c.text)
	}
	got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", OutputFields: []string{"count(*)"}}))
	require.Equal(t, []int64{3}, got.GetFieldsData()[0].GetScalars().GetLongData().GetData())
}
