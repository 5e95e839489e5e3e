package milvus

import (
	"context"
	"errors"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/segment"
)

// Flush seals every partition of each collection named, and answers when all that was acknowledged before is in sealed segments on
// disk. The answer names the segments that this call wrote, and those that were there before.
func (s *Server) Flush(ctx context.Context, r *milvuspb.FlushRequest) (*milvuspb.FlushResponse, error) {
	out := &milvuspb.FlushResponse{
		Status: succeeded(), DbName: r.GetDbName(), CollSegIDs: map[string]*schemapb.LongArray{}, FlushCollSegIDs: map[string]*schemapb.LongArray{},
		CollSealTimes: map[string]int64{}, CollFlushTs: map[string]uint64{},
	}
	if len(r.GetCollectionNames()) == 0 {
		out.Status = status(fail(codeInvalid, "collection names should not be empty"))
		return out, nil
	}
	// All names are looked up before anything is flushed.
	targets := make([]target, len(r.GetCollectionNames()))
	for i, name := range r.GetCollectionNames() {
		var err error
		if targets[i], err = s.find(ctx, r.GetDbName(), name); err != nil {
			out.Status = status(err)
			return out, nil
		}
		out.DbName = targets[i].db
	}
	for i, t := range targets {
		name := r.GetCollectionNames()[i] // the key that the client looks for
		receipt, err := t.Flush(ctx)
		if err != nil {
			out.Status = status(err)
			return out, nil
		}
		sealed, older := new(schemapb.LongArray), new(schemapb.LongArray)
		mine := make(map[segment.ID]bool, len(receipt.Segments))
		for _, id := range receipt.Segments {
			mine[id] = true
			sealed.Data = append(sealed.Data, int64(id))
		}
		for _, seg := range t.Segments() {
			if seg.State == segment.StateSealed && !mine[seg.ID] {
				older.Data = append(older.Data, int64(seg.ID))
			}
		}
		out.CollSegIDs[name], out.FlushCollSegIDs[name] = sealed, older
		out.CollSealTimes[name] = s.opts.Now().Unix()
		out.CollFlushTs[name] = s.clock.next()
	}
	return out, nil
}

// GetFlushState tells whether none of the segments named is growing, or waits to be written. Without names it is true, as Flush answers
// when it is done.
func (s *Server) GetFlushState(ctx context.Context, r *milvuspb.GetFlushStateRequest) (*milvuspb.GetFlushStateResponse, error) {
	out := &milvuspb.GetFlushStateResponse{Status: succeeded(), Flushed: true}
	if len(r.GetSegmentIDs()) == 0 {
		return out, nil
	}
	asked := make(map[segment.ID]bool, len(r.GetSegmentIDs()))
	for _, id := range r.GetSegmentIDs() {
		asked[segment.ID(id)] = true
	}
	for _, name := range s.eng.Collections() {
		c, err := s.eng.Collection(name)
		if err != nil {
			continue
		}
		for _, seg := range c.Segments() {
			if asked[seg.ID] && seg.State != segment.StateSealed {
				out.Flushed = false
				return out, nil
			}
		}
	}
	return out, nil
}

// FlushAll flushes the collections of the databases named, or of all.
func (s *Server) FlushAll(ctx context.Context, r *milvuspb.FlushAllRequest) (*milvuspb.FlushAllResponse, error) {
	out := &milvuspb.FlushAllResponse{Status: succeeded()}
	dbs := s.databases()
	if name := r.GetDbName(); name != "" {
		d, err := s.database(ctx, name)
		if err != nil {
			out.Status = status(err)
			return out, nil
		}
		dbs = []*database{d}
	}
	for _, d := range dbs {
		for _, stored := range s.eng.Collections() {
			if _, ok := d.publicName(stored); !ok {
				continue
			}
			c, err := s.eng.Collection(stored)
			if err == nil {
				_, err = c.Flush(ctx)
			}
			if err != nil && !errors.Is(err, engine.ErrNotFound) { // dropped meanwhile
				out.Status = status(err)
				return out, nil
			}
		}
	}
	out.FlushAllTs = s.clock.next()
	return out, nil
}

// GetFlushAllState is true: FlushAll answers when it is done.
func (s *Server) GetFlushAllState(context.Context, *milvuspb.GetFlushAllStateRequest) (*milvuspb.GetFlushAllStateResponse, error) {
	return &milvuspb.GetFlushAllStateResponse{Status: succeeded(), Flushed: true}, nil
}
