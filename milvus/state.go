package milvus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// stateCollection holds what the protocol knows and the engine does not: databases, aliases, properties. It is a collection of the
// store, so a change of it is one durable write like any other, and checkpoints have it. Clients do not see it.
const stateCollection = "_milvus_state"

// state is a copy in memory of the state collection. Every change is written there before it is made here.
type state struct {
	eng *engine.Engine

	write sync.Mutex // taken by each change, before mu
	coll  *engine.Collection

	mu          sync.RWMutex // guards what follows; nothing is locked under it
	databases   map[string]*database
	aliases     map[alias]uint64
	collections map[uint64]*extra
}

// database is a namespace of collections. The default one has number 0 and is not kept.
type database struct {
	Name       string            `json:"name"`
	ID         int64             `json:"id"`
	Created    uint64            `json:"created"` // a timestamp
	Properties map[string]string `json:"properties,omitempty"`
}

type alias struct{ db, name string }

// extra is what a collection has besides its schema. It is replaced, never changed.
type extra struct {
	Consistency int32                        `json:"consistency"`
	Properties  map[string]string            `json:"properties,omitempty"`
	Fields      map[string]map[string]string `json:"fields,omitempty"`     // parameters of fields that mean nothing to the engine
	Functions   map[string]string            `json:"functions,omitempty"`  // their names, by the field that they make
	Clustering  string                       `json:"clustering,omitempty"` // the clustering key, which is not used
	Indexes     map[string]askedIndex        `json:"indexes,omitempty"`    // by name, as they were asked for
	Partial     bool                         `json:"partial,omitempty"`    // not all partitions are loaded
	Loaded      []uint64                     `json:"loaded,omitempty"`     // if Partial: those that are
}

func (x *extra) clone() *extra {
	y := *x
	y.Properties = maps.Clone(x.Properties)
	y.Fields = maps.Clone(x.Fields)
	y.Functions = maps.Clone(x.Functions)
	y.Indexes = maps.Clone(x.Indexes)
	y.Loaded = slices.Clone(x.Loaded)
	return &y
}

// Keys of the rows, and what their values hold.
func keyDatabase(name string) string           { return "d/" + name }                       // database
func keyAlias(a alias) string                  { return "a/" + a.db + "/" + a.name }        // a collection's number
func keyCollection(id uint64) string           { return "c/" + strconv.FormatUint(id, 10) } // extra
func invalidState(key string, err error) error { return fmt.Errorf("state row %q: %w", key, err) }

// loadState reads the state of a store. What belongs to collections that are gone is left out.
func loadState(ctx context.Context, eng *engine.Engine) (*state, error) {
	st := &state{eng: eng, databases: map[string]*database{}, aliases: map[alias]uint64{}, collections: map[uint64]*extra{}}
	c, err := eng.Collection(stateCollection)
	if errors.Is(err, engine.ErrNotFound) {
		return st, nil
	}
	if err != nil {
		return nil, err
	}
	st.coll = c
	there := map[uint64]bool{}
	for _, name := range eng.Collections() {
		if c, err := eng.Collection(name); err == nil {
			there[c.ID()] = true
		}
	}
	var orphans []string
	for row, err := range c.All(ctx, "key", "value") {
		if err != nil {
			return nil, err
		}
		key := row.String("key")
		kind, rest, _ := strings.Cut(key, "/")
		value := row.JSON("value")
		switch kind {
		case "d":
			d := new(database)
			if err := json.Unmarshal(value, d); err != nil {
				return nil, invalidState(key, err)
			}
			st.databases[rest] = d
		case "a":
			var id uint64
			if err := json.Unmarshal(value, &id); err != nil {
				return nil, invalidState(key, err)
			}
			db, name, _ := strings.Cut(rest, "/")
			if !there[id] {
				orphans = append(orphans, key)
				continue
			}
			st.aliases[alias{db, name}] = id
		case "c":
			id, err := strconv.ParseUint(rest, 10, 64)
			x := new(extra)
			if err := errors.Join(err, json.Unmarshal(value, x)); err != nil {
				return nil, invalidState(key, err)
			}
			if !there[id] {
				orphans = append(orphans, key)
				continue
			}
			st.collections[id] = x
		default:
			return nil, invalidState(key, errors.New("of an unknown kind"))
		}
	}
	if len(orphans) > 0 && !eng.ReadOnly() {
		if _, err := c.Delete(ctx, column.StringKeys(orphans...)); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// home returns the state collection, and makes it if there is none. REQUIRES: write is held.
func (st *state) home(ctx context.Context) (*engine.Collection, error) {
	if st.coll != nil {
		return st.coll, nil
	}
	c, err := st.eng.CreateCollection(ctx, schema.New(stateCollection).
		Describe("Databases, aliases and properties of the Milvus protocol.").With(
		schema.VarChar("key", 1024).PrimaryKey(), schema.JSON("value"),
		schema.FloatVector("unused", schema.MinDim))) // every collection has a vector
	if err != nil {
		return nil, err
	}
	st.coll = c
	return c, nil
}

// put writes rows, all of them or none. REQUIRES: write is held.
func (st *state) put(ctx context.Context, rows map[string]any) error {
	c, err := st.home(ctx)
	if err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(rows))
	values := make([][]byte, len(keys))
	for i, k := range keys {
		if values[i], err = json.Marshal(rows[k]); err != nil {
			return err
		}
		if n := len(values[i]); n > schema.MaxJSON {
			return fail(codeInvalid, "properties take %d bytes, at most %d are allowed", n, schema.MaxJSON)
		}
	}
	_, err = c.Upsert(ctx, column.VarChar("key", keys), column.JSON("value", values),
		column.FloatVectorFlat("unused", schema.MinDim, make([]float32, schema.MinDim*len(keys))))
	return err
}

// remove deletes rows. REQUIRES: write is held.
func (st *state) remove(ctx context.Context, keys ...string) error {
	if st.coll == nil || len(keys) == 0 {
		return nil
	}
	_, err := st.coll.Delete(ctx, column.StringKeys(keys...))
	return err
}

// extra returns what is known of a collection; one that was made without the protocol reads its own writes.
func (st *state) extra(id uint64) *extra {
	st.mu.RLock()
	defer st.mu.RUnlock()
	if x, ok := st.collections[id]; ok {
		return x
	}
	return &extra{}
}

// changeExtra replaces what is known of a collection by what change makes of a copy.
func (st *state) changeExtra(ctx context.Context, id uint64, change func(x *extra) error) error {
	st.write.Lock()
	defer st.write.Unlock()
	x := st.extra(id).clone()
	if err := change(x); err != nil {
		return err
	}
	if err := st.put(ctx, map[string]any{keyCollection(id): x}); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.collections[id] = x
	return nil
}

// forget removes what is known of a collection that was dropped.
func (st *state) forget(ctx context.Context, id uint64) error {
	st.write.Lock()
	defer st.write.Unlock()
	keys := []string{keyCollection(id)}
	for _, a := range st.aliasesOf(id) {
		keys = append(keys, keyAlias(a))
	}
	if err := st.remove(ctx, keys...); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.collections, id)
	maps.DeleteFunc(st.aliases, func(_ alias, of uint64) bool { return of == id })
	return nil
}

// aliasesOf lists a collection's aliases by name.
func (st *state) aliasesOf(id uint64) []alias {
	st.mu.RLock()
	defer st.mu.RUnlock()
	var out []alias
	for a, of := range st.aliases {
		if of == id {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b alias) int { return strings.Compare(a.name, b.name) })
	return out
}

func (st *state) alias(a alias) (id uint64, ok bool) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	id, ok = st.aliases[a]
	return id, ok
}

func (st *state) database(name string) (*database, bool) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	d, ok := st.databases[name]
	return d, ok
}
