package milvus

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// DefaultDatabase is the database of collections that name none, and of those made without the protocol.
const DefaultDatabase = "default"

// target is a collection as a request names it.
type target struct {
	*engine.Collection
	db   string // its database
	name string // its name there, also where the request gave an alias
}

// database finds the database that a request means: by its own field, else by the connection's header.
func (s *Server) database(ctx context.Context, name string) (*database, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		if md, ok := metadata.FromIncomingContext(ctx); ok {
			if v := md.Get("dbname"); len(v) > 0 {
				name = strings.TrimSpace(v[0])
			}
		}
	}
	if name == "" || name == DefaultDatabase {
		return &database{Name: DefaultDatabase}, nil
	}
	d, ok := s.state.database(name)
	if !ok {
		return nil, fail(codeDatabaseNotFound, "database not found[database=%s]", name)
	}
	return d, nil
}

// storeName is the name in the store of a collection of a database. Names of the default database are those of the store, which begin
// with neither prefix.
func (d *database) storeName(name string) string {
	if d.ID == 0 {
		return name
	}
	return fmt.Sprintf("_db%d_%s", d.ID, name)
}

// reserved reports whether a name of the store cannot be that of a collection in the default database.
func reserved(name string) bool {
	if name == stateCollection {
		return true
	}
	rest, ok := strings.CutPrefix(name, "_db")
	if !ok {
		return false
	}
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	return digits > 0 && strings.HasPrefix(rest[digits:], "_")
}

// publicName is the name in the database of a collection of the store; ok is false if it is none of the database's.
func (d *database) publicName(stored string) (name string, ok bool) {
	if d.ID == 0 {
		return stored, !reserved(stored)
	}
	return strings.CutPrefix(stored, d.storeName(""))
}

// checkName refuses names that a new collection cannot have.
func (d *database) checkName(name string) error {
	if err := schema.ValidName("collection", name); err != nil {
		return err
	}
	if d.ID == 0 && reserved(name) {
		return fail(codeInvalid, "Invalid collection name: %s. the name is reserved", name)
	}
	return nil
}

// find finds a collection by its database and its name or alias.
func (s *Server) find(ctx context.Context, db, name string) (target, error) {
	d, err := s.database(ctx, db)
	if err != nil {
		return target{}, err
	}
	name = strings.TrimSpace(name)
	if name == "" {
		return target{}, fail(codeInvalid, "collection name should not be empty")
	}
	if d.ID == 0 && reserved(name) {
		return target{}, errCollection(d.Name, name)
	}
	c, err := s.eng.Collection(d.storeName(name))
	if err == nil {
		return target{c, d.Name, name}, nil
	}
	if classify(err).Code != codeCollectionNotFound {
		return target{}, err
	}
	if id, ok := s.state.alias(alias{d.Name, name}); ok {
		if t, ok := s.byID(d, id); ok {
			return t, nil
		}
	}
	return target{}, errCollection(d.Name, name)
}

// byID finds a collection of a database by its number.
func (s *Server) byID(d *database, id uint64) (target, bool) {
	for _, stored := range s.eng.Collections() {
		name, ok := d.publicName(stored)
		if !ok {
			continue
		}
		if c, err := s.eng.Collection(stored); err == nil && c.ID() == id {
			return target{c, d.Name, name}, true
		}
	}
	return target{}, false
}

// partition finds a partition of a collection by name. The empty name means the default partition.
func (t target) partition(name string) (*engine.Partition, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		name = engine.DefaultPartition
	}
	p, err := t.Partition(name)
	if err != nil && classify(err).Code == codeCollectionNotFound {
		return nil, errPartition(name)
	}
	return p, err
}
