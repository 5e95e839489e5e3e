package milvus

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"

	"github.com/selkiedb/selkie/schema"
)

// maxDatabases is Milvus's default.
const maxDatabases = 64

// CreateDatabase makes an empty database.
//
// Commit point: the row of the state collection is durable.
func (s *Server) CreateDatabase(ctx context.Context, r *milvuspb.CreateDatabaseRequest) (*commonpb.Status, error) {
	return status(s.createDatabase(ctx, strings.TrimSpace(r.GetDbName()), fromPairs(r.GetProperties()))), nil
}

func (s *Server) createDatabase(ctx context.Context, name string, properties map[string]string) error {
	if err := schema.ValidName("database", name); err != nil {
		return fail(codeDatabaseInvalid, "invalid database name[database=%s]: %s", clip(name), err)
	}
	st := s.state
	st.write.Lock()
	defer st.write.Unlock()
	if _, ok := st.database(name); ok || name == DefaultDatabase {
		return fail(codeUnexpected, "database already exist: %s", name)
	}
	d := &database{Name: name, ID: 1, Created: s.clock.next(), Properties: properties}
	all := s.databases()
	if len(all) >= maxDatabases {
		return fail(codeDatabaseLimit, "exceeded the limit number of database[limit=%d]", maxDatabases)
	}
	// Collections of a dropped database are gone with it, so its number may be used again.
	for slices.ContainsFunc(all, func(o *database) bool { return o.ID == d.ID }) {
		d.ID++
	}
	if err := st.put(ctx, map[string]any{keyDatabase(name): d}); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.databases[name] = d
	return nil
}

// databases lists all, the default one first, the others by name.
func (s *Server) databases() []*database {
	s.state.mu.RLock()
	defer s.state.mu.RUnlock()
	out := []*database{{Name: DefaultDatabase}}
	for _, name := range slices.Sorted(maps.Keys(s.state.databases)) {
		out = append(out, s.state.databases[name])
	}
	return out
}

// DropDatabase removes a database that has no collections.
func (s *Server) DropDatabase(ctx context.Context, r *milvuspb.DropDatabaseRequest) (*commonpb.Status, error) {
	return status(s.dropDatabase(ctx, strings.TrimSpace(r.GetDbName()))), nil
}

func (s *Server) dropDatabase(ctx context.Context, name string) error {
	if name == DefaultDatabase {
		return fail(codeInvalid, "can not drop default database")
	}
	// No collection is made in it meanwhile: that takes ddl, too.
	s.ddl.Lock()
	defer s.ddl.Unlock()
	st := s.state
	st.write.Lock()
	defer st.write.Unlock()
	d, ok := st.database(name)
	if !ok {
		return nil // as with collections, it is what the caller wants
	}
	for _, stored := range s.eng.Collections() {
		if public, ok := d.publicName(stored); ok {
			return fail(codeUnexpected, "database:%s not empty, must drop all collections before drop database: it has %s", name, public)
		}
	}
	if err := st.remove(ctx, keyDatabase(name)); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.databases, name)
	return nil
}

// ListDatabases lists all databases.
func (s *Server) ListDatabases(context.Context, *milvuspb.ListDatabasesRequest) (*milvuspb.ListDatabasesResponse, error) {
	out := &milvuspb.ListDatabasesResponse{Status: succeeded()}
	for _, d := range s.databases() {
		out.DbNames = append(out.DbNames, d.Name)
		out.CreatedTimestamp = append(out.CreatedTimestamp, d.Created)
		out.DbIds = append(out.DbIds, d.ID)
	}
	return out, nil
}

// DescribeDatabase describes a database.
func (s *Server) DescribeDatabase(ctx context.Context, r *milvuspb.DescribeDatabaseRequest) (*milvuspb.DescribeDatabaseResponse, error) {
	d, err := s.database(ctx, r.GetDbName())
	if err != nil {
		return &milvuspb.DescribeDatabaseResponse{Status: status(err)}, nil
	}
	return &milvuspb.DescribeDatabaseResponse{
		Status: succeeded(), DbName: d.Name, DbID: d.ID, CreatedTimestamp: d.Created, Properties: pairs(d.Properties),
	}, nil
}

// AlterDatabase changes the properties of a database.
func (s *Server) AlterDatabase(ctx context.Context, r *milvuspb.AlterDatabaseRequest) (*commonpb.Status, error) {
	return status(s.alterDatabase(ctx, r)), nil
}

func (s *Server) alterDatabase(ctx context.Context, r *milvuspb.AlterDatabaseRequest) error {
	name := strings.TrimSpace(r.GetDbName())
	if name == DefaultDatabase {
		return fail(codeUnsupported, "the default database takes no properties")
	}
	st := s.state
	st.write.Lock()
	defer st.write.Unlock()
	d, ok := st.database(name)
	if !ok {
		return fail(codeDatabaseNotFound, "database not found[database=%s]", name)
	}
	changed := *d
	changed.Properties = alter(d.Properties, fromPairs(r.GetProperties()), r.GetDeleteKeys())
	if err := st.put(ctx, map[string]any{keyDatabase(name): &changed}); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.databases[name] = &changed
	return nil
}

// alter returns a copy of properties with some set and some gone.
func alter(have, set map[string]string, gone []string) map[string]string {
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, set)
	for _, k := range gone {
		delete(out, k)
	}
	return out
}
