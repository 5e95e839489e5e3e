package milvus_test

import (
	"strconv"
	"testing"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"
)

// The documented example of flush(), in the calls that pymilvus makes for it, in their order, with what it looks at in each answer.
func TestFlushExampleCallByCall(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)

	// connections.connect(uri=...)
	connected := fine[*milvuspb.ConnectResponse](t)(f.Connect(ctx, &milvuspb.ConnectRequest{
		ClientInfo: &commonpb.ClientInfo{SdkType: "Python", SdkVersion: "2.6.0"},
	}))
	require.NotZero(t, connected.GetIdentifier())
	require.Regexp(t, `^v2\.6\.`, connected.GetServerInfo().GetBuildTags())

	// Collection(name="test_collection", schema=schema): has_collection, create, describe
	missing, err := f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "test_collection"})
	require.NoError(t, err)
	bad(t, missing.GetStatus(), 100, commonpb.ErrorCode_CollectionNotExists, "collection not found[database=default][collection=test_collection]")
	f.create(t, &schemapb.CollectionSchema{Name: "test_collection", Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_Int64)), field("vector", schemapb.DataType_FloatVector, "dim", "5"),
	}})
	described := fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "test_collection"}))
	require.Equal(t, "test_collection", described.GetCollectionName())
	require.Equal(t, commonpb.ConsistencyLevel_Bounded, described.GetConsistencyLevel())
	require.EqualValues(t, 1, described.GetNumPartitions())
	require.EqualValues(t, 1, described.GetShardsNum())
	require.NotZero(t, described.GetUpdateTimestamp())
	fields := described.GetSchema().GetFields()
	require.Len(t, fields, 2)
	require.Equal(t, []int64{100, 101}, []int64{fields[0].GetFieldID(), fields[1].GetFieldID()})
	require.True(t, fields[0].GetIsPrimaryKey())
	require.Equal(t, []string{"dim", "5"}, []string{fields[1].GetTypeParams()[0].GetKey(), fields[1].GetTypeParams()[0].GetValue()})

	// Partition(collection=collection, name="test_partition")
	has := fine[*milvuspb.BoolResponse](t)(f.HasPartition(ctx, &milvuspb.HasPartitionRequest{CollectionName: "test_collection", PartitionName: "test_partition"}))
	require.False(t, has.GetValue())
	done(t)(f.CreatePartition(ctx, &milvuspb.CreatePartitionRequest{CollectionName: "test_collection", PartitionName: "test_partition"}))

	// partition.insert(data=[...])
	inserted := fine[*milvuspb.MutationResult](t)(f.Insert(ctx, &milvuspb.InsertRequest{
		CollectionName: "test_collection", PartitionName: "test_partition", NumRows: 5, SchemaTimestamp: described.GetUpdateTimestamp(),
		FieldsData: []*schemapb.FieldData{
			int64s("id", 0, 1, 2, 3, 4),
			floatVectors("vector", 5,
				0.1, 0.2, -0.3, -0.4, 0.5,
				0.3, -0.1, -0.2, -0.6, 0.7,
				-0.6, -0.3, 0.2, 0.8, 0.7,
				0.6, 0.2, -0.3, -0.8, 0.5,
				0.3, 0.1, -0.2, -0.6, -0.7),
		},
	}))
	require.EqualValues(t, 5, inserted.GetInsertCnt())
	require.Equal(t, []int64{0, 1, 2, 3, 4}, inserted.GetIDs().GetIntId().GetData())
	require.Equal(t, []uint32{0, 1, 2, 3, 4}, inserted.GetSuccIndex())
	require.Empty(t, inserted.GetErrIndex())
	require.NotZero(t, inserted.GetTimestamp())

	// partition.flush(): Flush, then GetFlushState until it is true, which it is at once
	flushed := fine[*milvuspb.FlushResponse](t)(f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"test_collection"}}))
	segments := flushed.GetCollSegIDs()["test_collection"].GetData()
	require.Len(t, segments, 1)
	require.NotZero(t, flushed.GetCollFlushTs()["test_collection"])
	state := fine[*milvuspb.GetFlushStateResponse](t)(f.GetFlushState(ctx, &milvuspb.GetFlushStateRequest{
		SegmentIDs: segments, FlushTs: flushed.GetCollFlushTs()["test_collection"], CollectionName: "test_collection",
	}))
	require.True(t, state.GetFlushed())

	// partition.num_entities
	stats := fine[*milvuspb.GetPartitionStatisticsResponse](t)(f.GetPartitionStatistics(ctx, &milvuspb.GetPartitionStatisticsRequest{
		CollectionName: "test_collection", PartitionName: "test_partition",
	}))
	require.Equal(t, "row_count", stats.GetStats()[0].GetKey())
	require.Equal(t, "5", stats.GetStats()[0].GetValue())
	require.EqualValues(t, 5, f.rows(t, "test_collection"))
}

// rows is the collection's row_count.
func (f *fixture) rows(t testing.TB, collection string) int64 {
	t.Helper()
	c, err := f.eng.Collection(collection)
	require.NoError(t, err)
	stats := fine[*milvuspb.GetCollectionStatisticsResponse](t)(f.GetCollectionStatistics(within(t), &milvuspb.GetCollectionStatisticsRequest{CollectionName: collection}))
	require.Equal(t, "row_count", stats.GetStats()[0].GetKey())
	n := c.NumEntities()
	require.Equal(t, stats.GetStats()[0].GetValue(), strconv.FormatInt(n, 10))
	return n
}

// A flush covers every partition of each collection named, and tells the segments it wrote from those of before.
func TestFlushCoversCollections(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	for _, name := range []string{"a", "b"} {
		f.create(t, &schemapb.CollectionSchema{Name: name, Fields: []*schemapb.FieldSchema{
			primary(field("id", schemapb.DataType_Int64)), field("v", schemapb.DataType_FloatVector, "dim", "2"),
		}})
		done(t)(f.CreatePartition(ctx, &milvuspb.CreatePartitionRequest{CollectionName: name, PartitionName: "p"}))
	}
	insert := func(collection, partition string, id int64) {
		fine[*milvuspb.MutationResult](t)(f.Insert(ctx, &milvuspb.InsertRequest{
			CollectionName: collection, PartitionName: partition, NumRows: 1, FieldsData: []*schemapb.FieldData{int64s("id", id), floatVectors("v", 2, 1, 2)},
		}))
	}
	insert("a", "", 1)
	insert("a", "p", 2)
	insert("b", "p", 3)
	require.Zero(t, f.rows(t, "a"))
	first := fine[*milvuspb.FlushResponse](t)(f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"a"}}))
	require.Len(t, first.GetCollSegIDs()["a"].GetData(), 2)
	require.Empty(t, first.GetFlushCollSegIDs()["a"].GetData())
	require.EqualValues(t, 2, f.rows(t, "a"))
	require.Zero(t, f.rows(t, "b"))

	growing := func() []int64 {
		c, err := f.eng.Collection("b")
		require.NoError(t, err)
		var ids []int64
		for _, s := range c.Segments() {
			ids = append(ids, int64(s.ID))
		}
		return ids
	}()
	require.Len(t, growing, 1)
	require.False(t, fine[*milvuspb.GetFlushStateResponse](t)(f.GetFlushState(ctx, &milvuspb.GetFlushStateRequest{SegmentIDs: growing})).GetFlushed())

	insert("a", "p", 4)
	second := fine[*milvuspb.FlushResponse](t)(f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"a", "b"}}))
	require.Len(t, second.GetCollSegIDs()["a"].GetData(), 1)
	require.ElementsMatch(t, first.GetCollSegIDs()["a"].GetData(), second.GetFlushCollSegIDs()["a"].GetData())
	require.Equal(t, growing, second.GetCollSegIDs()["b"].GetData())
	require.Greater(t, second.GetCollFlushTs()["a"], first.GetCollFlushTs()["a"])
	require.True(t, fine[*milvuspb.GetFlushStateResponse](t)(f.GetFlushState(ctx, &milvuspb.GetFlushStateRequest{SegmentIDs: growing})).GetFlushed())

	// Node's flushSync asks with the segments alone, which may be none.
	require.True(t, fine[*milvuspb.GetFlushStateResponse](t)(f.GetFlushState(ctx, &milvuspb.GetFlushStateRequest{})).GetFlushed())

	// Nothing is flushed if one of the names is wrong.
	insert("b", "p", 5)
	wrong, err := f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"b", "c"}})
	require.NoError(t, err)
	bad(t, wrong.GetStatus(), 100, commonpb.ErrorCode_CollectionNotExists)
	require.EqualValues(t, 1, f.rows(t, "b"))
	none, err := f.Flush(ctx, &milvuspb.FlushRequest{})
	require.NoError(t, err)
	bad(t, none.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument)

	all := fine[*milvuspb.FlushAllResponse](t)(f.FlushAll(ctx, &milvuspb.FlushAllRequest{}))
	require.NotZero(t, all.GetFlushAllTs())
	require.True(t, fine[*milvuspb.GetFlushAllStateResponse](t)(f.GetFlushAllState(ctx, &milvuspb.GetFlushAllStateRequest{FlushAllTs: all.GetFlushAllTs()})).GetFlushed())
	require.EqualValues(t, 2, f.rows(t, "b"))
}
