package milvus

import (
	"context"
	"slices"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
)

// LoadCollection lets a collection be searched, which it can be until it is released.
func (s *Server) LoadCollection(ctx context.Context, r *milvuspb.LoadCollectionRequest) (*commonpb.Status, error) {
	return status(s.changeLoad(ctx, r.GetDbName(), r.GetCollectionName(), nil, func(x *extra, _ []uint64) {
		x.Partial, x.Loaded = false, nil
	})), nil
}

// ReleaseCollection refuses searches of a collection until it is loaded.
func (s *Server) ReleaseCollection(ctx context.Context, r *milvuspb.ReleaseCollectionRequest) (*commonpb.Status, error) {
	return status(s.changeLoad(ctx, r.GetDbName(), r.GetCollectionName(), nil, func(x *extra, _ []uint64) {
		x.Partial, x.Loaded = true, nil
	})), nil
}

// LoadPartitions lets partitions be searched.
func (s *Server) LoadPartitions(ctx context.Context, r *milvuspb.LoadPartitionsRequest) (*commonpb.Status, error) {
	return status(s.changeLoad(ctx, r.GetDbName(), r.GetCollectionName(), r.GetPartitionNames(), func(x *extra, ids []uint64) {
		if x.Partial {
			x.Loaded = slices.Compact(slices.Sorted(slices.Values(append(x.Loaded, ids...))))
		}
	})), nil
}

// ReleasePartitions refuses searches of partitions until they are loaded.
func (s *Server) ReleasePartitions(ctx context.Context, r *milvuspb.ReleasePartitionsRequest) (*commonpb.Status, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return status(err), nil
	}
	return status(s.changeLoad(ctx, r.GetDbName(), r.GetCollectionName(), r.GetPartitionNames(), func(x *extra, ids []uint64) {
		if !x.Partial {
			x.Partial, x.Loaded = true, nil
			for _, p := range t.Partitions() {
				x.Loaded = append(x.Loaded, p.ID())
			}
		}
		x.Loaded = slices.DeleteFunc(x.Loaded, func(id uint64) bool { return slices.Contains(ids, id) })
	})), nil
}

// changeLoad changes what of a collection is loaded. It writes only what is a change.
func (s *Server) changeLoad(ctx context.Context, db, name string, partitions []string, change func(x *extra, ids []uint64)) error {
	t, err := s.find(ctx, db, name)
	if err != nil {
		return err
	}
	ids, err := s.partitionIDs(t, partitions)
	if err != nil {
		return err
	}
	have := s.state.extra(t.ID())
	next := have.clone()
	change(next, ids)
	if next.Partial == have.Partial && slices.Equal(next.Loaded, have.Loaded) {
		return nil
	}
	return s.state.changeExtra(ctx, t.ID(), func(x *extra) error {
		change(x, ids)
		return nil
	})
}

func (s *Server) partitionIDs(t target, names []string) ([]uint64, error) {
	ids := make([]uint64, len(names))
	for i, name := range names {
		p, err := t.partition(name)
		if err != nil {
			return nil, err
		}
		ids[i] = p.ID()
	}
	return ids, nil
}

// loadedOf tells whether a collection, or all of some partitions, can be searched.
func (s *Server) loadedOf(ctx context.Context, db, name string, partitions []string) (bool, error) {
	t, err := s.find(ctx, db, name)
	if err != nil {
		return false, err
	}
	ids, err := s.partitionIDs(t, partitions)
	if err != nil {
		return false, err
	}
	x := s.state.extra(t.ID())
	for _, id := range ids {
		if !x.loadedPartition(id) {
			return false, nil
		}
	}
	return x.loaded(), nil
}

// GetLoadingProgress is 100 of what is loaded.
func (s *Server) GetLoadingProgress(ctx context.Context, r *milvuspb.GetLoadingProgressRequest) (*milvuspb.GetLoadingProgressResponse, error) {
	loaded, err := s.loadedOf(ctx, r.GetDbName(), r.GetCollectionName(), r.GetPartitionNames())
	if err == nil && !loaded {
		err = fail(codeNotLoaded, "collection not loaded[collection=%s]", r.GetCollectionName())
	}
	return &milvuspb.GetLoadingProgressResponse{Status: status(err), Progress: percent(loaded), RefreshProgress: percent(loaded)}, nil
}

// GetLoadState tells whether a collection, or some partitions of it, can be searched.
func (s *Server) GetLoadState(ctx context.Context, r *milvuspb.GetLoadStateRequest) (*milvuspb.GetLoadStateResponse, error) {
	loaded, err := s.loadedOf(ctx, r.GetDbName(), r.GetCollectionName(), r.GetPartitionNames())
	out := &milvuspb.GetLoadStateResponse{Status: status(err), State: commonpb.LoadState_LoadStateNotLoad}
	switch {
	case err != nil && classify(err).Code == codeCollectionNotFound:
		out.Status, out.State = succeeded(), commonpb.LoadState_LoadStateNotExist
	case err != nil:
		out.State = commonpb.LoadState_LoadStateNotExist
	case loaded:
		out.State = commonpb.LoadState_LoadStateLoaded
	}
	return out, nil
}

// GetReplicas says that there is one, here.
func (s *Server) GetReplicas(ctx context.Context, r *milvuspb.GetReplicasRequest) (*milvuspb.GetReplicasResponse, error) {
	t, err := s.findEither(ctx, r.GetDbName(), r.GetCollectionName(), r.GetCollectionID())
	if err != nil {
		return &milvuspb.GetReplicasResponse{Status: status(err)}, nil
	}
	rep := &milvuspb.ReplicaInfo{ReplicaID: 1, CollectionID: int64(t.ID()), NodeIds: []int64{1}, ResourceGroupName: "__default_resource_group"}
	for _, p := range t.Partitions() {
		rep.PartitionIds = append(rep.PartitionIds, int64(p.ID()))
	}
	return &milvuspb.GetReplicasResponse{Status: succeeded(), Replicas: []*milvuspb.ReplicaInfo{rep}}, nil
}
