package milvus

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"

	"github.com/selkiedb/selkie/engine"
)

// CreatePartition makes an empty partition. To make one that is there already succeeds.
func (s *Server) CreatePartition(ctx context.Context, r *milvuspb.CreatePartitionRequest) (*commonpb.Status, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err == nil {
		_, err = t.CreatePartition(ctx, strings.TrimSpace(r.GetPartitionName()))
	}
	if errors.Is(err, engine.ErrExists) {
		err = nil
	}
	return status(err), nil
}

// DropPartition removes a partition. To drop one that is not there succeeds.
func (s *Server) DropPartition(ctx context.Context, r *milvuspb.DropPartitionRequest) (*commonpb.Status, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return status(err), nil
	}
	err = t.DropPartition(ctx, strings.TrimSpace(r.GetPartitionName()))
	if errors.Is(err, engine.ErrNotFound) {
		err = nil
	}
	return status(err), nil
}

// HasPartition tells whether a collection has a partition of a name.
func (s *Server) HasPartition(ctx context.Context, r *milvuspb.HasPartitionRequest) (*milvuspb.BoolResponse, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return &milvuspb.BoolResponse{Status: status(err)}, nil
	}
	return &milvuspb.BoolResponse{Status: succeeded(), Value: t.HasPartition(strings.TrimSpace(r.GetPartitionName()))}, nil
}

// ShowPartitions lists the partitions of a collection, or those named.
func (s *Server) ShowPartitions(ctx context.Context, r *milvuspb.ShowPartitionsRequest) (*milvuspb.ShowPartitionsResponse, error) {
	t, err := s.findEither(ctx, r.GetDbName(), r.GetCollectionName(), r.GetCollectionID())
	if err != nil {
		return &milvuspb.ShowPartitionsResponse{Status: status(err)}, nil
	}
	list := t.Partitions()
	if names := r.GetPartitionNames(); len(names) > 0 {
		list = nil
		for _, name := range names {
			p, err := t.partition(name)
			if err != nil {
				return &milvuspb.ShowPartitionsResponse{Status: status(err)}, nil
			}
			list = append(list, p)
		}
	}
	x := s.state.extra(t.ID())
	out := &milvuspb.ShowPartitionsResponse{Status: succeeded()}
	for _, p := range list {
		loaded := x.loadedPartition(p.ID())
		if r.GetType() == milvuspb.ShowType_InMemory && !loaded {
			continue
		}
		out.PartitionNames = append(out.PartitionNames, p.Name())
		out.PartitionIDs = append(out.PartitionIDs, int64(p.ID()))
		out.CreatedTimestamps = append(out.CreatedTimestamps, timestamp(t.Created()))
		out.CreatedUtcTimestamps = append(out.CreatedUtcTimestamps, uint64(t.Created().UnixMilli()))
		out.InMemoryPercentages = append(out.InMemoryPercentages, percent(loaded))
	}
	return out, nil
}

func percent(all bool) int64 {
	if all {
		return 100
	}
	return 0
}

// GetPartitionStatistics gives the number of live entities in the partition's sealed segments.
func (s *Server) GetPartitionStatistics(ctx context.Context, r *milvuspb.GetPartitionStatisticsRequest) (*milvuspb.GetPartitionStatisticsResponse, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return &milvuspb.GetPartitionStatisticsResponse{Status: status(err)}, nil
	}
	p, err := t.partition(r.GetPartitionName())
	if err != nil {
		return &milvuspb.GetPartitionStatisticsResponse{Status: status(err)}, nil
	}
	return &milvuspb.GetPartitionStatisticsResponse{Status: succeeded(), Stats: rowCount(p.NumEntities())}, nil
}

// loaded tells whether any of the collection can be searched.
func (x *extra) loaded() bool { return !x.Partial || len(x.Loaded) > 0 }

func (x *extra) loadedPartition(id uint64) bool { return !x.Partial || slices.Contains(x.Loaded, id) }
