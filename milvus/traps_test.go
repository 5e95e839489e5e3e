package milvus_test

import (
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/stretchr/testify/require"
)

// Clients ping without a call under way. Each ping is answered, and the connection is not given up for too many of them.
func TestPingsWithoutCalls(t *testing.T) {
	f := open(t, nil)
	conn, err := f.inside.Dialer(t.Context(), "")
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	frame := func(kind byte, payload ...byte) { // of HTTP/2: length, kind, flags, stream, payload
		_, err := conn.Write(append([]byte{0, 0, byte(len(payload)), kind, 0, 0, 0, 0, 0}, payload...))
		require.NoError(t, err)
	}
	const ping, goAway, settings, ack = 6, 7, 4, 1
	_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	require.NoError(t, err)
	frame(settings)
	for i := range byte(4) { // the third of too many would end the connection
		frame(ping, 0, 0, 0, 0, 0, 0, 0, i)
		for {
			head := make([]byte, 9)
			_, err := io.ReadFull(conn, head)
			require.NoError(t, err)
			payload := make([]byte, int(binary.BigEndian.Uint32(head)>>8))
			_, err = io.ReadFull(conn, payload)
			require.NoError(t, err)
			require.NotEqualValues(t, goAway, head[3], "%q", payload)
			if head[3] == ping && head[4] == ack {
				require.Equal(t, i, payload[7])
				break
			}
		}
		time.Sleep(1100 * time.Millisecond)
	}
}

// What is not there, what is there already and what has nothing in it, as clients want them.
func TestSmallPrint(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	none, err := f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "books"})
	require.NoError(t, err)
	bad(t, none.GetStatus(), 100, commonpb.ErrorCode_CollectionNotExists, "collection not found[database=default][collection=books]")
	has := fine[*milvuspb.BoolResponse](t)(f.HasCollection(ctx, &milvuspb.HasCollectionRequest{CollectionName: "books"}))
	require.False(t, has.GetValue())
	require.Equal(t, "Success", has.GetStatus().GetErrorCode().String())
	done(t)(f.DropCollection(ctx, &milvuspb.DropCollectionRequest{CollectionName: "books"}))
	require.Empty(t, fine[*milvuspb.ShowCollectionsResponse](t)(f.ShowCollections(ctx, &milvuspb.ShowCollectionsRequest{})).GetCollectionNames())

	books(t, f)
	require.True(t, fine[*milvuspb.BoolResponse](t)(f.HasCollection(ctx, &milvuspb.HasCollectionRequest{CollectionName: " books "})).GetValue())
	describe := func() *milvuspb.DescribeCollectionResponse {
		return fine[*milvuspb.DescribeCollectionResponse](t)(f.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: "books"}))
	}
	d := describe()
	for _, field := range d.GetSchema().GetFields() {
		require.GreaterOrEqual(t, field.GetFieldID(), int64(100))
	}
	require.Equal(t, commonpb.ConsistencyLevel_Bounded, d.GetConsistencyLevel())
	index, err := f.DescribeIndex(ctx, &milvuspb.DescribeIndexRequest{CollectionName: "books", FieldName: "v"})
	require.NoError(t, err)
	bad(t, index.GetStatus(), 700, commonpb.ErrorCode_IndexNotExist)
	require.Equal(t, "IndexNotExist", index.GetStatus().GetErrorCode().String())

	// The timestamp of the schema stays while only rows, partitions and indexes come and go.
	done(t)(f.CreateIndex(ctx, &milvuspb.CreateIndexRequest{CollectionName: "books", FieldName: "v"}))
	done(t)(f.CreatePartition(ctx, &milvuspb.CreatePartitionRequest{CollectionName: "books", PartitionName: "p"}))
	fine[*milvuspb.FlushResponse](t)(f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"books"}}))
	require.Equal(t, d.GetUpdateTimestamp(), describe().GetUpdateTimestamp())
	done(t)(f.DropPartition(ctx, &milvuspb.DropPartitionRequest{CollectionName: "books", PartitionName: "p"}))
	missing, err := f.DropPartition(ctx, &milvuspb.DropPartitionRequest{CollectionName: "books", PartitionName: "p"})
	require.NoError(t, err)
	require.Contains(t, []int32{0, 200}, missing.GetCode(), "either, by version")

	loaded := func() []int64 {
		return fine[*milvuspb.ShowCollectionsResponse](t)(f.ShowCollections(ctx, &milvuspb.ShowCollectionsRequest{Type: milvuspb.ShowType_InMemory})).GetInMemoryPercentages()
	}
	require.Equal(t, []int64{100}, loaded())
	done(t)(f.ReleaseCollection(ctx, &milvuspb.ReleaseCollectionRequest{CollectionName: "books"}))
	require.Empty(t, loaded())
	done(t)(f.LoadCollection(ctx, &milvuspb.LoadCollectionRequest{CollectionName: "books"}))

	health := fine[*milvuspb.CheckHealthResponse](t)(f.CheckHealth(ctx, &milvuspb.CheckHealthRequest{}))
	require.True(t, health.GetIsHealthy())
	require.Empty(t, health.GetReasons())
	require.Empty(t, health.GetQuotaStates())
	require.Regexp(t, `^v2\.6\.`, fine[*milvuspb.GetVersionResponse](t)(f.GetVersion(ctx, &milvuspb.GetVersionRequest{})).GetVersion())
	connect := fine[*milvuspb.ConnectResponse](t)(f.Connect(ctx, &milvuspb.ConnectRequest{}))
	require.NotZero(t, connect.GetIdentifier())
	require.Regexp(t, `^v2\.6\.`, connect.GetServerInfo().GetBuildTags())
	one := fine[*milvuspb.AllocTimestampResponse](t)(f.AllocTimestamp(ctx, &milvuspb.AllocTimestampRequest{})).GetTimestamp()
	require.Greater(t, fine[*milvuspb.AllocTimestampResponse](t)(f.AllocTimestamp(ctx, &milvuspb.AllocTimestampRequest{})).GetTimestamp(), one)
	require.True(t, fine[*milvuspb.GetFlushAllStateResponse](t)(f.GetFlushAllState(ctx, &milvuspb.GetFlushAllStateRequest{})).GetFlushed())
}

// An iterator that was given up is refused, whether it is of a query or of a search: another view would have other entities.
func TestIteratorGivenUp(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	query := func(session uint64) *milvuspb.QueryResults {
		a, err := f.Query(ctx, &milvuspb.QueryRequest{CollectionName: "books", Expr: "id > 0", GuaranteeTimestamp: session, QueryParams: kv("iterator", "True", "limit", "1")})
		require.NoError(t, err)
		return a
	}
	search := func(more ...string) *milvuspb.SearchResults {
		a, err := f.Search(ctx, nearest(t, "books", kv(append(more, "topk", "1", "iterator", "True", "search_iter_v2", "True", "search_iter_batch_size", "1")...), floats(0, 0)))
		require.NoError(t, err)
		return a
	}
	session, token := query(0).GetSessionTs(), search().GetResults().GetSearchIteratorV2Results().GetToken()
	require.Equal(t, session, query(session).GetSessionTs())
	for range 64 {
		require.Zero(t, query(0).GetStatus().GetCode())
		require.Zero(t, search().GetStatus().GetCode())
	}
	bad(t, query(session).GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, "was given up")
	bad(t, search("search_iter_id", token).GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, "search_iter_id", "is not known")
	first, err := f.Search(ctx, nearest(t, "books", kv("topk", "1", "iterator", "True"), floats(0, 0)))
	require.NoError(t, err)
	bad(t, first.GetStatus(), 3000, commonpb.ErrorCode_UnexpectedError, "version 1")
}
