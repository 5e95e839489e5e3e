package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// Limits of a store, those of Milvus.
const (
	MaxCollections = 65536
	MaxPartitions  = 1024 // of a collection
)

// CreateCollection makes an empty collection of the schema's name, with the partition DefaultPartition, or with hidden partitions if
// the schema has a partition key. It returns ErrExists if there is a collection of the name already.
//
// Commit point: the catalogue edit is synced.
func (e *Engine) CreateCollection(ctx context.Context, s *schema.Schema) (*Collection, error) {
	c, err := e.createCollection(ctx, s)
	return c, wrap("create collection", err)
}

func (e *Engine) createCollection(ctx context.Context, s *schema.Schema) (*Collection, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.leave()
	if s == nil {
		return nil, schema.Invalid("", nil, "no schema given")
	}
	s, err := s.Finish()
	if err != nil {
		return nil, err
	}
	e.ddl.Lock()
	defer e.ddl.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.mu.RLock()
	_, exists := e.collections[s.Name]
	n := len(e.collections)
	e.mu.RUnlock()
	if exists {
		return nil, fmt.Errorf("collection %q %w", s.Name, ErrExists)
	}
	if n >= MaxCollections {
		return nil, schema.Invalid("", n, "a store holds at most %d collections", MaxCollections)
	}
	var id uint64
	e.cat.view(func(st *state) { id = st.nextID })
	now := e.opts.Now().UnixNano()
	rec := collectionRecord{id, s.Name, s, now}
	parts := []partitionRecord{{id + 1, id, DefaultPartition, false, now}}
	if s.PartitionKey() != nil {
		parts = parts[:0]
		for i := range hiddenPartitions(s) {
			parts = append(parts, partitionRecord{id + 1 + uint64(i), id, fmt.Sprintf("%s_%d", DefaultPartition, i), true, now})
		}
	}
	ed := &edit{putCollections: []collectionRecord{rec}, putPartitions: parts, nextID: id + 1 + uint64(len(parts))}
	if err := e.cat.commit(ed); err != nil {
		return nil, err
	}
	e.noteCatalogue(ctx)
	c := newCollection(e, rec)
	for _, r := range parts {
		c.add(r, partition.New(r.id, e.env, s, partition.Restored{}))
	}
	e.mu.Lock()
	e.collections[s.Name] = c
	e.mu.Unlock()
	return c, nil
}

func hiddenPartitions(s *schema.Schema) int {
	if s.NumPartitions > 0 {
		return s.NumPartitions
	}
	return 16
}

// Collection returns a collection by name.
func (e *Engine) Collection(name string) (*Collection, error) {
	if err := e.usable(); err != nil {
		return nil, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	c, ok := e.collections[strings.TrimSpace(name)]
	if !ok {
		return nil, fmt.Errorf("collection %q %w", name, ErrNotFound)
	}
	return c, nil
}

// HasCollection reports whether there is a collection of the name.
func (e *Engine) HasCollection(name string) bool {
	_, err := e.Collection(name)
	return err == nil
}

// Collections lists the names of the collections in alphabetical order.
func (e *Engine) Collections() []string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return slices.Sorted(maps.Keys(e.collections))
}

// RenameCollection gives a collection another name. Handles of it stay good.
func (e *Engine) RenameCollection(ctx context.Context, from, to string) error {
	return wrap("rename collection", e.renameCollection(ctx, from, to))
}

func (e *Engine) renameCollection(ctx context.Context, from, to string) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	to = strings.TrimSpace(to)
	if err := schema.ValidName("collection", to); err != nil {
		return err
	}
	e.ddl.Lock()
	defer e.ddl.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := e.Collection(from)
	if err != nil {
		return err
	}
	if e.HasCollection(to) {
		return fmt.Errorf("collection %q %w", to, ErrExists)
	}
	rec := collectionRecord{c.id, to, c.Schema(), c.created.UnixNano()}
	if err := e.cat.commit(&edit{putCollections: []collectionRecord{rec}}); err != nil {
		return err
	}
	e.noteCatalogue(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.collections, c.Name())
	e.collections[to] = c
	c.mu.Lock()
	c.name = to
	c.mu.Unlock()
	return nil
}

// DropCollection removes a collection and all it holds. Snapshots and iterators in use stay valid; the files go with the last of them.
func (e *Engine) DropCollection(ctx context.Context, name string) error {
	return wrap("drop collection", e.dropCollection(ctx, name))
}

func (e *Engine) dropCollection(ctx context.Context, name string) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	e.ddl.Lock()
	defer e.ddl.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := e.Collection(name)
	if err != nil {
		return err
	}
	if err := e.cat.commit(&edit{dropCollections: []uint64{c.id}}); err != nil {
		return err
	}
	e.noteCatalogue(ctx)
	e.mu.Lock()
	delete(e.collections, c.Name())
	e.mu.Unlock()
	c.mu.Lock()
	c.dropped = true
	parts := slices.Collect(maps.Values(c.parts))
	indexes := c.indexes
	c.mu.Unlock()
	e.indexer.forget(func(k indexKey) bool { return indexes[k.index] != nil })
	for _, p := range parts {
		p.p.Drop(e.removed)
	}
	return nil
}

// removed removes the files of a dropped segment, now or when the checkpoint that runs is done.
func (e *Engine) removed(s *segment.Sealed, err error) {
	e.trash.remove(func() {
		if err := errors.Join(err, e.fs.RemoveAll(s.Dir())); err != nil {
			// The next open removes what is left: the catalogue does not name it.
			e.opts.Logger.Warn("removing a dropped segment", "segment", s.ID(), "error", err)
		}
	})
}

// CreatePartition makes an empty partition. It returns ErrExists if there is one of the name already.
func (c *Collection) CreatePartition(ctx context.Context, name string) (*Partition, error) {
	p, err := c.createPartition(ctx, strings.TrimSpace(name))
	return p, wrap("create partition", err)
}

func (c *Collection) createPartition(ctx context.Context, name string) (*Partition, error) {
	e := c.e
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer e.leave()
	if c.keyed() {
		return nil, errKeyed(name)
	}
	if err := schema.ValidPartitionName(name); err != nil {
		return nil, err
	}
	e.ddl.Lock()
	defer e.ddl.Unlock()
	if err := errors.Join(ctx.Err(), c.usable()); err != nil {
		return nil, err
	}
	if c.HasPartition(name) {
		return nil, fmt.Errorf("partition %q %w", name, ErrExists)
	}
	if n := len(c.all()); n >= MaxPartitions {
		return nil, schema.Invalid("", n, "a collection holds at most %d partitions", MaxPartitions)
	}
	var id uint64
	e.cat.view(func(st *state) { id = st.nextID })
	rec := partitionRecord{id, c.id, name, false, e.opts.Now().UnixNano()}
	if err := e.cat.commit(&edit{putPartitions: []partitionRecord{rec}, nextID: id + 1}); err != nil {
		return nil, err
	}
	e.noteCatalogue(ctx)
	return c.add(rec, partition.New(id, e.env, c.Schema(), partition.Restored{})), nil
}

// RenamePartition gives a partition another name. Handles of it stay good. DefaultPartition keeps its name.
func (c *Collection) RenamePartition(ctx context.Context, from, to string) error {
	return wrap("rename partition", c.renamePartition(ctx, from, strings.TrimSpace(to)))
}

func (c *Collection) renamePartition(ctx context.Context, from, to string) error {
	e := c.e
	if err := c.enter(); err != nil {
		return err
	}
	defer e.leave()
	if err := schema.ValidPartitionName(to); err != nil {
		return err
	}
	e.ddl.Lock()
	defer e.ddl.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := c.Partition(from)
	if err != nil {
		return err
	}
	if p.Name() == DefaultPartition {
		return schema.Invalid("", from, "the partition %q keeps its name", DefaultPartition)
	}
	if c.HasPartition(to) {
		return fmt.Errorf("partition %q %w", to, ErrExists)
	}
	rec, ok := partitionRecord{}, false
	e.cat.view(func(st *state) { rec, ok = st.partitions[p.p.ID()] })
	if !ok {
		return fmt.Errorf("partition %q %w", from, ErrNotFound)
	}
	rec.name = to
	if err := e.cat.commit(&edit{putPartitions: []partitionRecord{rec}}); err != nil {
		return err
	}
	e.noteCatalogue(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.parts, p.name)
	c.parts[to], p.name = p, to
	return nil
}

// DropPartition removes a partition and all it holds. DefaultPartition cannot be dropped.
func (c *Collection) DropPartition(ctx context.Context, name string) error {
	return wrap("drop partition", c.dropPartition(ctx, name))
}

func (c *Collection) dropPartition(ctx context.Context, name string) error {
	e := c.e
	if err := c.enter(); err != nil {
		return err
	}
	defer e.leave()
	e.ddl.Lock()
	defer e.ddl.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := c.Partition(name)
	if err != nil {
		return err
	}
	if p.Name() == DefaultPartition {
		return schema.Invalid("", name, "the partition %q cannot be dropped", DefaultPartition)
	}
	if err := e.cat.commit(&edit{dropPartitions: []uint64{p.p.ID()}}); err != nil {
		return err
	}
	e.noteCatalogue(ctx)
	c.mu.Lock()
	delete(c.parts, p.name)
	c.mu.Unlock()
	sealed, release := p.p.Sealed()
	e.indexer.forget(func(k indexKey) bool {
		return slices.ContainsFunc(sealed, func(s *segment.Sealed) bool { return s.ID() == k.segment })
	})
	release()
	p.p.Drop(e.removed)
	return nil
}
