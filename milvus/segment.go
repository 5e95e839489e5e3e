package milvus

import (
	"context"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"

	"github.com/selkiedb/selkie/segment"
)

// GetPersistentSegmentInfo lists the sealed segments of a collection, which are on disk.
func (s *Server) GetPersistentSegmentInfo(ctx context.Context, r *milvuspb.GetPersistentSegmentInfoRequest) (*milvuspb.GetPersistentSegmentInfoResponse, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return &milvuspb.GetPersistentSegmentInfoResponse{Status: status(err)}, nil
	}
	out := &milvuspb.GetPersistentSegmentInfoResponse{Status: succeeded()}
	for _, seg := range t.Segments() {
		if seg.State != segment.StateSealed {
			continue
		}
		out.Infos = append(out.Infos, &milvuspb.PersistentSegmentInfo{
			SegmentID: int64(seg.ID), CollectionID: int64(t.ID()), PartitionID: int64(seg.Partition), NumRows: seg.Rows,
			State: commonpb.SegmentState_Flushed, Level: commonpb.SegmentLevel_L1, IsSorted: true,
		})
	}
	return out, nil
}

// GetQuerySegmentInfo lists all segments that searches look at.
func (s *Server) GetQuerySegmentInfo(ctx context.Context, r *milvuspb.GetQuerySegmentInfoRequest) (*milvuspb.GetQuerySegmentInfoResponse, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return &milvuspb.GetQuerySegmentInfoResponse{Status: status(err)}, nil
	}
	out := &milvuspb.GetQuerySegmentInfoResponse{Status: succeeded()}
	names := map[uint64]string{}
	for _, i := range t.Indexes() {
		names[i.ID] = i.Name
	}
	for _, seg := range t.Segments() {
		info := &milvuspb.QuerySegmentInfo{
			SegmentID: int64(seg.ID), CollectionID: int64(t.ID()), PartitionID: int64(seg.Partition), NumRows: seg.Rows, MemSize: seg.Bytes,
			State: commonpb.SegmentState_Growing, NodeIds: []int64{1}, NodeID: 1, Level: commonpb.SegmentLevel_L1,
		}
		switch seg.State {
		case segment.StateSealing:
			info.State = commonpb.SegmentState_Flushing
		case segment.StateSealed:
			info.State, info.IsSorted = commonpb.SegmentState_Sealed, true
		}
		for _, i := range seg.Indexes {
			if i.State == segment.IndexReady {
				info.IndexName, info.IndexID = names[i.ID], int64(i.ID)
			}
		}
		out.Infos = append(out.Infos, info)
	}
	return out, nil
}
