package milvus

import (
	"context"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
)

// ManualCompaction merges a collection's sealed segments and rids them of dead rows, and answers when it is done.
func (s *Server) ManualCompaction(ctx context.Context, r *milvuspb.ManualCompactionRequest) (*milvuspb.ManualCompactionResponse, error) {
	t, err := s.findEither(ctx, r.GetDbName(), r.GetCollectionName(), r.GetCollectionID())
	if err != nil {
		return &milvuspb.ManualCompactionResponse{Status: status(err)}, nil
	}
	before := len(t.Segments())
	if err := t.Compact(ctx); err != nil {
		return &milvuspb.ManualCompactionResponse{Status: status(err)}, nil
	}
	out := &milvuspb.ManualCompactionResponse{Status: succeeded(), CompactionID: int64(s.clock.next())}
	if len(t.Segments()) < before {
		out.CompactionPlanCount = 1
	}
	return out, nil
}

// GetCompactionState says that a compaction is done, as all are that were answered.
func (s *Server) GetCompactionState(context.Context, *milvuspb.GetCompactionStateRequest) (*milvuspb.GetCompactionStateResponse, error) {
	return &milvuspb.GetCompactionStateResponse{Status: succeeded(), State: commonpb.CompactionState_Completed, CompletedPlanNo: 1}, nil
}

// GetCompactionStateWithPlans is GetCompactionState; plans are not kept.
func (s *Server) GetCompactionStateWithPlans(context.Context, *milvuspb.GetCompactionPlansRequest) (*milvuspb.GetCompactionPlansResponse, error) {
	return &milvuspb.GetCompactionPlansResponse{Status: succeeded(), State: commonpb.CompactionState_Completed}, nil
}
