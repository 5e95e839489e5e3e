package engine

import (
	"context"
	"iter"
	"sync"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// Snapshot is a fixed view of a collection, or of some of its partitions: every read of it sees the same entities, whatever is written,
// flushed, merged or dropped meanwhile. It holds the segments it sees, in memory and on disk, so it must be released.
type Snapshot struct {
	view *Collection // the collection as it was, with fixed set

	mu    sync.Mutex // guards fixed of view; nothing is locked under it
	fixed *partition.Snapshot
}

// Snapshot takes a snapshot of the collection, or of the partitions named, as of now. Requests made to it name no partitions.
func (c *Collection) Snapshot(ctx context.Context, partitions ...string) (*Snapshot, error) {
	s, err := c.snapshot(ctx, partitions)
	return s, wrap("snapshot", err)
}

func (c *Collection) snapshot(ctx context.Context, partitions []string) (*Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.usable(); err != nil {
		return nil, err
	}
	parts, err := c.some(partitions)
	if err != nil {
		return nil, err
	}
	fixed, err := c.acquire(parts)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{fixed: fixed}
	c.mu.RLock()
	defer c.mu.RUnlock()
	s.view = &Collection{
		e: c.e, id: c.id, created: c.created, name: c.name, parts: c.parts, hidden: c.hidden,
		indexes: c.indexes, metrics: c.metrics, fixed: s,
	}
	s.view.schema.Store(c.Schema())
	return s, nil
}

// share is acquire for reads of the snapshot.
func (s *Snapshot) share() (*partition.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fixed == nil {
		return nil, schema.Invalid("", nil, "the snapshot was released")
	}
	return s.fixed.Share(), nil
}

// Release gives the snapshot's segments back. Reads that are under way go on. It may be called again.
func (s *Snapshot) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fixed != nil {
		s.fixed.Release()
		s.fixed = nil
	}
}

// SearchMany is Collection.SearchMany as of the snapshot.
func (s *Snapshot) SearchMany(ctx context.Context, req *query.Search) ([][]Hit, error) {
	return s.view.SearchMany(ctx, req)
}

// Query is Collection.Query as of the snapshot.
func (s *Snapshot) Query(ctx context.Context, req *query.Select) (*column.Rows, error) {
	return s.view.Query(ctx, req)
}

// Iterate is Collection.Iterate as of the snapshot.
func (s *Snapshot) Iterate(ctx context.Context, req *query.Select) iter.Seq2[column.Row, error] {
	return s.view.Iterate(ctx, req)
}

// CountWhere is Collection.CountWhere as of the snapshot.
func (s *Snapshot) CountWhere(ctx context.Context, req *query.Select) (int64, error) {
	return s.view.CountWhere(ctx, req)
}

// Get is Collection.Get as of the snapshot.
func (s *Snapshot) Get(ctx context.Context, keys column.Keys, output ...string) (*column.Rows, error) {
	return s.view.Get(ctx, keys, output...)
}
