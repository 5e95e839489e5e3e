package milvus_test

import (
	"testing"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"
)

// Compaction by hand leaves one segment of many, without the dead rows.
func TestManualCompaction(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	line(t, f, 10)
	flush := func() {
		fine[*milvuspb.FlushResponse](t)(f.Flush(ctx, &milvuspb.FlushRequest{CollectionNames: []string{"line"}}))
	}
	flush()
	fine[*milvuspb.MutationResult](t)(f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "line", NumRows: 1, FieldsData: []*schemapb.FieldData{
		int64s("id", 10), floatVectors("v", 2, 1, 1), floatVectors("w", 2, 1, 1),
	}}))
	flush()
	fine[*milvuspb.MutationResult](t)(f.Delete(ctx, &milvuspb.DeleteRequest{CollectionName: "line", Expr: "id < 5"}))
	done := fine[*milvuspb.ManualCompactionResponse](t)(f.ManualCompaction(ctx, &milvuspb.ManualCompactionRequest{CollectionName: "line"}))
	require.NotZero(t, done.GetCompactionID())
	state := fine[*milvuspb.GetCompactionStateResponse](t)(f.GetCompactionState(ctx, &milvuspb.GetCompactionStateRequest{CompactionID: done.GetCompactionID()}))
	require.Equal(t, commonpb.CompactionState_Completed, state.GetState())
	infos := fine[*milvuspb.GetPersistentSegmentInfoResponse](t)(f.GetPersistentSegmentInfo(ctx, &milvuspb.GetPersistentSegmentInfoRequest{CollectionName: "line"})).GetInfos()
	require.Len(t, infos, 1)
	require.EqualValues(t, 6, infos[0].GetNumRows())
}
