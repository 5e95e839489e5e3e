package milvus_test

import (
	"context"
	"testing"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
)

func (f *fixture) collections(t testing.TB, db string) []string {
	return fine[*milvuspb.ShowCollectionsResponse](t)(f.ShowCollections(within(t), &milvuspb.ShowCollectionsRequest{DbName: db})).GetCollectionNames()
}

func TestAliases(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	f.create(t, &schemapb.CollectionSchema{Name: "other", Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_Int64)), field("v", schemapb.DataType_FloatVector, "dim", "2"),
	}})
	done(t)(f.CreateAlias(ctx, &milvuspb.CreateAliasRequest{CollectionName: "books", Alias: "b"}))
	done(t)(f.CreateAlias(ctx, &milvuspb.CreateAliasRequest{CollectionName: "books", Alias: "b"}))
	s, err := f.CreateAlias(ctx, &milvuspb.CreateAliasRequest{CollectionName: "other", Alias: "b"})
	require.NoError(t, err)
	bad(t, s, 1602, commonpb.ErrorCode_UnexpectedError, "b is alias to another collection: books")
	s, err = f.CreateAlias(ctx, &milvuspb.CreateAliasRequest{CollectionName: "books", Alias: "other"})
	require.NoError(t, err)
	bad(t, s, 1601, commonpb.ErrorCode_UnexpectedError, "conflict")
	s, err = f.AlterAlias(ctx, &milvuspb.AlterAliasRequest{CollectionName: "books", Alias: "c"})
	require.NoError(t, err)
	bad(t, s, 1600, commonpb.ErrorCode_UnexpectedError, "alias not found[database=default][alias=c]")

	// The server starts anew: the alias is there, and stands for its collection under whichever name that has.
	f = serve(t, f.eng, nil)
	done(t)(f.RenameCollection(ctx, &milvuspb.RenameCollectionRequest{OldName: "books", NewName: "volumes"}))
	described := fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "b"}))
	require.Equal(t, "volumes", described.GetCollectionName())
	require.Equal(t, []string{"b"}, described.GetAliases())
	require.Equal(t, "volumes", fine[*milvuspb.DescribeAliasResponse](t)(f.DescribeAlias(ctx, &milvuspb.DescribeAliasRequest{Alias: "b"})).GetCollection())
	require.Equal(t, []string{"b"}, fine[*milvuspb.ListAliasesResponse](t)(f.ListAliases(ctx, &milvuspb.ListAliasesRequest{CollectionName: "volumes"})).GetAliases())
	require.Equal(t, []string{"b"}, fine[*milvuspb.ListAliasesResponse](t)(f.ListAliases(ctx, &milvuspb.ListAliasesRequest{})).GetAliases())

	s, err = f.DropCollection(ctx, &milvuspb.DropCollectionRequest{CollectionName: "volumes"})
	require.NoError(t, err)
	bad(t, s, 65535, commonpb.ErrorCode_UnexpectedError, "associated aliases [b]")
	done(t)(f.AlterAlias(ctx, &milvuspb.AlterAliasRequest{CollectionName: "other", Alias: "b"}))
	done(t)(f.DropCollection(ctx, &milvuspb.DropCollectionRequest{CollectionName: "volumes"}))
	done(t)(f.DropAlias(ctx, &milvuspb.DropAliasRequest{Alias: "b"}))
	done(t)(f.DropAlias(ctx, &milvuspb.DropAliasRequest{Alias: "b"}))
	has := fine[*milvuspb.BoolResponse](t)(f.HasCollection(ctx, &milvuspb.HasCollectionRequest{CollectionName: "b"}))
	require.False(t, has.GetValue())
	done(t)(f.DropCollection(ctx, &milvuspb.DropCollectionRequest{CollectionName: "nothing"}))
	require.Equal(t, []string{"other"}, f.collections(t, ""))

	// What was dropped behind the server's back takes its aliases with it.
	done(t)(f.CreateAlias(ctx, &milvuspb.CreateAliasRequest{CollectionName: "other", Alias: "o"}))
	require.NoError(t, f.eng.DropCollection(ctx, "other"))
	f = serve(t, f.eng, nil)
	require.Empty(t, fine[*milvuspb.ListAliasesResponse](t)(f.ListAliases(ctx, &milvuspb.ListAliasesRequest{})).GetAliases())
}

func TestDatabases(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	done(t)(f.CreateDatabase(ctx, &milvuspb.CreateDatabaseRequest{DbName: "shop", Properties: kv("database.replica.number", "1")}))
	s, err := f.CreateDatabase(ctx, &milvuspb.CreateDatabaseRequest{DbName: "shop"})
	require.NoError(t, err)
	require.NotZero(t, s.GetCode())
	s, err = f.CreateDatabase(ctx, &milvuspb.CreateDatabaseRequest{DbName: "1"})
	require.NoError(t, err)
	bad(t, s, 802, commonpb.ErrorCode_UnexpectedError)
	inShop := func(r *milvuspb.CreateCollectionRequest) { r.DbName = "shop" }
	schema := &schemapb.CollectionSchema{Name: "books", Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_VarChar, "max_length", "8")), field("v", schemapb.DataType_FloatVector, "dim", "2"),
	}}
	f.create(t, schema, inShop)
	f = serve(t, f.eng, nil)
	require.Equal(t, []string{"default", "shop"}, fine[*milvuspb.ListDatabasesResponse](t)(f.ListDatabases(ctx, &milvuspb.ListDatabasesRequest{})).GetDbNames())
	require.Equal(t, []string{"books"}, f.collections(t, "shop"))
	require.Equal(t, []string{"books"}, f.collections(t, ""))

	// The header of a connection names the database; the request's own field wins.
	header := metadata.AppendToOutgoingContext(ctx, "dbname", "shop")
	keyType := func(ctx context.Context, db string) schemapb.DataType {
		d := fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{DbName: db, CollectionName: "books"}))
		return d.GetSchema().GetFields()[0].GetDataType()
	}
	require.Equal(t, schemapb.DataType_VarChar, keyType(header, ""))
	require.Equal(t, schemapb.DataType_Int64, keyType(header, "default"))
	require.Equal(t, schemapb.DataType_Int64, keyType(ctx, ""))

	s, err = f.DropDatabase(ctx, &milvuspb.DropDatabaseRequest{DbName: "shop"})
	require.NoError(t, err)
	require.Contains(t, s.GetReason(), "not empty")
	done(t)(f.RenameCollection(ctx, &milvuspb.RenameCollectionRequest{DbName: "shop", OldName: "books", NewDBName: "default", NewName: "moved"}))
	require.Equal(t, []string{"books", "moved"}, f.collections(t, ""))
	done(t)(f.DropDatabase(ctx, &milvuspb.DropDatabaseRequest{DbName: "shop"}))
	missing, err := f.ShowCollections(ctx, &milvuspb.ShowCollectionsRequest{DbName: "shop"})
	require.NoError(t, err)
	bad(t, missing.GetStatus(), 800, commonpb.ErrorCode_UnexpectedError, "database not found[database=shop]")

	// Names of the store's own are no names of collections.
	for _, name := range []string{"_milvus_state", "_db1_x", "1x", "a b", ""} {
		schema.Name = name
		s, err := f.CreateCollection(ctx, &milvuspb.CreateCollectionRequest{CollectionName: name, Schema: marshal(t, schema)})
		require.NoError(t, err)
		bad(t, s, 1100, commonpb.ErrorCode_IllegalArgument)
	}
	d, err := f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "_milvus_state"})
	require.NoError(t, err)
	bad(t, d.GetStatus(), 100, commonpb.ErrorCode_CollectionNotExists)
}

// To create again what is there succeeds; something else of the name is refused. Properties and the rest come back.
func TestCreateTwice(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	schema := &schemapb.CollectionSchema{Name: "c", Description: "text", EnableDynamicField: true, Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_Int64)),
		field("s", schemapb.DataType_VarChar, "max_length", "10", "enable_analyzer", "true"),
		{Name: "n", DataType: schemapb.DataType_Int8, Nullable: true, IsClusteringKey: true, DefaultValue: &schemapb.ValueField{Data: &schemapb.ValueField_IntData{IntData: 3}}},
		field("v", schemapb.DataType_FloatVector, "dim", "2"),
	}}
	schema.Fields[0].AutoID = true
	with := func(r *milvuspb.CreateCollectionRequest) {
		r.ShardsNum, r.Properties = 2, kv("collection.ttl.seconds", "60", "selkie.duplicate_keys", "refuse")
	}
	f.create(t, schema, with)
	f.create(t, schema, with)
	f = serve(t, f.eng, nil)
	d := fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "c"}))
	require.EqualValues(t, 2, d.GetShardsNum())
	require.Equal(t, "text", d.GetSchema().GetDescription())
	require.True(t, d.GetSchema().GetEnableDynamicField())
	require.Equal(t, map[string]string{"collection.ttl.seconds": "60", "selkie.duplicate_keys": "refuse"}, asMap(d.GetProperties()))
	fields := d.GetSchema().GetFields()
	require.Len(t, fields, 4)
	require.True(t, fields[0].GetAutoID())
	require.Equal(t, map[string]string{"max_length": "10", "enable_analyzer": "true"}, asMap(fields[1].GetTypeParams()))
	require.True(t, fields[2].GetNullable())
	require.True(t, fields[2].GetIsClusteringKey())
	require.EqualValues(t, 3, fields[2].GetDefaultValue().GetIntData())
	byID := fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionID: d.GetCollectionID()}))
	require.Equal(t, "c", byID.GetCollectionName())

	schema.Description = "another"
	s, err := f.CreateCollection(ctx, &milvuspb.CreateCollectionRequest{CollectionName: "c", Schema: marshal(t, schema), ShardsNum: 2})
	require.NoError(t, err)
	bad(t, s, 65535, commonpb.ErrorCode_UnexpectedError, "create duplicate collection with different parameters, collection: c")

	done(t)(f.AlterCollection(ctx, &milvuspb.AlterCollectionRequest{CollectionName: "c", Properties: kv("mmap.enabled", "true", "collection.ttl.seconds", "60"), DeleteKeys: []string{"other"}}))
	d = fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "c"}))
	require.Equal(t, map[string]string{"mmap.enabled": "true", "collection.ttl.seconds": "60", "selkie.duplicate_keys": "refuse"}, asMap(d.GetProperties()))
	for _, r := range []*milvuspb.AlterCollectionRequest{
		{Properties: kv("collection.ttl.seconds", "61")},
		{DeleteKeys: []string{"collection.ttl.seconds"}},
		{Properties: kv("selkie.duplicate_keys", "allow")},
		{Properties: kv("dynamicfield.enabled", "false")},
	} {
		r.CollectionName = "c"
		s, err := f.AlterCollection(ctx, r)
		require.NoError(t, err)
		bad(t, s, 3000, commonpb.ErrorCode_UnexpectedError, "is decided when a collection is made")
	}
}
