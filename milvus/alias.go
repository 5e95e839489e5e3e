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

// CreateAlias gives a collection another name besides its own.
//
// Commit point of this file's changes: the row of the state collection is durable.
func (s *Server) CreateAlias(ctx context.Context, r *milvuspb.CreateAliasRequest) (*commonpb.Status, error) {
	return status(s.setAlias(ctx, r.GetDbName(), r.GetAlias(), r.GetCollectionName(), false)), nil
}

// AlterAlias gives an alias to another collection.
func (s *Server) AlterAlias(ctx context.Context, r *milvuspb.AlterAliasRequest) (*commonpb.Status, error) {
	return status(s.setAlias(ctx, r.GetDbName(), r.GetAlias(), r.GetCollectionName(), true)), nil
}

func (s *Server) setAlias(ctx context.Context, db, name, collection string, alter bool) error {
	d, err := s.database(ctx, db)
	if err != nil {
		return err
	}
	name = strings.TrimSpace(name)
	if err := schema.ValidName("alias", name); err != nil {
		return err
	}
	s.ddl.Lock()
	defer s.ddl.Unlock()
	t, err := s.find(ctx, d.Name, collection)
	if err != nil {
		return err
	}
	a := alias{d.Name, name}
	id, there := s.state.alias(a)
	switch {
	case alter && !there:
		return errAlias(a)
	case there && id == t.ID():
		return nil
	case there && !alter:
		other, _ := s.byID(d, id)
		return fail(codeAliasExists, "%s is alias to another collection: %s: alias already exist[database=%s][alias=%s]", name, other.name, d.Name, name)
	case s.eng.HasCollection(d.storeName(name)):
		return fail(codeAliasConflict, "collection name [%s] conflicts with an existing collection: alias and collection name conflict[database=%s][alias=%s]", name, d.Name, name)
	}
	st := s.state
	st.write.Lock()
	defer st.write.Unlock()
	if err := st.put(ctx, map[string]any{keyAlias(a): t.ID()}); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.aliases[a] = t.ID()
	return nil
}

func errAlias(a alias) error {
	return fail(codeAliasNotFound, "alias not found[database=%s][alias=%s]", a.db, a.name)
}

// DropAlias removes an alias. To drop one that is not there succeeds.
func (s *Server) DropAlias(ctx context.Context, r *milvuspb.DropAliasRequest) (*commonpb.Status, error) {
	d, err := s.database(ctx, r.GetDbName())
	if err != nil {
		return status(err), nil
	}
	a := alias{d.Name, strings.TrimSpace(r.GetAlias())}
	st := s.state
	st.write.Lock()
	defer st.write.Unlock()
	if _, ok := st.alias(a); !ok {
		return succeeded(), nil
	}
	if err := st.remove(ctx, keyAlias(a)); err != nil {
		return status(err), nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.aliases, a)
	return succeeded(), nil
}

// DescribeAlias tells what collection an alias stands for.
func (s *Server) DescribeAlias(ctx context.Context, r *milvuspb.DescribeAliasRequest) (*milvuspb.DescribeAliasResponse, error) {
	d, err := s.database(ctx, r.GetDbName())
	if err != nil {
		return &milvuspb.DescribeAliasResponse{Status: status(err)}, nil
	}
	a := alias{d.Name, strings.TrimSpace(r.GetAlias())}
	if id, ok := s.state.alias(a); ok {
		if t, ok := s.byID(d, id); ok {
			return &milvuspb.DescribeAliasResponse{Status: succeeded(), DbName: d.Name, Alias: a.name, Collection: t.name}, nil
		}
	}
	return &milvuspb.DescribeAliasResponse{Status: status(errAlias(a))}, nil
}

// ListAliases lists the aliases of a collection, or of a database.
func (s *Server) ListAliases(ctx context.Context, r *milvuspb.ListAliasesRequest) (*milvuspb.ListAliasesResponse, error) {
	d, err := s.database(ctx, r.GetDbName())
	if err != nil {
		return &milvuspb.ListAliasesResponse{Status: status(err)}, nil
	}
	out := &milvuspb.ListAliasesResponse{Status: succeeded(), DbName: d.Name, CollectionName: r.GetCollectionName()}
	if r.GetCollectionName() != "" {
		t, err := s.find(ctx, d.Name, r.GetCollectionName())
		if err != nil {
			return &milvuspb.ListAliasesResponse{Status: status(err)}, nil
		}
		for _, a := range s.state.aliasesOf(t.ID()) {
			out.Aliases = append(out.Aliases, a.name)
		}
		return out, nil
	}
	s.state.mu.RLock()
	defer s.state.mu.RUnlock()
	for a := range maps.Keys(s.state.aliases) {
		if a.db == d.Name {
			out.Aliases = append(out.Aliases, a.name)
		}
	}
	slices.Sort(out.Aliases)
	return out, nil
}
