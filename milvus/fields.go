package milvus

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"google.golang.org/protobuf/proto"

	"github.com/selkiedb/selkie/query"
)

// AddCollectionField adds a nullable field to a collection. Entities that are there have its default value, or null.
//
// Commit point: the engine's. Parameters that mean nothing to the engine follow in a write of their own.
func (s *Server) AddCollectionField(ctx context.Context, r *milvuspb.AddCollectionFieldRequest) (*commonpb.Status, error) {
	return status(s.addField(ctx, r)), nil
}

func (s *Server) addField(ctx context.Context, r *milvuspb.AddCollectionFieldRequest) error {
	t, err := s.findEither(ctx, r.GetDbName(), r.GetCollectionName(), r.GetCollectionID())
	if err != nil {
		return err
	}
	p := new(schemapb.FieldSchema)
	if err := proto.Unmarshal(r.GetSchema(), p); err != nil {
		return fail(codeInvalid, "the field's schema cannot be read: %s", err)
	}
	switch {
	case p.GetIsClusteringKey():
		return fail(codeInvalid, "not support to add clustering key field, field name = %s", clip(p.GetName()))
	case p.GetIsFunctionOutput():
		return fail(codeUnsupported, "field %q: functions are given when a collection is made", clip(p.GetName()))
	}
	f, rest, err := parseField(p)
	if err != nil {
		return err
	}
	s.ddl.Lock()
	defer s.ddl.Unlock()
	if err := t.AddField(ctx, f); err != nil || len(rest) == 0 {
		return err
	}
	return s.state.changeExtra(ctx, t.ID(), func(x *extra) error {
		if x.Fields == nil {
			x.Fields = map[string]map[string]string{}
		}
		x.Fields[f.Name] = rest
		return nil
	})
}

// keptOfFields are parameters of fields that can be changed, and mean nothing to the engine.
var keptOfFields = []string{"mmap.enabled", "warmup", "field.skipLoad"}

// AlterCollectionField raises max_length or max_capacity of a field, and changes parameters that mean nothing to the engine.
func (s *Server) AlterCollectionField(ctx context.Context, r *milvuspb.AlterCollectionFieldRequest) (*commonpb.Status, error) {
	return status(s.alterField(ctx, r)), nil
}

func (s *Server) alterField(ctx context.Context, r *milvuspb.AlterCollectionFieldRequest) error {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return err
	}
	name := strings.TrimSpace(r.GetFieldName())
	f, ok := t.Schema().Field(name)
	if !ok || f.IsDynamic || f.IsInsertTime {
		return fail(codeInvalid, "field not found[field=%s]", clip(name))
	}
	kept, limits := map[string]string{}, map[string]int{}
	for key, v := range fromPairs(r.GetProperties()) {
		switch {
		case slices.Contains(keptOfFields, key):
			kept[key] = v
		case key == "max_length" || key == "max_capacity":
			if limits[key], err = strconv.Atoi(v); err != nil || limits[key] < 1 {
				return fail(codeInvalid, "%s of field %s should be an integer above 0, is %q", key, name, clip(v))
			}
		default:
			return fail(codeInvalid, "%s does not allow update in collection field param", clip(key))
		}
	}
	for _, key := range r.GetDeleteKeys() {
		if !slices.Contains(keptOfFields, key) {
			return fail(codeInvalid, "%s does not allow update in collection field param", clip(key))
		}
	}
	s.ddl.Lock()
	defer s.ddl.Unlock()
	if len(limits) > 0 {
		if err := t.WidenField(ctx, name, limits["max_length"], limits["max_capacity"]); err != nil {
			return err
		}
	}
	if len(kept) == 0 && len(r.GetDeleteKeys()) == 0 {
		return nil
	}
	return s.state.changeExtra(ctx, t.ID(), func(x *extra) error {
		if x.Fields == nil {
			x.Fields = map[string]map[string]string{}
		}
		x.Fields[name] = alter(maps.Clone(x.Fields[name]), kept, r.GetDeleteKeys())
		return nil
	})
}

// TruncateCollection removes all entities of a collection in one step, and keeps the collection.
func (s *Server) TruncateCollection(ctx context.Context, r *milvuspb.TruncateCollectionRequest) (*milvuspb.TruncateCollectionResponse, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err == nil {
		_, err = t.DeleteWhere(ctx, query.All())
	}
	return &milvuspb.TruncateCollectionResponse{Status: status(err)}, nil
}
