package milvus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"google.golang.org/protobuf/proto"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// CreateCollection makes an empty collection. To make one that is there already with the same schema succeeds.
//
// Commit point: the engine's. Properties and the consistency level follow in a write of their own; a crash between the two leaves a
// collection without them, and a call that was not answered.
func (s *Server) CreateCollection(ctx context.Context, r *milvuspb.CreateCollectionRequest) (*commonpb.Status, error) {
	return status(s.createCollection(ctx, r)), nil
}

func (s *Server) createCollection(ctx context.Context, r *milvuspb.CreateCollectionRequest) error {
	d, err := s.database(ctx, r.GetDbName())
	if err != nil {
		return err
	}
	name := strings.TrimSpace(r.GetCollectionName())
	if err := d.checkName(name); err != nil {
		return err
	}
	p := new(schemapb.CollectionSchema)
	if err := proto.Unmarshal(r.GetSchema(), p); err != nil {
		return fail(codeInvalid, "schema of collection %s cannot be read: %s", name, err)
	}
	props := fromPairs(append(p.GetProperties(), r.GetProperties()...))
	sch, x, err := parseSchema(p, d.storeName(name), r.GetShardsNum(), r.GetNumPartitions(), props)
	if err != nil {
		return err
	}
	x.Consistency = int32(r.GetConsistencyLevel())
	s.ddl.Lock()
	defer s.ddl.Unlock()
	if _, err := s.database(ctx, d.Name); err != nil { // it may have been dropped meanwhile
		return err
	}
	if _, ok := s.state.alias(alias{d.Name, name}); ok {
		return fail(codeAliasConflict, "collection name [%s] conflicts with an existing alias, please choose a unique name", name)
	}
	c, err := s.eng.CreateCollection(ctx, sch)
	if errors.Is(err, engine.ErrExists) {
		if c, err = s.eng.Collection(sch.Name); err != nil {
			return err
		}
		want, err := sch.Finish()
		if err != nil {
			return err
		}
		if !c.Schema().Equal(want) {
			return fail(codeUnexpected, "create duplicate collection with different parameters, collection: %s", name)
		}
		return nil
	}
	if err != nil {
		return err
	}
	return s.state.changeExtra(ctx, c.ID(), func(have *extra) error {
		*have = *x
		return nil
	})
}

// DropCollection removes a collection. To drop one that is not there succeeds.
func (s *Server) DropCollection(ctx context.Context, r *milvuspb.DropCollectionRequest) (*commonpb.Status, error) {
	return status(s.dropCollection(ctx, r.GetDbName(), strings.TrimSpace(r.GetCollectionName()))), nil
}

func (s *Server) dropCollection(ctx context.Context, db, name string) error {
	d, err := s.database(ctx, db)
	if err != nil {
		return err
	}
	s.ddl.Lock()
	defer s.ddl.Unlock()
	if _, ok := s.state.alias(alias{d.Name, name}); ok {
		return fail(codeUnexpected, "cannot drop the collection via alias = %s", name)
	}
	t, err := s.find(ctx, d.Name, name)
	if err != nil {
		if classify(err).Code == codeCollectionNotFound {
			return nil
		}
		return err
	}
	if as := s.state.aliasesOf(t.ID()); len(as) > 0 {
		return fail(codeUnexpected, "unable to drop the collection [%s] because it has associated aliases [%s], please remove all associated aliases before dropping the collection",
			name, as[0].name)
	}
	if err := s.eng.DropCollection(ctx, t.Collection.Name()); err != nil && !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	return s.state.forget(ctx, t.ID())
}

// HasCollection tells whether there is a collection of a name.
func (s *Server) HasCollection(ctx context.Context, r *milvuspb.HasCollectionRequest) (*milvuspb.BoolResponse, error) {
	_, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil && classify(err).Code == codeCollectionNotFound {
		return &milvuspb.BoolResponse{Status: succeeded()}, nil
	}
	return &milvuspb.BoolResponse{Status: status(err), Value: err == nil}, nil
}

// DescribeCollection describes a collection, found by name or by number.
func (s *Server) DescribeCollection(ctx context.Context, r *milvuspb.DescribeCollectionRequest) (*milvuspb.DescribeCollectionResponse, error) {
	t, err := s.findEither(ctx, r.GetDbName(), r.GetCollectionName(), r.GetCollectionID())
	if err != nil {
		return &milvuspb.DescribeCollectionResponse{Status: status(err)}, nil
	}
	return s.describe(t), nil
}

func (s *Server) findEither(ctx context.Context, db, name string, id int64) (target, error) {
	if strings.TrimSpace(name) != "" || id <= 0 {
		return s.find(ctx, db, name)
	}
	d, err := s.database(ctx, db)
	if err != nil {
		return target{}, err
	}
	if t, ok := s.byID(d, uint64(id)); ok {
		return t, nil
	}
	return target{}, fail(codeCollectionNotFound, "collection not found[database=%s][collection=%d]", d.Name, id)
}

func (s *Server) describe(t target) *milvuspb.DescribeCollectionResponse {
	sch, x := t.Schema(), s.state.extra(t.ID())
	out := &milvuspb.DescribeCollectionResponse{
		Status: succeeded(), Schema: formatSchema(sch, t.name, t.db, x), CollectionID: int64(t.ID()), CollectionName: t.name, DbName: t.db,
		CreatedTimestamp: timestamp(t.Created()), CreatedUtcTimestamp: uint64(t.Created().UnixMilli()),
		ShardsNum: int32(max(sch.Shards, 1)), ConsistencyLevel: commonpb.ConsistencyLevel(x.Consistency),
		Properties: pairs(properties(sch, x)), NumPartitions: int64(len(t.Partitions())),
		UpdateTimestamp: schemaTimestamp(t.Created(), sch), RequestTime: s.clock.next(),
	}
	out.UpdateTimestampStr = strconv.FormatUint(out.UpdateTimestamp, 10)
	if sch.PartitionKey() != nil {
		out.NumPartitions = int64(sch.NumPartitions)
	}
	for i := range out.ShardsNum {
		out.VirtualChannelNames = append(out.VirtualChannelNames, fmt.Sprintf("selkie_%dv%d", t.ID(), i))
		out.PhysicalChannelNames = append(out.PhysicalChannelNames, fmt.Sprintf("selkie_%d", i))
	}
	for _, a := range s.state.aliasesOf(t.ID()) {
		out.Aliases = append(out.Aliases, a.name)
	}
	return out
}

// schemaTimestamp names a version of a schema. It stays until the schema changes.
func schemaTimestamp(created time.Time, sch *schema.Schema) uint64 {
	return timestamp(created) + uint64(sch.Version)
}

// checkSchemaTimestamp has a client that wrote its request by an older schema read the new one and try again.
func checkSchemaTimestamp(t target, given uint64) error {
	if given == 0 || given == schemaTimestamp(t.Created(), t.Schema()) {
		return nil
	}
	return &Error{Code: codeUnexpected, Legacy: commonpb.ErrorCode_SchemaMismatch, Reason: fmt.Sprintf("collection schema mismatch[collection=%s]", t.name)}
}

// BatchDescribeCollection describes several collections.
func (s *Server) BatchDescribeCollection(ctx context.Context, r *milvuspb.BatchDescribeCollectionRequest) (*milvuspb.BatchDescribeCollectionResponse, error) {
	out := &milvuspb.BatchDescribeCollectionResponse{Status: succeeded()}
	for _, name := range r.GetCollectionName() {
		one, err := s.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{DbName: r.GetDbName(), CollectionName: name})
		if err != nil {
			return nil, err
		}
		out.Responses = append(out.Responses, one)
	}
	return out, nil
}

// ShowCollections lists the collections of a database.
func (s *Server) ShowCollections(ctx context.Context, r *milvuspb.ShowCollectionsRequest) (*milvuspb.ShowCollectionsResponse, error) {
	d, err := s.database(ctx, r.GetDbName())
	if err != nil {
		return &milvuspb.ShowCollectionsResponse{Status: status(err)}, nil
	}
	out := &milvuspb.ShowCollectionsResponse{Status: succeeded()}
	add := func(t target) {
		x := s.state.extra(t.ID())
		percent := int64(100)
		if !x.loaded() {
			percent = 0
		}
		if r.GetType() == milvuspb.ShowType_InMemory && percent == 0 && len(r.GetCollectionNames()) == 0 {
			return
		}
		out.CollectionNames = append(out.CollectionNames, t.name)
		out.CollectionIds = append(out.CollectionIds, int64(t.ID()))
		out.CreatedTimestamps = append(out.CreatedTimestamps, timestamp(t.Created()))
		out.CreatedUtcTimestamps = append(out.CreatedUtcTimestamps, uint64(t.Created().UnixMilli()))
		out.InMemoryPercentages = append(out.InMemoryPercentages, percent)
		out.QueryServiceAvailable = append(out.QueryServiceAvailable, percent == 100)
		out.ShardsNum = append(out.ShardsNum, int32(max(t.Schema().Shards, 1)))
	}
	if names := r.GetCollectionNames(); len(names) > 0 {
		for _, name := range names {
			t, err := s.find(ctx, d.Name, name)
			if err != nil {
				return &milvuspb.ShowCollectionsResponse{Status: status(err)}, nil
			}
			add(t)
		}
		return out, nil
	}
	for _, stored := range s.eng.Collections() {
		if name, ok := d.publicName(stored); ok {
			if c, err := s.eng.Collection(stored); err == nil {
				add(target{c, d.Name, name})
			}
		}
	}
	return out, nil
}

// RenameCollection gives a collection another name, perhaps in another database.
func (s *Server) RenameCollection(ctx context.Context, r *milvuspb.RenameCollectionRequest) (*commonpb.Status, error) {
	return status(s.renameCollection(ctx, r)), nil
}

func (s *Server) renameCollection(ctx context.Context, r *milvuspb.RenameCollectionRequest) error {
	from, err := s.database(ctx, r.GetDbName())
	if err != nil {
		return err
	}
	to := from
	if r.GetNewDBName() != "" {
		if to, err = s.database(ctx, r.GetNewDBName()); err != nil {
			return err
		}
	}
	name := strings.TrimSpace(r.GetNewName())
	if err := to.checkName(name); err != nil {
		return err
	}
	s.ddl.Lock()
	defer s.ddl.Unlock()
	if _, err := s.database(ctx, to.Name); err != nil {
		return err
	}
	if _, ok := s.state.alias(alias{from.Name, strings.TrimSpace(r.GetOldName())}); ok {
		return fail(codeUnexpected, "unsupported use an alias to rename collection, alias:%s", r.GetOldName())
	}
	if _, ok := s.state.alias(alias{to.Name, name}); ok {
		return fail(codeAliasConflict, "cannot rename collection to an existing alias: %s", name)
	}
	t, err := s.find(ctx, from.Name, r.GetOldName())
	if err != nil {
		return err
	}
	if as := s.state.aliasesOf(t.ID()); len(as) > 0 && from.Name != to.Name {
		return fail(codeUnexpected, "fail to rename collection, it has alias [%s], and an alias stays in its database", as[0].name)
	}
	err = s.eng.RenameCollection(ctx, t.Collection.Name(), to.storeName(name))
	if errors.Is(err, engine.ErrExists) {
		return fail(codeUnexpected, "duplicated new collection name %s:%s with other collection name or alias", to.Name, name)
	}
	return err
}

// AlterCollection changes the properties of a collection.
func (s *Server) AlterCollection(ctx context.Context, r *milvuspb.AlterCollectionRequest) (*commonpb.Status, error) {
	t, err := s.findEither(ctx, r.GetDbName(), r.GetCollectionName(), r.GetCollectionID())
	if err != nil {
		return status(err), nil
	}
	set := fromPairs(r.GetProperties())
	have := properties(t.Schema(), s.state.extra(t.ID()))
	for _, key := range decided {
		if v, ok := set[key]; ok && v != have[key] || slices.Contains(r.GetDeleteKeys(), key) && have[key] != "" {
			return status(fail(codeUnsupported, "property %s is decided when a collection is made", key)), nil
		}
	}
	return status(s.state.changeExtra(ctx, t.ID(), func(x *extra) error {
		x.Properties = alter(x.Properties, set, r.GetDeleteKeys())
		return nil
	})), nil
}

// GetCollectionStatistics gives the number of live entities in sealed segments, which after a flush is the number of all.
func (s *Server) GetCollectionStatistics(ctx context.Context, r *milvuspb.GetCollectionStatisticsRequest) (*milvuspb.GetCollectionStatisticsResponse, error) {
	t, err := s.find(ctx, r.GetDbName(), r.GetCollectionName())
	if err != nil {
		return &milvuspb.GetCollectionStatisticsResponse{Status: status(err)}, nil
	}
	return &milvuspb.GetCollectionStatisticsResponse{Status: succeeded(), Stats: rowCount(t.NumEntities())}, nil
}

func rowCount(n int64) []*commonpb.KeyValuePair {
	return []*commonpb.KeyValuePair{{Key: "row_count", Value: strconv.FormatInt(n, 10)}}
}
