package milvus_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
)

// titles gives the titles of all books.
func (f *fixture) titles(t testing.TB) []string {
	t.Helper()
	got := fine[*milvuspb.QueryResults](t)(f.Query(within(t), &milvuspb.QueryRequest{CollectionName: "books", QueryParams: kv("limit", "9"), OutputFields: []string{"title"}}))
	return got.GetFieldsData()[1].GetScalars().GetStringData().GetData()
}

func TestPartialUpsert(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	partial := func(fields ...*schemapb.FieldData) *milvuspb.UpsertRequest {
		return &milvuspb.UpsertRequest{CollectionName: "books", NumRows: 2, PartialUpdate: true, FieldsData: fields}
	}
	res := fine[*milvuspb.MutationResult](t)(f.Upsert(ctx, partial(int64s("id", 1, 3), varChars("title", "eins", "drei"))))
	require.EqualValues(t, 2, res.GetUpsertCnt())
	require.Equal(t, []string{"eins", "two", "drei"}, f.titles(t))
	got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", Expr: "id == 3", OutputFields: []string{"v", "year"}}))
	require.Equal(t, []float32{2, 0}, got.GetFieldsData()[1].GetVectors().GetFloatVector().GetData(), "what is not given stays")
	require.Equal(t, `{"year":3}`, string(got.GetFieldsData()[2].GetScalars().GetJsonData().GetData()[0]))

	// A new entity needs all its fields; one of two with the same key cannot be meant.
	a, err := f.Upsert(ctx, partial(int64s("id", 1, 9), varChars("title", "x", "y")))
	require.NoError(t, err)
	bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, "there is no entity with primary key 9")
	fine[*milvuspb.MutationResult](t)(f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "books", NumRows: 1, FieldsData: []*schemapb.FieldData{
		int64s("id", 2), varChars("title", "two again"), floatVectors("v", 2, 5, 5),
	}}))
	a, err = f.Upsert(ctx, partial(int64s("id", 1, 2), varChars("title", "x", "y")))
	require.NoError(t, err)
	bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, "2 entities have the primary key")
	r := partial(int64s("id", 1, 3), varChars("title", "x", "y"))
	r.FieldOps = []*schemapb.FieldPartialUpdateOp{{FieldName: "title", Op: schemapb.FieldPartialUpdateOp_ARRAY_APPEND}}
	a, err = f.Upsert(ctx, r)
	require.NoError(t, err)
	bad(t, a.GetStatus(), 3000, commonpb.ErrorCode_UnexpectedError, "ARRAY_APPEND")
	require.Equal(t, []string{"eins", "two", "two again", "drei"}, f.titles(t))
}

// A field is added, written by a client that read the schema anew, and refused to one that did not.
func TestAddField(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	describe := func() *milvuspb.DescribeCollectionResponse {
		return fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "books"}))
	}
	before := describe()
	added := field("pages", schemapb.DataType_Int32)
	added.Nullable, added.DefaultValue = true, &schemapb.ValueField{Data: &schemapb.ValueField_IntData{IntData: 7}}
	add := func(s *schemapb.FieldSchema) (*commonpb.Status, error) {
		return f.AddCollectionField(ctx, &milvuspb.AddCollectionFieldRequest{CollectionName: "books", Schema: marshal(t, s)})
	}
	done(t)(add(added))
	noted := field("note", schemapb.DataType_VarChar, "max_length", "5", "enable_match", "true")
	noted.Nullable = true
	done(t)(add(noted))
	after := describe()
	require.NotEqual(t, before.GetUpdateTimestamp(), after.GetUpdateTimestamp())
	require.Len(t, after.GetSchema().GetFields(), 5)
	require.Equal(t, "pages", after.GetSchema().GetFields()[3].GetName())
	require.Equal(t, map[string]string{"max_length": "5", "enable_match": "true"}, asMap(after.GetSchema().GetFields()[4].GetTypeParams()))

	insert := func(timestamp uint64) *milvuspb.MutationResult {
		a, err := f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "books", SchemaTimestamp: timestamp, NumRows: 1, FieldsData: []*schemapb.FieldData{
			int64s("id", 4), varChars("title", "four"), floatVectors("v", 2, 4, 0), scalar("pages", schemapb.DataType_Int32, intArray(44)),
		}})
		require.NoError(t, err)
		return a
	}
	bad(t, insert(before.GetUpdateTimestamp()).GetStatus(), 65535, commonpb.ErrorCode_SchemaMismatch, "schema mismatch")
	ok(t, insert(after.GetUpdateTimestamp()).GetStatus())
	got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", Expr: "id > 0", OutputFields: []string{"pages", "note"}}))
	require.Equal(t, []int32{7, 7, 7, 44}, got.GetFieldsData()[1].GetScalars().GetIntData().GetData())
	require.Equal(t, []bool{false, false, false, false}, got.GetFieldsData()[2].GetValidData())

	for text, s := range map[string]*schemapb.FieldSchema{
		"must be nullable": field("x", schemapb.DataType_Int32),
		"pages":            {Name: "pages", DataType: schemapb.DataType_Bool, Nullable: true},
		"no key":           {Name: "x", DataType: schemapb.DataType_Int64, Nullable: true, IsPartitionKey: true},
		"clustering key":   {Name: "x", DataType: schemapb.DataType_Int64, Nullable: true, IsClusteringKey: true},
	} {
		s, err := add(s)
		require.NoError(t, err)
		bad(t, s, 1100, commonpb.ErrorCode_IllegalArgument, text)
	}
	s, err := f.AddCollectionField(ctx, &milvuspb.AddCollectionFieldRequest{CollectionName: "books", Schema: []byte{0xff}})
	require.NoError(t, err)
	bad(t, s, 1100, commonpb.ErrorCode_IllegalArgument, "cannot be read")
}

func TestAlterField(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	change := func(r *milvuspb.AlterCollectionFieldRequest) (*commonpb.Status, error) {
		r.CollectionName = "books"
		return f.AlterCollectionField(ctx, r)
	}
	done(t)(change(&milvuspb.AlterCollectionFieldRequest{FieldName: "title", Properties: kv("max_length", "70", "mmap.enabled", "true")}))
	f = serve(t, f.eng, nil)
	params := func() map[string]string {
		d := fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "books"}))
		return asMap(d.GetSchema().GetFields()[1].GetTypeParams())
	}
	require.Equal(t, map[string]string{"max_length": "70", "mmap.enabled": "true"}, params())
	done(t)(change(&milvuspb.AlterCollectionFieldRequest{FieldName: "title", DeleteKeys: []string{"mmap.enabled"}}))
	require.Equal(t, map[string]string{"max_length": "70"}, params())
	for text, r := range map[string]*milvuspb.AlterCollectionFieldRequest{
		"cannot be lowered":     {FieldName: "title", Properties: kv("max_length", "69")},
		"integer above 0":       {FieldName: "title", Properties: kv("max_length", "0")},
		"has no max_capacity":   {FieldName: "title", Properties: kv("max_capacity", "5")},
		"does not allow update": {FieldName: "title", Properties: kv("dim", "5")},
		"field not found":       {FieldName: "nothing"},
	} {
		s, err := change(r)
		require.NoError(t, err)
		bad(t, s, 1100, commonpb.ErrorCode_IllegalArgument, text)
	}
	require.Equal(t, map[string]string{"max_length": "70"}, params())
}

func TestTruncate(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	fine[*milvuspb.TruncateCollectionResponse](t)(f.TruncateCollection(ctx, &milvuspb.TruncateCollectionRequest{CollectionName: "books"}))
	require.Empty(t, f.titles(t))
	a, err := f.TruncateCollection(ctx, &milvuspb.TruncateCollectionRequest{CollectionName: "nothing"})
	require.NoError(t, err)
	bad(t, a.GetStatus(), 100, commonpb.ErrorCode_CollectionNotExists)
}

// Entities expire some seconds after they were written, or at the time that a field says.
func TestTimeToLive(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem(), Now: func() time.Time { return now }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	f := serve(t, eng, nil)
	ctx := within(t)
	for name, properties := range map[string][]*commonpb.KeyValuePair{
		"after": kv("collection.ttl.seconds", "60"), "at": kv("ttl_field", "until"), "never": kv("collection.ttl.seconds", "0"),
	} {
		s := &schemapb.CollectionSchema{Name: name, Properties: properties, Fields: []*schemapb.FieldSchema{
			primary(field("id", schemapb.DataType_Int64)), field("until", schemapb.DataType_Int64), field("v", schemapb.DataType_FloatVector, "dim", "2"),
		}}
		f.create(t, s)
		fine[*milvuspb.MutationResult](t)(f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: name, NumRows: 2, FieldsData: []*schemapb.FieldData{
			int64s("id", 1, 2), int64s("until", now.UnixMilli()+30_000, now.UnixMilli()+90_000), floatVectors("v", 2, 1, 1, 2, 2),
		}}))
		d := fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: name}))
		require.Len(t, d.GetSchema().GetFields(), 3)
		require.Equal(t, asMap(properties), asMap(d.GetProperties()))
	}
	left := func(name string) int64 {
		got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: name, OutputFields: []string{"count(*)"}}))
		return got.GetFieldsData()[0].GetScalars().GetLongData().GetData()[0]
	}
	for _, c := range []struct {
		later            time.Duration
		after, at, never int64
	}{{0, 2, 2, 2}, {31 * time.Second, 2, 1, 2}, {30 * time.Second, 0, 1, 2}, {30 * time.Second, 0, 0, 2}} {
		now = now.Add(c.later)
		require.Equal(t, []int64{c.after, c.at, c.never}, []int64{left("after"), left("at"), left("never")})
	}
	got := fine[*milvuspb.QueryResults](t)(f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "after", QueryParams: kv("limit", "9"), OutputFields: []string{"*"}}))
	require.Equal(t, []string{"id", "until", "v"}, got.GetOutputFields(), "the engine's own field is not among them")
	for text, properties := range map[string][]*commonpb.KeyValuePair{
		"should be a number of seconds": kv("collection.ttl.seconds", "x"),
		"do not go together":            kv("collection.ttl.seconds", "5", "ttl_field", "until"),
		"must be an Int64 field":        kv("ttl_field", "v"),
	} {
		s := &schemapb.CollectionSchema{Name: "c", Fields: []*schemapb.FieldSchema{
			primary(field("id", schemapb.DataType_Int64)), field("until", schemapb.DataType_Int64), field("v", schemapb.DataType_FloatVector, "dim", "2"),
		}}
		a, err := f.CreateCollection(ctx, &milvuspb.CreateCollectionRequest{CollectionName: "c", Schema: marshal(t, s), Properties: properties})
		require.NoError(t, err)
		bad(t, a, 1100, commonpb.ErrorCode_IllegalArgument, text)
	}
}
